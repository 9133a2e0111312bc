"""The overview: what is configured, what works, and what needs attention. Two of its cards can act: drift, and keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ai_models import config, validation
from ai_models.admin import drift, keys, matrix, processes, recent
from ai_models.admin.cards import Card, card
from ai_models.admin.pages import Page, may_view_providers
from ai_models.admin.words import Word, chip
from ai_models.encryption import InvalidKey
from ai_models.exceptions import ConfigurationError
from ai_models.seeding import PlanChanged

_LEVELS: Mapping[str, Word] = {
    "error": Word(gettext_lazy("error"), "bad"),
    "warning": Word(gettext_lazy("warning"), "warn"),
    "info": Word(gettext_lazy("to know"), "idle"),
}


@dataclass(frozen=True, slots=True)
class Validation:
    """What startup validation finds now, errors first."""

    findings: Sequence[validation.Finding]

    @property
    def rows(self) -> list[tuple[SafeString, validation.Finding]]:
        """Each finding with its level as a small mark."""
        return [(_LEVELS[finding.level].chip(), finding) for finding in self.findings]

    def chip(self) -> SafeString:
        """The number of the worst."""
        errors, warnings = (sum(found.level == level for found in self.findings) for level in ("error", "warning"))
        if errors:
            return chip(ngettext("%(number)d error", "%(number)d errors", errors) % {"number": errors}, "bad")
        if warnings:
            return chip(ngettext("%(number)d warning", "%(number)d warnings", warnings) % {"number": warnings}, "warn")
        return chip(_("no problems"), "good")


@dataclass(frozen=True, slots=True)
class Files:
    """Which files and variables are read."""

    sources: config.Sources

    def chip(self) -> SafeString:
        """Whether all are there."""
        missing = sum(not source.present for source in self.sources.files)
        if missing:
            return chip(_("%(number)d not there") % {"number": missing}, "bad")
        number = len(self.sources.files)
        return chip(ngettext("%(number)d file", "%(number)d files", number) % {"number": number}, "idle")


def view(request: HttpRequest, *, site: AdminSite) -> HttpResponse:
    """The page, and its two actions."""
    if request.method == "POST":
        return _act(request, site)
    return TemplateResponse(request, "ai_models/admin/overview.html", {"cards": _cards(request, site)})


def _cards(request: HttpRequest, site: AdminSite) -> list[Card]:
    found, declared = validation.examine()
    if declared is None:
        # Everything else reads the settings too.
        return [_validated(found)]
    storage = validation.storage_problems()
    found += storage
    # A statement that fails would spoil the transaction that the request may be.
    closed = [] if storage else validation.credential_problems()
    pruning = "prune" in request.GET
    return [
        card("matrix", gettext_lazy("Providers and capabilities"), lambda: matrix.matrix(site, request.GET.get("page"))),
        _validated([*found, *closed]),
        card("files", gettext_lazy("Configuration files"), lambda: Files(config.sources())),
        card(
            "drift",
            gettext_lazy("Drift from the files"),
            lambda: drift.drift(request, site, found, declared, pruning=pruning),
        ),
        card("keys", gettext_lazy("Encryption keys"), lambda: keys.keys(request, site)),
        card("workers", gettext_lazy("Server processes"), processes.processes),
        card("changes", gettext_lazy("Recent changes"), lambda: recent.recent(request, site)),
    ]


def _validated(findings: Sequence[validation.Finding]) -> Card:
    by_level = sorted(findings, key=lambda finding: list(_LEVELS).index(finding.level))
    return Card("validation", gettext_lazy("Startup validation"), Validation(by_level))


def _act(request: HttpRequest, site: AdminSite) -> HttpResponse:
    action = _ACTIONS.get(request.POST.get("action", ""))
    if action is None:
        raise BadRequest("There is no such action.")
    allowed, act, anchor = action
    if not allowed(request):
        raise PermissionDenied
    try:
        act(request)
    except (ConfigurationError, InvalidKey):
        messages.error(request, _("Nothing was changed, because something is not in order. See below."))
    except DatabaseError:
        messages.error(request, _("The database could not be written. Try again."))
    except PlanChanged:
        messages.warning(request, _("Nothing was applied: the plan is another one by now. This is the new one."))
    query = "?prune=1" if "prune" in request.POST else ""
    return HttpResponseRedirect(f"{PAGE.url(site)}{query}#{anchor}")


def _apply(request: HttpRequest) -> None:
    done = drift.apply(request, agreed=request.POST.get("plan", ""), pruning="prune" in request.POST)
    messages.success(request, drift.applied(done))


def _rotate(request: HttpRequest) -> None:
    done = keys.encrypt_again(request)
    messages.success(request, keys.encrypted(done))


Action = tuple[Callable[[HttpRequest], bool], Callable[[HttpRequest], None], str]
"""Who may, what happens, and the card to come back to."""

_ACTIONS: Mapping[str, Action] = {
    "apply": (drift.may_apply, _apply, "drift"),
    "rotate": (keys.may_rotate, _rotate, "keys"),
}

PAGE = Page("overview", gettext_lazy("Overview"), view, may_view_providers)
