"""Drift: what differs between the configuration files and the database, and its application as it was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.contrib.admin import AdminSite
from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ai_models import config, validation
from ai_models.admin.links import change_url
from ai_models.admin.pages import may
from ai_models.admin.recent import record
from ai_models.admin.words import Word, chip
from ai_models.exceptions import ConfigurationError
from ai_models.keyring import usable_key_ring
from ai_models.seeding import Change, Plan, make_plan, seed

APPLY_PERMISSIONS = ("add_providerinstance", "change_providerinstance", "delete_providerinstance", "change_providercapability")

NEEDED: Promise = gettext_lazy(
    "Applying it needs the permissions to add, change and delete provider instances and to change provider capabilities."
)

MANY = 10
"""With more changes than these, their lines are folded up at first."""

_ACTIONS: Mapping[str, tuple[Word, int]] = {
    "create": (Word(gettext_lazy("create"), "good"), ADDITION),
    "update": (Word(gettext_lazy("update"), "warn"), CHANGE),
    "delete": (Word(gettext_lazy("delete"), "bad"), DELETION),
}


@dataclass(frozen=True, slots=True)
class ShownChange:
    """What happens to one instance.

    Attributes:
        url: the instance's page; empty when it is yet to be created.
    """

    action: SafeString
    name: str
    url: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Drift:
    """What the card shows.

    Attributes:
        pruning: whether the plan deletes what is gone from the files.
    """

    plan: Plan
    changes: Sequence[ShownChange]
    pruning: bool
    may_apply: bool

    needed = NEEDED

    @property
    def digest(self) -> str:
        """What tells the plan from another one."""
        return self.plan.digest()

    @property
    def deletions(self) -> int:
        """How many instances the plan deletes."""
        return sum(change.action == "delete" for change in self.plan.changes)

    @property
    def folded(self) -> bool:
        """Whether the lines are folded up at first."""
        return len(self.changes) > MANY

    def chip(self) -> SafeString:
        """Whether the database is as the files have it."""
        if self.plan.conflicts:
            return chip(_("conflict"), "bad")
        number = len(self.changes)
        if number:
            return chip(ngettext("%(number)d change", "%(number)d changes", number) % {"number": number}, "warn")
        return chip(_("with warnings"), "warn") if self.plan.warnings else chip(_("none"), "good")


def may_apply(request: HttpRequest) -> bool:
    """Whether the user may apply a plan, which can do anything that its permissions allow."""
    return may(request, *APPLY_PERMISSIONS)


def drift(
    request: HttpRequest,
    site: AdminSite,
    findings: Sequence[validation.Finding],
    declared: config.Declared,
    *,
    pruning: bool,
) -> Drift:
    """Compare the files with the database, as ``ai_seed --dry-run`` does.

    Args:
        findings: what validation found of files and storage; with an error among it, nothing is compared.

    Raises:
        ConfigurationError: nothing can be planned.
        InvalidKey: there is no key to encrypt the credentials of the files with.
        django.db.Error: the database cannot be read.
    """
    if any(finding.level == "error" for finding in findings):
        raise ConfigurationError([_("Nothing can be compared as long as startup validation finds errors.")])
    validation.require_declaration(declared)
    plan = make_plan(declared, usable_key_ring(), prune=pruning)
    return Drift(plan, [_shown(site, change) for change in plan.changes], pruning, may_apply(request))


def _shown(site: AdminSite, change: Change) -> ShownChange:
    url = "" if change.action == "create" else change_url(site, change.row.pk)
    return ShownChange(_ACTIONS[change.action][0].chip(), change.row.name, url, change.lines)


def apply(request: HttpRequest, *, agreed: str, pruning: bool) -> Plan:
    """Apply the plan that was shown, under the conditions of ``ai_seed``, and log each change.

    Args:
        agreed: the shown plan's digest.

    Raises:
        ConfigurationError: the files, the settings or the database are not in order; nothing was changed.
        PlanChanged: the plan is another one by now; nothing was changed.
        django.db.Error: the database cannot be written; nothing was changed.
    """
    validation.require_valid(storage=True)
    declared = config.current()
    validation.require_declaration(declared)

    def log(change: Change) -> None:
        record(request, change.row, _ACTIONS[change.action][1], f"From the configuration files: {'; '.join(change.lines)}.")

    return seed(declared, prune=pruning, agreed=agreed, record=log)


def applied(plan: Plan) -> str:
    """What is told afterwards."""
    number = len(plan.changes)
    text = ngettext(
        "%(number)d provider was brought in line with the configuration files.",
        "%(number)d providers were brought in line with the configuration files.",
        number,
    )
    return text % {"number": number}
