"""Streams whose items arrive several at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, TypeVar

T = TypeVar("T")


class Batched(AsyncGenerator[T, None]):
    """An async generator of items that arrive several at once: it also tells those that are there already.

    Args:
        batches: gives the items in lists, none of them empty.
    """

    def __init__(self, batches: AsyncGenerator[list[T]]) -> None:
        self._batches = batches
        self._there: list[T] = []

    async def asend(self, value: None) -> T:
        if not self._there:
            self._there = await anext(self._batches)
        return self._there.pop(0)

    def take(self) -> list[T]:
        """The items that are given without waiting; they are not given again."""
        there, self._there = self._there, []
        return there

    async def athrow(self, *error: Any) -> T:
        self._there = await self._batches.athrow(*error)
        return self._there.pop(0)

    async def aclose(self) -> None:
        self._there = []
        await self._batches.aclose()
