"""Explain: which provider and model a request would use, whether it may, and what to change when it may not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from ai_models import catalog, gates, registry, store
from ai_models.access import supported_by
from ai_models.admin import holders, remedies
from ai_models.admin.links import list_url
from ai_models.admin.pages import Page, may_view_providers
from ai_models.admin.words import CAPABILITIES, CREDENTIALS, STATES
from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError
from ai_models.snapshot import InstanceFacts, Snapshot
from ai_models.sync import synchronous

SUGGESTED_USERS = 200
"""Beyond so many, none are suggested."""

SUGGESTED_PROVIDERS = 8

RULES: Mapping[str, Promise] = {
    "provider-and-model": gettext_lazy("Provider and model are named: exactly that model, or the one that the alias means."),
    "provider-only": gettext_lazy("Only a provider is named: its default model for the capability."),
    "neither": gettext_lazy("Nothing is named: the default provider, and its default model for the capability."),
    "model-only": gettext_lazy("Only a model is named: it is looked up in the default provider. No other one is searched."),
}
"""What each rule of :mod:`ai_models.resolution` means."""

_explain = synchronous(catalog.aexplain)


class Question(forms.Form):
    """What is asked. It comes in the address, so that an answer can be linked to."""

    user = forms.CharField(
        label=gettext_lazy("User"),
        required=False,
        max_length=254,
        widget=forms.TextInput(attrs={"list": "ai-users", "autocomplete": "off"}),
        help_text=gettext_lazy("Empty: code in the server's process, which is trusted."),
    )
    capability = forms.ChoiceField(label=gettext_lazy("Capability"), choices=CAPABILITIES.items())
    provider = forms.CharField(
        label=gettext_lazy("Provider"),
        required=False,
        widget=forms.Select,
        help_text=gettext_lazy("As the request names it."),
    )
    model = forms.CharField(
        label=gettext_lazy("Model"),
        required=False,
        widget=forms.TextInput(attrs={"list": "ai-models", "autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("A model or an alias, as the request names it."),
    )

    def __init__(self, request: HttpRequest, snapshot: Snapshot) -> None:
        self.asker = request.user
        own = self.asker.get_username()
        provider = request.GET.get("provider", "")
        given = {"user": own, "capability": _first_capability(snapshot, provider), **request.GET.dict()}
        super().__init__(given)
        names = dict.fromkeys([*snapshot.instances, *([provider] if provider else [])])
        if snapshot.default:
            none = _("none (the default provider is %(name)s)") % {"name": snapshot.default}
        else:
            none = pgettext("a provider", "none")
        self.fields["provider"].widget.choices = [("", none), *((name, name) for name in names)]
        self.about_others = holders.may_see(request, get_user_model())
        if not self.about_others:
            self.fields["user"].widget.attrs |= {"readonly": True}
            self.fields["user"].help_text = _("You may ask about yourself. Others: with the permission to view users.")

    def clean_user(self) -> Any:
        """The user, ``None`` for code in the server's process."""
        name = self.cleaned_data["user"]
        if name == self.asker.get_username():
            return self.asker
        if not self.about_others:
            raise forms.ValidationError(_("You may ask about yourself only."))
        if not name:
            return None
        model = get_user_model()
        try:
            return model._default_manager.get_by_natural_key(name)
        except model.DoesNotExist:
            raise forms.ValidationError(_("There is no user of this name.")) from None

    def suggested_users(self) -> list[str]:
        """The users' names, when they are few enough and may be seen."""
        if not self.about_others:
            return []
        field = get_user_model().USERNAME_FIELD
        found = get_user_model()._default_manager.order_by(field).values_list(field, flat=True)[: SUGGESTED_USERS + 1]
        return list(found) if len(found) <= SUGGESTED_USERS else []


def view(request: HttpRequest, *, site: AdminSite) -> HttpResponse:
    """The form, and below it the answer."""
    with store.carried() as snapshot:
        form = Question(request, snapshot)
        context: dict[str, Any] = {"form": form, "models": _models(form, snapshot)}
        if form.is_valid():
            context |= _answered(request, site, snapshot, **form.cleaned_data)
    return TemplateResponse(request, "ai_models/admin/explain.html", context)


def _answered(
    request: HttpRequest, site: AdminSite, snapshot: Snapshot, user: Any, capability: str, **named: str
) -> dict[str, Any]:
    wanted = Capability(capability)
    others = _others(snapshot, wanted, "" if user is None else user.get_username())
    try:
        answer = _explain(user=user, capability=wanted, **{name: value for name, value in named.items() if value})
    except AIModelsError as error:
        return {"error": error, "providers": list_url(site), "others": others}
    facts = snapshot.instances[answer.provider]
    asked = remedies.Asked(request, site, user, facts, wanted, answer)
    family = registry.families().get(facts.family)
    closed = [gate for gate in answer.gates if not gate.open]
    return {
        "answer": answer,
        "code": closed[0].code if closed else None,
        "rule": RULES[answer.rule],
        "provider_page": asked.provider_page(),
        "state": STATES[facts.state].chip(),
        "family": family.label if family else facts.family,
        "credential": CREDENTIALS[facts.credential].chip(),
        "steps": remedies.steps(asked),
        "others": others if any(gate.gate != "permission" for gate in closed) else [],
    }


def _others(snapshot: Snapshot, capability: Capability, user: str) -> list[tuple[str, str]]:
    """Some providers that have the capability, each with the address of the same question about it."""
    found = (facts.name for facts in snapshot.instances.values() if capability in gates.available(facts, supported_by(facts)))
    return [
        (name, "?" + urlencode({"user": user, "capability": capability, "provider": name}))
        for name in islice(found, SUGGESTED_PROVIDERS)
    ]


def _models(form: Question, snapshot: Snapshot) -> list[str]:
    """The models and aliases that the chosen provider, or the default one, has for the chosen capability."""
    facts = _instance(snapshot, form["provider"].value())
    known = facts.capabilities.get(form["capability"].value()) if facts is not None else None
    if known is None:
        return []
    return list(dict.fromkeys(name for name in (known.default_model, *known.aliases, *known.aliases.values()) if name))


def _first_capability(snapshot: Snapshot, provider: str) -> Capability:
    """What is asked about when the address does not say: the first capability that works there."""
    facts = _instance(snapshot, provider)
    usable = gates.available(facts, supported_by(facts)) if facts is not None else iter(())
    return next(usable, Capability.TEXT_GENERATION)


def _instance(snapshot: Snapshot, provider: str) -> InstanceFacts | None:
    """The named instance, or the default one when none is named."""
    return snapshot.instances.get(provider or snapshot.default or "")


PAGE = Page("explain", gettext_lazy("Explain"), view, may_view_providers)
