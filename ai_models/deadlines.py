"""Time limits for what is awaited, cheap where it ends long before them, as nearly everything does."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, cast

OVERDUE_SECONDS = 0.05
"""What takes longer than this is looked after by itself."""

_SHORT_SECONDS = 1.0
"""Shorter limits have a timer from the beginning, so that they are kept to the millisecond."""

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One object for each event loop, for as long as it is not closed.

    Args:
        make: takes the loop.
    """

    def __init__(self, make: Callable[[asyncio.AbstractEventLoop], T]) -> None:
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def of(self, loop: asyncio.AbstractEventLoop) -> T:
        """That of a loop, which asks for it."""
        if (found := self._made.get(loop)) is None:
            for other in list(self._made):  # loops of other threads may come meanwhile
                if other.is_closed():
                    self._made.pop(other, None)
            found = self._made[loop] = self._make(loop)
        return found


class Watched(Protocol):
    """Something that goes on."""

    def overdue(self) -> None:
        """It has gone on for :data:`OVERDUE_SECONDS`. Called in an empty context."""


class Watch:
    """Everything that goes on in one event loop and may become overdue. One timer serves all of it: a timer for each would take
    longer than all else that is done about a time limit.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._since: dict[Watched, float] = {}  # what went on the longest comes first
        self._timer: asyncio.TimerHandle | None = None
        # Of no request: the timer would keep what is in it, and hand it on to others.
        self._context = contextvars.Context()

    def begin(self, watched: Watched) -> float:
        """Something goes on from now on; the loop's time."""
        now = self._since[watched] = self._loop.time()
        if self._timer is None:
            self._look_at(now + OVERDUE_SECONDS)
        return now

    def end(self, watched: Watched) -> None:
        """It is over. It may have been overdue."""
        self._since.pop(watched, None)

    def _look_at(self, time: float) -> None:
        self._timer = self._loop.call_at(time, self._look, context=self._context)

    def _look(self) -> None:
        self._timer = None
        last = self._loop.time() - OVERDUE_SECONDS
        while self._since:
            watched, since = next(iter(self._since.items()))
            if since > last:
                self._look_at(since + OVERDUE_SECONDS)
                return
            del self._since[watched]
            watched.overdue()


watches = PerLoop(Watch)
"""The watch of each event loop."""


class limited:  # noqa: N801, it reads as what it does
    """A context manager that ends its block after so many seconds, as :func:`asyncio.timeout` does.

    That one is asynchronous, can be given another time, and always has a timer of its own, which takes several times as long.

    Raises:
        TimeoutError: the time ran out.
    """

    __slots__ = ("_cancelling", "_has_expired", "_loop", "_seconds", "_task", "_timer", "_until", "_watch")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._task = task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._loop = loop = task.get_loop()
        self._cancelling = task.cancelling()
        self._has_expired = False
        self._watch = watches.of(loop)
        self._timer: asyncio.TimerHandle | None = None
        if self._seconds < _SHORT_SECONDS:
            self._timer = loop.call_later(self._seconds, self._expire)
        else:
            self._until = self._watch.begin(self) + self._seconds

    def overdue(self) -> None:
        """Have a timer now."""
        self._timer = self._loop.call_at(self._until, self._expire)

    def _expire(self) -> None:
        self._has_expired = True
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._watch.end(self)
        if self._timer is not None:
            self._timer.cancel()
        # Whoever else cancels the task meanwhile is not to be kept from it.
        if self._has_expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
