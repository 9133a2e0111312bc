"""Streams that a client can come back to: every event is numbered and kept for a while, whoever reads it.

An edge begins a stream with :func:`ai_models.directory.begin` and reads it as one of its readers. The provider is read by
the stream's own task, a little ahead of its fastest reader. When the last reader leaves, the stream is cancelled or goes on
to its end, as its caller chose.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from array import array
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol, overload

from ai_models import events
from ai_models.encoding import encode
from ai_models.exceptions import AIModelsError, Internal, InvalidRequest
from ai_models.types import OnDisconnect

logger = logging.getLogger(__name__)

WINDOW = 64
"""So many events are read ahead of the fastest reader; then the provider's stream waits."""

WINDOW_BYTES = 256 * 1024
"""The same in bytes of JSON."""

STALL_SECONDS = 30.0
"""Readers that take nothing for so long while events wait are cut off, so that they do not hold the provider's connection."""


class Entry(NamedTuple):
    """One event of a log: its number, which begins at 1; its JSON; and whether it is the last."""

    seq: int
    body: str
    last: bool


def ended_with(entries: int) -> InvalidRequest:
    """Nothing comes after the last entry."""
    return InvalidRequest(f"after: the stream ended with event {entries}")


class Log(Sequence[str]):
    """The JSON of each event so far. In one piece it takes half the memory of as many strings."""

    __slots__ = ("_ends", "_text")

    def __init__(self) -> None:
        self._text = bytearray()
        self._ends = array("I", [0])

    def append(self, body: str) -> None:
        """Add the next event."""
        self._text += body.encode()
        self._ends.append(len(self._text))

    def size(self, entries: int | None = None) -> int:
        """Bytes of the first so many entries; of all when it is not said."""
        return self._ends[-1 if entries is None else entries]

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[number] for number in range(len(self))[place]]
        if place < 0:
            place = range(len(self))[place]
        return self._text[self._ends[place] : self._ends[place + 1]].decode()


class Source(Protocol):
    """What is needed of the service's stream."""

    @property
    def events(self) -> Any: ...

    async def aclose(self) -> None: ...


class Reader(Protocol):
    """Reads a log entry by entry."""

    async def next(self) -> Entry | None:
        """The next entry, once it is there; ``None`` after the last one, and when the reader was cut off.

        A call that is cancelled loses nothing.
        """

    def ready(self) -> list[Entry]:
        """The next entries that are there already, at most :data:`WINDOW`, without waiting for any."""

    def leave(self) -> None:
        """Stop reading. Does nothing the second time."""


class Resumable(Protocol):
    """A stream that can be read from any event on, and cancelled, in whichever process it runs."""

    @property
    def id(self) -> str:
        """Names it among all streams, and cannot be guessed."""

    @property
    def delivered(self) -> bool:
        """Whether a reader got its last event."""

    def read(self, after: int = 0) -> Reader:
        """A new reader; its first entry is the one after number ``after``.

        Raises:
            InvalidRequest: the stream has not come so far, or ended there.
        """

    async def cancel(self) -> None:
        """End the stream, which tells ``abort`` as soon as it has. Does nothing when it has ended."""


