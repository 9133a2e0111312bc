"""A stream as server-sent events: read a little ahead of its client, and ended with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from ai_models import events, resumption
from ai_models.api import sse
from ai_models.api.errors import RequestTimeout
from ai_models.api.sse import EventStream
from ai_models.events import Event
from ai_models.exceptions import AIModelsError, Internal
from ai_models.resumption import Source

logger = logging.getLogger(__name__)


async def respond(stream: Source, encode: Callable[[Event], str]) -> EventStream:
    """Wait for what is to be told first, then answer 200 and send the rest as it comes.

    Args:
        stream: the service's stream.
        encode: the lines that tell an event.

    Raises:
        AIModelsError: the stream failed before that; nothing has been sent.
    """
    body = Body(stream, encode)
    try:
        await body.begun()
    except BaseException:
        body.leave()
        raise
    return EventStream(body)


class Body:
    """The bytes of a response. Django closes it, from another thread, also when it was never begun.

    So much is read ahead as of streams that can be resumed; then the provider's stream waits, and a client that takes
    nothing for too long is cut off.
    """

    def __init__(self, stream: Source, encode: Callable[[Event], str]) -> None:
        self._stream = stream
        self._encode = encode
        self._waiting: list[str] = []
        self._size = 0
        self._told = False
        self._over = False
        self._left = False
        self._failure: AIModelsError | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._runner = self._loop.create_task(self._read_ahead(), name="ai_models-openai-stream")

    async def begun(self) -> None:
        """Wait until there is something to send.

        Raises:
            AIModelsError: the stream failed before that.
        """
        await self._news.wait()
        if self._failure is not None:
            raise self._failure

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                if self._waiting:
                    yield self._take()
                elif self._over:
                    return
                elif not await self._comes():
                    yield sse.KEEP_ALIVE
        finally:
            self.leave()

    def leave(self) -> None:
        """End the stream, and the provider's with it."""
        if not self._left:  # the second time, it would be its ending that is cancelled
            self._left = True
            self._runner.cancel()

    def close(self) -> None:
        """As :meth:`leave`, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.leave)

    def _take(self) -> bytes:
        lines = "".join(self._waiting).encode()
        self._waiting.clear()
        self._size = 0
        self._news.clear()
        self._room.set()
        return lines

    async def _comes(self) -> bool:
        """Whether something happens before a client would take the connection for dead."""
        try:
            async with asyncio.timeout(sse.KEEP_ALIVE_SECONDS):
                return await self._news.wait()
        except TimeoutError:
            return False

    async def _read_ahead(self) -> None:
        try:
            async with aclosing(self._stream.events) as told:
                async for event in told:
                    self._tell(event)
                    if self._is_far_ahead() and not await self._has_room():
                        self._cut_off()
                        break
        except Exception:
            logger.exception("A stream broke without telling why")
            self._tell(events.Error(Internal("The stream failed because of a fault in this service.")))
        finally:
            await self._stream.aclose()
            self._over = True
            self._news.set()

    def _tell(self, event: Event) -> None:
        if isinstance(event, events.Error) and not self._told:
            self._failure = event.error
        elif lines := self._encode(event):
            self._told = True
            self._waiting.append(lines)
            self._size += len(lines)
            self._news.set()

    def _is_far_ahead(self) -> bool:
        return len(self._waiting) >= resumption.WINDOW or self._size >= resumption.WINDOW_BYTES

    async def _has_room(self) -> bool:
        """Wait for the client to take something, and tell whether it did."""
        self._room.clear()
        try:
            async with asyncio.timeout(resumption.STALL_SECONDS):
                return await self._room.wait()
        except TimeoutError:
            return False

    def _cut_off(self) -> None:
        logger.warning("A client that stopped reading was cut off from its stream")
        self._tell(events.Error(RequestTimeout("The client took nothing of the stream for too long.", retryable=True)))
