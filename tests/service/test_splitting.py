"""One call as several: in parts, side by side, in order."""

from __future__ import annotations

import asyncio
import time

import pytest
from pytest_django import Settings

import ai_models
from ai_models.exceptions import UpstreamError, UpstreamTimeout
from tests.polling import until
from tests.service.conftest import Puppet

TEXTS = ["a" * length for length in range(1, 24)]


async def test_texts_are_split_and_come_back_in_order(puppet: type[Puppet]) -> None:
    puppet.per_call = 5
    result = await ai_models.aembed(values=TEXTS)
    assert result.embeddings == [[float(len(text))] for text in TEXTS]
    assert result.usage.tokens == len(TEXTS)
    assert sorted(len(request["values"]) for _, request in puppet.calls) == [3, 5, 5, 5, 5]


async def test_parts_are_under_way_at_once_but_not_all_of_them(puppet: type[Puppet], settings: Settings) -> None:
    puppet.per_call = 1
    await ai_models.aembed(values=TEXTS)
    assert puppet.most_at_once == 4
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_PARALLEL": 2}
    puppet.most_at_once = 0
    await ai_models.aembed(values=TEXTS)
    assert puppet.most_at_once == 2


async def test_a_failure_ends_the_others(puppet: type[Puppet]) -> None:
    puppet.per_call, puppet.fails_on = 1, TEXTS[3]
    with pytest.raises(UpstreamError, match="cannot be embedded"):
        await ai_models.aembed(values=TEXTS)
    assert len(puppet.calls) < len(TEXTS)
    assert puppet.open == 0


async def test_the_time_is_that_of_all_parts_together(puppet: type[Puppet]) -> None:
    puppet.per_call = 1
    started = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        await ai_models.aembed(values=["a"] * 200, timeout=0.2)
    assert time.monotonic() - started < 1


async def test_a_cancelled_call_cancels_its_parts(puppet: type[Puppet]) -> None:
    puppet.per_call = 1
    task = asyncio.ensure_future(ai_models.aembed(values=["a"] * 50))
    await until(lambda: puppet.open > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert puppet.open == 0


async def test_few_texts_are_one_call(puppet: type[Puppet]) -> None:
    puppet.per_call = 5
    await ai_models.aembed(values=TEXTS[:5])
    assert len(puppet.calls) == 1
