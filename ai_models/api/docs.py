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
from ai_models.api.operation import Operation, Stream
from ai_models.api.operations import OPERATIONS
from ai_models.types.frames import WEBSOCKET_PATH

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
    """One operation as the page shows it; bodies by media type, each with its component where it has one."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    requests: Mapping[str, str | None]
    results: Mapping[str, str | None]
    errors: tuple[tuple[str, str], ...]
    examples: tuple[str, ...]


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
        "websocket": f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}{prefix}/{WEBSOCKET_PATH}",
        "openai": f"{origin}/api/ai/openai/v1",
        "endpoints": list(_endpoints(document["paths"], origin)),
        "types": [_type(name, schema) for name, schema in document["components"]["schemas"].items()],
    }
    return render(request, "ai_models/docs.html", context)


def _endpoints(paths: Mapping[str, Any], origin: str) -> Iterator[Endpoint]:
    rows = {operation.name: operation for operation in OPERATIONS}
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield Endpoint(
                id=operation["operationId"],
                method=method.upper(),
                path=path,
                summary=operation["summary"],
                description=operation.get("description", ""),
                requests=_bodies(operation.get("requestBody", {})),
                results=_bodies(next(answer for status, answer in operation["responses"].items() if status.startswith("2"))),
                errors=tuple(_failures(operation["responses"])),
                examples=tuple(_curls(method.upper(), origin + path, rows[operation["operationId"]])),
            )


def _failures(responses: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Status and codes."""
    for status, answer in responses.items():
        if not status.startswith("2"):
            yield status, _plain(answer)


def _bodies(body: Mapping[str, Any]) -> Mapping[str, str | None]:
    """The component of each media type; ``None`` for bytes and events."""
    return {
        media_type: media["schema"]["$ref"].removeprefix(_COMPONENTS) if "$ref" in media["schema"] else None
        for media_type, media in body.get("content", {}).items()
    }


def _curls(method: str, url: str, operation: Operation) -> Iterator[str]:
    """Commands to begin with: with a JSON body, for the bytes of a file, and with a form."""
    body = [] if operation.example is None else ["-H 'Content-Type: application/json'", f"-d '{json.dumps(operation.example)}'"]
    if body or operation.form is None:
        option = "-N" if isinstance(operation, Stream) else "-OJ" if operation.download else ""
        yield _curl(option, method, url, *body)
    if operation.files is not None:
        yield _curl("-OJ", method, url, f"-H 'Accept: {operation.files.kind}/*'", *body)
    if operation.form is not None:
        yield _curl("", method, url, *(f"-F '{name}={value}'" for name, value in operation.form.items()))


def _curl(option: str, method: str, url: str, *more: str) -> str:
    command = " ".join(filter(None, ("curl", option, "" if method == "GET" else f"-X {method}", url)))
    return " \\\n  ".join((command, "-H 'Authorization: Bearer YOUR_TOKEN'", *more))


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
    if schema.get("format") == "binary" or "contentEncoding" in schema:
        return format_html("{}", schema.get("contentEncoding", "file"))
    if "const" in schema or "enum" in schema:
        return format_html_join(" | ", "{}", ((json.dumps(value),) for value in schema.get("enum", [schema.get("const")])))
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return format_html_join(" | ", "{}", ((text,) for text in dict.fromkeys(map(_type_text, alternatives))))
    if schema.get("type") == "array":
        return format_html("list of {}", _type_text(schema.get("items", {})))
    if schema.get("type") == "object" and "properties" in schema:
        return format_html_join(", ", "{}: {}", ((name, _type_text(value)) for name, value in schema["properties"].items()))
    return format_html("{}", schema.get("type", "any"))
