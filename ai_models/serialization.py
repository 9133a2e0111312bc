"""Between Python and JSON: requests are validated here, results become JSON here. Both follow the types' declarations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from ai_models.exceptions import InvalidRequest
from ai_models.types import IN_PROCESS_FIELDS

R = TypeVar("R")


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
    try:
        return cast(R, adapter(kind).validate_python(given, by_alias=json_names, by_name=not json_names))
    except ValidationError as error:
        raise InvalidRequest("; ".join(_problems(error, given))) from None


def _problems(error: ValidationError, given: Any) -> list[str]:
    """One sentence for each field that is wrong; the alternatives of a field that takes several kinds stand together."""
    reasons: dict[str, list[str]] = {}
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        reason = "this field does not exist" if item["type"] == "extra_forbidden" else item["msg"].rstrip(".").lower()
        found = reasons.setdefault(_path(item["loc"], given, missing=item["type"] == "missing") or "request", [])
        if reason not in found:
            found.append(reason)
    return [f"{path}: {', or '.join(found)}" for path, found in reasons.items()]


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
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {to_camel_cached(f.name): to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return value


@cache
def to_camel_cached(name: str) -> str:
    """``max_output_tokens`` -> ``maxOutputTokens``."""
    return to_camel(name)


def json_schema(
    kind: Any,
    *,
    ref_template: str = "#/components/schemas/{model}",
    mode: Literal["validation", "serialization"] = "validation",
) -> dict[str, Any]:
    """JSON Schema of a request or result type, with JSON names."""
    return adapter(kind).json_schema(by_alias=True, ref_template=ref_template, mode=mode)
