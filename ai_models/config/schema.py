"""JSON Schema of the configuration file, for editors, from the declarations that the reader checks against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ai_models.capabilities import Capability
from ai_models.config.declarations import INSTANCE_NAME
from ai_models.config.environment import ROOT
from ai_models.config.values import BOOLEAN_TEXT, INTEGER_TEXT, LONGEST_MODEL_NAME

if TYPE_CHECKING:
    from ai_models.families.base import Family
    from ai_models.families.fields import ConfigField

Schema = dict[str, Any]

_PLACEHOLDER: Schema = {"$ref": "#/$defs/placeholder"}


def json_schema(families: Mapping[str, type[Family]]) -> Schema:
    """The schema (draft 2020-12) of a whole file; root keys other than ``ai`` may hold anything.

    Args:
        families: the known families by ``type``.
    """
    root = _object(
        {
            "defaultProvider": _name("The instance that answers requests which name none."),
            "providers": _anywhere(
                {
                    "type": "object",
                    "description": "Provider instances by name.",
                    "propertyNames": {"pattern": INSTANCE_NAME},
                    "additionalProperties": _anywhere({"$ref": "#/$defs/provider"}),
                }
            ),
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "app-config.yaml",
        "type": "object",
        "properties": {ROOT: _anywhere(root)},
        "$defs": {
            "placeholder": {"type": "string", "pattern": r"\$\{[^{}]*\}", "description": "${VAR} or ${VAR:-default}."},
            "reference": _reference(),
            "provider": _provider(families),
            **{_definition(kind): _family(family) for kind, family in families.items()},
        },
    }


def _definition(kind: str) -> str:
    return f"provider-{kind}"


def _reference() -> Schema:
    kinds = {
        "$env": "The value of an environment variable.",
        "$file": "The text of a file.",
        "$include": "A YAML or JSON file, or with #a.b a part of it.",
    }
    return {"oneOf": [_object({key: {"type": "string", "description": text}}, required=[key]) for key, text in kinds.items()]}


def _anywhere(schema: Schema) -> Schema:
    """What may always stand in a value's place: a reference, and ``null``, which removes an earlier file's value."""
    return {"anyOf": [schema, {"$ref": "#/$defs/reference"}, {"type": "null"}]}


def _object(properties: Schema, required: Iterable[str] = ()) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": sorted(required)} if required else schema


def _name(description: str) -> Schema:
    return _anywhere({"type": "string", "minLength": 1, "maxLength": LONGEST_MODEL_NAME, "description": description})


def _provider(families: Mapping[str, type[Family]]) -> Schema:
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"anyOf": [{"enum": sorted(families)}, _PLACEHOLDER, {"$ref": "#/$defs/reference"}]}},
        "allOf": [
            {
                "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
                "then": {"$ref": f"#/$defs/{_definition(kind)}"},
            }
            for kind in sorted(families)
        ],
    }


def _family(family: type[Family]) -> Schema:
    capabilities = [capability for capability in Capability if capability in family.capabilities]
    properties = {
        "type": {"const": family.type},
        "defaultModels": _by_capability(capabilities, _name("The model, when a request names none.")),
        "modelAliases": _by_capability(
            capabilities,
            _anywhere(
                {
                    "type": "object",
                    "propertyNames": {"minLength": 1, "maxLength": LONGEST_MODEL_NAME},
                    "additionalProperties": _name("The model behind the alias."),
                }
            ),
        ),
        **{declared.name: _field(declared) for declared in family.fields},
    }
    required = ["type", *(declared.name for declared in family.fields if declared.required and not declared.secret)]
    return {"title": family.label, **_object(properties, required)}


def _by_capability(capabilities: Iterable[Capability], schema: Schema) -> Schema:
    return _anywhere(_object({str(capability): schema for capability in capabilities}))


def _field(declared: ConfigField) -> Schema:
    schema: Schema = {**_anywhere(_kind(declared)), "description": declared.help}
    if declared.secret:
        schema["description"] += " A secret: stored encrypted, never shown. Write ${VAR}, $env or $file."
        schema["writeOnly"] = True
    elif declared.default is not None:
        schema["default"] = declared.default
    return schema


def _kind(declared: ConfigField) -> Schema:
    match declared.kind:
        case "integer":
            least = {} if declared.least is None else {"minimum": declared.least}
            return {"anyOf": [{"type": "integer", **least}, {"type": "string", "pattern": INTEGER_TEXT}, _PLACEHOLDER]}
        case "boolean":
            return {"anyOf": [{"type": "boolean"}, {"enum": sorted(BOOLEAN_TEXT)}, _PLACEHOLDER]}
        case "url":
            return {"anyOf": [{"type": "string", "pattern": "^https?://"}, _PLACEHOLDER]}
        case "mapping":
            return {"type": "object", "additionalProperties": _anywhere({"type": "string"})}
        case "string" | "path":
            if declared.choices:
                return {"anyOf": [{"enum": list(declared.choices)}, _PLACEHOLDER]}
            return {"type": "string", "minLength": 1}
