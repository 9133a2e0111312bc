"""The host's cache, for what processes tell each other and for what lives seconds: tickets, logs of streams.

``CACHES["ai_models"]`` when there is one, else ``CACHES["default"]``. Every value is text, so that a cache of others cannot
make anything happen here, and every operation has a deadline, so that a cache that hangs cannot make anything wait.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.signals import setting_changed
from django.db import close_old_connections
from django.dispatch import receiver

from ai_models.exceptions import NotReady

ALIAS = "ai_models"
OPERATION_SECONDS = 0.5
_PREFIX = "ai_models:"
_THREADS = 4

T = TypeVar("T")


class JSONSerializer:
    """For ``OPTIONS["serializer"]`` of Django's Redis cache, which otherwise unpickles whatever it finds there."""

    def dumps(self, value: Any) -> bytes | int:
        """As Django's own serializer, integers stay integers for Redis to count with."""
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class SharedCache:
    """A cache with its operations as coroutines.

    Every operation raises :class:`~ai_models.exceptions.NotReady` when the cache fails or takes too long.
    """

    def __init__(self, backend: BaseCache) -> None:
        self._backend = backend
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ai_models-cache")
        self._late: set[Future[Any]] = set()
        self.between_processes = not isinstance(backend, LocMemCache | DummyCache)
        """Whether other processes see what this one writes."""

    async def get(self, key: str) -> str | None:
        """The text under a key."""
        return (await self.get_many((key,))).get(key)

    async def get_many(self, keys: Iterable[str]) -> dict[str, str]:
        """The texts under those of the keys that there are."""
        found = await self._do(partial(self._backend.get_many, [_PREFIX + key for key in keys]))
        return {key.removeprefix(_PREFIX): value for key, value in found.items() if isinstance(value, str)}

    async def set_many(self, values: Mapping[str, str], seconds: float) -> None:
        """Write texts that are forgotten after some time."""
        prefixed = {_PREFIX + key: value for key, value in values.items()}
        if await self._do(partial(self._backend.set_many, prefixed, timeout=max(1, round(seconds)))):
            raise NotReady("The cache did not take everything.")

    async def add(self, key: str, value: str, seconds: float) -> None:
        """Write a text, unless one is there."""
        await self._do(partial(self._backend.add, _PREFIX + key, value, timeout=max(1, round(seconds))))

    async def delete(self, key: str) -> bool:
        """Delete a key; of several who do so at once, one is told that it was there."""
        return await self._do(partial(self._backend.delete, _PREFIX + key))

    async def settle(self) -> None:
        """Wait for operations that were given up and still run: a late one would undo what is written after it."""
        if late := {_awaitable(running) for running in tuple(self._late)}:
            _, still_late = await asyncio.wait(late, timeout=OPERATION_SECONDS)
            if still_late:
                raise _busy()

    async def _do(self, operation: Callable[[], T]) -> T:
        if len(self._late) >= _THREADS:
            raise _busy()
        running = self._threads.submit(_in_thread, operation)
        try:
            done, _ = await asyncio.wait({waiting := _awaitable(running)}, timeout=OPERATION_SECONDS)
        finally:
            # What has not begun is not done later, when nobody wants it any more.
            if not running.cancel() and not running.done():
                self._late.add(running)
                running.add_done_callback(self._late.discard)
        if not done:
            raise NotReady("The cache did not answer in time.")
        try:
            return waiting.result()
        except Exception as error:
            raise NotReady(f"The cache failed with {type(error).__name__}.") from None


def _in_thread(operation: Callable[[], T]) -> T:
    """Some caches are tables of the database."""
    try:
        return operation()
    finally:
        close_old_connections()


def _awaitable(running: Future[T]) -> asyncio.Future[T]:
    """A future of this event loop. When nobody waits for it any more, nothing is logged about how it ended."""
    waiting = asyncio.wrap_future(running)
    waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return waiting


def _busy() -> NotReady:
    return NotReady("The cache is still busy with what it was asked before.")


@cache
def shared_cache() -> SharedCache:
    """The cache of this process. One object for all threads, so that its connections are shared."""
    return SharedCache(caches.create_connection(ALIAS if ALIAS in caches.settings else "default"))


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    if setting == "CACHES":
        shared_cache.cache_clear()


if hasattr(os, "register_at_fork"):
    # The threads do not exist in a forked process.
    os.register_at_fork(after_in_child=shared_cache.cache_clear)
