"""The host's cache when it hangs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache.backends.locmem import LocMemCache

from ai_models import cache
from ai_models.cache import SharedCache
from ai_models.exceptions import NotReady
from tests.polling import until


class Hanging(LocMemCache):
    """Does nothing until it may.

    Attributes:
        asked: how many writes it was asked for.
    """

    def __init__(self) -> None:
        super().__init__("hanging", {})
        self.may = threading.Event()
        self.asked = 0

    def set_many(self, data: Any, timeout: Any = None, version: Any = None) -> list[Any]:
        self.asked += 1
        self.may.wait(30)
        return super().set_many(data, timeout, version)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    monkeypatch.setattr(cache, "OPERATION_SECONDS", 0.05)
    backend = Hanging()
    yield backend
    backend.may.set()


async def test_what_was_given_up_before_it_began_is_not_done_later(hanging: Hanging) -> None:
    shared = SharedCache(hanging)
    refused = await asyncio.gather(*(shared.set_many({f"{n}": "x"}, 60) for n in range(50)), return_exceptions=True)
    assert all(isinstance(error, NotReady) for error in refused)
    with pytest.raises(NotReady, match="busy"):
        await shared.get("0")
    assert hanging.asked <= 4
    hanging.may.set()
    await until(lambda: not shared._late)
    assert await shared.get("49") is None
    assert hanging.asked <= 4
