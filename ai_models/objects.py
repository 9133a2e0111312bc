"""Structured output: from what a caller calls a schema to JSON Schema, and from a model's text to a validated object."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any

from ai_models.exceptions import InvalidRequest, NoObjectGenerated
from ai_models.types import ObjectResult, TextResult

_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_MAX_SCHEMA_CHARACTERS = 256 * 1024


@dataclass(frozen=True, slots=True)
class Schema:
    """A caller's schema.

    Attributes:
        json: as JSON Schema.
        validator: checks an object, and makes an instance where the schema is a class.
    """

    json: dict[str, Any]
    validator: Any

    @classmethod
    def of(cls, schema: Any) -> Schema:
        """A schema from JSON Schema, a pydantic model, a dataclass, or another type that pydantic knows.

        Raises:
            InvalidRequest: it is missing or not a valid schema.
        """
        if schema is None:
            raise InvalidRequest("schema: this field is required")
        if isinstance(schema, dict):
            return cls(schema, _JSONSchema(schema))
        return cls._of_type(schema)

    @classmethod
    def _of_type(cls, kind: Any) -> Schema:
        from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

        try:
            adapter = TypeAdapter(kind)
            return cls(_closed(adapter.json_schema()), _Type(adapter))
        except (PydanticSchemaGenerationError, PydanticUserError):
            raise InvalidRequest("schema: give JSON Schema, a pydantic model or a dataclass") from None

    def read(self, result: TextResult) -> ObjectResult:
        """The object in a model's answer.

        Raises:
            NoObjectGenerated: the answer is not JSON, or does not satisfy the schema.
        """
        shared = {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
        return ObjectResult(**shared, object=self.validator.validate(_json(result), result.text))


class _JSONSchema:
    def __init__(self, schema: dict[str, Any]) -> None:
        from jsonschema import Draft202012Validator, SchemaError
        from referencing import Registry

        try:
            if len(json.dumps(schema)) > _MAX_SCHEMA_CHARACTERS:
                raise InvalidRequest("schema: it is larger than allowed")
            Draft202012Validator.check_schema(schema)
        except (SchemaError, RecursionError, TypeError, ValueError):
            raise InvalidRequest("schema: it is not valid JSON Schema (draft 2020-12)") from None
        # An empty registry: a $ref to an address is never fetched.
        self._validator = Draft202012Validator(schema, registry=Registry())

    def validate(self, value: Any, text: str) -> Any:
        from referencing.exceptions import Unresolvable

        try:
            error = next(self._validator.iter_errors(value), None)
        except (Unresolvable, RecursionError):
            raise InvalidRequest("schema: it refers to something that is not in it, or to itself without end") from None
        if error is not None:
            raise NoObjectGenerated(
                f"The model's answer does not satisfy the schema at {_path(error.absolute_path)}.", text=text
            )
        return value


class _Type:
    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def validate(self, value: Any, text: str) -> Any:
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            path = _path(error.errors(include_input=False, include_url=False)[0]["loc"])
            raise NoObjectGenerated(f"The model's answer does not satisfy the schema at {path}.", text=text) from None


def _json(result: TextResult) -> Any:
    fenced = _FENCED.match(result.text)
    try:
        return json.loads(fenced.group(1) if fenced else result.text)
    except (ValueError, RecursionError):
        cut = " It was cut off at the output limit." if result.finish_reason == "length" else ""
        raise NoObjectGenerated(f"The model's answer is not JSON.{cut}", text=result.text) from None


def _path(parts: Any) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".") or "its top"


def _closed(schema: Any) -> Any:
    """The schema of a class with its objects closed, which strict modes demand and classes mean anyway."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed
