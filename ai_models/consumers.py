"""The websocket: many streams on one socket, each in a task of its own. ``docs/websocket.md`` is its reference.

Nothing travels over the channel layer. It is there for subclasses, and its failures do not end a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from ai_models import directory, draining
from ai_models.allowances import Messages, Progress, Sockets
from ai_models.api import authentication, requestid
from ai_models.api.authentication import ForeignOrigin, Identity
from ai_models.api.multiplexing import OPERATIONS, Streams
from ai_models.api.parsers import parse_object
from ai_models.api.views import INLINE_BYTES
from ai_models.conf import conf
from ai_models.exceptions import (
    AIModelsError,
    InvalidRequest,
    NotReady,
    PermissionDenied,
    RateLimitExceeded,
    Unauthenticated,
)
from ai_models.independence import IndependentConsumer
from ai_models.serialization import validate
from ai_models.telemetry import gauges, instruments
from ai_models.types.frames import STREAM_ID, SUBPROTOCOL, CancelFrame, PingFrame, ResumeFrame, StreamFrame

logger = logging.getLogger(__name__)

BINARY, BAD_ORIGIN, TOO_BIG, FAULT, RESTART, OVERLOAD = 1003, 1008, 1009, 1011, 1012, 1013
BAD_FRAME, NOT_AUTHENTICATED, FORBIDDEN, IDLE, TOO_MANY = 4400, 4401, 4403, 4408, 4429

FRESH_SECONDS = 1.0
"""For so long after a user's credential and permissions were looked up, they are taken to hold."""

CONFIRM_SECONDS = 60.0
"""How often a socket's credential is looked up again when no stream is begun."""

_GONE = (OSError, RuntimeError)
"""What servers raise when something is sent to a client that is gone, or whose socket they have closed."""

_LOOK_SECONDS = 15.0
_CLOSE_SECONDS = 2.0
_LONGEST_REASON = 123  # bytes, RFC 6455, 5.5

_FRAMES: Mapping[Any, type[Any]] = {
    **dict.fromkeys(OPERATIONS, StreamFrame),
    "cancel": CancelFrame,
    "resume": ResumeFrame,
    "ping": PingFrame,
}


sockets = Sockets()
"""The sockets of this process."""

gauges.watch_number(instruments.SOCKETS, lambda: len(sockets))


