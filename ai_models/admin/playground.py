"""The playground: try what one may use.

The page sends nothing itself. The browser speaks to the public API as the user who is signed in, so that every permission and
gate is judged there as for any other caller. What the page offers is only what has a chance to get through.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from ai_models import catalog, store
from ai_models.admin import explain
from ai_models.admin.pages import Page
from ai_models.admin.playground_forms import FORMS
from ai_models.admin.playground_words import WORDS
from ai_models.admin.words import CAPABILITIES
from ai_models.capabilities import Capability
from ai_models.sync import synchronous
from ai_models.types.frames import WEBSOCKET_PATH

_models = synchronous(catalog.amodels)

Offers = Mapping[str, list[dict[str, Any]]]
"""For each capability the providers, the default one first: ``provider``, ``isDefault``, ``defaultModel``, ``models``."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The fields of one capability as the template shows them."""

    capability: Capability
    title: Promise
    form: forms.Form

    @property
    def large(self) -> list[forms.BoundField]:
        """Those that have a row of their own."""
        return [field for field in self.form if isinstance(field.field.widget, forms.Textarea | forms.FileInput)]

    @property
    def small(self) -> list[forms.BoundField]:
        """Those that stand side by side."""
        return [field for field in self.form if not isinstance(field.field.widget, forms.Textarea | forms.FileInput)]


@dataclass(frozen=True, slots=True)
class Missing:
    """A capability that cannot be tried, and why; ``explain`` is the address of the page that says more."""

    title: Promise
    reason: str
    explain: str


@require_safe
def view(request: HttpRequest, *, site: AdminSite) -> HttpResponse:
    """``GET playground/?provider=&capability=&model=``; the script reads the query."""
    offers = _offers(request.user)
    address = _api()
    return TemplateResponse(
        request,
        "ai_models/admin/playground.html",
        {
            "api": address,
            "panels": [_panel(capability) for capability in Capability if capability in offers],
            "missing": _missing(request, site, offers),
            "data": {
                "api": address,
                # Django's reverse knows HTTP alone.
                "socket": get_script_prefix() + WEBSOCKET_PATH,
                "client": static("ai_models/client.js"),
                "offers": offers,
                "words": WORDS,
            },
        },
    )


def _may_use_any(request: HttpRequest) -> bool:
    return any(request.user.has_perm(capability.permission) for capability in Capability)


def _api() -> str | None:
    """The address that those of the API begin with; ``None`` when the host does not include them."""
    try:
        return reverse("ai-schema").removesuffix("schema")
    except NoReverseMatch:
        return None


def _offers(user: Any) -> Offers:
    default = store.current().default
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for model in _models(user=user):
        offer = found[model.capability].setdefault(
            model.provider,
            {"provider": model.provider, "isDefault": model.provider == default, "defaultModel": None, "models": []},
        )
        offer["models"].append(model.alias or model.model)
        if model.default:
            offer["defaultModel"] = model.model
    return {
        capability: sorted(providers.values(), key=lambda offer: not offer["isDefault"])
        for capability, providers in found.items()
    }


def _panel(capability: Capability) -> Panel:
    return Panel(capability, CAPABILITIES[capability], FORMS[capability](auto_id=f"{capability}-%s", label_suffix=""))


def _missing(request: HttpRequest, site: AdminSite, offers: Offers) -> list[Missing]:
    link = explain.PAGE.url(site) if explain.PAGE.allowed(request) else ""
    return [
        Missing(CAPABILITIES[capability], _reason(request, capability), link and f"{link}?capability={capability}")
        for capability in Capability
        if capability not in offers
    ]


def _reason(request: HttpRequest, capability: Capability) -> str:
    if not request.user.has_perm(capability.permission):
        return _("you may not use it")
    return _("no provider offers it now")


PAGE = Page("playground", gettext_lazy("Playground"), view, _may_use_any)
