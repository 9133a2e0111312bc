"""The OpenAPI document, from the same declarations that validate requests and build answers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, get_args

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, normalize_result_object
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from pydantic.alias_generators import to_camel

from ai_models.api import downloads, forms
from ai_models.api.operation import Operation, Stream
from ai_models.api.operations import GENERATE_VIDEO, OPERATIONS, PROVIDERS, VIDEOS
from ai_models.capabilities import Capability
from ai_models.events import Event, PartialObject
from ai_models.exceptions import AIModelsError, Remedy
from ai_models.serialization import json_schema
from ai_models.types import TextStreamRequest

TITLE = "AI models"
DESCRIPTION = "One API for models of text, images, speech and video, whichever provider answers."

ERROR_DETAIL = {
    "type": "object",
    "description": "What went wrong, and who can do something about it.",
    "required": ["code", "message", "retryable", "remedy", "requestId"],
    "properties": {
        "code": {"type": "string", "description": "Stable name of what went wrong."},
        "message": {"type": "string", "description": "For people; it names the field and never repeats a value."},
        "retryable": {"type": "boolean", "description": "The same request can succeed later."},
        "remedy": {"enum": list(get_args(Remedy)), "description": "Who can do something about it."},
        "configPath": {"type": "string", "description": "The configuration key to change."},
        "retryAfter": {"type": "number", "description": "Seconds to wait."},
        "requestId": {"type": "string", "description": "Names the request in the server's log; also in X-Request-ID."},
    },
}
ERROR = {
    "type": "object",
    "description": "Every error, at every address.",
    "required": ["error"],
    "properties": {"error": {"$ref": "#/components/schemas/ErrorDetail"}},
}


FILE = {"type": "string", "format": "binary", "contentMediaType": downloads.OCTETS}
"""Bytes as they are; code generators know them by the older ``format``."""

DOWNLOAD_HEADERS = {
    "Content-Disposition": "A file name with the extension of what the bytes are.",
    downloads.PROVIDER: "With bytes: the instance that answered.",
    downloads.MODEL: "With bytes: the model that answered, percent-encoded.",
    downloads.WARNINGS: "With bytes: the warnings as JSON; absent when there are none.",
}

RANGE_PARAMETERS = [
    OpenApiParameter("index", int, description="Which of the job's videos; the first has index 0."),
    OpenApiParameter(
        "Range", location=OpenApiParameter.HEADER, description="One range: bytes=0-1023, bytes=1024- or bytes=-500."
    ),
    OpenApiParameter("If-Range", location=OpenApiParameter.HEADER, description="Range holds only while this is the ETag."),
    OpenApiParameter("Content-Range", location=OpenApiParameter.HEADER, description="Which bytes these are.", response=[206]),
]


class Shape:
    """A type of :mod:`ai_models.types` as drf-spectacular is given it; ``None`` is the error envelope.

    Args:
        form: as ``multipart/form-data``, with other names that fields may have.
    """

    def __init__(self, kind: type[Any] | None, *, form: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self.form = form


class ShapeExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Turns a :class:`Shape` into a component, and the types inside it too."""

    target_class = Shape

    def get_name(self, auto_schema: AutoSchema, direction: str) -> str:
        if self.target.kind is None:
            return "Error"
        name: str = self.target.kind.__name__
        return name if self.target.form is None else f"{name.removesuffix('Request')}Form"

    def get_identity(self, auto_schema: AutoSchema, direction: str) -> str:
        return self.get_name(auto_schema, direction)

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        if self.target.kind is None:
            _register(auto_schema, "ErrorDetail", ERROR_DETAIL)
            return ERROR
        schema = json_schema(self.target.kind, mode="validation" if direction == "request" else "serialization")
        for name, inner in schema.pop("$defs", {}).items():
            _register(auto_schema, name, _tidy(inner, direction))
        schema = _tidy(schema, direction)
        return schema if self.target.form is None else _as_form(schema, forms.file_fields(self.target.kind), self.target.form)


def _register(auto_schema: AutoSchema, name: str, schema: dict[str, Any]) -> None:
    component = ResolvedComponent(name, ResolvedComponent.SCHEMA, schema, name)  # type: ignore[no-untyped-call]
    auto_schema.registry.register_on_missing(component)


