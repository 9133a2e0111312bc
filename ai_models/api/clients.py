"""Clients that wait for their answers, and what is done for those that left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

AFTER_SECONDS = 0.05
"""Whether a client is still there is not looked at before its request has taken so long."""

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Clients:
    """Those of one event loop.

    Most requests are over before they are looked at. So one timer looks after all of them; one for each would cost a tenth of
    the request, and a task for each even more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._since: dict[WhileWaiting, float] = {}  # the longest first
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, client: WhileWaiting) -> None:
        """A request has begun."""
        self._since[client] = self.loop.time()
        if self._timer is None:
            self._timer = self.loop.call_later(AFTER_SECONDS, self._look)

    def leave(self, client: WhileWaiting) -> None:
        """It is over. Does nothing the second time."""
        self._since.pop(client, None)

    def _look(self) -> None:
        self._timer = None
        now = self.loop.time()
        while self._since:
            client, since = next(iter(self._since.items()))
            if since + AFTER_SECONDS > now:
                self._timer = self.loop.call_at(since + AFTER_SECONDS, self._look)
                return
            del self._since[client]
            client.watch()


class WhileWaiting:
    """A context manager that cancels what its task does inside as soon as nobody waits for it any more.

    Args:
        working: the task.
    """

    __slots__ = ("_clients", "_has_left", "_receive", "_watching", "_working")

    def __init__(self, clients: Clients, receive: Receive, working: asyncio.Task[None]) -> None:
        self._clients, self._receive, self._working = clients, receive, working
        self._watching: asyncio.Task[None] | None = None
        self._has_left = False

    def __enter__(self) -> None:
        self._clients.enter(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self._clients.leave(self)
        if self._watching is not None:
            self._watching.cancel()
        # A server that is being stopped cancels too.
        return isinstance(error, asyncio.CancelledError) and self._has_left and not self._working.uncancel()

    def watch(self) -> None:
        """Look from now on whether the client is there."""
        self._watching = self._clients.loop.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._has_left = True
        self._working.cancel()
