"""Streams over REST: begun by ``POST``, continued after the last event that a client has, cancelled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from ai_models import directory
from ai_models.api import operations, requestid, sse, ui_messages
from ai_models.api.operation import Stream
from ai_models.api.views import BodyRequest, BodyView, View
from ai_models.exceptions import InvalidRequest, StreamNotFound, UnsupportedFunctionality
from ai_models.resumption import ResumableStream
from ai_models.serialization import validate
from ai_models.types import OnDisconnect

LAST_EVENT_ID = "Last-Event-ID"
_LONGEST_NAME = 256
_EVENT_ID = re.compile(rf"(?P<stream>[^\x00-\x1f]{{1,{_LONGEST_NAME}}}):(?P<seq>\d{{1,15}})")


def fields_of(operation: Stream, body: Mapping[str, Any]) -> dict[str, Any]:
    """The validated fields of a stream's request, by Python names.

    Raises:
        InvalidRequest: names every wrong field.
    """
    return dict(validate(operation.request or dict, ui_messages.to_request(body), json_names=True))


def begun(
    operation: Stream,
    user: Any,
    fields: dict[str, Any],
    body: Mapping[str, Any],
    *,
    name: str | None,
    on_disconnect: OnDisconnect | None = None,
) -> ResumableStream:
    """The stream of a request, begun.

    Args:
        fields: of :func:`fields_of`, from this body.
        name: the client's own name of it.
        on_disconnect: in place of what the request says.
    """
    chosen = fields.pop("on_disconnect", "cancel")
    return directory.begin(
        ui_messages.told(operation.run(user=user, **fields), body),
        user=user,
        name=name,
        on_disconnect=on_disconnect or chosen,
        request_id=requestid.current(),
    )


def require_asgi(request: Request) -> None:
    """A WSGI server would send a stream in one piece, at its end.

    Raises:
        UnsupportedFunctionality: the server is one.
    """
    if not isinstance(request._request, ASGIRequest):
        raise UnsupportedFunctionality("Streams need an ASGI server such as uvicorn; this one is WSGI.", remedy="admin")


class StreamView(BodyView):
    """``POST``: one row of :data:`~ai_models.api.operations.STREAMS`, as server-sent events; ``GET``: the rest of one."""

    operation: Stream

    async def post(self, request: BodyRequest) -> HttpResponseBase:
        require_asgi(request)
        if LAST_EVENT_ID in request.headers:
            return await _resumed(request)
        fields = await self.fields(request)
        return await sse.respond(begun(self.operation, request.user, fields, request.data, name=_name(request.data.get("id"))))

    async def get(self, request: Request) -> HttpResponseBase:
        require_asgi(request)
        if LAST_EVENT_ID not in request.headers:
            raise InvalidRequest("A stream is begun with POST. GET goes on with one, after the event in Last-Event-ID.")
        return await _resumed(request)

    def read(self, request: BodyRequest) -> dict[str, Any]:
        return fields_of(self.operation, request.data)


class RunningStreamView(View):
    """``GET stream-text/{id}/stream``: the whole stream of a chat, as the AI SDK asks for it when a page is loaded again."""

    operation = operations.RESUME_STREAM

    async def get(self, request: Request, id: str) -> HttpResponseBase:
        require_asgi(request)
        try:
            stream = await directory.find(request.user, id)
        except StreamNotFound:
            return HttpResponse(status=204)
        if stream.delivered:
            return HttpResponse(status=204)
        return await sse.resume(stream, 0)


class CancelStreamView(View):
    """``POST stream-text/{id}/cancel``."""

    operation = operations.CANCEL_STREAM

    async def post(self, request: Request, id: str) -> HttpResponse:
        await (await directory.find(request.user, id)).cancel()
        return HttpResponse(status=204)


async def _resumed(request: Request) -> HttpResponseBase:
    """The events after the one that the client names."""
    match = _EVENT_ID.fullmatch(request.headers[LAST_EVENT_ID])
    if match is None:
        raise InvalidRequest("Last-Event-ID: it is the id of an event of a stream, as the stream told it")
    stream = await directory.find(request.user, match["stream"])
    return await sse.resume(stream, int(match["seq"]))


def _name(given: Any) -> str | None:
    """What the AI SDK calls the chat, by which the stream can be found."""
    return given if isinstance(given, str) and 0 < len(given) <= _LONGEST_NAME else None