class ResumableStream:
    """A stream that runs in this event loop, and its log.

    Args:
        source: the service's stream; it is begun at once.
        owner: names the user who may come back to it; ``None`` when nobody can.
        name: the client's own name of it.
        on_disconnect: what happens when the last reader leaves.
        request_id: of the request it answers.
        on_end: called once the log is complete.

    Attributes:
        log: the JSON of each event so far.
        size: characters in it.
        ended: whether it is complete.
        failure: why the stream failed, once it did.
        delivered: whether a reader got its last event.
    """

    def __init__(
        self,
        source: Source,
        *,
        owner: str | None = None,
        name: str | None = None,
        on_disconnect: OnDisconnect = "cancel",
        request_id: str = "-",
        on_end: Callable[[ResumableStream], None] = lambda stream: None,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.owner = owner
        self.name = name
        self.on_disconnect = on_disconnect
        self.log = Log()
        self.ended = False
        self.failure: AIModelsError | None = None
        self.delivered = False
        self._source: Source = source
        self._request_id = request_id
        self._on_end = on_end
        self._readers: set[LocalReader] = set()
        self._read_elsewhere = False
        self._closing: asyncio.Task[None] | None = None
        self._fate: AIModelsError | None = None
        self._awaiting: list[asyncio.Future[None]] = []
        self._pause: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._runner = self._loop.create_task(self._run(), name="ai_models-stream")

    def read(self, after: int = 0) -> LocalReader:
        """See :class:`Resumable`."""
        told = len(self.log)
        if self.ended and after >= told:
            raise ended_with(told)
        if after > told:
            raise InvalidRequest(f"after: the stream has come to event {told}")
        reader = LocalReader(self, after)
        self._readers.add(reader)
        self.resume()
        return reader

    async def cancel(self) -> None:
        """See :class:`Resumable`."""
        self.close()

    def close(self) -> None:
        """As :meth:`cancel`; nothing is waited for."""
        if self._closing is None and not self.ended:
            self._closing = self._loop.create_task(self._source.aclose())
            self.resume()

    def fail(self, error: AIModelsError) -> None:
        """End the stream with this error. Does nothing when it has ended, or is being cancelled."""
        if self._closing is None:
            self._fate = error
            self.close()

    def set_read_elsewhere(self, reading: bool) -> None:
        """Tell whether another process has a reader; it counts like one of this process."""
        left = self._read_elsewhere and not reading
        self._read_elsewhere = reading
        if left:
            self._left()
        self.resume()

    def remove(self, reader: LocalReader) -> None:
        """Forget a reader that leaves."""
        if reader in self._readers:
            self._readers.remove(reader)
            self._left()

    async def news(self) -> None:
        """Wait until something happened that a reader should look at."""
        future = self._loop.create_future()
        self._awaiting.append(future)
        await future

    def resume(self) -> None:
        """Let a stream that waits for its readers look again whether it must."""
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)

    async def _run(self) -> None:
        try:
            async with aclosing(self._source.events) as told:
                async for event in told:
                    self._append(event)
                    if self._is_far_ahead():
                        await self._wait_for_readers()
        except Exception:
            logger.exception("A stream broke without telling why")
            self._append(events.Error(Internal("The stream failed because of a fault in this service.")))
        finally:
            await self._source.aclose()
            if not self.ended:
                self._append(events.Abort())
            # The log has everything; the source would keep it all a second time.
            del self._source, self._runner

    def _append(self, event: events.Event) -> None:
        if self._fate is not None and isinstance(event, events.Abort):
            event = events.Error(self._fate)
        self.log.append(encode(event, self._request_id))
        if isinstance(event, events.TERMINAL):
            self.ended = True
            self.failure = event.error if isinstance(event, events.Error) else None
            self._on_end(self)
        if self._awaiting:
            self._tell()

    def _tell(self) -> None:
        awaiting, self._awaiting = self._awaiting, []
        for future in awaiting:
            if not future.done():
                future.set_result(None)

    async def _wait_for_readers(self) -> None:
        while self._is_far_ahead():
            self._pause = self._loop.create_future()
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await self._pause
            except TimeoutError:
                self._cut_off()

    def _is_far_ahead(self) -> bool:
        """Whether the provider should wait. A stream that nobody reads any more is to be finished, or being closed."""
        size = self.log.size()
        if len(self.log) < WINDOW and size < WINDOW_BYTES:  # whatever readers do
            return False
        if self.ended or self._closing is not None or self._read_elsewhere or not self._readers:
            return False
        position = max(reader.position for reader in self._readers)
        ahead = len(self.log) - position
        return ahead >= WINDOW or (ahead > 1 and size - self.log.size(position) >= WINDOW_BYTES)

    def _cut_off(self) -> None:
        stalled, self._readers = self._readers, set()
        for reader in stalled:
            reader.cut = True
        logger.warning("A client that stopped reading was cut off from its stream")
        self._left()
        self._tell()

    def _left(self) -> None:
        if not self._readers and not self._read_elsewhere and self.on_disconnect == "cancel":
            self.close()
        self.resume()


class LocalReader:
    """Reads the log of a stream of this event loop.

    Attributes:
        position: number of the last entry that was taken.
        size: characters up to it.
        cut: set when it stalled and gets nothing more.
    """

    def __init__(self, stream: ResumableStream, after: int) -> None:
        self._stream = stream
        self.position = after
        self.cut = False

    async def next(self) -> Entry | None:
        """See :class:`Reader`."""
        stream = self._stream
        while not self.cut:
            if self.position < len(stream.log):
                return self._take()
            if stream.ended:
                break
            await stream.news()
        return None

    def ready(self) -> list[Entry]:
        """See :class:`Reader`."""
        # The last one is left to be asked for, once those before it are sent: then it counts as delivered.
        there = 0 if self.cut else len(self._stream.log) - self.position - self._stream.ended
        return [self._take() for _ in range(min(there, WINDOW))]

    def leave(self) -> None:
        """See :class:`Reader`."""
        self._stream.remove(self)

    def _take(self) -> Entry:
        stream = self._stream
        body = stream.log[self.position]
        self.position += 1
        last = stream.ended and self.position == len(stream.log)
        if last:
            stream.delivered = True
        stream.resume()
        return Entry(self.position, body, last)
