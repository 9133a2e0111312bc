"""The form of one provider instance: its fields are those that its family declares.

Credentials go in and never out. A credential goes only where it was entered for: whoever changes an address enters it again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from ai_models import config, credentials, registry
from ai_models.admin.fields import CredentialChange, CredentialField, OptionField, as_entered
from ai_models.admin.listing import facts_of
from ai_models.facts import borrowed_credential_problem, destination_policy, field_problem, mapping_names
from ai_models.keyring import usable_key_ring
from ai_models.models import ProviderInstance
from ai_models.seeding import declared_credentials
from ai_models.snapshot import fingerprint

if TYPE_CHECKING:
    from ai_models.families.base import Family

logger = logging.getLogger(__name__)

OPTION = "option_"
CREDENTIAL = "credential_"
VERSION = "version"


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]
    """Base of every instance's form. :func:`form_class` adds the fields of a family."""

    family_class: ClassVar[type[Family] | None] = None

    version = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stored = credentials.stored(self.instance, usable_key_ring()) if not self.instance._state.adding else {}
        if self.instance._state.adding and self.family_class is not None:
            self.instance.family = self.family_class.type
        if VERSION in self.fields:
            self.initial[VERSION] = version_of(self.instance)
        options = self.instance.options if isinstance(self.instance.options, dict) else {}
        for name in self._named(OPTION):
            self.initial[name] = as_entered(options.get(name.removeprefix(OPTION)))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if VERSION in self.fields and not self.instance._state.adding and cleaned.get(VERSION) != version_of(self.instance):
            self.add_error(
                None, _("Somebody changed this provider since you opened the page. Nothing was saved: open it again.")
            )
        if cleaned.get("enabled") and self.instance.orphaned and not self.instance.enabled:
            self.add_error("enabled", _("It is not in the configuration file any more, and stays disabled."))
        if not self.errors and self.credential_changes() and not usable_key_ring().ids:
            self.add_error(
                None, _("There is no encryption key to store a credential with. Make one with: manage.py ai_keys generate")
            )
        if self._named(OPTION) and not self.errors:
            self._check_options()
        return cleaned

    def options(self) -> dict[str, Any]:
        """The connection settings as they are to be stored; those of the file stay as they are."""
        names = self._named(OPTION)
        if not names:
            return self.instance.options if isinstance(self.instance.options, dict) else {}
        given = {name.removeprefix(OPTION): self.cleaned_data.get(name) for name in names}
        return {name: value for name, value in given.items() if value is not None}

    def credential_changes(self) -> dict[str, str | None]:
        """Plaintext by setting for what is replaced, ``None`` for what is cleared."""
        given: dict[str, CredentialChange] = {
            name.removeprefix(CREDENTIAL): self.cleaned_data[name] for name in self._named(CREDENTIAL)
        }
        return {
            name: change.value if change.action == "replace" else None
            for name, change in given.items()
            if change.action != "keep"
        }

    def apply(self) -> None:
        """Put settings and credentials into the instance, which is not saved yet."""
        row, changes = self.instance, {**dict.fromkeys(self._undeclared()), **self.credential_changes()}
        before = (row.options, row.credentials)
        row.options = self.options()
        if changes:
            credentials.write(row, changes, usable_key_ring(), _declared_credentials(row))
        if (row.options, row.credentials) != before:
            row.forget_check()

    def _undeclared(self) -> set[str]:
        """Stored credentials that the family does not ask for (any more): no field leads to them, so a save takes them away."""
        if self.family_class is None or not self._named(CREDENTIAL) or not usable_key_ring().ids:
            return set()
        return self.stored.keys() - {declared.name for declared in self.family_class.fields if declared.secret}

    def _named(self, prefix: str) -> list[str]:
        return [name for name in self.fields if name.startswith(prefix)]

    def _check_options(self) -> None:
        """What the fields by themselves cannot tell: addresses that may not be reached, and what the family says."""
        family, options = self.family_class, self.options()
        if family is None:
            return
        policy = destination_policy(self.instance.managed)
        for declared in family.fields:
            problem = None if declared.secret else field_problem(declared, options.get(declared.name, declared.default), policy)
            if problem is not None:
                self.add_error(OPTION + declared.name, f"{declared.name} {problem}.")
        self._require_credentials_again(family, options)
        if not self.errors:
            kept = (self.stored.keys() | self.credential_changes().keys()) - {
                name for name, value in self.credential_changes().items() if value is None
            }
            borrowed = borrowed_credential_problem(family, options, kept, managed=self.instance.managed)
            if borrowed is not None:
                self.add_error(None, borrowed)
            self._ask_family(family, options, sorted(kept))

    def _ask_family(self, family: type[Family], options: Mapping[str, Any], secrets: list[str]) -> None:
        try:
            problems = family.check(options, secrets)
        except Exception as error:  # a family from outside must not fail the page
            logger.warning("Family %s failed to check settings: %s", family.type, type(error).__name__)
            self.add_error(None, _("The family failed to check these settings."))
            return
        for found in problems:
            if found.level == "error":
                self._report(found.field, f"{found.message} {found.remedy}")

    def _require_credentials_again(self, family: type[Family], options: Mapping[str, Any]) -> None:
        before = self.instance.options if isinstance(self.instance.options, dict) else {}
        addresses = [declared for declared in family.fields if declared.kind == "url" and not declared.secret]
        moved = [
            field.name for field in addresses if before.get(field.name, field.default) != options.get(field.name, field.default)
        ]
        if not moved or self.instance._state.adding:
            return
        for name in sorted(self.stored.keys() - self.credential_changes().keys() - self._undeclared()):
            message = _(
                "%(address)s changed, and a credential goes only where it was entered for. Enter it again, or clear it."
            )
            self._report(name, message % {"address": ", ".join(moved)})

    def _report(self, setting: str, message: str) -> None:
        name = setting.partition(".")[0]
        field = next((prefix + name for prefix in (OPTION, CREDENTIAL) if prefix + name in self.fields), None)
        self.add_error(field, ValidationError(message))


