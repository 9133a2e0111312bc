"""Between Python and JSON: requests are validated here, results become JSON here. Both follow the types' declarations."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from ai_models.exceptions import InvalidRequest
from ai_models.types import IN_PROCESS_FIELDS, required_fields

R = TypeVar("R")

_ATOMS = frozenset({str, int, float, bool, type(None)})

_MOST_PROBLEMS = 20
"""So many mistakes of a request are named."""


def adapter(kind: Any) -> TypeAdapter[Any]:
    """The validator of a request type; also the source of its JSON Schema."""
    return _adapter(kind)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def validate(kind: type[R], values: Mapping[str, Any], *, json_names: bool = False) -> R:
    """Check a request.

    Args:
        kind: a request type of :mod:`ai_models.types`.
        values: the fields; by Python names, or by JSON names when ``json_names`` is set. ``None`` counts as absent.

    Raises:
        InvalidRequest: names every wrong field and never repeats a value.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if json_names and (refused := IN_PROCESS_FIELDS & given.keys()):
        raise InvalidRequest("; ".join(f"{name}: this field does not exist" for name in sorted(refused)))
    missing = required_fields(cast(Any, kind)) - given.keys()
    problems = [f"{name}: this field is required" for name in sorted(missing)] if missing else []
    try:
        validated = cast(R, adapter(kind).validator.validate_python(given, by_alias=json_names, by_name=not json_names))
    except ValidationError as error:
        problems += _problems(error, given)
    if problems:
        raise InvalidRequest("; ".join(problems))
    return validated


def _problems(error: ValidationError, given: Any) -> list[str]:
    """One sentence for each field that is wrong; the alternatives of a field that takes several kinds stand together."""
    reasons: dict[str, list[str]] = {}
    for item in error.errors(include_input=False, include_url=False):
        reason = _reason(item)
        found = reasons.setdefault(_path(item["loc"], given, missing=item["type"] == "missing") or "request", [])
        if reason not in found:
            found.append(reason)
    # Where one of several kinds was given and is wrong inside, it is no news that it is not another kind.
    outer = {parent for path in reasons for parent in _parents(path)}
    told = [f"{path}: {', or '.join(found)}" for path, found in reasons.items() if path not in outer]
    more = len(told) - _MOST_PROBLEMS
    return told if more <= 0 else [*told[:_MOST_PROBLEMS], f"and {more} more"]


def _parents(path: str) -> Iterator[str]:
    """``a.b.c`` is inside of ``a.b`` and ``a``."""
    while (end := path.rfind(".")) >= 0:
        path = path[:end]
        yield path


def _reason(item: ErrorDetails) -> str:
    """What is wrong. Pydantic's own words about a variant that does not exist would repeat what was sent."""
    match item["type"]:
        case "extra_forbidden":
            return "this field does not exist"
        case "union_tag_invalid":
            return "its {discriminator} is one of {expected_tags}".format(**item["ctx"]).replace("'", "")
    message = item["msg"].rstrip(".")
    return message[:1].lower() + message[1:]


def _path(location: tuple[int | str, ...], given: Any, *, missing: bool) -> str:
    """Where the mistake is in the input. The validator's location also names the alternatives it tried, which are left out."""
    path = []
    for number, part in enumerate(location, start=1):
        inside, there = _step(given, part)
        if there:
            given = inside
        elif not missing or number < len(location):
            continue
        path.append(str(part))
    return ".".join(path)


def _step(given: Any, part: int | str) -> tuple[Any, bool]:
    """What stands at one step of a path, and whether anything does."""
    if isinstance(given, Mapping):
        return given.get(part), part in given
    if isinstance(given, list | tuple) and isinstance(part, int) and part < len(given):
        return given[part], True
    return None, False


def to_json(value: Any) -> Any:
    """A result as JSON data, by camelCase names; what is unknown or unset is ``None``."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if hasattr(kind, "__dataclass_fields__"):
        return {json_name: to_json(getattr(value, name)) for name, json_name in _json_names(cast(Any, kind))}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list | tuple):
        return list(value) if _is_vector(value) else [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return value


def _is_vector(value: Sequence[Any]) -> bool:
    """Whether it holds numbers alone, of which there may be a thousand."""
    return bool(value) and type(value[0]) is float and set(map(type, value)) <= {float, int}


@cache
def _json_names(kind: Any) -> tuple[tuple[str, str], ...]:
    """Name and JSON name of each field: camelCase, unless the field's declaration gives another."""
    return tuple(
        (field.name, field.metadata.get("serialization_alias") or to_camel(field.name)) for field in dataclasses.fields(kind)
    )


def json_schema(
    kind: Any,
    *,
    ref_template: str = "#/components/schemas/{model}",
    mode: Literal["validation", "serialization"] = "validation",
) -> dict[str, Any]:
    """JSON Schema of a request or result type, with JSON names."""
    return adapter(kind).json_schema(by_alias=True, ref_template=ref_template, mode=mode)
