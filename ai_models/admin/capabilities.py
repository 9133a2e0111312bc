"""The table of capabilities on a provider's page: what each is set to, its switch, whether calls get through and why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Case, QuerySet, When
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ai_models import registry
from ai_models.access import supported_by
from ai_models.admin.fields import AliasesField
from ai_models.admin.listing import check_state, facts_of, standing
from ai_models.admin.words import CAPABILITIES, CHECKS, age_and_latency
from ai_models.capabilities import Capability
from ai_models.models import ProviderCapability, ProviderInstance


class CapabilityForm(forms.ModelForm):  # type: ignore[type-arg]
    """One capability. A row for one that is not configured yet is stored only when something is entered."""

    aliases = AliasesField(required=False, label=gettext_lazy("Aliases: name = model, one a line"))

    class Meta:
        model = ProviderCapability
        fields = ("capability", "default_model", "aliases", "enabled")
        widgets = {"capability": forms.HiddenInput}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "capability" in self.fields and not self.instance._state.adding:
            self.fields["capability"].disabled = True

    def save(self, commit: bool = True) -> Any:
        if {"default_model", "aliases"} & set(self.changed_data):
            self.instance.forget_check()
        return super().save(commit)


class CapabilityFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """The rows there are, and one for each other capability that the family has."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        missing = missing_capabilities(kwargs.get("instance"))
        kwargs["initial"] = [{"capability": capability.value} for capability in missing]
        super().__init__(*args, **kwargs)

    def _construct_form(self, i: int, **kwargs: Any) -> Any:
        form = super()._construct_form(i, **kwargs)  # type: ignore[misc]
        form.instance.instance = self.instance  # the one row, with what was read along with it
        if form.instance._state.adding and "capability" in form.initial:
            form.instance.capability = form.initial["capability"]  # the columns that are only shown read it there
        return form

    def clean(self) -> None:
        """Take no capability that the family lacks, whatever was sent."""
        supported = supported_capabilities(self.instance)
        for form in self.extra_forms:
            if form.has_changed() and form.cleaned_data.get("capability") not in supported:
                raise forms.ValidationError(_("The family of this provider does not have one of the capabilities."))


class CapabilityInline(admin.TabularInline):  # type: ignore[type-arg]
    """The table. What the file owns is only shown."""

    model = ProviderCapability
    form = CapabilityForm
    formset = CapabilityFormSet
    template = "ai_models/admin/capabilities.html"
    verbose_name_plural = gettext_lazy("capabilities")
    ordering = (Case(*(When(capability=name, then=place) for place, name in enumerate(Capability)), default=len(Capability)),)

    def get_fields(self, request: HttpRequest, obj: ProviderInstance | None = None) -> tuple[str, ...]:
        models = ("shown_default", "shown_aliases") if obj is not None and obj.managed else ("default_model", "aliases")
        hidden = () if obj is not None and obj.managed else ("capability",)
        return ("title", *models, "enabled", "calls", "last_check", *hidden)

    def get_readonly_fields(self, request: HttpRequest, obj: ProviderInstance | None = None) -> tuple[str, ...]:
        return ("title", "shown_default", "shown_aliases", "calls", "last_check")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderCapability]:
        return super().get_queryset(request).filter(capability__in=list(Capability))

    def get_extra(self, request: HttpRequest, obj: ProviderInstance | None = None, **kwargs: Any) -> int:
        row = obj if obj is not None else ProviderInstance(family=request.GET.get("family", ""))
        return len(missing_capabilities(row)) if self.has_add_permission(request, obj) else 0

    def get_max_num(self, request: HttpRequest, obj: ProviderInstance | None = None, **kwargs: Any) -> int:
        return len(Capability) if self.has_add_permission(request, obj) else 0

    def has_add_permission(self, request: HttpRequest, obj: ProviderInstance | None = None) -> bool:
        return (obj is None or not obj.managed) and super().has_add_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ProviderInstance | None = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("Capability"))
    def title(self, row: ProviderCapability) -> str:
        known = row.capability in frozenset(Capability)
        return str(CAPABILITIES[Capability(row.capability)]) if known else row.capability

    @admin.display(description=gettext_lazy("Default model"))
    def shown_default(self, row: ProviderCapability) -> str:
        return row.default_model or "-"

    @admin.display(description=gettext_lazy("Aliases"))
    def shown_aliases(self, row: ProviderCapability) -> SafeString | str:
        aliases = row.aliases if isinstance(row.aliases, dict) else {}
        return format_html_join("", "<div>{} → {}</div>", aliases.items()) or "-"

    @admin.display(description=gettext_lazy("Calls"))
    def calls(self, row: ProviderCapability) -> SafeString | str:
        if row._state.adding or row.capability not in frozenset(Capability):
            return format_html('<span class="ai-chip ai-open">{}</span>', _("not configured"))
        facts = facts_of(row.instance)
        found = standing(facts, Capability(row.capability), supported_by(facts), check_state(row.check_state))
        reason = "" if found.name in ("on", "verified") else found.reason
        return format_html('{} <div class="ai-quiet ai-wrap">{}</div>', found.mark(), reason)

    @admin.display(description=gettext_lazy("Last check"))
    def last_check(self, row: ProviderCapability) -> SafeString | str:
        if row.checked_at is None:
            return "-"
        return format_html(
            '{} <span class="ai-quiet">{}</span><div class="ai-quiet ai-wrap">{}</div>',
            CHECKS[check_state(row.check_state)].chip(), age_and_latency(row), row.check_message,
        )  # fmt: skip


def supported_capabilities(row: ProviderInstance | None) -> frozenset[Capability]:
    """What the instance's family has; nothing when it is not installed."""
    family = registry.families().get(row.family) if row is not None else None
    return family.capabilities if family is not None else frozenset()


def missing_capabilities(row: ProviderInstance | None) -> list[Capability]:
    """The capabilities that the family has and the instance has no row for; none where the file decides."""
    return [] if row is None or row.managed else list(unconfigured(row))


def unconfigured(row: ProviderInstance) -> Iterator[Capability]:
    """The capabilities that the instance's family has and the instance has no row for."""
    present = set() if row._state.adding else {item.capability for item in row.capabilities.all()}
    return (capability for capability in Capability if capability in supported_capabilities(row) and capability not in present)
