"""A landing page for hosts that want one. The template, ``index.html``, is the host's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from ai_models.exceptions import NotReady, PermissionDenied

if TYPE_CHECKING:
    from ai_models.service import ProviderInfo


@require_safe
async def landing(request: HttpRequest) -> HttpResponse:
    """What runs here. The template gets ``readiness``, and ``providers``: ``None`` for those who may not see them."""
    from ai_models import service  # not with every management command, which loads the URLconf

    context = {"readiness": await service.areadiness(), "providers": await _providers(request)}
    return await sync_to_async(render)(request, "index.html", context)


async def _providers(request: HttpRequest) -> tuple[ProviderInfo, ...] | None:
    from ai_models import service

    try:
        return await service.aproviders(user=await request.auser())
    except (PermissionDenied, NotReady):
        return None
