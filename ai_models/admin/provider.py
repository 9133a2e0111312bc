"""The page of one provider: which fields it has for whom, what is said above them, and what is kept of each change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, override

from ai_models import config, gates, registry
from ai_models.admin.capabilities import unconfigured
from ai_models.admin.fields import as_entered
from ai_models.admin.forms import CREDENTIAL, OPTION, VERSION, form_class, said_changes
from ai_models.admin.listing import check_state, facts_of
from ai_models.admin.pages import Tab
from ai_models.admin.words import CAPABILITIES, CHECKS, STATES, age_and_latency
from ai_models.capabilities import Capability
from ai_models.models import ProviderInstance

if TYPE_CHECKING:
    from ai_models.families.fields import ConfigField

    _Base = admin.ModelAdmin[ProviderInstance]
else:
    _Base = object

T = TypeVar("T")
Shown = Callable[[ProviderInstance], Any]


class Fields(_Base):
    """The fields of an instance's page, for the model's admin."""

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        row, editable = _row(request, obj), self._may_edit(request, obj)
        owned = editable and not row.managed  # by administrators, rather than by the file
        head = ["name", family_label, "enabled", *([VERSION] if editable and obj is not None else [])]
        options = [OPTION + field.name if owned else _shown(request, field) for field in _declared(row) if not field.secret]
        secrets = [CREDENTIAL + field.name for field in _declared(row) if field.secret] if editable else []
        return [
            (None, {"fields": head, "description": _where_from(row)}),
            *([(_("Connection"), {"fields": options})] if options else []),
            *(
                [(_("Credentials"), {"fields": secrets, "description": _("They are stored encrypted and never shown.")})]
                if secrets
                else []
            ),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        row, editable = _row(request, obj), self._may_edit(request, obj)
        shown = [_shown(request, field) for field in _declared(row) if not field.secret] if row.managed or not editable else []
        return [family_label, *(["name"] if row.managed else []), *shown]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        row, editable = _row(request, obj), self._may_edit(request, obj)
        kwargs["form"] = form_class(row, has_options=editable and not row.managed, has_credentials=editable)
        return super().get_form(request, obj, change=change, **kwargs)

    def save_model(self, request: HttpRequest, obj: ProviderInstance, form: Any, change: bool) -> None:
        form.apply()
        super().save_model(request, obj, form, change)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """What changed with its values; of a credential only that it did. In English, which Django translates where it can."""
        said: list[dict[str, Any]] = [{"added": {}}] if add else []
        with override(None):
            if not add and (changes := said_changes(form)):
                said.append({"changed": {"fields": changes}})
            for item in (item for formset in formsets for item in formset.forms if item.has_changed()):
                named = {"name": gettext_noop("capability"), "object": str(item.instance)}
                said.append({"changed": {**named, "fields": said_changes(item)}})
        return said

    def _may_edit(self, request: HttpRequest, obj: Any) -> bool:
        return self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)


@admin.display(description=gettext_lazy("Family"))
def family_label(row: ProviderInstance) -> str:
    """The family's name for people."""
    family = registry.families().get(row.family)
    return f"{family.label} ({family.type})" if family is not None else _("%(family)s, not installed") % {"family": row.family}


def panel(row: ProviderInstance, request: HttpRequest) -> dict[str, Any]:
    """What the page says above its fields: the state, why, and what the last check found."""
    from ai_models import admission  # not with every management command, which loads the admin

    facts = facts_of(row)
    found = gates.verdicts(facts, Capability.TEXT_GENERATION, frozenset(Capability))
    reason = next((item.error.message for item in found if item.error and item.gate in ("instance-enabled", "credential")), "")
    return {
        "row": row,
        "state": STATES[facts.state],
        "reason": reason or admission.load(facts).reason,
        "check": CHECKS[check_state(row.state)],
        "checked": age_and_latency(row),
        "unconfigured": [(name, CAPABILITIES[name]) for name in unconfigured(row)] if row.managed else [],
        "file_problems": bool(row.managed and _declaration(request).problems),
    }


def choose_family(request: HttpRequest, site: AdminSite, tabs: list[Tab]) -> HttpResponse:
    """The first step of adding a provider: of which family it is."""
    families = [
        {
            "type": family.type,
            "label": family.label,
            "help": (family.__doc__ or "").strip().partition("\n")[0],
            "capabilities": [CAPABILITIES[name] for name in Capability if name in family.capabilities],
        }
        for family in registry.families().values()
    ]
    context = {**site.each_context(request), "title": _("Add provider"), "tabs": tabs, "families": families}
    return TemplateResponse(request, "ai_models/admin/families.html", context)


def _row(request: HttpRequest, obj: Any) -> ProviderInstance:
    """The instance, or what is going to be one."""
    return obj if obj is not None else ProviderInstance(family=request.GET.get("family", ""))


def _declared(row: ProviderInstance) -> tuple[ConfigField, ...]:
    family = registry.families().get(row.family)
    return family.fields if family is not None else ()


def kept(request: HttpRequest, name: str, make: Callable[[], T]) -> T:
    """What is made once for a request."""
    found: dict[str, Any] = request.__dict__.setdefault("_ai_models", {})
    if name not in found:
        found[name] = make()
    return cast(T, found[name])


def _declaration(request: HttpRequest) -> config.Declared:
    """The files' declaration."""
    return kept(request, "declaration", config.current)


def _where_from(row: ProviderInstance) -> str:
    if not row.managed:
        return ""
    if row.orphaned:
        return _("It was declared in the configuration file and is gone from there. It can be deleted.")
    said = _("Declared in the configuration file, at {}. What is only shown here is changed there; the rest is yours.")
    return format_html(said, format_html("<code>ai.providers.{}</code>", row.name))


def _shown(request: HttpRequest, declared: ConfigField) -> Shown:
    """The column of a setting that is only shown. The admin compares columns, so that there is one of each."""
    return kept(request, OPTION + declared.name, lambda: _column(request, declared))


def _column(request: HttpRequest, declared: ConfigField) -> Shown:
    """A setting's value, with the file's beside it when that is another one."""

    @admin.display(description=declared.name)
    def shown(row: ProviderInstance) -> Any:
        options: Mapping[str, Any] = row.options if isinstance(row.options, dict) else {}
        value = as_entered(options.get(declared.name))
        text = value or (_("%(value)s (default)") % {"value": as_entered(declared.default)} if declared.default else "-")
        in_file = _declaration(request).providers.get(row.name) if row.managed and not row.orphaned else None
        if in_file is None or _declaration(request).problems or as_entered(in_file.options.get(declared.name)) == value:
            return text
        return format_html(
            '{} <span class="ai-chip ai-warn">{}</span> {}',
            text, _("the file has"), as_entered(in_file.options.get(declared.name)) or "-",
        )  # fmt: skip

    shown.__name__ = OPTION + declared.name
    return shown
