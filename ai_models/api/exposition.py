"""``GET metrics`` for Prometheus; :mod:`ai_models.api.metrics` is what a host mounts."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any

from django.http import HttpResponse
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request

from ai_models.access import VIEW_PERMISSION
from ai_models.api import errors
from ai_models.api.views import View
from ai_models.conf import conf
from ai_models.telemetry import sinks


class MayView(BasePermission):
    """Whoever may see providers may see how they fare."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(request.user.has_perm(VIEW_PERMISSION))


class MetricsView(View):
    """Every metric as text: to the bearer of ``AI_MODELS["METRICS_TOKEN"]``, and to users who may view providers."""

    schema = None
    permission_classes = (IsAuthenticated, MayView)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if not _has_token(request):
            super().initial(request, *args, **kwargs)

    async def get(self, request: Request) -> HttpResponse:
        prometheus = sinks.prometheus()
        if prometheus is None:
            told = 'There are no metrics. Set AI_MODELS["PROMETHEUS"]; manage.py check tells what is missing.'
            raise errors.UnknownPath(told, remedy="admin")
        body, media_type = await asyncio.to_thread(prometheus.exposition, request.headers.get("Accept", ""))
        return HttpResponse(body, content_type=media_type)


def _has_token(request: Request) -> bool:
    token = conf().METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    return bool(token) and hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
