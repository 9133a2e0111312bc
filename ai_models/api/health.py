"""``/healthz`` and ``/readyz``, for whatever restarts processes and whatever routes traffic to them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from ai_models.api import requestid
from ai_models.exceptions import NotReady

if TYPE_CHECKING:
    from ai_models.readiness import Readiness

READINESS_SECONDS = 4.0
"""A storage that does not answer within this time is not ready."""

_STOPPED = {"process": "is being stopped"}


@require_safe
async def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process handles requests. Touches no storage."""
    return _no_store(JsonResponse({"status": "up"}))


@require_safe
async def ready(request: HttpRequest) -> JsonResponse:
    """200 when a call could succeed, else 503 with the check that failed."""
    request_id = requestid.bind(request.headers.get(requestid.HEADER))
    readiness = await _readiness()
    if readiness.ready:
        return _no_store(JsonResponse({"status": "ready", "checks": dict(readiness.checks)}))
    error = NotReady("The service cannot answer model calls now; checks tells why.", remedy="admin")
    body = {"status": "not ready", "checks": dict(readiness.checks), **error.envelope(request_id)}
    response = _no_store(JsonResponse(body, status=error.http_status))
    # Django logs every 503 as an error, and a process that is being stopped has none.
    response._has_been_logged = readiness.checks == _STOPPED  # type: ignore[attr-defined]
    return response


async def _readiness() -> Readiness:
    from ai_models import draining, service  # not with every management command, which loads the URLconf

    draining.process.watched = True
    if draining.process.ending:
        return service.Readiness(ready=False, checks=_STOPPED)
    try:
        async with asyncio.timeout(READINESS_SECONDS):
            return await service.areadiness()
    except TimeoutError:
        return service.Readiness(ready=False, checks={"database": "does not answer"})


def _no_store(response: JsonResponse) -> JsonResponse:
    response["Cache-Control"] = "no-store"
    return response
