"""The streams of one socket: each in a task of its own, so that the socket goes on listening and none waits for another."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ai_models import directory
from ai_models.api import authentication, requestid
from ai_models.api.authentication import Identity
from ai_models.api.operations import STREAMS
from ai_models.api.streams import begun, fields_of
from ai_models.conf import conf
from ai_models.encoding import dumps
from ai_models.exceptions import AIModelsError, Internal, InvalidRequest, RateLimitExceeded
from ai_models.resumption import Resumable
from ai_models.types.frames import CancelFrame, ResumeFrame, StreamFrame

logger = logging.getLogger(__name__)

OPERATIONS = {stream.name: stream for stream in STREAMS}
"""What can be streamed, by the type of the frame that begins it."""

_CANCEL_SECONDS = 2.0

Prepare = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(slots=True)
class _Running:
    """A stream that this socket reads.

    Attributes:
        stream: set once it has begun.
        cancelled: whether its client ended it before that.
    """

    task: asyncio.Task[None]
    stream: Resumable | None = None
    cancelled: bool = False


class Streams:
    """Begins, continues and ends streams as frames ask for it, and sends what they tell.

    Args:
        send: sends one frame, and waits while the client is slow.
        confirm: who the socket belongs to now.
        prepare: makes the request of a stream from what the client sent.
    """

    def __init__(self, send: Callable[[str], Awaitable[None]], confirm: Callable[[], Awaitable[Identity]], prepare: Prepare):
        self._send = send
        self._confirm = confirm
        self._prepare = prepare
        self._running: dict[str, _Running] = {}
        self._cancelling: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many streams are being read."""
        return len(self._running)

    def begin(self, frame: StreamFrame, *, small: bool = False) -> None:
        """Begin a stream.

        Args:
            small: whether the frame is known to be small.

        Raises:
            InvalidRequest, RateLimitExceeded: there is no place for it here.
        """
        self._add(partial(self._begin, small=small), frame)

    def resume(self, frame: ResumeFrame) -> None:
        """Go on with a stream of another connection.

        Raises:
            InvalidRequest, RateLimitExceeded: there is no place for it here.
        """
        self._add(self._resume, frame)

    def cancel(self, frame: CancelFrame) -> None:
        """End a stream of this socket, or of another one of the same user."""
        task = asyncio.get_running_loop().create_task(self._told(self._cancel, frame))
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    async def tell(self, stream_id: str, error: AIModelsError) -> None:
        """Tell why a frame was refused, or why there is nothing more of a stream. It is no event, and has no number."""
        await self._send(dumps({"type": "error", "streamId": stream_id, **error.envelope(requestid.current())}))

    async def leave(self) -> None:
        """Stop reading; what becomes of each stream is its own choice. A wish to cancel that was heard is still done."""
        if reading := [running.task for running in self._running.values()]:
            for task in reading:
                task.cancel()
            await asyncio.wait(reading)
        if self._cancelling:
            _, late = await asyncio.wait(self._cancelling, timeout=_CANCEL_SECONDS)
            for task in late:
                task.cancel()

    def _add(self, run: Callable[[Any], Awaitable[None]], frame: Any) -> None:
        stream_id = frame["stream_id"]
        if stream_id in self._running:
            raise InvalidRequest("streamId: a stream of this name is running on this socket")
        if len(self._running) >= conf().WS_MAX_STREAMS:
            raise RateLimitExceeded(
                f"{conf().WS_MAX_STREAMS} streams are running on this socket, which is as many as it takes."
            )
        task = asyncio.get_running_loop().create_task(self._read(run, frame))
        self._running[stream_id] = _Running(task)

    async def _read(self, run: Callable[[Any], Awaitable[None]], frame: Any) -> None:
        try:
            await self._told(run, frame)
        finally:
            del self._running[frame["stream_id"]]

    async def _told(self, run: Callable[[Any], Awaitable[None]], frame: Any) -> None:
        """What goes wrong with a stream is told to its client, and touches no other stream."""
        requestid.bind_part()
        try:
            await run(frame)
        except AIModelsError as error:
            await self.tell(frame["stream_id"], error)
        except Exception:
            logger.exception("A stream of a socket failed")
            await self.tell(frame["stream_id"], Internal("The stream failed because of a fault in this service."))

    async def _cancel(self, frame: CancelFrame) -> None:
        stream_id = frame["stream_id"]
        running = self._running.get(stream_id)
        if running is not None and running.stream is None:
            running.cancelled = True
            await self._acknowledge(stream_id, "cancel")
            return
        found = running.stream if running else None
        stream = found or await directory.find((await self._confirm()).user, stream_id)
        # Before it is acknowledged, for which a slow client may take its time.
        await stream.cancel()
        await self._acknowledge(stream_id, "cancel")

    async def _begin(self, frame: StreamFrame, *, small: bool) -> None:
        stream_id, operation = frame["stream_id"], OPERATIONS[frame["type"]]
        identity = await self._confirm()
        await authentication.admit(identity)
        request = await self._prepare(operation.name, frame["request"])
        # Checking a large request takes as long as many events of others, and a small one less than the way to a thread.
        fields = fields_of(operation, request) if small else await asyncio.to_thread(fields_of, operation, request)
        stream = begun(operation, identity.user, fields, request, name=stream_id, on_disconnect=frame.get("on_disconnect"))
        await self._follow(stream_id, operation.name, stream)

    async def _resume(self, frame: ResumeFrame) -> None:
        stream_id = frame["stream_id"]
        stream = await directory.find((await self._confirm()).user, stream_id)
        await self._follow(stream_id, "resume", stream, frame["after"])

    async def _follow(self, stream_id: str, kind: str, stream: Resumable, after: int = 0) -> None:
        """Send what a stream tells, up to its end."""
        running = self._running[stream_id]
        running.stream = stream
        begin = f'{{"streamId":{json.dumps(stream_id)},"seq":'
        ended = False
        reader = stream.read(after)
        try:
            if running.cancelled:
                await stream.cancel()
            await self._acknowledge(stream_id, kind)
            while (entry := await reader.next()) is not None:
                await self._send(f"{begin}{entry.seq},{entry.body[1:]}")
                ended = entry.last
        finally:
            reader.leave()
        if not ended:
            raise Internal("The connection took nothing for too long, and was cut off from this stream.")

    async def _acknowledge(self, stream_id: str, kind: str) -> None:
        await self._send(dumps({"type": "ack", "streamId": stream_id, "for": kind, "requestId": requestid.current()}))
