"""Structured output: from what a caller calls a schema to JSON Schema, and from a model's text to a validated object."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, get_origin

import regex

from ai_models import jsontext
from ai_models.exceptions import InvalidRequest, NoObjectGenerated
from ai_models.types import ObjectResult, TextResult

_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_MAX_SCHEMA_CHARACTERS = 256 * 1024
_MOST_WORK = 10_000  # references followed in one validation
_PATTERN_SECONDS = 0.1
_WRONG_KIND = "schema: give JSON Schema, a pydantic model or a dataclass"
_work: ContextVar[int] = ContextVar("ai_models_schema_work", default=_MOST_WORK)


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
        if isinstance(schema, Mapping):
            return cls(dict(schema), _JSONSchema(dict(schema)))
        # Never a string: pydantic would evaluate it as the name of a type.
        if isinstance(schema, type) or get_origin(schema) is not None:
            return cls._of_type(schema)
        raise InvalidRequest(_WRONG_KIND)

    @classmethod
    def _of_type(cls, kind: Any) -> Schema:
        from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

        try:
            adapter = TypeAdapter(kind)
            return cls(_closed(adapter.json_schema()), _Type(adapter))
        except (PydanticSchemaGenerationError, PydanticUserError):
            raise InvalidRequest(_WRONG_KIND) from None

    def read(self, result: TextResult) -> ObjectResult:
        """The object in a model's answer.

        Raises:
            NoObjectGenerated: the answer is not JSON, or does not satisfy the schema.
        """
        fenced = _FENCED.match(result.text)
        text = fenced.group(1) if fenced else result.text
        try:
            value = jsontext.loads(text)
        except ValueError:
            cut = " It was cut off at the output limit." if result.finish_reason == "length" else ""
            raise NoObjectGenerated(f"The model's answer is not JSON.{cut}", text=result.text) from None
        shared = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
        return ObjectResult(**shared, object=self.validator.validate(value, text))


class _JSONSchema:
    def __init__(self, schema: dict[str, Any]) -> None:
        from jsonschema import Draft202012Validator, SchemaError
        from referencing import Registry

        try:
            if len(json.dumps(schema)) > _MAX_SCHEMA_CHARACTERS:
                raise InvalidRequest("schema: it is larger than allowed")
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            place = _path(error.absolute_path)
            raise InvalidRequest(f"schema: it is not valid JSON Schema (draft 2020-12) at {place}") from None
        except (RecursionError, TypeError, ValueError):
            raise InvalidRequest("schema: it is not valid JSON Schema (draft 2020-12)") from None
        # An empty registry: a $ref to an address is never fetched.
        self._validator = _bounded()(schema, registry=Registry())

    def validate(self, value: Any, text: str) -> Any:
        from referencing.exceptions import Unresolvable

        _work.set(_MOST_WORK)
        try:
            error = next(self._validator.iter_errors(value), None)
        except (Unresolvable, RecursionError):
            raise InvalidRequest("schema: it refers to something that is not in it, or to itself without end") from None
        except regex.error:
            raise InvalidRequest("schema: a pattern is not a valid regular expression") from None
        except (_TooMuchWork, TimeoutError):
            raise InvalidRequest("schema: checking an answer against it takes too long") from None
        if error is not None:
            place = _path(error.absolute_path)
            raise NoObjectGenerated(f"The model's answer does not satisfy the schema at {place}.", text=text)
        return value


class _TooMuchWork(Exception):
    """A schema refers back and forth more often than any sensible one."""


@cache
def _bounded() -> Any:
    """A validator whose work a caller's schema cannot multiply without end: references are counted, patterns are timed."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    counted = {keyword: _counted(Draft202012Validator.VALIDATORS[keyword]) for keyword in ("$ref", "$dynamicRef")}
    bounded: Callable[..., Any] = extend
    return bounded(Draft202012Validator, {**counted, "pattern": _pattern, "patternProperties": _pattern_properties})


def _counted(check: Any) -> Any:
    def counting(validator: Any, reference: Any, instance: Any, schema: Any) -> Iterator[Any]:
        left = _work.get() - 1
        _work.set(left)
        if left < 0:
            raise _TooMuchWork
        yield from check(validator, reference, instance, schema) or ()

    return counting


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if validator.is_type(instance, "string") and not regex.search(pattern, instance, timeout=_PATTERN_SECONDS):
        yield ValidationError("the text does not match the pattern")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, subschema in patterns.items():
        for key, value in instance.items():
            if regex.search(pattern, key, timeout=_PATTERN_SECONDS):
                yield from validator.descend(value, subschema, path=key, schema_path=pattern)


class _Type:
    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def validate(self, value: Any, text: str) -> Any:
        from pydantic import ValidationError

        try:
            return self._adapter.validate_json(text)
        except ValidationError as error:
            path = _path(error.errors(include_input=False, include_url=False)[0]["loc"])
            raise NoObjectGenerated(f"The model's answer does not satisfy the schema at {path}.", text=text) from None


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
