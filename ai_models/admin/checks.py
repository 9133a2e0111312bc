"""Check now: the rungs of a check, as they were stored and as they are climbed. Looking at the page checks nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ai_models import catalog, checking, gates, sync
from ai_models.access import CHECK_PERMISSION, supported_by
from ai_models.admin.listing import check_state, facts_of, known_facts
from ai_models.admin.pages import Page, may_view_providers
from ai_models.admin.rungs import RUNG_STATES, Line, stored, told
from ai_models.admin.words import CAPABILITIES, CHECKS, STATES, Word, age_and_latency, milliseconds, spoken
from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError, ProviderNotFound
from ai_models.models import ProviderInstance
from ai_models.resolution import NO_PROVIDER
from ai_models.snapshot import InstanceFacts

MOST = 500
"""So many instances are shown at once."""

TEXTS: Mapping[str, Promise] = {
    "progress": gettext_lazy("%(done)s of %(all)s checked."),
    "lost": gettext_lazy("The connection broke before the check was over."),
    "forbidden": gettext_lazy("You may not check providers. It needs the permission to change them."),
    "refused": gettext_lazy("The server did not take the request. Load the page again."),
}
"""What the script says."""

_check_in_background = sync.synchronous(catalog.acheck)


@dataclass(frozen=True, slots=True)
class Card:
    """One instance, and what its last check found."""

    row: ProviderInstance
    facts: InstanceFacts

    @property
    def state(self) -> Word:
        return STATES[self.facts.state]

    @property
    def check(self) -> Word:
        return CHECKS[self.facts.check]

    @property
    def message(self) -> str:
        """What matters most about it."""
        return self.facts.problem or self.row.state_message

    @property
    def heading(self) -> str:
        """The message, unless one of the rungs says it."""
        return "" if self.message in [line.message for line in self.lines] else self.message

    @property
    def time(self) -> str:
        return age_and_latency(self.row)

    @property
    def lines(self) -> list[Line]:
        return stored(self.row)

    @property
    def paid(self) -> list[tuple[Capability, Promise, str]]:
        """The capabilities that one can pay a call for, with their names and the models that are called."""
        supported = supported_by(self.facts)
        return [
            (capability, CAPABILITIES[capability], known.default_model or next(iter(known.aliases.values())))
            for capability in checking.PAID
            if capability in supported and gates.configured(self.facts, capability)
            for known in (self.facts.capabilities[capability],)
        ]


def view(request: HttpRequest, *, site: AdminSite) -> HttpResponseBase:
    """``GET`` shows what is stored. ``POST`` checks one ``instance``, with a call of each ``capability``.

    The rungs are sent as they are climbed, one JSON object a line; the last line has ``done`` or ``error``. With ``plain`` the
    answer is a redirect to the page.
    """
    return _check(request) if request.method == "POST" else _show(request)


def _show(request: HttpRequest) -> TemplateResponse:
    keys = request.GET.getlist("instance")
    rows = ProviderInstance.objects.prefetch_related("capabilities")
    chosen = list((rows.filter(pk__in=_identities(keys)) if keys else rows)[:MOST])
    cards = [Card(row, known_facts(row)) for row in chosen]
    may_run = request.user.has_perm(CHECK_PERMISSION)
    return TemplateResponse(
        request,
        "ai_models/admin/checks.html",
        {
            "cards": cards,
            "single": cards[0] if len(cards) == 1 else None,
            "may_run": may_run,
            "run": may_run and "run" in request.GET,
            "address": _address(request),
            "blank": Line("", "waiting"),
            "plan": _plan() if may_run else None,
        },
    )


def _check(request: HttpRequest) -> HttpResponseBase:
    if not request.user.has_perm(CHECK_PERMISSION):
        raise PermissionDenied
    row = ProviderInstance.objects.filter(pk__in=_identities([request.POST.get("instance", "")])).first()
    if row is None:
        raise Http404
    capabilities = request.POST.getlist("capability")
    if "plain" in request.POST:
        return _plain(request, row, capabilities)
    body: AsyncGenerator[bytes] | Generator[bytes]
    if isinstance(request, ASGIRequest):
        body = _lines(row.name, request.user, capabilities)
    else:
        body = _in_background(_lines(row.name, sync.CheckedUser(request.user), capabilities))
    return StreamingHttpResponse(body, content_type="application/x-ndjson", headers={"X-Accel-Buffering": "no"})


def _plain(request: HttpRequest, row: ProviderInstance, capabilities: Sequence[str]) -> HttpResponseRedirect:
    # The background loop would wait for this thread, in which an async server has the request's database work done.
    check = async_to_sync(catalog.acheck) if isinstance(request, ASGIRequest) else _check_in_background
    try:
        check(row.name, user=request.user, capabilities=capabilities)
    except AIModelsError as error:
        messages.error(request, error.message)
    else:
        row.refresh_from_db()
        told_as = {"name": row.name, "result": CHECKS[check_state(row.state)].label, "message": row.state_message}
        messages.info(request, _("Check of %(name)s: %(result)s. %(message)s") % told_as)
    return HttpResponseRedirect(_address(request))


async def _lines(name: str, user: Any, capabilities: Sequence[str]) -> AsyncGenerator[bytes]:
    try:
        async with aclosing(catalog.aclimb(name, user=user, capabilities=capabilities)) as rungs:
            async for rung in rungs:
                yield _encoded(Line.of(rung).told())
        yield _encoded(await sync_to_async(_done)(name))
    except AIModelsError as error:
        yield _encoded({"error": {"code": error.code, "message": error.message}})


def _done(name: str) -> dict[str, Any]:
    """What is stored now. The snapshot may be older: a call that waits keeps the one that it began with."""
    row = ProviderInstance.objects.filter(name=name).first()
    if row is None:
        raise ProviderNotFound(NO_PROVIDER)
    card = Card(row, facts_of(row))
    return {
        "done": True,
        "state": card.facts.state,
        "check": card.facts.check,
        "message": card.message,
        "latencyMs": row.latency_ms,
        "time": spoken(_("just now"), milliseconds(row.latency_ms)),
        "stateChip": told(card.state),
        "checkChip": told(card.check),
    }


def _in_background(lines: AsyncGenerator[bytes]) -> Generator[bytes]:
    """The lines for a server that is not async, made on the background loop."""
    try:
        while (line := sync.run(_next(lines))) is not None:
            yield line
    finally:
        sync.run(lines.aclose())


async def _next(lines: AsyncGenerator[bytes]) -> bytes | None:
    return await anext(lines, None)


def _encoded(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line).encode() + b"\n"


def _plan() -> dict[str, Any]:
    """What the script shows before the first rung is climbed, and what it says."""
    return {
        "rungs": [Line(name, "waiting").told() for name in checking.RUNGS],
        "calls": {capability: Line(checking.CALL, "waiting", capability=capability).told() for capability in checking.PAID},
        "states": {name: told(word) for name, word in RUNG_STATES.items()},
        "texts": {name: str(text) for name, text in TEXTS.items()},
    }


def _identities(keys: Sequence[str]) -> list[UUID]:
    """Those of the keys that can be an instance's."""
    found = []
    for key in keys[:MOST]:
        try:
            found.append(UUID(key))
        except ValueError:
            continue
    return found


def _address(request: HttpRequest) -> str:
    """Of this page, without the wish to check at once."""
    given = request.GET.copy()
    given.pop("run", None)
    return f"{request.path}?{given.urlencode()}"


PAGE = Page("checks", gettext_lazy("Check"), view, may_view_providers, has_tab=False)
