"""Requests that go to their view without Django's request cycle around it.

Django hands each request from thread to thread: for every middleware, for its signals, for the end of the response. That costs
several times what the call itself does. The direct road takes ``POST`` requests with a JSON body that are authenticated by a
header, and calls the same view with the same request. What Django's own middleware does for such a request, its own code does
here too. Everything else goes to the host's application, and so does every request when the host has something around its
views that would be left out (:func:`obstacles`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, cast
from weakref import ReferenceType

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import close_old_connections
from django.dispatch import Signal
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve, set_script_prefix
from django.utils.cache import patch_vary_headers
from django.utils.log import log_response
from django.utils.module_loading import import_string

from ai_models.api import identities
from ai_models.api.directrequest import DirectRequest, unused
from ai_models.api.sse import EventStream
from ai_models.api.views import BodyView
from ai_models.conf import conf

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

_CALLED = (
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)
"""Middleware of Django that looks at headers and sets headers, and waits for nothing."""

_IDLE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
)
"""Middleware of Django that does nothing for a POST without a cookie to a view that is exempt from it. What authenticators may
want of it, they are given when they are asked."""

_SIGNALS: Mapping[str, Signal] = {
    "request_started": request_started,
    "request_finished": request_finished,
    "got_request_exception": got_request_exception,
}
"""Signals that Django sends of each request."""

WATCHED_AFTER_SECONDS = 0.05
"""Whether the client of a request is still there is not looked at before it has taken so long."""

logger = logging.getLogger(__name__)

_JSON = b"application/json"


def obstacles(app: Application) -> Iterator[str]:
    """Why requests have to go through the host's application: what it does around its views that would be left out."""
    for path in settings.MIDDLEWARE:
        if path not in _CALLED and path not in _IDLE:
            yield f"MIDDLEWARE has {path}"
    if not _is_django(app):
        yield f"{type(app).__module__}.{type(app).__qualname__} stands around Django's application"
    for name, signal in _SIGNALS.items():
        for listener in _listeners(signal):
            if not str(getattr(listener, "__module__", "")).startswith("django."):
                yield f"{getattr(listener, '__module__', 'an object')} listens to {name}"


def around(app: Application) -> Application:
    """The application with the direct road in front of it, where the settings and the application let it be."""
    wanted = conf().DIRECT
    if wanted == "auto" and (found := sorted(set(obstacles(app)))):
        logger.info("Requests take Django's whole cycle (%s)", "; ".join(found))
        return app
    return Direct(app) if wanted else app


class Direct:
    """The direct road, and the host's application beside it."""

    def __init__(self, app: Application) -> None:
        self._app = app
        called = [import_string(path)(unused) for path in settings.MIDDLEWARE if path in _CALLED]
        self._before = [found.process_request for found in called if hasattr(found, "process_request")]
        self._after = [found.process_response for found in reversed(called)]
        self._views: dict[str, View] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Asking for the loop is a system call, so it is done once.
        working = cast("asyncio.Task[None]", asyncio.current_task())
        if (found := self._found(scope, identities.of(working.get_loop()))) is None:
            await self._app(scope, receive, send)
            return
        view, request = found
        body = await _body(receive)
        if body is None:
            return
        request.arrived(body)
        async with ThreadSensitiveContext() as context:
            try:
                with _WhileClientWaits(receive, working):
                    await self._answer(view, request, send)
            finally:
                # Where the service asked the database, the connection is that of a thread which ends here.
                if context in SyncToAsync.context_to_thread_executor:
                    await sync_to_async(close_old_connections)()

    def _found(self, scope: Scope, known: identities.Identities) -> tuple[View, DirectRequest] | None:
        """The view and its request; ``None`` when it is not for this road."""
        if scope["method"] != "POST" or not _is_plain(scope["headers"]):
            return None
        prefix = get_script_prefix(scope)
        if (view := self._view(scope["path"].removeprefix(prefix))) is None:
            return None
        if prefix:  # else it is the one that there is without
            set_script_prefix(prefix)
        try:
            request = DirectRequest(scope, known)
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
        response: Any = await view(request)
        if hasattr(response, "render"):
            response.render()
        if request.is_session_read:
            patch_vary_headers(response, ("Cookie",))
        for process in self._after:
            response = process(request, response)
        if response.status_code >= 400:
            told = (response.reason_phrase, request.path)
            await asyncio.to_thread(log_response, "%s: %s", *told, response=response, request=request)
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
        start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
        if isinstance(response, EventStream):
            await _stream(response, start, send)
        else:
            await send(start)
            await send({"type": "http.response.body", "body": response.content})


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


class _WhileClientWaits:
    """A context manager that cancels what its task does inside as soon as nobody waits for it any more."""

    __slots__ = ("_has_left", "_receive", "_timer", "_watching", "_working")

    def __init__(self, receive: Receive, working: asyncio.Task[None]) -> None:
        self._receive, self._working = receive, working
        self._watching: asyncio.Task[None] | None = None
        self._has_left = False

    def __enter__(self) -> None:
        # A task for each request would cost a twentieth of it, and most are over, or their clients wait, when it has begun.
        self._timer = self._working.get_loop().call_later(WATCHED_AFTER_SECONDS, self._begin)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        # A server that is being stopped cancels too.
        return isinstance(error, asyncio.CancelledError) and self._has_left and not self._working.uncancel()

    def _begin(self) -> None:
        self._watching = self._working.get_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._has_left = True
        self._working.cancel()


def _is_plain(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a request is authenticated by a header alone, and has a small JSON body."""
    authorized = json = small = False
    for name, value in headers:
        if name == b"cookie":
            return False
        if name == b"authorization":
            authorized = True
        elif name == b"content-type":
            json = value.partition(b";")[0].strip().lower() == _JSON
        elif name == b"content-length":
            # Django puts a larger one into a file, so that nobody fills the memory before it is known who sends it.
            small = value.isdigit() and int(value) <= settings.FILE_UPLOAD_MAX_MEMORY_SIZE
    return authorized and json and small


def _is_django(app: Any) -> bool:
    """Whether nothing but Django answers HTTP requests below the API's prefix."""
    if type(app) is ASGIStaticFilesHandler:
        return _is_django(app.application)
    if (type(app).__module__, type(app).__qualname__) == ("channels.routing", "ProtocolTypeRouter"):
        return _is_django(app.application_mapping.get("http"))
    return type(app) is ASGIHandler and ASGIHandler.__call__.__module__ == "django.core.handlers.asgi"


def _listeners(signal: Any) -> Iterator[Any]:
    for _, listener, *_ in signal.receivers:
        if (alive := listener() if isinstance(listener, ReferenceType) else listener) is not None:
            yield alive
