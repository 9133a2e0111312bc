"""Pages of the admin beside those of the rows: their addresses, who may see them, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

View = Callable[..., HttpResponseBase]
"""Takes the request, ``site`` (the admin site) and what the address has in it."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page that the tabs lead to.

    Attributes:
        name: its address is ``admin:ai_models_<name>``.
        view: what answers; it gets only requests of users who are allowed, also those that ``POST``.
        allowed: whether this request's user may see it.
        has_tab: whether a tab leads to it.
    """

    name: str
    title: Promise
    view: View
    allowed: Callable[[HttpRequest], bool]
    has_tab: bool = True

    def url(self, site: AdminSite) -> str:
        """Its address."""
        return reverse(f"admin:ai_models_{self.name}", current_app=site.name)


@dataclass(frozen=True, slots=True)
class Tab:
    """One of the tabs as the template shows it."""

    title: Promise
    url: str
    current: bool


PROVIDERS: Promise = gettext_lazy("Providers")
_METHODS = ("GET", "HEAD", "POST")
_LIST = "ai_models_providerinstance_changelist"


class Pages:
    """The pages of one admin site.

    Args:
        names: of the pages. Each has a module of its name, which is imported when a page is first asked for: a management
            command loads the admin, and shows none.
    """

    def __init__(self, site: AdminSite, names: Sequence[str]) -> None:
        self.site = site
        self.names = names

    @cached_property
    def pages(self) -> dict[str, Page]:
        """The pages, by name."""
        return {name: import_module(f"ai_models.admin.{name}").PAGE for name in self.names}

    def urls(self) -> list[URLPattern]:
        """Their addresses, for :meth:`ModelAdmin.get_urls`."""
        return [path(f"{name}/", self.site.admin_view(self._guarded(name)), name=f"ai_models_{name}") for name in self.names]

    def tabs(self, request: HttpRequest, current: str = "") -> list[Tab]:
        """The tabs that this user may see; ``current`` is the page's name, empty for the providers."""
        shown = [
            Tab(page.title, page.url(self.site), page.name == current)
            for page in self.pages.values()
            if page.has_tab and page.allowed(request)
        ]
        if may_view_providers(request):
            shown.insert(0, Tab(PROVIDERS, reverse(f"admin:{_LIST}", current_app=self.site.name), not current))
        return shown

    def _guarded(self, name: str) -> View:
        def view(request: HttpRequest, **given: Any) -> HttpResponseBase:
            page = self.pages[name]
            if not page.allowed(request):
                raise PermissionDenied
            if request.method not in _METHODS:
                return HttpResponseNotAllowed(_METHODS)
            response = page.view(request, site=self.site, **given)
            if isinstance(response, TemplateResponse) and not response.is_rendered:
                shared = {**self.site.each_context(request), "title": page.title, "tabs": self.tabs(request, page.name)}
                response.context_data = {**shared, **(response.context_data or {})}
            return response

        return view


def may(request: HttpRequest, *codenames: str) -> bool:
    """Whether the user has all of these permissions of the app, ``change_providerinstance``."""
    return request.user.has_perms([f"ai_models.{codename}" for codename in codenames])


def may_view_providers(request: HttpRequest) -> bool:
    """Whether the user may look at providers; who may change them may look at them too."""
    return may(request, "view_providerinstance") or may(request, "change_providerinstance")
