"""What the app does around a host's ASGI application: refuse to start wrongly configured, bound what arrives, start and stop.

In the host's ``asgi.py``::

    application = serve(get_asgi_application())
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from django.utils.http import parse_header_parameters

from ai_models import draining, events, service, urls, validation, workers
from ai_models.api import direct, requestid, sse
from ai_models.api.answer import JSON
from ai_models.api.errors import RequestTimeout, retry_headers
from ai_models.conf import conf
from ai_models.database import in_thread
from ai_models.deadlines import limited
from ai_models.encoding import dumps, encode
from ai_models.exceptions import AIModelsError, ConfigurationError, InvalidRequest, PayloadTooLarge
from ai_models.openai_api import errors as openai_errors
from ai_models.telemetry.incoming import traced

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
Tell = Callable[[AIModelsError, str], tuple[dict[str, Any], dict[str, str]]]
"""Takes an error and the request's id, and gives body and headers."""

BODY_SECONDS = 30.0

LINGER_SECONDS = 2.0
"""How long a refused body is still taken and thrown away, so that its sender gets to read why; less when it pauses."""

_PAUSE_SECONDS = 0.25

_JSON = JSON.encode()

_COLLECTED_EVERY = 10_000
"""So many new objects make the garbage collector look. With the interpreter's own number, which is made for scripts, it looks
through the same requests again and again."""

logger = logging.getLogger(__name__)


def serve(app: Application, *, prefix: str = "/api/ai/", body_seconds: float = BODY_SECONDS) -> Application:
    """Wrap a host's application.

    Args:
        app: Django's, or a router around it. Its own lifespan is not called; Django has none.
        prefix: where the API is, and the request limits hold; the host's other addresses are left alone.
        body_seconds: the time a request body may take to arrive.

    Raises:
        SystemExit: with a readable list, when the configuration is wrong.
    """
    stop_if_misconfigured()
    urls.load()
    road = direct.around(app)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http" and _path(scope).startswith(prefix):
            await _limited(road, scope, receive, send, body_seconds, tell_of)
        else:
            await app(scope, receive, send)

    def tell_of(scope: Scope) -> Tell:
        return _as_openai if _path(scope).startswith(f"{prefix}openai/") else _as_rest

    async def refuse(scope: Scope, receive: Receive, send: Send, error: AIModelsError) -> None:
        await _send_error(scope, receive, send, error, tell_of(scope))

    def part(scope: Scope, error: AIModelsError, request_id: str, latest: bytes) -> bytes | None:
        if latest.endswith(sse.DONE):
            return b""
        if latest and not latest.endswith(b"\n\n"):  # Django sends large pieces in several
            return None
        if (tell := tell_of(scope)) is _as_openai:
            return f"data: {dumps(tell(error, request_id)[0])}\n\n".encode()
        if sse.is_terminal(latest):
            return sse.DONE
        return f"data: {encode(events.Error(error), request_id)}\n\n".encode() + sse.DONE

    return traced(draining.process.guarded(application, refuse, part))


