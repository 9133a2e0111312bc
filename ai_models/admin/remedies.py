"""The gates as people are shown them: what each asks, why it is open or closed, and where to change that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ai_models import registry
from ai_models.access import supported_by
from ai_models.admin import access, grid, holders
from ai_models.admin.holders import Row
from ai_models.admin.links import change_url
from ai_models.admin.words import CREDENTIALS
from ai_models.capabilities import Capability
from ai_models.catalog import GateReport, Resolution
from ai_models.snapshot import CredentialState, InstanceFacts

GATES: Mapping[str, Promise] = {
    "permission": gettext_lazy("May the user use the capability?"),
    "instance-enabled": gettext_lazy("Is the provider switched on?"),
    "family-supports": gettext_lazy("Has the family the capability?"),
    "capability-configured": gettext_lazy("Is the capability configured on the provider?"),
    "capability-enabled": gettext_lazy("Is the capability switched on?"),
    "credential": gettext_lazy("Can the credential be used?"),
    "model": gettext_lazy("Is there a model?"),
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to change. ``path`` is a key of ``app-config.yaml``; ``url`` leads to the page of the admin where the switch is."""

    text: str
    path: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One gate of the ladder."""

    title: str
    open: bool
    reason: str
    remedy: Remedy | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and its answer.

    Attributes:
        user: whose permission was judged; ``None`` for code in the server's process.
        facts: the instance of the answer.
    """

    request: HttpRequest
    site: AdminSite
    user: Any
    facts: InstanceFacts
    capability: Capability
    answer: Resolution

    def provider_page(self) -> str:
        """The instance's page."""
        return change_url(self.site, self.facts.id)


def steps(asked: Asked) -> list[Step]:
    """Every gate, in the order in which a call meets them."""
    return [_step(asked, gate) for gate in asked.answer.gates]


def _step(asked: Asked, gate: GateReport) -> Step:
    title = str(GATES.get(gate.gate, gate.gate))
    if gate.open:
        reason = _OPEN.get(gate.gate)
        return Step(title, True, reason(asked) if reason else "", None)
    remedy = _REMEDIES.get(gate.gate)
    # The gate's own words about the permission are made for the caller.
    message = way(asked) if gate.gate == "permission" else gate.message or ""
    return Step(title, False, message, remedy(asked, gate) if remedy else None)


def way(asked: Asked) -> str:
    """How the user comes by the permission to use the capability, in one sentence; says so when they have not got it."""
    user, permission = asked.user, asked.capability.permission
    if user is None:
        return _("Code in the server's process that names no user needs no permission.")
    name = {"user": user.get_username(), "permission": permission}
    if not user.is_active:
        return _("%(user)s is not active, and so has no permission at all.") % name
    if user.is_superuser:
        return _("%(user)s is a superuser, who has every permission.") % name
    if not user.has_perm(permission):
        return _("%(user)s has not got %(permission)s, neither directly nor through a group.") % name
    if ways := _ways(asked):
        return _("%(user)s has it %(ways)s.") % {**name, "ways": ", ".join(ways)}
    return _("%(user)s has it from an authentication backend of this site.") % name


def _ways(asked: Asked) -> list[str]:
    cell = next(cell for cell in _holder(asked).cells if cell.capability is asked.capability)
    return [*([_("directly")] if cell.given else []), *([cell.reason] if cell.reason else [])]


def _holder(asked: Asked) -> Row:
    users = holders.with_permissions(get_user_model()._default_manager.filter(pk=asked.user.pk))
    return holders.row(users.get(), asked.request, asked.site)


def _supported(asked: Asked) -> str:
    family = registry.families().get(asked.facts.family)
    if family is None or asked.capability not in supported_by(asked.facts):
        return _("It cannot be told, because the provider is misconfigured.")
    return _("Family %(family)s has it.") % {"family": family.label}


def _configured(asked: Asked) -> str:
    known = asked.facts.capabilities[asked.capability]
    found = [_("Default model %(model)s.") % {"model": known.default_model}] if known.default_model else []
    if known.aliases:
        found.append(_("Aliases: %(names)s.") % {"names": ", ".join(known.aliases)})
    return " ".join(found)


def _model(asked: Asked) -> str:
    model, alias = asked.answer.model, asked.answer.alias
    if alias is not None:
        return _("%(alias)s is an alias of %(model)s.") % {"alias": alias, "model": model}
    if asked.answer.rule in ("provider-only", "neither"):
        return _("%(model)s is the default model.") % {"model": model}
    return _("%(model)s, as named. Whether the provider knows it shows in a call.") % {"model": model}


_OPEN: Mapping[str, Callable[[Asked], str]] = {
    "permission": way,
    "instance-enabled": lambda asked: _("It is enabled."),
    "family-supports": _supported,
    "capability-configured": _configured,
    "capability-enabled": lambda asked: _("No administrator has switched it off."),
    "credential": lambda asked: _("Credential: %(state)s.") % {"state": CREDENTIALS[asked.facts.credential].label},
    "model": _model,
}


def _allow(asked: Asked, gate: GateReport) -> Remedy:
    if not asked.user.is_active:
        return Remedy(_("Make the user active"), url=_holder(asked).url)
    if not grid.may_view(asked.request):
        return Remedy(_("Ask somebody who may manage access."))
    search = urlencode({grid.USERS.name: asked.user.get_username()})
    return Remedy(_("Allow it on the Access page"), url=f"{access.PAGE.url(asked.site)}?{search}")


def _enable(asked: Asked, gate: GateReport) -> Remedy:
    if asked.facts.orphaned:
        return Remedy(_("Declare it in app-config.yaml again, or use another provider"), path=gate.config_path or "")
    return Remedy(_("Enable it on the provider's page"), url=asked.provider_page())


def _other_family(asked: Asked, gate: GateReport) -> Remedy:
    return Remedy(_("Use a provider of another family."))


def _configure(asked: Asked, gate: GateReport) -> Remedy:
    if asked.facts.managed:
        return Remedy(_("Set it in app-config.yaml, or an alias"), path=gate.config_path or "")
    return Remedy(_("Set a default model or an alias on the provider's page"), url=asked.provider_page())


def _switch_on(asked: Asked, gate: GateReport) -> Remedy:
    return Remedy(_("Switch it on, on the provider's page"), url=asked.provider_page())


def _credential(asked: Asked, gate: GateReport) -> Remedy:
    managed = asked.facts.managed
    if asked.facts.problem is None and asked.facts.credential is CredentialState.UNDECRYPTABLE:
        text = _("Bring back the encryption key that it was stored with, or give the credential again")
    else:
        text = _("Set it right in app-config.yaml") if managed else _("Set it right on the provider's page")
    return Remedy(text, path=gate.config_path or "") if managed else Remedy(text, url=asked.provider_page())


def _name_a_model(asked: Asked, gate: GateReport) -> Remedy:
    if asked.facts.managed:
        return Remedy(_("Name a model, or set a default model in app-config.yaml"), path=gate.config_path or "")
    return Remedy(_("Name a model, or set a default model on the provider's page"), url=asked.provider_page())


_REMEDIES: Mapping[str, Callable[[Asked, GateReport], Remedy]] = {
    "permission": _allow,
    "instance-enabled": _enable,
    "family-supports": _other_family,
    "capability-configured": _configure,
    "capability-enabled": _switch_on,
    "credential": _credential,
    "model": _name_a_model,
}
