"""A time limit for what is awaited."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, cast


class limited:  # noqa: N801, it reads as what it does
    """A context manager that ends its block after so many seconds, as :func:`asyncio.timeout` does.

    That one is asynchronous, can be given another time, and asks for its event loop time and again, which takes three times as
    long: a twentieth of a call that has two of them.

    Raises:
        TimeoutError: the time ran out.
    """

    __slots__ = ("_cancelling", "_has_expired", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._task = task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._cancelling = task.cancelling()
        self._has_expired = False
        self._timer = task.get_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._has_expired = True
        self._task.cancel()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.cancel()
        # Whoever else cancels the task meanwhile is not to be kept from it.
        if self._has_expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
