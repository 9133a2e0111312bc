"""The provider instances that a configuration declares, checked against what their families say they take."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ai_models.capabilities import Capability
from ai_models.conf import conf
from ai_models.config.environment import ROOT, environment
from ai_models.config.loader import Loaded, load
from ai_models.config.problems import KeyPath, Problem, Refused, choice, shown
from ai_models.config.values import Wrong, model_name, read_value
from ai_models.exceptions import ConfigurationError

if TYPE_CHECKING:
    from ai_models.families.base import Family
    from ai_models.families.fields import ConfigField

INSTANCE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""What an instance may be called: it stands in addresses and in ``instance/model``."""

ROOT_KEYS = ("defaultProvider", "providers")
COMMON_KEYS = ("type", "defaultModels", "modelAliases")
"""What every provider takes beside its family's fields."""

_PROVIDERS: KeyPath = (ROOT, "providers")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDeclaration:
    """One instance as the operator declared it.

    Attributes:
        name: its key below ``ai.providers``.
        family: its ``type``.
        options: values of the fields that are no secrets, by field name; only those that are set, no defaults.
        secrets: values of the secret fields that are set.
        mappings: values of the secret ``mapping`` fields that are set, by field name.
        default_models: model by capability.
        model_aliases: model by alias, by capability.
    """

    name: str
    family: str
    options: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    mappings: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    default_models: dict[Capability, str] = field(default_factory=dict)
    model_aliases: dict[Capability, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the configuration declares. With ``problems``, the rest is what could be understood and is not to be used.

    Attributes:
        default_provider: name of the instance for requests that name none.
        providers: by name, in the order of the files.
        problems: every mistake.
        notes: what a family wants the operator to know although it is no mistake.
        present: whether any file has the root key ``ai``.
    """

    default_provider: str | None = None
    providers: Mapping[str, ProviderDeclaration] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    present: bool = True


def current() -> Declared:
    """The declaration of the configured files, with the installed families. Mistakes are collected, not raised."""
    # Families pull in the request types; loading them only here keeps importing this package light.
    from ai_models.registry import families

    settings = conf()
    try:
        env = environment(settings.env_file)
    except Refused as refused:
        return Declared(problems=(refused.problem,))
    loaded = load(settings.config_files, env)
    try:
        known = families()
    except ConfigurationError as error:
        broken = tuple(_as_problem(problem) for problem in error.problems)
        return Declared(problems=(*broken, *loaded.problems))
    return read(loaded, known)


def _as_problem(problem: object) -> Problem:
    return problem if isinstance(problem, Problem) else Problem("", "", str(problem), "")


def read(loaded: Loaded, families: Mapping[str, type[Family]]) -> Declared:
    """Check the configuration and turn it into declarations. Mistakes are collected, not raised.

    Args:
        loaded: the effective configuration; its problems are carried over.
        families: the known families by ``type``.
    """
    return _Reader(loaded, families).declared()


class _Reader:
    def __init__(self, loaded: Loaded, families: Mapping[str, type[Family]]) -> None:
        self._loaded = loaded
        self._families = families
        self._problems: list[Problem] = list(loaded.problems)
        self._notes: list[Problem] = []

    def declared(self) -> Declared:
        tree = self._object(self._loaded.data.get(ROOT), (ROOT,))
        self._refuse_unknown(tree, ROOT_KEYS, (ROOT,))
        instances = self._object(tree.get("providers"), _PROVIDERS)
        self._check_names(instances)
        providers = {}
        for name, value in instances.items():
            provider = self._provider(name, value)
            if provider is not None:
                providers[name] = provider
        default = self._default_provider(tree, instances)
        return Declared(default, providers, tuple(self._problems), tuple(self._notes), ROOT in self._loaded.data)

    def _default_provider(self, tree: Mapping[str, Any], instances: Mapping[str, Any]) -> str | None:
        path = (ROOT, "defaultProvider")
        name = self._value(tree.get("defaultProvider"), path)
        if name is not None and name not in instances:
            if not self._loaded.is_broken((*_PROVIDERS, name)):
                self._report(path, "It names no provider instance.", choice("Declared are", instances, name))
            return None
        return name

    def _value(self, value: Any, path: KeyPath) -> str | None:
        if value is None:
            return None
        try:
            return model_name(value)
        except Wrong as wrong:
            self._report(path, wrong.message, wrong.remedy)
            return None

    def _check_names(self, instances: Iterable[str]) -> None:
        seen: dict[str, str] = {}
        for name in instances:
            if not re.fullmatch(INSTANCE_NAME, name):
                remedy = "Use letters, digits, - and _, up to 64 of them, beginning with a letter or digit."
                self._report((*_PROVIDERS, name), "It is not a valid instance name.", remedy)
            other = seen.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
            if other != name:
                self._report((*_PROVIDERS, name), f"The name differs from {shown(other)} only in case or form.", "Rename one.")

    def _provider(self, name: str, value: Any) -> ProviderDeclaration | None:
        path = (*_PROVIDERS, name)
        given = self._object(value, path)
        if not isinstance(value, dict):
            return None
        family = self._family(given, path)
        if family is None:
            return None
        self._refuse_unknown(given, (*COMMON_KEYS, *(declared.name for declared in family.fields)), path)
        declaration = ProviderDeclaration(
            name=name,
            family=family.type,
            default_models=self._default_models(given, family, path),
            model_aliases=self._model_aliases(given, family, path),
        )
        if self._read_fields(given, family, declaration, path):
            self._ask_family(family, declaration, path)
        return declaration

    def _family(self, given: Mapping[str, Any], path: KeyPath) -> type[Family] | None:
        kind = given.get("type")
        if isinstance(kind, str) and kind in self._families:
            return self._families[kind]
        remedy = choice("Known are", self._families, kind)
        if kind is not None:
            self._report((*path, "type"), "It is not a known provider family.", remedy)
        else:
            self._report_missing((*path, "type"), "It is missing; every provider needs it.", remedy)
        return None

    def _read_fields(self, given: Mapping[str, Any], family: type[Family], into: ProviderDeclaration, path: KeyPath) -> bool:
        """Fill in options and secrets. Returns whether all of them are as their fields want them."""
        problems = len(self._problems)
        broken = False
        for declared in family.fields:
            here = (*path, declared.name)
            broken = broken or self._loaded.is_broken(here)
            if given.get(declared.name) is None:
                self._note_absence(declared, family, here)
                continue
            try:
                value = read_value(declared, given[declared.name])
            except Wrong as wrong:
                self._report((*here, *wrong.keys), wrong.message, wrong.remedy)
                continue
            if not declared.secret:
                into.options[declared.name] = value
            elif declared.kind == "mapping":
                into.mappings[declared.name] = value
            else:
                into.secrets[declared.name] = value
        return not broken and len(self._problems) == problems

    def _note_absence(self, declared: ConfigField, family: type[Family], path: KeyPath) -> None:
        if declared.required and declared.secret and not self._loaded.is_broken(path):
            # The instance starts: an operator can bring the credential later, and until then its calls say what is missing.
            remedy = "Set it; until then calls fail with credential_unavailable."
            self._notes.append(self._loaded.problem(path, f"It is missing; {family.type} needs it to be called.", remedy))
        elif declared.required and not declared.secret:
            self._report_missing(path, f"It is missing; {family.type} needs it.", "Set it.")

    def _ask_family(self, family: type[Family], declaration: ProviderDeclaration, path: KeyPath) -> None:
        try:
            findings = list(family.check(declaration.options, [*declaration.secrets, *declaration.mappings]))
        except Exception:  # A family from outside must not keep the mistakes of others from being told.
            message = f"Provider family {family.type} failed to check the settings."
            self._report(path, message, "It is an error of the family; report it to its author.")
            return
        for found in findings:
            keys = tuple(found.field.split(".")) if found.field else ()
            problem = self._loaded.problem((*path, *keys), found.message, found.remedy)
            (self._problems if found.level == "error" else self._notes).append(problem)

    def _default_models(self, given: Mapping[str, Any], family: type[Family], path: KeyPath) -> dict[Capability, str]:
        path = (*path, "defaultModels")
        models = {}
        for capability, value in self._by_capability(given.get("defaultModels"), family, path).items():
            model = self._value(value, (*path, capability))
            if model is not None:
                models[capability] = model
        return models

    def _model_aliases(self, given: Mapping[str, Any], family: type[Family], path: KeyPath) -> dict[Capability, dict[str, str]]:
        path = (*path, "modelAliases")
        aliases: dict[Capability, dict[str, str]] = {}
        for capability, value in self._by_capability(given.get("modelAliases"), family, path).items():
            here = (*path, capability)
            for alias, target in self._object(value, here).items():
                name, model = self._value(alias, (*here, alias)), self._value(target, (*here, alias))
                if name is not None and model is not None:
                    aliases.setdefault(capability, {})[name] = model
        return aliases

    def _by_capability(self, value: Any, family: type[Family], path: KeyPath) -> dict[Capability, Any]:
        given = self._object(value, path)
        self._refuse_unknown(given, [str(capability) for capability in Capability], path)
        known = {Capability(key): item for key, item in given.items() if key in list(Capability)}
        for capability in known:
            if capability not in family.capabilities:
                remedy = choice("Remove it; it has", sorted(family.capabilities), None)
                self._report((*path, capability), f"Provider family {family.type} does not have this capability.", remedy)
        return {capability: item for capability, item in known.items() if capability in family.capabilities}

    def _object(self, value: Any, path: KeyPath) -> dict[str, Any]:
        """The value when it is an object; an empty one, and a problem, when it is something else."""
        if value is None or isinstance(value, dict):
            return value or {}
        self._report(path, "It is not an object of keys and values.", "Write keys and values below it.")
        return {}

    def _refuse_unknown(self, given: Iterable[str], known: Iterable[str], path: KeyPath) -> None:
        known = list(known)
        for key in (*given, *self._loaded.undefined_keys(path)):
            if key not in known:
                self._report((*path, key), "The key is not known.", choice("Known are", known, key))

    def _report(self, path: KeyPath, message: str, remedy: str) -> None:
        self._problems.append(self._loaded.problem(path, message, remedy))

    def _report_missing(self, path: KeyPath, message: str, remedy: str) -> None:
        if not self._loaded.is_broken(path):
            self._report(path, message, remedy)
