"""The API's documentation as a page of ours: no script, nothing loaded from elsewhere, so it works on a closed network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from ai_models.api import openapi
from ai_models.api.operations import OPERATIONS, STREAM_TEXT

_COMPONENTS = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Field:
    """One row of a table of fields."""

    name: str
    type: SafeString
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    request: str | None
    result: str | None
    errors: tuple[tuple[str, str], ...]
    example: str


@dataclass(frozen=True, slots=True)
class Type:
    """One component as the page shows it."""

    name: str
    description: str
    fields: tuple[Field, ...]
    values: tuple[str, ...]


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """``GET docs``."""
    prefix = request.path.removesuffix("/api/ai/v1/docs")
    document = openapi.document(prefix)
    origin = f"{request.scheme}://{request.get_host()}{prefix}"
    context = {
        "info": document["info"],
        "endpoints": list(_endpoints(document["paths"], origin)),
        "types": [_type(name, schema) for name, schema in document["components"]["schemas"].items()],
    }
    return render(request, "ai_models/docs.html", context)


def _endpoints(paths: Mapping[str, Any], origin: str) -> Iterator[Endpoint]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield Endpoint(
                id=operation["operationId"],
                method=method.upper(),
                path=path,
                summary=operation["summary"],
                description=operation.get("description", ""),
                request=_component(operation.get("requestBody", {})),
                result=_component(operation["responses"]["200"]),
                errors=tuple(_failures(operation["responses"])),
                example=_curl(method.upper(), origin + path, operation["operationId"]),
            )


def _failures(responses: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Status and codes."""
    for status, answer in responses.items():
        if status != "200":
            yield status, _plain(answer)


def _component(body: Mapping[str, Any]) -> str | None:
    for media in body.get("content", {}).values():
        if reference := media["schema"].get("$ref"):
            return str(reference).removeprefix(_COMPONENTS)
    return None


def _curl(method: str, url: str, operation_id: str) -> str:
    options = "-N " if operation_id == STREAM_TEXT.name else ""
    lines = [f"curl {options}{'' if method == 'GET' else '-X POST '}{url}", "-H 'Authorization: Bearer YOUR_TOKEN'"]
    example = next((operation.example for operation in OPERATIONS if operation.name == operation_id), None)
    if example is not None:
        lines += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(example)}'"]
    return " \\\n  ".join(lines)


def _type(name: str, schema: Mapping[str, Any]) -> Type:
    required = schema.get("required", ())
    fields = tuple(
        Field(field, _type_text(value), field in required, _plain(value))
        for field, value in schema.get("properties", {}).items()
    )
    return Type(name, _plain(schema), fields, tuple(map(str, schema.get("enum", ()))))


def _plain(schema: Mapping[str, Any]) -> str:
    """The description, without the marks of code."""
    return str(schema.get("description", "")).replace("`", "")


def _type_text(schema: Mapping[str, Any]) -> SafeString:
    """A type in a few words, with links to the types it is made of."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_COMPONENTS)
        return format_html('<a href="#{}">{}</a>', name, name)
    if "const" in schema or "enum" in schema:
        return format_html_join(" | ", "{}", ((json.dumps(value),) for value in schema.get("enum", [schema.get("const")])))
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return format_html_join(" | ", "{}", ((text,) for text in dict.fromkeys(map(_type_text, alternatives))))
    if schema.get("type") == "array":
        return format_html("list of {}", _type_text(schema.get("items", {})))
    if schema.get("type") == "object" and "properties" in schema:
        return format_html_join(", ", "{}: {}", ((name, _type_text(value)) for name, value in schema["properties"].items()))
    return format_html("{}", schema.get("type", "any"))
