"""A stream as server-sent events, in the AI SDK's UI message stream protocol. An event's id names the stream and the event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from types import MappingProxyType

from django.http import StreamingHttpResponse

from ai_models import events
from ai_models.exceptions import AIModelsError
from ai_models.resumption import Entry, Reader, Resumable, ResumableStream

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 15.0
"""A comment is sent after this long without an event, so that proxies leave a waiting connection open."""

DONE = b"data: [DONE]\n\n"

KEEP_ALIVE = b": keep-alive\n\n"

_UNBUFFERED = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""Headers that have proxies pass on each event as it comes."""

_PROTOCOL = {"x-vercel-ai-ui-message-stream": "v1"}

_TERMINAL = tuple(f'data: {{"type":"{kind.type}"'.encode() for kind in events.TERMINAL)
"""How the lines of an event begin that ends a stream."""


def encode(stream_id: str, entry: Entry) -> bytes:
    """One event as a block of lines."""
    return f"data: {entry.body}\nid: {stream_id}:{entry.seq}\n\n".encode()


def is_terminal(lines: bytes) -> bool:
    """Whether these lines of a response tell that the stream is over. The event that does is sent by itself."""
    return lines.startswith(_TERMINAL)


async def respond(stream: ResumableStream) -> EventStream:
    """Wait for the first event of a new stream, then answer 200 and send the rest as it comes.

    Raises:
        AIModelsError: the stream failed before its first event; nothing has been sent.
    """
    reader = stream.read()
    try:
        first = await reader.next()
        if stream.failure is not None and first is not None and first.last:
            raise stream.failure
    except BaseException:
        reader.leave()
        raise
    return _response(stream, reader, first)


async def resume(stream: Resumable, after: int) -> EventStream:
    """Answer 200 and send the events after number ``after``.

    Raises:
        InvalidRequest: the stream has not come so far, or ended there.
    """
    return _response(stream, stream.read(after), None)


class EventStream(StreamingHttpResponse):
    """A response that is server-sent events.

    Args:
        body: yields their bytes.
        headers: beside those that every such response has.

    Attributes:
        body: as it was given.
    """

    def __init__(self, body: AsyncIterable[bytes], headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(body, content_type="text/event-stream", headers={**_UNBUFFERED, **headers})
        self.body = body


def _response(stream: Resumable, reader: Reader, first: Entry | None) -> EventStream:
    return EventStream(_Body(stream.id, reader, first), _PROTOCOL)


class _Body:
    """The bytes of a response. Django closes it, from another thread, also when it was never begun."""

    def __init__(self, stream_id: str, reader: Reader, first: Entry | None) -> None:
        self._id = stream_id
        self._reader = reader
        self._first = first
        self._loop = asyncio.get_running_loop()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # What ends without its last event is known to be incomplete.
        try:
            entry = self._first
            while True:
                if entry is not None:
                    # What has come already is sent in one piece.
                    entries = [entry, *self._reader.ready()]
                    yield b"".join([encode(self._id, each) for each in entries])
                    if entries[-1].last:
                        break
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        entry = await self._reader.next()
                except TimeoutError:
                    entry = None
                    yield KEEP_ALIVE
                    continue
                except AIModelsError as error:
                    logger.warning("A stream could not be read any further: %s", error.message)
                    return
                if entry is None:  # cut off
                    return
            yield DONE
        finally:
            self._reader.leave()

    def close(self) -> None:
        """Leave the stream."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._reader.leave)

    __del__ = close
    """Django drops a response when the request is cancelled between the view and the server, and does not close it then."""
