"""Structured output: from what a caller calls a schema to JSON Schema, and from a model's text to a validated object."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, get_origin

import regex

from ai_models import jsontext
from ai_models.exceptions import InvalidRequest, NoObjectGenerated, Remedy
from ai_models.types import ObjectResult, TextResult

_FENCE = re.compile(r"\A\s*```(?:json)?[^\S\n]*\n")
_FENCE_END = re.compile(r"\n?\s*```\s*\Z")
_MAX_SCHEMA_CHARACTERS = 256 * 1024
_MOST_SECONDS = 1.0  # of the processor's time, for one validation
_PATTERN_SECONDS = 0.1
_LARGEST_PATTERN = 100_000  # parts, repetitions counted as often as they may occur; each takes some 300 bytes
_TOO_LARGE = "schema: a pattern repeats more than is allowed"
_WRONG_KIND = "schema: give JSON Schema, a pydantic model or a dataclass"
_until: ContextVar[float] = ContextVar("ai_models_schema_until", default=float("inf"))


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
            InvalidRequest: it is not a valid schema.
        """
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
        """The object in a model's answer; ``None`` when the model asks for tools first.

        Raises:
            NoObjectGenerated: the answer is not JSON, or does not satisfy the schema.
        """
        if result.tool_calls:
            return ObjectResult.of(result, None)
        try:
            value = whole(result.text)
        except ValueError:
            cut = result.finish_reason == "length"
            message = f"The model's answer is not JSON.{' It was cut off at the output limit.' if cut else ''}"
            remedy: Remedy = "caller" if cut else "retry"
            raise NoObjectGenerated(message, text=result.text, retryable=not cut, remedy=remedy) from None
        return ObjectResult.of(result, self.validator.validate(value, _unfenced(result.text)))


def whole(text: str) -> Any:
    """The JSON in a text that is complete.

    Raises:
        ValueError: it is none.
    """
    return jsontext.loads(_unfenced(text))


def partial(text: str) -> Any:
    """The JSON at the beginning of a text that is not complete yet; ``None`` while there is none."""
    return jsontext.beginning(_unfenced(text))


def _unfenced(text: str) -> str:
    """The text without the fence that some models put around JSON, closed or not yet."""
    fence = _FENCE.match(text)
    return _FENCE_END.sub("", text[fence.end() :]) if fence else text


class _JSONSchema:
    def __init__(self, schema: dict[str, Any]) -> None:
        from jsonschema import Draft202012Validator, SchemaError
        from referencing import Registry

        try:
            if len(json.dumps(schema)) > _MAX_SCHEMA_CHARACTERS:
                raise InvalidRequest("schema: it is larger than allowed")
            Draft202012Validator.check_schema(schema)
            if {"unevaluatedProperties", "patternProperties"} <= _keys(schema):
                # jsonschema would search with patterns that nobody can stop.
                raise InvalidRequest("schema: unevaluatedProperties and patternProperties cannot be used together")
            if any(map(_is_too_large, _patterns(schema))):
                raise InvalidRequest(_TOO_LARGE)
        except SchemaError as error:
            place = _path(error.absolute_path)
            raise InvalidRequest(f"schema: it is not valid JSON Schema (draft 2020-12) at {place}") from None
        except (RecursionError, TypeError, ValueError, ArithmeticError, re.error):
            raise InvalidRequest("schema: it is not valid JSON Schema (draft 2020-12)") from None
        # An empty registry: a $ref to an address is never fetched.
        self._validator = _bounded()(schema, registry=Registry())

    def validate(self, value: Any, text: str) -> Any:
        from referencing.exceptions import Unresolvable

        _until.set(time.thread_time() + _MOST_SECONDS)
        try:
            error = next(self._validator.iter_errors(value), None)
        except (Unresolvable, RecursionError):
            raise InvalidRequest("schema: it refers to something that is not in it, or to itself without end") from None
        except (regex.error, re.error):
            raise InvalidRequest("schema: a pattern is not a valid regular expression") from None
        except _PatternTooLarge:
            raise InvalidRequest(_TOO_LARGE) from None
        except (_TooMuchWork, TimeoutError):
            raise InvalidRequest("schema: checking an answer against it takes too long") from None
        except (TypeError, ValueError, AttributeError, ArithmeticError):
            # Not a schema where a $ref leads, or a number that cannot be compared.
            raise InvalidRequest("schema: an answer cannot be checked against it") from None
        if error is not None:
            place = _path(error.absolute_path)
            raise NoObjectGenerated(f"The model's answer does not satisfy the schema at {place}.", text=text)
        return value


class _TooMuchWork(Exception):
    """The validation of one answer took its time."""


class _PatternTooLarge(Exception):
    """A pattern would fill the memory before it is searched for."""


@cache
def _bounded() -> Any:
    """A validator whose work a caller's schema cannot multiply without end: its time is limited, and that of patterns."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    own = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    limited = {name: _limited(check) for name, check in {**Draft202012Validator.VALIDATORS, **own}.items()}
    bounded: Callable[..., Any] = extend
    return bounded(Draft202012Validator, limited)


def _limited(check: Any) -> Any:
    def checking(validator: Any, value: Any, instance: Any, schema: Any) -> Iterable[Any]:
        if time.thread_time() > _until.get():
            raise _TooMuchWork
        errors: Iterable[Any] = check(validator, value, instance, schema) or ()
        return errors

    return checking


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if validator.is_type(instance, "string") and not _found(pattern, instance):
        yield ValidationError("the text does not match the pattern")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, subschema in patterns.items():
        for key, value in instance.items():
            if _found(pattern, key):
                yield from validator.descend(value, subschema, path=key, schema_path=pattern)


def _additional_properties(validator: Any, additional: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, value in instance.items():
        if key not in named and not any(_found(pattern, key) for pattern in patterns):
            yield from validator.descend(value, additional, path=key)


def _found(pattern: str, text: str) -> bool:
    """Whether the text has what the pattern describes."""
    left = min(_PATTERN_SECONDS, _until.get() - time.thread_time())
    if left <= 0:
        raise _TooMuchWork
    if _is_too_large(pattern):  # one that stands where nobody looks for patterns, and a $ref leads
        raise _PatternTooLarge
    return regex.search(pattern, text, timeout=left) is not None


@lru_cache(maxsize=256)
def _is_too_large(pattern: str) -> bool:
    """Whether a pattern has too many parts when each repetition is written out, as ``regex`` does within repetitions.

    Only Python's own parser tells what is repeated without compiling it; it has no public name.
    """
    return _written_out(import_module("re._parser").parse(pattern)) > _LARGEST_PATTERN


def _written_out(node: Any) -> int:
    if isinstance(node, tuple) and len(node) == 2 and str(node[0]).endswith("REPEAT"):
        least, most, body = node[1]
        times: int = least if str(most) == "MAXREPEAT" else most
        return max(1, times) * _written_out(body)
    inner = getattr(node, "data", node)
    return sum(map(_written_out, inner)) if isinstance(inner, list | tuple) else 1


def _keys(schema: Any) -> set[str]:
    """Every key in a schema, however deep."""
    return {key for inner in _objects(schema) for key in inner}


def _patterns(schema: Any) -> Iterator[str]:
    """The regular expressions in a schema."""
    for inner in _objects(schema):
        if isinstance(pattern := inner.get("pattern"), str):
            yield pattern
        if isinstance(patterns := inner.get("patternProperties"), Mapping):
            yield from patterns


def _objects(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, Mapping):
        yield schema
        schema = list(schema.values())
    if isinstance(schema, list | tuple):
        for item in schema:
            yield from _objects(item)


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
