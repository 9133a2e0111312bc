"""The list of providers: columns that say at a glance what an instance is and can do, and filters by the same words.

What the columns say comes from the snapshot in force, which costs no query; a row that is not in it yet is read by itself. A
row that cannot be read as it should is shown with what is wrong; it never fails the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ai_models import gates, registry, store
from ai_models.access import supported_by
from ai_models.admin.words import CAPABILITIES, CHECKS, STATES, age_and_latency
from ai_models.capabilities import Capability
from ai_models.facts import instance_facts
from ai_models.keyring import usable_key_ring
from ai_models.models import ProviderInstance
from ai_models.snapshot import CheckState, InstanceFacts, InstanceState


def facts_of(row: ProviderInstance) -> InstanceFacts:
    """The facts of one row as it stands in the database."""
    return instance_facts(row, registry.families().get(row.family), usable_key_ring())


def known_facts(row: ProviderInstance) -> InstanceFacts:
    """The row's facts: those that calls are judged by, if the process knows the row already."""
    facts = store.current().instances.get(row.name)
    return facts if facts is not None and facts.id == str(row.pk) else facts_of(row)


def check_state(stored: str) -> CheckState:
    """A stored check state; what is none counts as never checked."""
    return CheckState(stored) if stored in frozenset(CheckState) else CheckState.UNCHECKED


_STANDINGS: Mapping[str, tuple[Promise, str]] = {
    "verified": (gettext_lazy("verified"), "ai-good"),
    "on": (gettext_lazy("on"), "ai-good"),
    "blocked": (gettext_lazy("blocked"), "ai-bad"),
    "off": (gettext_lazy("off"), "ai-off"),
    "missing": (gettext_lazy("not configured"), "ai-open"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How one capability of an instance stands: ``missing``, ``off``, ``blocked``, ``on`` or ``verified``, and why."""

    capability: Capability
    name: str
    reason: str

    def mark(self) -> SafeString:
        """Its name alone, as a small mark."""
        return format_html('<span class="ai-chip {}">{}</span>', _STANDINGS[self.name][1], _STANDINGS[self.name][0])

    def chip(self) -> SafeString:
        """The capability as a small mark, with the reason for those who point at it and for those who cannot see it."""
        tone = _STANDINGS[self.name][1]
        mark = "✓ " if self.name == "verified" else ""
        return format_html(
            '<span class="ai-chip {}" title="{}">{}{}<span class="visually-hidden"> ({})</span></span>',
            tone, self.reason, mark, CAPABILITIES[self.capability], self.reason,
        )  # fmt: skip


def standings(facts: InstanceFacts, checked: Mapping[str, str]) -> Iterable[Standing]:
    """How each capability stands that the instance's family has.

    Args:
        checked: stored check state by capability.
    """
    supported = supported_by(facts)
    for capability in Capability:
        if capability in supported:
            yield standing(facts, capability, supported, check_state(checked.get(capability, "")))


def standing(facts: InstanceFacts, capability: Capability, supported: frozenset[Capability], check: CheckState) -> Standing:
    """How one capability stands. ``check`` is what the last call that was made to check it found."""
    known = facts.capabilities.get(capability)
    if known is not None and not known.enabled:
        return Standing(capability, "off", _("switched off"))
    if not gates.configured(facts, capability):
        return Standing(capability, "missing", _("supported, not configured"))
    closed = next((verdict for verdict in gates.verdicts(facts, capability, supported) if not verdict.open), None)
    if closed is not None and closed.error is not None:
        return Standing(capability, "blocked", closed.error.message)
    if check is CheckState.HEALTHY:
        return Standing(capability, "verified", _("on, and a call was made with success"))
    return Standing(capability, "on", _("on"))


class Columns:
    """The columns of the list, for the model's admin."""

    @admin.display(description=gettext_lazy("Provider"), ordering="name")
    def provider(self, row: ProviderInstance) -> SafeString:
        family = registry.families().get(row.family)
        mark = format_html(' <span class="ai-chip">{}</span>', _("default")) if row.is_default else ""
        source = _("app-config") if row.managed else _("admin")
        return format_html(
            '{}{}<br><span class="ai-quiet ai-plain-text">{} · {}</span>',
            row.name, mark, family.label if family else row.family, source,
        )  # fmt: skip

    @admin.display(description=gettext_lazy("State"))
    def state_now(self, row: ProviderInstance) -> SafeString:
        from ai_models import admission  # not with every management command, which loads the admin

        facts = known_facts(row)
        return format_html(
            '<span title="{}">{}</span>', facts.problem or admission.load(facts).reason, STATES[facts.state].chip()
        )

    @admin.display(description=gettext_lazy("Capabilities"))
    def capabilities(self, row: ProviderInstance) -> SafeString:
        checked = {item.capability: item.check_state for item in row.capabilities.all()}
        found = list(standings(known_facts(row), checked))
        chips = [(item.chip(),) for item in found if item.name != "missing"]
        if missing := [str(CAPABILITIES[item.capability]) for item in found if item.name == "missing"]:
            said = ngettext("%(count)d more supported", "%(count)d more supported", len(missing)) % {"count": len(missing)}
            chips.append((format_html('<span class="ai-chip ai-open" title="{}">{}</span>', ", ".join(missing), said),))
        return format_html('<ul class="ai-chips">{}</ul>', format_html_join("", "<li>{}</li>", chips))

    @admin.display(description=gettext_lazy("Last check"), ordering="checked_at")
    def last_check(self, row: ProviderInstance) -> SafeString:
        check = CHECKS[check_state(row.state)]
        return format_html(
            '<span title="{}">{}</span> <span class="ai-quiet">{}</span>', row.state_message, check.chip(), age_and_latency(row)
        )


class _Computed(admin.SimpleListFilter):
    """A filter by what is in no column of the database. It asks the snapshot, not the rows."""

    choices_of: Mapping[Any, Promise]
    holds: Callable[[InstanceFacts, str], bool]

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(name, str(label)) for name, label in self.choices_of.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ProviderInstance]) -> QuerySet[ProviderInstance]:
        wanted = self.value()
        if wanted is None or wanted not in self.choices_of:
            return queryset
        known = store.current().instances.values()
        return queryset.filter(pk__in=[facts.id for facts in known if type(self).holds(facts, wanted)])


class StateFilter(_Computed):
    """By the one state that the list shows."""

    title = gettext_lazy("state")
    parameter_name = "state"
    choices_of = {state: STATES[state].label for state in InstanceState}
    holds = staticmethod(lambda facts, wanted: facts.state == wanted)


class CapabilityFilter(_Computed):
    """By a capability that calls get through to."""

    title = gettext_lazy("capability")
    parameter_name = "capability"
    choices_of = CAPABILITIES
    holds = staticmethod(lambda facts, wanted: wanted in gates.available(facts, supported_by(facts)))


class SourceFilter(admin.SimpleListFilter):
    """By who declares an instance."""

    title = gettext_lazy("source")
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("app-config", _("app-config")), ("admin", _("admin"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ProviderInstance]) -> QuerySet[ProviderInstance]:
        wanted = {"app-config": True, "admin": False}.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(managed=wanted)