class AIModelsConsumer(IndependentConsumer):
    """One socket. Subclass it to add to what it does, and mount the subclass with ``as_asgi()``.

    :meth:`authorize` and :meth:`prepare` are made to be overridden.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.identity: Identity | None = None
        self._streams = Streams(self._push, self._confirm, self.prepare)
        self._confirming = asyncio.Lock()
        self._confirmed = self._heard = 0.0
        self._messages = Messages()
        self._progress = Progress(self._cut_off)
        self._closing = self._cut = False
        self._timer: asyncio.TimerHandle | None = None
        self._main: asyncio.Task[Any] | None = None
        self._background: set[asyncio.Task[None]] = set()

    async def authorize(self, user: Any) -> None:
        """Decide whether a user may have this socket. By default every authenticated user may; each stream has its permission.
        It is asked again with the credential.

        Raises:
            PermissionDenied: no; the socket is closed with 4403.
        """

    async def prepare(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """The request of a stream as it is to be made, from what the client sent, by JSON names and not yet validated.

        Args:
            operation: ``stream-text`` or ``stream-object``.

        Raises:
            AIModelsError: the stream is refused.
        """
        return request

    @property
    def hears_layer(self) -> bool:
        """Only a subclass has something to hear."""
        return type(self) is not AIModelsConsumer

    # --- the life of the socket --------------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._main = asyncio.current_task()
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            # A client that was cut off ends here, see _cut_off; whoever else cancels means it.
            if not self._cut or self._main is None or self._main.uncancel() > 0:
                raise
        finally:
            await self._end()

    async def connect(self) -> None:
        """Authenticate the handshake and accept it, or say why not."""
        requestid.bind(dict(self.scope["headers"]).get(b"x-request-id", b"").decode("latin-1"))
        offered = [name for name in self.scope.get("subprotocols", ()) if not name.startswith(authentication.TICKET_PREFIX)]
        try:
            if self.scope.get("query_string"):
                raise InvalidRequest("The address takes no query. Credentials are sent in headers, or as a ticket.")
            if offered and SUBPROTOCOL not in offered:
                raise InvalidRequest(f"The subprotocol is {SUBPROTOCOL}.")
            identity = await authentication.identify(self.scope)
            await self.authorize(identity.user)
            sockets.enter(directory.owner_of(identity.user))
        except ForeignOrigin as error:
            # Before it is accepted: a page of another site gets nothing at all.
            await self.close(BAD_ORIGIN, error.message)
            return
        except AIModelsError as error:
            await self._accept(offered)
            await self._shut(_close_code(error), error.message)
            return
        self.identity, self._confirmed, self._heard = identity, time.monotonic(), time.monotonic()
        draining.process.enter(self)
        await self._accept(offered)
        self._look_later()

    async def _accept(self, offered: list[str]) -> None:
        with contextlib.suppress(*_GONE):
            await self.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)

    async def disconnect(self, code: int) -> None:
        """The socket is closed, by whomever."""
        await self._end()

    @property
    def is_idle(self) -> bool:
        """Whether no stream is read on it."""
        return not self._streams

    def restart(self) -> None:
        """Close the socket because the server ends. Its client comes back to another one."""
        self._spawn(partial(self._shut, RESTART, "The server restarts."))

    async def _end(self) -> None:
        """Leave every stream; what becomes of each is its own choice."""
        draining.process.leave(self)
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._progress.stop()
        for task in self._background:
            task.cancel()
        await self._streams.leave()
        if self.identity is not None:
            sockets.leave(directory.owner_of(self.identity.user))
            self.identity = None

    async def _shut(self, code: int, reason: str) -> None:
        if self._closing:
            return
        self._closing = True
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                with contextlib.suppress(*_GONE):
                    await self.close(code, reason.encode()[:_LONGEST_REASON].decode(errors="ignore"))
        except TimeoutError:
            self._cut_off()

    def _cut_off(self) -> None:
        """End the socket without a word: its client takes none."""
        if self._cut:
            return
        logger.warning("A client that stopped reading was cut off")
        self._closing = self._cut = True
        if self._main is not None:
            self._main.cancel()

    def _look_later(self) -> None:
        seconds = min(_LOOK_SECONDS, conf().WS_IDLE_SECONDS / 2)
        self._timer = asyncio.get_running_loop().call_later(seconds, self._spawn, self._look)

    async def _look(self) -> None:
        """Close a socket that nobody uses, or whose credential is gone."""
        try:
            if not self._streams and time.monotonic() - self._heard > conf().WS_IDLE_SECONDS:
                await self._shut(IDLE, "Nothing was sent for too long, and no stream is running.")
            elif time.monotonic() - self._confirmed > CONFIRM_SECONDS:
                with contextlib.suppress(AIModelsError):  # it closes the socket, or is tried again
                    await self._confirm()
        finally:
            if not self._closing:
                self._look_later()

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.get_running_loop().create_task(work())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _confirm(self) -> Identity:
        """Who the socket belongs to, looked up again unless it was just now.

        Raises:
            Unauthenticated, PermissionDenied: the credential is gone, or the right to open it; the socket is being closed.
            NotReady: the database does not answer.
        """
        async with self._confirming:
            identity = self.identity
            if identity is None:
                raise Unauthenticated("The socket is closed.")
            if time.monotonic() - self._confirmed > FRESH_SECONDS:
                try:
                    identity = await authentication.confirm(identity.proof)
                    await self.authorize(identity.user)
                except (Unauthenticated, PermissionDenied) as error:
                    self._spawn(partial(self._shut, _close_code(error), error.message))
                    raise
                self.identity = identity
                self._confirmed = time.monotonic()
            return identity

    # --- what the client sends ---------------------------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """One message of the client's."""
        if self._closing:
            return
        self._heard = time.monotonic()
        largest = conf().WS_MAX_MESSAGE_BYTES
        if text_data is None:
            await self._shut(BINARY, "Frames are JSON text.")
        elif len(text_data) > largest or len(text_data.encode()) > largest:
            await self._shut(TOO_BIG, f"A message has at most {largest} bytes.")
        elif not self._messages.take():
            await self._shut(TOO_MANY, "Too many messages in too short a time.")
        else:
            await self._take(text_data)

    async def _take(self, text: str) -> None:
        try:
            frame = await _parsed(text)
            if (kind := frame.get("type")) not in list(_FRAMES):
                raise InvalidRequest(f"type: it is one of {', '.join(_FRAMES)}")
        except InvalidRequest as error:
            await self._shut(BAD_FRAME, error.message)
            return
        try:
            self._handle(validate(_FRAMES[kind], frame, json_names=True), small=len(text) <= INLINE_BYTES)
        except AIModelsError as error:
            # What a frame says of a stream is wrong with that stream alone.
            if _is_stream_id(frame.get("streamId")):
                self._spawn(partial(self._streams.tell, frame["streamId"], error))
            else:
                await self._shut(BAD_FRAME, error.message)

    def _handle(self, frame: Any, *, small: bool) -> None:
        """Nothing is waited for: a client that reads slowly is still heard."""
        match frame["type"]:
            case "ping":
                self._spawn(partial(self._push, '{"type":"pong"}'))
            case "cancel":
                self._streams.cancel(frame)
            case "resume":
                self._streams.resume(frame)
            case _ if not draining.process.closed:
                self._streams.begin(frame, small=small)
            case _ if self.is_idle:
                self.restart()
            case _:
                raise draining.restarting()

    async def _push(self, frame: str) -> None:
        """Send a frame, and wait while the client is slow; one that takes nothing for too long is cut off."""
        if self._closing:
            return
        try:
            with self._progress:
                await self.send(text_data=frame)
        except _GONE:
            # The server says so in its own time.
            self._closing = True


async def _parsed(text: str) -> dict[str, Any]:
    if len(text) <= INLINE_BYTES:
        return parse_object(text.encode())
    return await asyncio.to_thread(parse_object, text.encode())


def _is_stream_id(value: Any) -> bool:
    return isinstance(value, str) and STREAM_ID.fullmatch(value) is not None


def _close_code(error: AIModelsError) -> int:
    """The code that tells why a handshake was refused."""
    match error:
        case Unauthenticated():
            return NOT_AUTHENTICATED
        case PermissionDenied():
            return FORBIDDEN
        case InvalidRequest():
            return BAD_FRAME
        case RateLimitExceeded():
            return TOO_MANY
        case NotReady():
            return OVERLOAD
    return FAULT
