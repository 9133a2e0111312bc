"""The streams of a socket whose client is slow, or whose request is large."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from ai_models import directory, events
from ai_models.api import multiplexing
from ai_models.api.multiplexing import Streams
from tests.polling import until
from tests.service.steps import Steps

ADA: Any = SimpleNamespace(pk=1)


async def confirm() -> Any:
    return SimpleNamespace(user=ADA)


async def prepare(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    return request


async def test_a_client_that_leaves_before_it_took_the_acknowledgement_leaves_the_stream() -> None:
    sending = asyncio.Event()

    async def send(frame: str) -> None:
        sending.set()
        await asyncio.Event().wait()

    steps = Steps(events.Start("m"), asyncio.Event())
    stream = directory.begin(steps, user=ADA)
    streams = Streams(send, confirm, prepare)
    streams.resume({"type": "resume", "stream_id": stream.id, "after": 0})
    await asyncio.wait_for(sending.wait(), 5)
    await streams.leave()
    await until(lambda: steps.closed)


async def test_a_request_is_checked_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def fields_of(*arguments: Any) -> dict[str, Any]:
        threads.append(asyncio._get_running_loop())
        raise RuntimeError

    sent: list[str] = []

    async def send(frame: str) -> None:
        sent.append(frame)

    async def admit(identity: Any) -> None:
        return

    monkeypatch.setattr(multiplexing, "fields_of", fields_of)
    monkeypatch.setattr(multiplexing.authentication, "admit", admit)
    streams = Streams(send, confirm, prepare)
    streams.begin({"type": "stream-text", "stream_id": "a", "request": {"prompt": "a"}})
    await until(lambda: bool(sent))
    assert threads == [None]
