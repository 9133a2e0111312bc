"""The views of video jobs: ask for one, look at it, download what it made, cancel it."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from ai_models import videos
from ai_models.api import downloads, operations, requestid
from ai_models.api.errors import RangeNotSatisfiable
from ai_models.api.information import require_parameters
from ai_models.api.views import BodyRequest, BodyView, View
from ai_models.exceptions import InvalidRequest
from ai_models.serialization import to_json
from ai_models.types import Video

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)  # RFC 9110, 14.1.2; several ranges are not offered


class GenerateVideoView(BodyView):
    """``POST generate-video``."""

    operation = operations.GENERATE_VIDEO

    async def post(self, request: BodyRequest) -> Response:
        job = await videos.agenerate_video(user=request.user, **await self.fields(request))
        address = f"{request.path.removesuffix(self.operation.name)}videos/{job.id}"
        return Response(to_json(job), status=self.operation.status, headers={"Location": address})


class VideoView(View):
    """``GET videos/{id}``."""

    operation = operations.GET_VIDEO

    async def get(self, request: Request, id: str) -> Response:
        return Response(to_json(await videos.aget_video(id, user=request.user)))


class CancelVideoView(View):
    """``POST videos/{id}/cancel``."""

    operation = operations.CANCEL_VIDEO

    async def post(self, request: Request, id: str) -> Response:
        return Response(to_json(await videos.acancel_video(id, user=request.user)))


class VideoContentView(View):
    """``GET videos/{id}/content``: the bytes, all of them or one range."""

    operation = operations.GET_VIDEO_CONTENT

    async def get(self, request: Request, id: str) -> HttpResponseBase:
        index = _index(request)
        video = await videos.alocate_video(id, index=index, user=request.user)
        headers = _headers(id, video)
        try:
            part = _part(request, video.size, headers["ETag"])
        except RangeNotSatisfiable as error:
            told = {"Content-Range": f"bytes */{video.size}"}
            return Response(error.envelope(requestid.current()), status=error.http_status, headers=told)
        start, stop = part or (0, video.size)
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{video.size}"
        headers["Content-Length"] = str(stop - start)
        response = HttpResponse() if request.method == "HEAD" else await _streamed(request, id, index, start, stop)
        response.status_code = 200 if part is None else 206
        for name, value in headers.items():
            response[name] = value
        return response

    async def head(self, request: Request, id: str) -> HttpResponseBase:
        return await self.get(request, id)


def _index(request: Request) -> int:
    require_parameters(request, "index")
    given = request.query_params.get("index", "0")
    if not re.fullmatch(r"[0-9]{1,4}", given):
        raise InvalidRequest("index: give the number of a video, 0 for the first")
    return int(given)


def _headers(id: str, video: Video) -> dict[str, str]:
    extension = mimetypes.guess_extension(video.media_type) or ".bin"
    return {
        "Content-Type": downloads.content_type(video.media_type, "video"),
        "Content-Disposition": f'attachment; filename="{id}-{video.index}{extension}"',
        "Accept-Ranges": "bytes",
        "ETag": f'"{id}-{video.index}"',
        "Cache-Control": "private",
        **downloads.SAFE_HEADERS,
    }


def _part(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """The first byte, and the one after the last; ``None`` for all. A ``Range`` that is not understood, or no longer holds,
    counts as none.

    Raises:
        RangeNotSatisfiable: there are no such bytes.
    """
    found = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if found is None or request.headers.get("If-Range", etag) != etag:
        return None
    first, last = found.groups()
    if not (first or last) or (first and last and int(first) > int(last)):
        return None
    start = int(first) if first else max(0, size - int(last))
    if start >= size:
        raise RangeNotSatisfiable("Range: the video has no such bytes.")
    return start, min(int(last) + 1, size) if first and last else size


async def _streamed(request: Request, id: str, index: int, start: int, stop: int) -> HttpResponseBase:
    """The bytes as they are read. The first are read now, so that a file that is gone is told before anything is sent."""
    wanted: dict[str, Any] = {"index": index, "start": start, "stop": stop, "user": request.user}
    if isinstance(request._request, ASGIRequest):
        pieces = videos.aread_video(id, **wanted)
        return StreamingHttpResponse(_async_body(await anext(pieces), pieces))
    read = videos.read_video(id, **wanted)
    return StreamingHttpResponse(_body(await sync_to_async(next)(read), read))


async def _async_body(first: bytes, pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece


def _body(first: bytes, pieces: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    with closing(pieces):
        yield first
        yield from pieces
