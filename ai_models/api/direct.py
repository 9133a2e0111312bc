"""Requests that go to their view without Django's request cycle around it.

Django hands each request from thread to thread: for every middleware, for its signals, for the end of the response. That costs
several times what the call itself does. The direct road takes ``POST`` requests with a JSON body that are authenticated by a
header, and calls the same view with the same request. What Django's own middleware does for such a request, its own code does
here too. Everything else goes to the host's application, and so does every request when the host has something around its
views that would be left out (:mod:`.obstacles`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import get_script_prefix
from django.db import close_old_connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve, set_script_prefix
from django.utils.cache import patch_vary_headers
from django.utils.log import log_response
from django.utils.module_loading import import_string

from ai_models.api import identities, obstacles, requestid
from ai_models.api.answer import JSON, AnswerResponse
from ai_models.api.clients import WhileWaiting
from ai_models.api.deferred import DeferredView
from ai_models.api.directrequest import DirectRequest, unused
from ai_models.api.identities import Identities, Known
from ai_models.api.parsers import parse_object
from ai_models.api.sse import EventStream
from ai_models.api.views import INLINE_BYTES, BodyView
from ai_models.conf import conf
from ai_models.deadlines import PerLoop, watches

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

logger = logging.getLogger(__name__)

_JSON = JSON.encode()
_ID_HEADER = requestid.HEADER.lower().encode()

_Found = tuple[View, DirectRequest]
"""A view, and its request."""


def around(app: Application) -> Application:
    """The application with the direct road in front of it, where the settings and the application let it be."""
    wanted = conf().DIRECT
    if wanted == "auto" and (found := sorted(set(obstacles.of(app)))):
        logger.info("Requests take Django's whole cycle (%s)", "; ".join(found))
        return app
    return Direct(app) if wanted else app


@dataclass(frozen=True, slots=True)
class _Manner:
    """How requests with the same headers are answered, as long as it is remembered who sends them.

    Attributes:
        view: the function that answers.
        headers: of a whole answer, but for those that are different each time.
        is_sized: whether Content-Length is among those.
    """

    view: View
    headers: tuple[tuple[bytes, bytes], ...]
    is_sized: bool

    def handler(self) -> BodyView:
        """What answers without a request around it."""
        return _kind(self.view)(**cast(Any, self.view).view_initkwargs)


class Direct:
    """The direct road, and the host's application beside it.

    The first request of a sender goes through the view, and through the middleware that is called. As long as the sender is
    remembered, those with the same headers are answered by the same view and with the same headers; neither a request nor a
    response is made of them, unless one fails.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        called = [import_string(path)(unused) for path in settings.MIDDLEWARE if path in obstacles.CALLED]
        self._before = [found.process_request for found in called if hasattr(found, "process_request")]
        self._after = [found.process_response for found in reversed(called)]
        self._views: dict[str, View] = {}
        self._identities = PerLoop(lambda loop: Identities())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST" or not _is_plain(scope["headers"]):
            await self._app(scope, receive, send)
            return
        # Asking for the loop is a system call, so it is done once.
        working = cast("asyncio.Task[None]", asyncio.current_task())
        loop = working.get_loop()
        remembered = self._identities.of(loop)
        key = identities.key(scope)
        known = remembered.recall(key)
        found: _Found | None = None
        if known is None or known.manner is None:
            known = None
            if (found := self._found(scope, remembered, key)) is None:
                await self._app(scope, receive, send)
                return
        if (body := await _body(receive)) is None:
            return
        if known is not None and remembered.recall(key) is not known:
            # The body took longer than the sender may be remembered.
            found, known = (known.manner.view, DirectRequest(scope, remembered, key)), None
        if found is not None:
            found[1].arrived(body)
        async with ThreadSensitiveContext() as context:
            try:
                with WhileWaiting(watches.of(loop), receive, working):
                    if known is not None:
                        found = await self._repeat(_Repeated(scope, remembered, key, known, body), send)
                    if found is not None:
                        await self._answer(*found, send)
            finally:
                # Where the service asked the database, the connection is that of a thread which ends here.
                if context in SyncToAsync.context_to_thread_executor:
                    await sync_to_async(close_old_connections)()

    def _found(self, scope: Scope, remembered: Identities, key: bytes | None) -> _Found | None:
        """The view and its request; ``None`` when it is not for this road."""
        prefix = get_script_prefix(scope)
        if (view := self._view(scope["path"].removeprefix(prefix))) is None:
            return None
        if prefix:  # else it is the one that there is without
            set_script_prefix(prefix)
        try:
            request = DirectRequest(scope, remembered, key)
            if any(process(request) for process in self._before):
                return None
        except Exception:
            # Django tells and logs what is wrong with it.
            return None
        return view, request

    def _view(self, path: str) -> View | None:
        if (view := self._views.get(path)) is not None:
            return view
        try:
            match = resolve(path)
        except Resolver404:
            return None
        kind = getattr(match.func, "view_class", None)
        if match.args or match.kwargs or not (isinstance(kind, type) and issubclass(kind, BodyView)):
            return None
        self._views[path] = match.func
        return cast(View, match.func)

    async def _answer(self, view: View, request: DirectRequest, send: Send) -> None:
        response = await view(request)
        is_ordinary = isinstance(response, AnswerResponse) and response.answer.is_ordinary
        response = self._finished(request, response)
        if is_ordinary and request.known is not None and _is_repeatable(view):
            different = {"content-length", requestid.HEADER.lower()}
            headers = tuple(header for header in _headers(response) if header[0].decode().lower() not in different)
            request.known.manner = _Manner(view, headers, "Content-Length" in response)
        await _send(request, response, send)

    async def _repeat(self, repeated: _Repeated, send: Send) -> _Found | None:
        """Answer in the known manner. What is left to the view, since its answer is not whole, is given back."""
        manner: _Manner = repeated.known.manner
        if prefix := get_script_prefix(repeated.scope):
            set_script_prefix(prefix)
        if not 0 < len(repeated.body) <= INLINE_BYTES:
            return manner.view, repeated.request()
        request_id = requestid.bind(_sent_id(repeated.scope))
        view = manner.handler()
        try:
            fields = view.checked(parse_object(repeated.body))
            if not view.is_whole(fields):
                return manner.view, repeated.request(fields)
            answer = await view.answer(fields, repeated.known.user)
        except Exception as error:
            # Kept by no variable, the error goes with its frames and the body in them.
            request = repeated.request()
            response = view.respond(request, repeated.known, error)
        else:
            if answer.is_ordinary:
                headers = [*manner.headers, (_ID_HEADER, request_id.encode())]
                if manner.is_sized:
                    headers.append((b"content-length", str(len(answer.content)).encode()))
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": answer.content})
                return None
            request = repeated.request()
            response = view.respond(request, repeated.known, answer)
        await _send(request, self._finished(request, response), send)
        return None

    def _finished(self, request: DirectRequest, response: Any) -> Any:
        """The response as it is sent."""
        if hasattr(response, "render"):
            response.render()
        if request.is_session_read:
            patch_vary_headers(response, ("Cookie",))
        for process in self._after:
            response = process(request, response)
        return response


