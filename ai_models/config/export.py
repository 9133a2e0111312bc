"""Declarations back into YAML, with a placeholder in the place of every secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from ai_models.capabilities import Capability
from ai_models.config.environment import ROOT
from ai_models.config.yaml_reader import add_core_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedProvider:
    """An instance to be written, without its secrets.

    Attributes:
        name: its key below ``ai.providers``.
        family: its ``type``.
        options: values of the fields that are no secrets, by field name.
        secrets: names of the secret fields that are set.
        mappings: names in each secret ``mapping`` field that is set (header names), by field name.
        default_models: model by capability.
        model_aliases: model by alias, by capability.
    """

    name: str
    family: str
    options: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    mappings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default_models: Mapping[Capability, str] = field(default_factory=dict)
    model_aliases: Mapping[Capability, Mapping[str, str]] = field(default_factory=dict)


def to_yaml(default_provider: str | None, providers: Iterable[ExportedProvider]) -> str:
    """A configuration file that declares ``providers``.

    Each secret becomes ``${VAR}``, named after instance and field: ``ANTHROPIC_INTERNAL_API_KEY``. Where two would get
    one name, the later one gets a number.
    """
    variables = _Variables()
    root: dict[str, Any] = {} if default_provider is None else {"defaultProvider": default_provider}
    root["providers"] = {provider.name: _provider(provider, variables) for provider in providers}
    return yaml.dump({ROOT: root}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)


class _Dumper(yaml.SafeDumper):
    """Quotes text that either YAML 1.1 or our reader would take for something else, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


add_core_schema(_Dumper)


class _Variables:
    """Hands out names of environment variables, each once."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def placeholder(self, *parts: str) -> str:
        name = "_".join(_upper(part) for part in parts)
        if not name[:1].isalpha():
            name = f"AI_{name}"
        unique, number = name, 1
        while unique in self._used:
            number += 1
            unique = f"{name}_{number}"
        self._used.add(unique)
        return f"${{{unique}}}"


def _upper(name: str) -> str:
    """``anthropicInternal`` -> ``ANTHROPIC_INTERNAL``, ``baseURL`` -> ``BASE_URL``, ``x-team`` -> ``X_TEAM``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[^A-Za-z0-9]+", "_", words).upper()


def _provider(provider: ExportedProvider, variables: _Variables) -> dict[str, Any]:
    written: dict[str, Any] = {"type": provider.family, **_literal(provider.options)}
    for name in provider.secrets:
        written[name] = variables.placeholder(provider.name, name)
    for name, entries in provider.mappings.items():
        written[name] = {entry: variables.placeholder(provider.name, name, entry) for entry in entries}
    models = {"defaultModels": provider.default_models, "modelAliases": provider.model_aliases}
    written.update({key: _literal(value) for key, value in models.items() if value})
    return written


def _literal(value: Any) -> Any:
    """Plain data that reads back as it is: ``${`` would be a placeholder."""
    if isinstance(value, Mapping):
        return {str(key): _literal(item) for key, item in value.items()}
    return value.replace("${", "$${") if isinstance(value, str) else value
