"""A client of the websocket for a host's own tests. It talks to an ASGI application directly; no server runs.

::

    async with WebsocketClient(application, user=ada) as socket:
        events = await socket.stream_text({"prompt": "Hello"})
    assert text_of(events) == "Hello yourself."

It needs ``channels``, and a test that may use the database from other threads: pytest's
``@pytest.mark.django_db(transaction=True)``, or Django's ``TransactionTestCase``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.test import Client

from ai_models.events import TERMINAL
from ai_models.types.frames import SUBPROTOCOL, WEBSOCKET_PATH

_TERMINAL = frozenset(kind.type for kind in TERMINAL)
_ORIGIN = "http://testserver"

Frame = dict[str, Any]


def text_of(events: Iterable[Mapping[str, Any]]) -> str:
    """The text that the events of a stream tell."""
    return "".join(event["delta"] for event in events if event["type"] == "text-delta")


class SocketClosed(Exception):
    """The server closed the socket.

    Attributes:
        code: see ``docs/websocket.md``.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"The server closed the socket with code {code}.")
        self.code = code


class WebsocketClient:
    """One socket.

    Args:
        application: the host's ASGI application, or a consumer's ``as_asgi()``.
        user: who opens it, with a session as a signed-in browser has one.
        headers: others to send, such as ``{"authorization": "Bearer ..."}``.
        path: where the consumer is mounted.
        timeout: seconds that an answer may take.

    Raises:
        SocketClosed: on entering, the socket was refused.
    """

    def __init__(
        self,
        application: Any,
        *,
        user: Any = None,
        headers: Mapping[str, str] | None = None,
        path: str = f"/{WEBSOCKET_PATH}",
        subprotocols: Iterable[str] = (SUBPROTOCOL,),
        timeout: float = 5.0,
    ) -> None:
        self._application = application
        self._user = user
        self._headers = headers or {}
        self._path = path
        self._subprotocols = list(subprotocols)
        self._timeout = timeout
        self._streams = 0
        self._communicator: Any = None

    async def __aenter__(self) -> Self:
        headers = {"host": "testserver", **self._headers}
        if self._user is not None:
            headers |= {"origin": _ORIGIN, "cookie": await sync_to_async(_session_cookie)(self._user)}
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "scheme": "ws",
            "path": self._path,
            "root_path": "",
            "query_string": b"",
            "headers": encoded,
            "subprotocols": self._subprotocols,
        }
        self._communicator = ApplicationCommunicator(self._application, scope)  # type: ignore[no-untyped-call]
        await self._communicator.send_input({"type": "websocket.connect"})
        await self._message()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._communicator.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._communicator.wait(self._timeout)

    async def stream_text(self, request: Mapping[str, Any], **fields: Any) -> list[Frame]:
        """Begin a stream of text and read it to its end.

        Args:
            request: as the body of ``stream-text``.
            fields: more of the frame, such as ``onDisconnect``.
        """
        return await self._stream("stream-text", request, fields)

    async def stream_object(self, request: Mapping[str, Any], **fields: Any) -> list[Frame]:
        """Begin a stream of an object and read it to its end; see :meth:`stream_text`."""
        return await self._stream("stream-object", request, fields)

    async def send(self, **frame: Any) -> None:
        """Send any frame."""
        await self._communicator.send_input({"type": "websocket.receive", "text": json.dumps(frame)})

    async def receive(self) -> Frame:
        """The next frame.

        Raises:
            SocketClosed: there is none, because the server closed the socket.
            TimeoutError: none came in time.
        """
        frame: Frame = json.loads((await self._message())["text"])
        return frame

    async def _message(self) -> Any:
        message = await self._communicator.receive_output(self._timeout)
        if message["type"] == "websocket.close":
            raise SocketClosed(message.get("code", 1000))
        return message

    async def _stream(self, kind: str, request: Mapping[str, Any], fields: Mapping[str, Any]) -> list[Frame]:
        self._streams += 1
        stream_id = fields.get("streamId", f"stream-{self._streams}")
        await self.send(**{"type": kind, "streamId": stream_id, "request": request, **fields})
        events: list[Frame] = []
        while not events or events[-1]["type"] not in _TERMINAL:
            frame = await self.receive()
            if frame.get("streamId") == stream_id and frame["type"] != "ack":
                events.append(frame)
        return events


def _session_cookie(user: Any) -> str:
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