def form_class(row: ProviderInstance, *, has_options: bool, has_credentials: bool) -> type[ProviderForm]:
    """The form class for an instance of its family.

    Args:
        has_options: whether the settings are the administrator's; those of the file are only shown.
        has_credentials: whether credentials can be entered.
    """
    family = registry.families().get(row.family)
    fields: dict[str, Any] = {"family_class": family}
    if family is not None and not row._state.adding:
        names, stored = mapping_names(facts_of(row)), credentials.stored(row, usable_key_ring())
    else:
        names, stored = {}, {}
    for declared in family.fields if family else ():
        if declared.secret and has_credentials:
            fields[CREDENTIAL + declared.name] = CredentialField(
                declared, stored.get(declared.name), names.get(declared.name, ())
            )
        elif not declared.secret and has_options:
            fields[OPTION + declared.name] = OptionField(declared)
    return type("ProviderForm", (ProviderForm,), fields)


def said_changes(form: forms.ModelForm) -> list[str]:  # type: ignore[type-arg]
    """What a form changed, for the history, which is in English: of a credential only that it did."""
    actions = {"replace": "replaced", "clear": "cleared"}
    said = []
    for name in form.changed_data:
        if name.startswith(CREDENTIAL):
            said.append(f"{name.removeprefix(CREDENTIAL)} {actions[form.cleaned_data[name].action]}")
        elif not form.fields[name].widget.is_hidden:
            said.append(_change(form.fields[name].label or name, form.initial.get(name), form.cleaned_data.get(name)))
    return said


def version_of(row: ProviderInstance) -> str:
    """What a page was made from. A form that comes back with another one is out of date."""
    if row._state.adding:
        return ""
    switches = [(item.capability, item.default_model, item.aliases, item.enabled) for item in row.capabilities.all()]
    names = ("name", "family", "enabled", "managed", "orphaned", "options", "credentials")
    return fingerprint(capabilities=sorted(switches, key=str), **{name: getattr(row, name) for name in names})


def _declared_credentials(row: ProviderInstance) -> dict[str, str]:
    declaration = config.current().providers.get(row.name) if row.managed else None
    return declared_credentials(declaration) if declaration is not None else {}


def _change(label: Any, before: Any, after: Any) -> str:
    return f"{label}: {_shown(before)} → {_shown(after)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {model}" for name, model in value.items()) or "-"
    return str(value) if value not in (None, "") else "-"
