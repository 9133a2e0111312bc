"""Form fields for what Django has none: a setting that a family declares, a credential that is never shown, model aliases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from ai_models.admin.words import ago
from ai_models.config.values import Wrong, model_name, read_value
from ai_models.credentials import StoredCredential, as_text

if TYPE_CHECKING:
    from ai_models.families.fields import ConfigField


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """What is to happen with a credential. ``value`` is its plaintext, and no part of texts about it."""

    action: Literal["keep", "replace", "clear"] = "keep"
    value: str = ""

    def __repr__(self) -> str:
        return f"CredentialChange({self.action!r})"


class CredentialWidget(forms.Widget):
    """Says what is stored, and takes what replaces it. What was typed is never sent back."""

    template_name = "ai_models/admin/credential.html"
    use_fieldset = True

    def __init__(self, stored: StoredCredential | None, names: tuple[str, ...], is_mapping: bool) -> None:
        super().__init__()
        self.stored, self.names, self.is_mapping = stored, names, is_mapping

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        chosen = value.action if isinstance(value, CredentialChange) else "keep"
        actions = {"keep": _("Keep"), "replace": _("Replace"), "clear": pgettext("a credential", "Clear")}
        context["widget"] |= {
            "stored": self.stored,
            "age": ago(self.stored.set_at) if self.stored else "",
            "names": self.names,
            "is_mapping": self.is_mapping,
            "actions": [(action, label, action == chosen) for action, label in actions.items()],
        }
        return context

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> CredentialChange:
        value, action = data.get(f"{name}-value", ""), data.get(f"{name}-action")
        if self.stored is None:
            action = "replace" if value else "keep"
        return CredentialChange(action if action in ("replace", "clear") else "keep", value)

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return f"{name}-value" not in data and f"{name}-action" not in data


class CredentialField(forms.Field):
    """One secret setting. Its value is a :class:`CredentialChange` with the text as it is encrypted."""

    def __init__(self, declared: ConfigField, stored: StoredCredential | None, names: tuple[str, ...]) -> None:
        is_mapping = declared.kind == "mapping"
        widget = CredentialWidget(stored, names, is_mapping)
        super().__init__(label=declared.name, help_text=declared.help, required=False, widget=widget)
        self.declared, self.is_mapping = declared, is_mapping

    def clean(self, value: CredentialChange) -> CredentialChange:
        if value.action == "replace":
            given: Any = mapping_of(value.value) if self.is_mapping else value.value.strip()
            if not given:
                raise ValidationError(_("Enter the new value, or choose Keep."))
            new = read(self.declared, given)
            return CredentialChange("replace", as_text(new) if self.is_mapping else new)
        if value.value:
            raise ValidationError(_("A value was entered, and Replace was not chosen. Nothing was stored: enter it again."))
        return value

    def has_changed(self, initial: Any, data: CredentialChange | None) -> bool:
        return data is not None and data.action != "keep"


class OptionField(forms.CharField):
    """One setting that is no secret. Its value is what is stored; ``None`` when it is left to its default."""

    def __init__(self, declared: ConfigField) -> None:
        widget, attrs = _option_widget(declared)
        super().__init__(
            label=declared.name, help_text=declared.help, required=declared.required, widget=widget, empty_value=""
        )
        self.widget.attrs.update(attrs)
        self.declared = declared

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return read(self.declared, text) if text else None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return as_entered(initial) != (data or "")


def as_entered(value: Any) -> str:
    """A stored value as it is typed."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _option_widget(declared: ConfigField) -> tuple[type[forms.Widget] | forms.Widget, dict[str, str]]:
    default = as_entered(declared.default)
    if declared.kind == "boolean" or declared.choices:
        values = declared.choices or ("true", "false")
        empty = _("default (%(value)s)") % {"value": default} if default else "---------"
        return forms.Select(choices=[("", empty), *((value, value) for value in values)]), {}
    kinds = {"integer": forms.NumberInput, "url": forms.URLInput}
    return kinds.get(declared.kind, forms.TextInput), {"class": "vTextField", **({"placeholder": default} if default else {})}


def read(declared: ConfigField, value: Any) -> Any:
    """A setting's value out of what was typed.

    Raises:
        ValidationError: what is wrong with it, and what to do.
    """
    try:
        return read_value(declared, value)
    except Wrong as wrong:
        raise ValidationError(f"{wrong.message} {wrong.remedy}") from None


def mapping_of(text: str) -> dict[str, str]:
    """``Name: value`` lines as a mapping.

    Raises:
        ValidationError: a line has no colon or no name, or a name stands twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ValidationError(_("Line %(number)d is not of the form Name: value.") % {"number": number})
        if name.strip() in found:
            raise ValidationError(_("Line %(number)d repeats a name.") % {"number": number})
        found[name.strip()] = value.strip()
    return found


class AliasesField(forms.CharField):
    """An operator's names for models, one ``alias = model`` a line."""

    widget = forms.Textarea(attrs={"rows": 2, "cols": 30, "spellcheck": "false"})
    default_error_messages = {
        "form": gettext_lazy("Line %(number)d is not of the form alias = model."),
        "twice": gettext_lazy("Line %(number)d repeats an alias."),
    }

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return "\n".join(f"{alias} = {model}" for alias, model in value.items())
        return value if isinstance(value, str) else ""

    def clean(self, value: Any) -> dict[str, str]:
        self.run_validators(value)  # PostgreSQL takes no null characters
        found: dict[str, str] = {}
        for number, line in enumerate((value or "").splitlines(), start=1):
            if not line.strip():
                continue
            alias, equals, model = (part.strip() for part in line.partition("="))
            if not equals or not alias or not model:
                raise ValidationError(self.error_messages["form"], params={"number": number})
            if alias in found:
                raise ValidationError(self.error_messages["twice"], params={"number": number})
            try:
                found[model_name(alias)] = model_name(model)
            except Wrong as wrong:
                raise ValidationError(f"{wrong.message} {wrong.remedy}") from None
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(({} if initial is None else initial) != self.clean(data))
        except ValidationError:
            return True
