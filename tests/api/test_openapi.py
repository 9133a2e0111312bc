"""The OpenAPI document and the page made from it."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

from ai_models.api import openapi
from ai_models.api.operations import CALLS
from ai_models.serialization import to_camel_cached
from ai_models.types import IN_PROCESS_FIELDS, TextRequest, TextResult
from tests.api.conftest import Api

EXPECTED = {
    ("post", "/api/ai/v1/generate-text"),
    ("post", "/api/ai/v1/stream-text"),
    ("post", "/api/ai/v1/generate-object"),
    ("post", "/api/ai/v1/embed"),
    ("post", "/api/ai/v1/resolve"),
    ("get", "/api/ai/v1/providers"),
    ("get", "/api/ai/v1/providers/{name}"),
    ("post", "/api/ai/v1/providers/{name}/check"),
    ("get", "/api/ai/v1/models"),
}


@pytest.fixture
def schema(client: Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/api/ai/v1/schema").json()
    return document


def operations(schema: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(method, path): operation for path, methods in schema["paths"].items() for method, operation in methods.items()}


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        inner = {reference for value in node.values() for reference in references(value)}
        return inner | ({node["$ref"]} if isinstance(node.get("$ref"), str) else set())
    return {reference for item in node for reference in references(item)} if isinstance(node, list) else set()


def test_the_document_is_valid_and_made_without_a_warning() -> None:
    openapi.document.cache_clear()
    GENERATOR_STATS.reset()
    document = openapi.document()
    assert not GENERATOR_STATS
    validate_schema(document)  # type: ignore[no-untyped-call]


def test_it_describes_exactly_what_exists(schema: dict[str, Any]) -> None:
    assert set(operations(schema)) == EXPECTED


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    names = {f"#/components/schemas/{name}" for name in schema["components"]["schemas"]}
    assert references(schema) <= names


def test_requests_have_the_fields_that_validation_takes(schema: dict[str, Any]) -> None:
    described = schema["components"]["schemas"]["TextRequest"]
    assert set(described["properties"]) == {
        to_camel_cached(name) for name in set(TextRequest.__annotations__) - IN_PROCESS_FIELDS
    }
    assert described["additionalProperties"] is False


def test_results_have_the_fields_that_answers_have(schema: dict[str, Any], api: Api) -> None:
    described = schema["components"]["schemas"]["TextResult"]
    assert set(described["properties"]) == set(api.post("generate-text", {"prompt": "a"}).json())
    assert set(described["required"]) == {to_camel_cached(field.name) for field in dataclasses.fields(TextResult)}


def test_what_docstrings_say_of_attributes_is_in_the_document(schema: dict[str, Any]) -> None:
    described = schema["components"]["schemas"]["TextResult"]["properties"]
    assert "why the model stopped" in described["finishReason"]["description"]


def test_every_operation_tells_its_error_codes(schema: dict[str, Any]) -> None:
    for operation in operations(schema).values():
        assert {"200", "400", "401", "403", "429", "500", "503"} <= set(operation["responses"])
        for status, response in operation["responses"].items():
            if status != "200":
                assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
                assert response["description"]
    call = operations(schema)["post", "/api/ai/v1/generate-object"]["responses"]
    assert "no_object_generated" in call["502"]["description"]
    assert {"404", "409", "413", "422", "502", "504"} <= set(call)


def test_tokens_and_sessions_are_declared(schema: dict[str, Any]) -> None:
    schemes = schema["components"]["securitySchemes"]
    assert {"type": "http", "scheme": "bearer"} in schemes.values()
    for operation in operations(schema).values():
        assert {name for requirement in operation["security"] for name in requirement} == set(schemes)


def test_the_stream_is_described_as_one(schema: dict[str, Any]) -> None:
    answer = operations(schema)["post", "/api/ai/v1/stream-text"]["responses"]["200"]
    assert set(answer["content"]) == {"text/event-stream"}


@pytest.mark.parametrize(("query", "headers"), [({"format": "yaml"}, {}), ({}, {"Accept": "application/yaml"})])
def test_it_comes_as_yaml_on_request(
    client: Client, schema: dict[str, Any], query: dict[str, str], headers: dict[str, str]
) -> None:
    response = client.get("/api/ai/v1/schema", query, headers=headers)
    assert response["Content-Type"] == "application/yaml"
    assert yaml.safe_load(response.content) == schema


class Page(HTMLParser):
    """The parts of a page that matter here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            assert name != "style"
            assert not name.startswith("on")
            if name == "id" and value:
                self.ids.append(value)
            if name in {"href", "src"} and value:
                self.targets.append(value)


def test_the_page_shows_every_operation_and_type(client: Client, schema: dict[str, Any]) -> None:
    page = Page(client.get("/api/ai/v1/docs").content.decode())
    expected = {operation["operationId"] for operation in operations(schema).values()} | set(schema["components"]["schemas"])
    assert expected <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_script(client: Client) -> None:
    page = Page(client.get("/api/ai/v1/docs").content.decode())
    assert not {"script", "style"} & set(page.tags)
    assert all(target == "data:," or target.startswith(("#", "/")) for target in page.targets)
    assert {target[1:] for target in page.targets if target.startswith("#")} <= set(page.ids)


def test_the_examples_of_the_page_work(api: Api, settings: Any) -> None:
    for call in CALLS:
        if call.name != "generate-object":
            assert api.post(call.name, call.example).status_code == 200
    shown = api.client.get("/api/ai/v1/docs").content.decode()
    assert len(re.findall(r"curl (?:-N )?-X POST http://testserver/api/ai/v1/", shown)) == len(
        [key for key in EXPECTED if key[0] == "post"]
    )
