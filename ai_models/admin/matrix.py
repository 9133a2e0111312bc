"""The matrix of instances and capabilities: what is configured, and what of it works."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.contrib.admin import AdminSite
from django.core.paginator import Page, Paginator
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ai_models import gates, registry, store
from ai_models.access import supported_by
from ai_models.admin.links import change_url, list_url
from ai_models.admin.listing import Standing, standings
from ai_models.admin.words import CAPABILITIES, STATES, Tone, chip
from ai_models.capabilities import Capability
from ai_models.models import ProviderCapability
from ai_models.snapshot import CapabilityFacts, CheckState, InstanceFacts, InstanceState, Snapshot

PAGE_SIZE = 50

_MEANINGS: Mapping[str, Promise] = {
    "verified": gettext_lazy("switched on, and a call that was made to check it succeeded"),
    "on": gettext_lazy("switched on and ready for calls; no call was made to check it"),
    "blocked": gettext_lazy("configured, but calls are refused: see the state of the provider"),
    "off": gettext_lazy("configured, and switched off by an administrator"),
    "missing": gettext_lazy("the family supports it; it has neither a default model nor an alias"),
}

_URGENCY: Mapping[Tone, int] = {"bad": 0, "warn": 0, "good": 1, "idle": 2}


@dataclass(frozen=True, slots=True)
class Cell:
    """One capability of one instance.

    Attributes:
        label: the capability.
        standing: how it stands; ``None`` when the family does not support it.
        model: the default model, or how many aliases there are instead.
    """

    label: Promise
    standing: Standing | None
    model: str

    @property
    def is_idle(self) -> bool:
        """Whether the family supports it and nobody configured it."""
        return self.standing is not None and self.standing.name == "missing"

    @property
    def mark(self) -> SafeString:
        """How it stands, as a small mark."""
        return _mark(self.standing) if self.standing else SafeString("")


@dataclass(frozen=True, slots=True)
class Row:
    """One instance."""

    facts: InstanceFacts
    url: str
    family: str
    cells: Sequence[Cell]
    is_default: bool

    @property
    def state(self) -> SafeString:
        """Its state as a small mark."""
        return STATES[self.facts.state].chip()

    @property
    def problem(self) -> str | None:
        """What its state does not say by itself."""
        if self.facts.state is InstanceState.MISCONFIGURED:
            return self.facts.problem
        if self.facts.state is InstanceState.READY and self.facts.check is CheckState.UNHEALTHY:
            return _("The last check failed.")
        return None

    @property
    def idle(self) -> list[str]:
        """The capabilities that its family supports and nobody configured."""
        return [str(cell.label) for cell in self.cells if cell.is_idle]

    @property
    def rests(self) -> bool:
        """Whether nobody expects it to work."""
        return STATES[self.facts.state].tone == "idle"


@dataclass(frozen=True, slots=True)
class Tally:
    """How many instances are in one state or have one capability, and the list of them."""

    label: Promise
    tone: str
    number: int
    url: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """What the card shows.

    Attributes:
        page: the part of the instances that ``rows`` are.
        columns: names of the capabilities.
        states: how many instances are in each state.
        available: how many instances take calls, by capability.
        default: name of the default provider, ``None`` when there is none.
    """

    page: Page[InstanceFacts]
    rows: Sequence[Row]
    states: Sequence[Tally]
    available: Sequence[Tally]
    default: str | None

    columns = tuple(CAPABILITIES.values())

    @property
    def legend(self) -> list[tuple[SafeString, Promise]]:
        """Each mark and what it means."""
        return [(_mark(Standing(Capability.TEXT_GENERATION, name, "")), meaning) for name, meaning in _MEANINGS.items()]

    def chip(self) -> SafeString:
        """Whether all is well."""
        total = self.page.paginator.count
        trouble = sum(tally.number for tally in self.states if tally.tone == "bad")
        if trouble:
            text = ngettext("%(number)d needs attention", "%(number)d need attention", trouble)
            return chip(text % {"number": trouble}, "bad")
        if not total:
            return chip(_("none"), "idle")
        if self.default is None:
            return chip(_("no default provider"), "warn")
        return chip(ngettext("%(number)d provider", "%(number)d providers", total) % {"number": total}, "good")


def matrix(site: AdminSite, wanted: str | None) -> Matrix:
    """One page of the matrix; those that need attention come first, and those that are switched off last.

    Args:
        wanted: number of the page, as the address has it.

    Raises:
        AIModelsError: the configuration cannot be read.
    """
    snapshot = store.current()
    page = Paginator(sorted(snapshot.instances.values(), key=_order), PAGE_SIZE).get_page(wanted)
    shown = list(page)
    checked = _checked(shown)
    return Matrix(
        page=page,
        rows=[_row(site, facts, checked[facts.id], snapshot.default) for facts in shown],
        states=list(_states(site, snapshot)),
        available=list(_available(site, snapshot)),
        default=snapshot.default,
    )


def _order(facts: InstanceFacts) -> tuple[int, str]:
    return _URGENCY[STATES[facts.state].tone], facts.name.casefold()


def _checked(shown: Sequence[InstanceFacts]) -> Mapping[str, dict[str, str]]:
    """Stored check state by capability, by the instance's primary key."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    rows = ProviderCapability.objects.filter(instance_id__in=[facts.id for facts in shown])
    for instance, capability, state in rows.values_list("instance_id", "capability", "check_state"):
        found[str(instance)][capability] = state
    return found


def _row(site: AdminSite, facts: InstanceFacts, checked: Mapping[str, str], default: str | None) -> Row:
    family = registry.families().get(facts.family)
    known = {standing.capability: standing for standing in standings(facts, checked)}
    return Row(
        facts=facts,
        url=change_url(site, facts.id),
        family=family.label if family else facts.family,
        cells=[_cell(facts, capability, known.get(capability)) for capability in Capability],
        is_default=facts.name == default,
    )


def _cell(facts: InstanceFacts, capability: Capability, standing: Standing | None) -> Cell:
    there = facts.capabilities.get(capability)
    if standing is None and gates.configured(facts, capability):
        standing = Standing(capability, "blocked", _("configured, and the family does not support it"))
    return Cell(CAPABILITIES[capability], standing, _models(there) if there else "")


def _mark(standing: Standing) -> SafeString:
    """What is not configured is most of a matrix, and said more quietly than in the list."""
    if standing.name == "missing":
        return format_html('<span class="ai-quiet">{}</span>', _("supported"))
    return standing.mark()


def _models(there: CapabilityFacts) -> str:
    number = len(there.aliases)
    if there.default_model or not number:
        return there.default_model or ""
    return ngettext("%(number)d alias", "%(number)d aliases", number) % {"number": number}


def _states(site: AdminSite, snapshot: Snapshot) -> Iterator[Tally]:
    counted = Counter(facts.state for facts in snapshot.instances.values())
    for state, word in STATES.items():
        if counted[state]:
            yield Tally(word.label, word.tone, counted[state], list_url(site, state=state))


def _available(site: AdminSite, snapshot: Snapshot) -> Iterator[Tally]:
    counted = Counter(
        capability for facts in snapshot.instances.values() for capability in gates.available(facts, supported_by(facts))
    )
    for capability, label in CAPABILITIES.items():
        if counted[capability]:
            yield Tally(label, "", counted[capability], list_url(site, capability=capability))