@dataclass(slots=True)
class _Repeated:
    """A request with the headers of one that was answered a moment ago."""

    scope: Scope
    identities: Identities
    key: bytes | None
    known: Known
    body: bytes

    def request(self, fields: dict[str, Any] | None = None) -> DirectRequest:
        """What it is for a view."""
        request = DirectRequest(self.scope, self.identities, self.key)
        request.arrived(self.body)
        request.fields = fields
        return request


def _is_repeatable(view: View) -> bool:
    """Whether nothing but the view's own ``answer`` is left of it once its sender is known. What a host mounts by itself may
    have something around it, or be a class of its own."""
    return isinstance(view, DeferredView) and _kind(view).is_repeatable()


def _kind(view: View) -> type[BodyView]:
    kind: type[BodyView] = cast(Any, view).view_class
    return kind


async def _send(request: DirectRequest, response: Any, send: Send) -> None:
    if response.status_code >= 400:
        told = (response.reason_phrase, request.path)
        await asyncio.to_thread(log_response, "%s: %s", *told, response=response, request=request)
    start = {"type": "http.response.start", "status": response.status_code, "headers": list(_headers(response))}
    if isinstance(response, EventStream):
        await _stream(response, start, send)
    else:
        await send(start)
        await send({"type": "http.response.body", "body": response.content})


def _headers(response: HttpResponseBase) -> Iterator[tuple[bytes, bytes]]:
    for name, value in response.items():
        yield name.encode("ascii"), value.encode("latin-1")


def _sent_id(scope: Scope) -> str:
    """The request's id, as Django tells it."""
    return b",".join([value for name, value in scope["headers"] if name == _ID_HEADER]).decode("latin-1")


async def _stream(response: EventStream, start: dict[str, Any], send: Send) -> None:
    async with aclosing(cast("AsyncGenerator[bytes]", aiter(response.body))) as pieces:
        await send(start)
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def _body(receive: Receive) -> bytes | None:
    """The whole body; ``None`` when its client left, or it broke a limit."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _is_plain(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a request is authenticated by a header alone, and has a small JSON body."""
    authorized = json = small = False
    for name, value in headers:
        if name == b"cookie":
            return False
        if name == b"authorization":
            authorized = True
        elif name == b"content-type":
            json = value == _JSON or value.partition(b";")[0].strip().lower() == _JSON
        elif name == b"content-length":
            # Django puts a larger one into a file, so that nobody fills the memory before it is known who sends it.
            small = value.isdigit() and int(value) <= settings.FILE_UPLOAD_MAX_MEMORY_SIZE
    return authorized and json and small
