"""Clients that wait for their answers, and what is done for those that left."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from ai_models.deadlines import Watch

Receive = Callable[[], Awaitable[dict[str, Any]]]


class WhileWaiting:
    """A context manager that cancels what its task does inside as soon as nobody waits for it any more.

    Whether the client is there is not looked at before the request is overdue: it would take a task for each, and most are over
    by then, or their clients wait.

    Args:
        working: the task.
    """

    __slots__ = ("_context", "_has_left", "_receive", "_watch", "_watching", "_working")

    def __init__(self, watch: Watch, receive: Receive, working: asyncio.Task[None]) -> None:
        self._watch, self._receive, self._working = watch, receive, working
        self._watching: asyncio.Task[None] | None = None
        self._has_left = False

    def __enter__(self) -> None:
        self._context = contextvars.copy_context()
        self._watch.begin(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self._watch.end(self)
        if self._watching is not None:
            self._watching.cancel()
        # A server that is being stopped cancels too.
        return isinstance(error, asyncio.CancelledError) and self._has_left and not self._working.uncancel()

    def overdue(self) -> None:
        """Look from now on whether the client is there."""
        self._watching = self._working.get_loop().create_task(self._look(), context=self._context)

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._has_left = True
        self._working.cancel()