def _path(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


class Body:
    """``receive`` of one request, counted and timed until the body is complete.

    A body that breaks a limit ends for the application as if the client had gone; ``refusal`` then says why.
    """

    def __init__(self, receive: Receive, *, limit: int, seconds: float) -> None:
        self._receive = receive
        self._limit = limit
        self._until = time.monotonic() + seconds
        self._received = 0
        self._complete = False
        self.refusal: AIModelsError | None = None

    async def __call__(self) -> dict[str, Any]:
        if self._complete:
            return await self._receive()
        try:
            with limited(self._until - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            return self._refuse(RequestTimeout("The request body took too long to arrive.", retryable=True))
        self._received += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._received > self._limit:
            return self._refuse(_too_large(self._limit))
        return message

    def _refuse(self, error: AIModelsError) -> dict[str, Any]:
        self.refusal = error
        return {"type": "http.disconnect"}


def _as_rest(error: AIModelsError, request_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    return error.envelope(request_id), retry_headers(error)


def _as_openai(error: AIModelsError, request_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    return openai_errors.body(error, request_id), openai_errors.headers(error)


async def _limited(
    app: Application, scope: Scope, receive: Receive, send: Send, seconds: float, tell_of: Callable[[Scope], Tell]
) -> None:
    try:
        limit = _limit(scope)
    except AIModelsError as error:
        await _send_error(scope, receive, send, error, tell_of(scope))
        return
    body = Body(receive, limit=limit, seconds=seconds)
    await app(scope, body, send)
    if body.refusal is not None:
        await _send_error(scope, receive, send, body.refusal, tell_of(scope))


def _limit(scope: Scope) -> int:
    """How many bytes the body may have: forms bring files along. Its framing is looked at first: two answers to "how long?" are
    how requests are smuggled.

    Raises:
        InvalidRequest, PayloadTooLarge: what is wrong.
    """
    types, lengths, chunked = [], [], False
    for name, value in scope["headers"]:
        if name == b"content-type":
            types.append(value)
        elif name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            chunked = True
    is_form = bool(types) and types[0] != _JSON and _media_type(types[0]) == "multipart/form-data"
    limit = conf().MAX_UPLOAD_BYTES if is_form else conf().MAX_REQUEST_BYTES
    if len(types) > 1:
        raise InvalidRequest("Content-Type is sent more than once.")
    if len(lengths) > 1 or (lengths and (chunked or not lengths[0].isdigit())):
        raise InvalidRequest("Content-Length and Transfer-Encoding contradict each other or are malformed.")
    if lengths and (len(lengths[0]) > 18 or int(lengths[0]) > limit):
        raise _too_large(limit)
    return limit


def _media_type(declared: bytes) -> str:
    """What Content-Type says, without its parameters.

    Raises:
        InvalidRequest: it cannot be read. Django would end such a request without an answer of its own.
    """
    try:
        media_type: str = parse_header_parameters(declared.decode("latin-1"))[0]
    except ValueError:
        raise InvalidRequest("Content-Type is malformed.") from None
    return media_type


def _too_large(limit: int) -> AIModelsError:
    return PayloadTooLarge(f"The request body is larger than {limit} bytes.")


async def _send_error(scope: Scope, receive: Receive, send: Send, error: AIModelsError, tell: Tell) -> None:
    sent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), None)
    request_id = requestid.bind(sent)
    told, more = tell(error, request_id)
    body = json.dumps(told).encode()
    headers = [
        (b"content-type", _JSON),
        (b"content-length", str(len(body)).encode()),
        (requestid.HEADER.lower().encode(), request_id.encode()),
        *((name.lower().encode(), value.encode()) for name, value in more.items()),
    ]
    if scope.get("http_version", "1.1").startswith("1"):
        # The rest of the body is not read, so that the connection is of no further use.
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": error.http_status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await _linger(receive)
    await send({"type": "http.response.body", "body": b""})


async def _linger(receive: Receive) -> None:
    """Throw away what still comes. A connection that is closed with unread data is reset, and the answer is lost."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            more = True
            while more:
                async with asyncio.timeout(_PAUSE_SECONDS):
                    message = await receive()
                more = message.get("more_body", False)


async def _lifespan(receive: Receive, send: Send) -> None:
    """Warm up in the background, so that the first requests need not wait for it; close what is open at the end. Meanwhile this
    process reports the revision that it serves."""
    await receive()
    with workers.reporting():
        warm_up = asyncio.create_task(_begin())
        with _settled():
            draining.process.install()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            warm_up.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await warm_up
            await service.aclose()
    await send({"type": "lifespan.shutdown.complete"})


async def _begin() -> None:
    """Tell what keeps the service from being ready, and warm up. A database may still come; the process need not end."""
    try:
        for finding in await in_thread(_storage_findings)():
            logger.error("%s", finding)
        await service.awarm_up()
        _settle()
    except Exception:
        logger.exception("Warming up failed; the first calls will be slower")


def _settle() -> None:
    """Spare the garbage collector what was loaded and stays: it would walk it again and again between requests, which takes a
    quarter of what a busy process can do. What loading needed and does not stay goes back to the system."""
    gc.collect()
    gc.freeze()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # glibc has it, musl has not
        trim(0)


@contextlib.contextmanager
def _settled() -> Iterator[None]:
    """Let the garbage collector look less often. Afterwards all is as before, for a process that goes on without the server."""
    _settle()
    before = gc.get_threshold()
    if 0 < before[0] < _COLLECTED_EVERY:
        gc.set_threshold(_COLLECTED_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _storage_findings() -> list[validation.Finding]:
    return [*validation.storage_problems(), *validation.credential_problems()]


def stop_if_misconfigured() -> None:
    """End the process when the start-up validation finds an error.

    Raises:
        SystemExit: lists every error with its remedy.
    """
    try:
        validation.require_valid()
    except ConfigurationError as error:
        raise SystemExit("\n".join(["ai_models does not start:", *(f"- {problem}" for problem in error.problems)])) from None
