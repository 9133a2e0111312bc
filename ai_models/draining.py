"""Stopping without loss: what a server process does between SIGTERM and its end. ``docs/deployment.md`` tells it to operators.

Readiness goes off, and for a while everything is served as before, so that proxies notice. Then nothing new is taken, and what
runs may come to its end. What has not by the end of the drain time is ended with an error that says so. Only then the server is
told to stop. All of this is for uvicorn, alone, with workers, or under Gunicorn; other servers keep their own way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from ai_models import directory
from ai_models.conf import conf
from ai_models.exceptions import AIModelsError, NotReady

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
Refuse = Callable[[Scope, Receive, Send, AIModelsError], Awaitable[None]]
"""Answers a request with an error."""

Part = Callable[[Scope, AIModelsError, str, bytes], bytes | None]
"""Takes an error, the request's id and what was sent last, and gives the lines that end server-sent events; ``None`` where none
can."""

STRAGGLERS_SECONDS = 0.5
"""For so long after no connection is taken any more, requests of those that were just made are served."""

SPREAD_SECONDS = 3.0
"""Idle sockets are closed one by one within this time, so that their clients do not all come back at once."""

END_SECONDS = 2.0
"""What is told to end may take so long."""

SERVER_SECONDS = 5
"""uvicorn waits so long for connections that do not close, where it would wait for ever."""

RETRY_SECONDS = 1.0

_TICK_SECONDS = 0.05

logger = logging.getLogger(__name__)


class Socket(Protocol):
    """A websocket of a client that comes back when it is told that the server restarts."""

    @property
    def is_idle(self) -> bool:
        """Whether no stream is read on it."""

    def restart(self) -> None:
        """Close it with 1012."""


class Draining:
    """What runs in this process, and how far it is on its way to the end.

    Attributes:
        ending: whether it was told to stop; it is not ready from then on.
        closed: whether it takes nothing new.
        watched: whether anybody asks for its readiness, and so is to notice that it goes off.
    """

    def __init__(self) -> None:
        self.ending = self.closed = self.watched = False
        self._exchanges: set[_Exchange] = set()
        self._sockets: set[Socket] = set()
        self._is_hurried = False
        self._task: asyncio.Task[None] | None = None

    def enter(self, socket: Socket) -> None:
        """A socket was opened."""
        self._sockets.add(socket)

    def leave(self, socket: Socket) -> None:
        """A socket is closed. Does nothing the second time."""
        self._sockets.discard(socket)

    def guarded(self, app: Application, refuse: Refuse, part: Part) -> Application:
        """An application whose requests are known, so that they can be waited for and ended."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self._exchange(app, scope, receive, _Exchange(self, scope, send, refuse, part))
            else:
                await app(scope, receive, send)

        return application

    def install(self) -> None:
        """Be told of SIGTERM before the server is. To be called once the server runs, in its event loop."""
        if threading.current_thread() is not threading.main_thread():
            return
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if not hasattr(server, "should_exit") or not hasattr(server, "config"):
            return
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(self._stop, server))

    def _stop(self, server: Any) -> None:
        """Begin; the second time, do without the time that is left."""
        if self.ending:
            self._is_hurried = True
            return
        self.ending = True
        self._task = asyncio.get_running_loop().create_task(self._drain(server))

    async def _drain(self, server: Any) -> None:
        try:
            if self.watched:
                logger.info(
                    "The server is to stop. It is not ready from now on, and goes on for %g s", conf().DRAIN_NOTICE_SECONDS
                )
                await self._wait(lambda: True, conf().DRAIN_NOTICE_SECONDS)
            await self._close(server)
        except Exception:
            logger.exception("The server could not end everything in good order")
        finally:
            if server.config.timeout_graceful_shutdown is None:
                server.config.timeout_graceful_shutdown = SERVER_SECONDS
            # Not by its handler, with which uvicorn would end the process by the signal, and not with exit code 0.
            server.should_exit = True

    async def _close(self, server: Any) -> None:
        """Take nothing new, wait for what runs, and end what is left."""
        loop = asyncio.get_running_loop()
        for listener in server.servers:
            listener.close()
        self.closed = True
        logger.info("The server takes nothing new, and waits up to %g s for what runs", conf().DRAIN_SECONDS)
        closing = loop.create_task(self._close_sockets(loop.time()))
        await self._wait(lambda: True, STRAGGLERS_SECONDS)
        for connection in list(server.server_state.connections):
            if hasattr(connection, "cycle"):  # not a websocket
                # It is closed, or will be after its response: many of these began before anybody could be told.
                connection.shutdown()
        await self._wait(self._is_busy, conf().DRAIN_SECONDS)
        # Whatever is left is ended, also when the server was told twice.
        for stream in directory.running():
            stream.fail(restarting())
        await self._settle(lambda: any(not socket.is_idle for socket in self._sockets) or bool(self._exchanges))
        closing.cancel()
        for socket in list(self._sockets):
            socket.restart()
        if self._exchanges:
            logger.warning("%d requests have not ended in time, and are ended", len(self._exchanges))
            await asyncio.gather(*(exchange.end(restarting()) for exchange in list(self._exchanges)))
        await self._settle(lambda: self._is_busy() or directory.unwritten())
        for exchange in list(self._exchanges):
            exchange.cut_off()

    async def _close_sockets(self, since: float) -> None:
        """Close each socket once it is idle, the idle ones one after the other."""
        loop = asyncio.get_running_loop()
        spread = min(SPREAD_SECONDS, conf().DRAIN_SECONDS / 2)
        due = {socket: since + random.uniform(0, spread) for socket in self._sockets}  # noqa: S311
        while True:
            for socket in [socket for socket in self._sockets if socket.is_idle and due.get(socket, 0) <= loop.time()]:
                socket.restart()
            await asyncio.sleep(_TICK_SECONDS)

    def _is_busy(self) -> bool:
        return bool(self._exchanges or self._sockets or directory.running())

    async def _exchange(self, app: Application, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        self._exchanges.add(exchange)
        try:
            await app(scope, receive, exchange.send)
            await exchange.settle()
        except asyncio.CancelledError:
            if not exchange.is_cut or exchange.task.uncancel() > 0:
                raise
        finally:
            self._exchanges.discard(exchange)

    async def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait while it holds, for so long, unless the server is told twice."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while condition() and not self._is_hurried:  # noqa: ASYNC110
                    await asyncio.sleep(_TICK_SECONDS)

    async def _settle(self, condition: Callable[[], bool]) -> None:
        """Wait while it holds, for as long as an ending may take."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                while condition():  # noqa: ASYNC110
                    await asyncio.sleep(_TICK_SECONDS)


class _Exchange:
    """A request and its response."""

    __slots__ = (
        "_draining", "_ending", "_is_complete", "_latest", "_part", "_refuse", "_scope", "_send", "_start", "is_cut", "task"
    )  # fmt: skip

    def __init__(self, draining: Draining, scope: Scope, send: Send, refuse: Refuse, part: Part) -> None:
        self._draining = draining
        self._scope = scope
        self._send = send
        self._refuse = refuse
        self._part = part
        self._start: dict[str, Any] | None = None
        self._latest = b""  # the last piece with something in it, which may wait for a slow client still
        self._is_complete = self.is_cut = False
        self._ending: asyncio.Event | None = None  # there once this process ends the response, and set when that is sent
        self.task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]

    async def send(self, message: dict[str, Any]) -> None:
        """What the application sends. Once this process has ended the response, nothing more of it counts."""
        if self._ending is not None:
            return
        kind = message["type"]
        if kind == "http.response.start":
            if self._draining.ending and self._scope.get("http_version", "1.1").startswith("1"):
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            self._start = message
        elif kind == "http.response.body":
            self._is_complete = not message.get("more_body")
            self._latest = message.get("body") or self._latest
        try:
            await self._send(message)
        except RuntimeError:
            # What waited for a slow client comes after the end.
            if self._ending is None:
                raise

    async def end(self, error: AIModelsError) -> None:
        """End the response in its own way: with an answer or with an event. What has neither is left to be cut off."""
        if self._is_complete:
            return
        last: bytes | None = None
        if self._start is not None:
            if self._header(b"content-type").startswith("text/event-stream"):
                last = self._part(self._scope, error, self._header(b"x-request-id"), self._latest)
            if last is None:
                return
        self._is_complete, self._ending = True, asyncio.Event()
        try:
            async with asyncio.timeout(END_SECONDS):
                # The server tells the application that its client is gone as soon as the response is complete.
                if last is None:
                    await self._refuse(self._scope, _nothing, self._send, error)
                else:
                    await self._send({"type": "http.response.body", "body": last, "more_body": False})
        except (OSError, RuntimeError, TimeoutError):
            logger.info("A client did not take the end of its response")
        finally:
            self._ending.set()

    async def settle(self) -> None:
        """Wait until what ends the response is sent: the server closes the connection of an application that returns before."""
        if self._ending is not None:
            await self._ending.wait()

    def cut_off(self) -> None:
        """End what goes on. A body that is not complete ends with its connection."""
        self.is_cut = True
        self.task.cancel()

    def _header(self, name: bytes) -> str:
        headers = self._start["headers"] if self._start is not None else ()
        return next((value.decode("latin-1") for found, value in headers if found.lower() == name), "")


def restarting() -> NotReady:
    """Why nothing more comes of a request."""
    return NotReady("The server restarts. Try again.", remedy="retry", retry_after=RETRY_SECONDS)


async def _nothing() -> dict[str, Any]:
    return {"type": "http.disconnect"}


process = Draining()
"""This process."""
