"""The page of access: who may use what, and the accounts and tokens that programs call with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy

from ai_models.admin import grid, issuing, tokens
from ai_models.admin.pages import Page

GRID = "grid"
TOKENS = "tokens"
_PARTS = (
    (GRID, gettext_lazy("Who may use what"), grid.may_view),
    (TOKENS, gettext_lazy("Service accounts and tokens"), tokens.may_view),
)


def may_view(request: HttpRequest) -> bool:
    """Whether the user may see any part of the page."""
    return any(allowed(request) for _, _, allowed in _PARTS)


def view(request: HttpRequest, *, site: AdminSite) -> HttpResponse:
    """Show a part of the page, or do what one of its forms asks for."""
    if request.method == "POST":
        action = _actions(request, site).get(request.POST.get("do", ""))
        return action() if action is not None else HttpResponseBadRequest()
    return _page(request, site)


def _actions(request: HttpRequest, site: AdminSite) -> dict[str, Callable[[], HttpResponse]]:
    def refuse(form: forms.Form) -> HttpResponse:
        return _page(request, site, form)

    return {
        "groups": lambda: grid.save(request, grid.GROUPS),
        "users": lambda: grid.save(request, grid.USERS),
        "account": lambda: issuing.make_account(request, refuse),
        "token": lambda: issuing.make_token(request, refuse),
        "revoke": lambda: issuing.revoke(request),
    }


def _page(request: HttpRequest, site: AdminSite, form: forms.Form | None = None) -> HttpResponse:
    parts = [(name, title) for name, title, allowed in _PARTS if allowed(request)]
    part = request.GET.get("part") or parts[0][0]
    if part not in dict(parts):
        raise PermissionDenied
    shown: dict[str, Any] = {"parts": parts, "part": part}
    shown |= {"tables": grid.tables(request, site)} if part == GRID else tokens.context(request, site, form)
    return TemplateResponse(request, f"ai_models/admin/access_{part}.html", shown)


PAGE = Page("access", gettext_lazy("Access"), view, may_view)