class Schema(AutoSchema):
    """Reads a view's :class:`~ai_models.api.operations.Operation`."""

    @property
    def _operation(self) -> Operation:
        operation: Operation = self.view.operation  # type: ignore[attr-defined]
        return operation

    def is_excluded(self) -> bool:
        """Going on with a stream is told where it is begun."""
        return self.method == "GET" and isinstance(self._operation, Stream)

    def get_operation_id(self) -> str:
        return self._operation.name

    def get_summary(self) -> str:
        return self._operation.summary

    def get_description(self) -> str:  # type: ignore[override]
        return self._operation.description

    def get_tags(self) -> list[str]:
        if self._operation in VIDEOS:
            return ["videos"]
        return ["providers" if self._operation in PROVIDERS else "models"]

    def get_override_parameters(self) -> list[Any]:
        if self._operation.name == "list-models":
            return [OpenApiParameter("capability", enum=list(Capability), description="Only models of this capability.")]
        if self._operation is GENERATE_VIDEO:
            return [OpenApiParameter("Location", location="header", description="The job's address.", response=[202])]
        if self._operation.download is not None:
            return RANGE_PARAMETERS
        if self._operation.files is None:
            return []
        return [
            OpenApiParameter(name, location=OpenApiParameter.HEADER, description=description, response=[200])
            for name, description in DOWNLOAD_HEADERS.items()
        ]

    def get_request_serializer(self) -> Any:
        kind: Any = self._operation.request
        if kind is None:
            return None
        bodies = {"application/json": Shape(kind)}
        if forms.file_fields(kind):
            bodies[forms.MEDIA_TYPE] = Shape(kind, form=self._operation.aliases)
        return bodies

    def _get_request_body(self, direction: str = "request") -> Any:
        body = super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        return body and {**body, "required": True}

    def get_response_serializers(self) -> Any:
        return {**self._success(), **_failures(self._operation.errors)}

    def _success(self) -> dict[Any, Any]:
        operation = self._operation
        if operation.download is not None:
            return {
                (200, operation.download): OpenApiResponse(FILE, description="All of it."),
                (206, operation.download): OpenApiResponse(FILE, description="The part that Range asked for."),
                (416, "application/json"): OpenApiResponse(Shape(None), description="`invalid_request`"),
            }
        if operation.status == 204:
            return {204: OpenApiResponse(description="Done.")}
        if operation.result is None:
            told = {event.type for event in Event.__subclasses__()}
            if operation.request is TextStreamRequest:
                told.remove(PartialObject.type)
            stream = {"type": "string", "description": f"Events: {', '.join(sorted(told))}."}
            answers: dict[Any, Any] = {(200, "text/event-stream"): OpenApiResponse(stream, description="The stream of events.")}
            return answers if operation.request else {**answers, 204: OpenApiResponse(description="There is none.")}
        answers = {(operation.status, "application/json"): OpenApiResponse(Shape(operation.result), description="Done.")}
        if operation.files is not None:
            answers[200, f"{operation.files.kind}/*"] = OpenApiResponse(FILE, description="Done.")
        return answers


def _failures(errors: tuple[type[AIModelsError], ...]) -> dict[Any, Any]:
    codes: dict[int, list[str]] = defaultdict(list)
    for error in errors:
        codes[error.http_status].append(f"`{error.code}`")
    return {
        (status, "application/json"): OpenApiResponse(Shape(None), description=", ".join(names))
        for status, names in sorted(codes.items())
    }


class Generator(SchemaGenerator):
    """The document of this app alone: the host's ``SPECTACULAR_SETTINGS`` are about the host's own API."""

    def get_schema(self, request: Any = None, public: bool = False) -> dict[str, Any]:
        paths = self.parse(request, public)  # type: ignore[no-untyped-call]
        document: dict[str, Any] = normalize_result_object(  # type: ignore[no-untyped-call]
            {
                # JSON Schema 2020-12, as pydantic writes it, is what OpenAPI 3.1 takes.
                "openapi": "3.1.0",
                "info": {"title": TITLE, "version": version("django-ai-models"), "description": DESCRIPTION},
                "paths": dict(sorted(paths.items(), key=_position)),
                "components": self.registry.build({}),
            }
        )
        return document


def _position(path: tuple[str, dict[str, Any]]) -> int:
    """Where the docs show a path: where the first of its operations stands in the table."""
    names = [operation.name for operation in OPERATIONS]
    return min(names.index(operation["operationId"]) for operation in path[1].values())


@cache
def document(prefix: str = "") -> dict[str, Any]:
    """The OpenAPI 3.1 document.

    Args:
        prefix: where the host mounted the app, ``""`` for the root.
    """
    from ai_models import urls  # the routes' views refer to this module

    generator = Generator(patterns=urls.urlpatterns)  # type: ignore[no-untyped-call]
    return {**generator.get_schema(public=True), "servers": [{"url": prefix or "/"}]}


@cache
def rendered(prefix: str, *, as_yaml: bool) -> tuple[bytes, str]:
    """The document's bytes and media type."""
    renderer = OpenApiYamlRenderer() if as_yaml else OpenApiJsonRenderer()
    return renderer.render(document(prefix)), "application/yaml" if as_yaml else "application/json"


def _tidy(schema: dict[str, Any], direction: str) -> dict[str, Any]:
    """One object's schema: JSON names, no generated titles, and the docstring's attributes where they belong."""
    schema = _without_titles(schema)
    description, attributes = _docstring(schema.get("description", ""))
    if description:
        schema["description"] = description
    properties = {
        to_camel(name): {**_described(attributes.get(name)), **value} for name, value in schema.get("properties", {}).items()
    }
    if properties:
        schema["properties"] = properties
    if properties and direction == "response":
        schema["required"] = list(properties)
    return schema


def _as_form(schema: dict[str, Any], files: frozenset[str], aliases: Mapping[str, str]) -> dict[str, Any]:
    """The schema of a request that comes as a form: files are bytes, and a field may come under its other name."""
    properties = {name: _as_file(value) if name in files else value for name, value in schema["properties"].items()}
    others = {alias: {**properties[name], "description": f"Another name for {name}."} for alias, name in aliases.items()}
    required = set(schema.get("required", ()))
    either = [{"oneOf": [{"required": [name]}, {"required": [alias]}]} for alias, name in aliases.items() if name in required]
    form = {**schema, "properties": {**properties, **others}, "required": sorted(required - set(aliases.values()))}
    return {**form, "allOf": either} if either else form


def _as_file(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "array":
        return {**schema, "items": FILE}
    return {**_described(schema.get("description")), **FILE}


def _described(text: str | None) -> dict[str, str]:
    return {"description": text} if text else {}


def _without_titles(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_titles(value) for key, value in node.items() if key != "title" or not isinstance(value, str)}
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    return node


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """Description and attributes of a docstring."""
    head, _, tail = text.replace("``", "`").partition("\n\nAttributes:\n")
    attributes: dict[str, str] = {}
    for name, explanation in re.findall(r"^ {4}(\w+): (.+(?:\n {5,}.+)*)", tail, re.MULTILINE):
        attributes[name] = " ".join(explanation.split())
    return " ".join(head.split()), attributes
