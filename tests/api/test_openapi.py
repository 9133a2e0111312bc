"""The OpenAPI document and the page made from it."""

from __future__ import annotations

import dataclasses
import re
import shlex
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema
from pydantic.alias_generators import to_camel
from pytest_django import Settings

from ai_models.api import openapi
from ai_models.capabilities import Capability
from ai_models.models import ProviderInstance
from ai_models.types import IN_PROCESS_FIELDS, TextRequest, TextResult
from tests import samples
from tests.api.conftest import Api, LiveServer, MakeUser, token_of

EXPECTED = {
    ("post", "/api/ai/v1/generate-text"),
    ("post", "/api/ai/v1/stream-text"),
    ("post", "/api/ai/v1/generate-object"),
    ("post", "/api/ai/v1/stream-object"),
    ("get", "/api/ai/v1/stream-text/{id}/stream"),
    ("post", "/api/ai/v1/stream-text/{id}/cancel"),
    ("post", "/api/ai/v1/ws-ticket"),
    ("post", "/api/ai/v1/embed"),
    ("post", "/api/ai/v1/generate-image"),
    ("post", "/api/ai/v1/generate-speech"),
    ("post", "/api/ai/v1/transcribe"),
    ("post", "/api/ai/v1/resolve"),
    ("post", "/api/ai/v1/generate-video"),
    ("get", "/api/ai/v1/videos/{id}"),
    ("get", "/api/ai/v1/videos/{id}/content"),
    ("post", "/api/ai/v1/videos/{id}/cancel"),
    ("get", "/api/ai/v1/providers"),
    ("get", "/api/ai/v1/providers/{name}"),
    ("post", "/api/ai/v1/providers/{name}/check"),
    ("get", "/api/ai/v1/models"),
}

CODENAMES = ("change_providerinstance", *(capability.codename for capability in Capability))


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
    assert set(described["properties"]) == {to_camel(name) for name in set(TextRequest.__annotations__) - IN_PROCESS_FIELDS}
    assert described["additionalProperties"] is False


def test_results_have_the_fields_that_answers_have(api: Api, schema: dict[str, Any]) -> None:
    described = schema["components"]["schemas"]["TextResult"]
    assert set(described["properties"]) == set(api.post("generate-text", {"prompt": "a"}).json())
    assert set(described["required"]) == {to_camel(field.name) for field in dataclasses.fields(TextResult)}


def test_what_docstrings_say_of_attributes_is_in_the_document(schema: dict[str, Any]) -> None:
    described = schema["components"]["schemas"]["TextResult"]["properties"]
    assert "why the model stopped" in described["finishReason"]["description"]


def test_every_operation_tells_its_error_codes(schema: dict[str, Any]) -> None:
    for operation in operations(schema).values():
        assert {"400", "401", "403", "429", "500", "503"} <= set(operation["responses"])
        assert {"200", "202", "204"} & set(operation["responses"])
        for status, response in operation["responses"].items():
            if not status.startswith("2"):
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


@pytest.mark.parametrize("name", ["stream-text", "stream-object"])
def test_a_stream_is_described_as_one(schema: dict[str, Any], name: str) -> None:
    answer = operations(schema)["post", f"/api/ai/v1/{name}"]["responses"]["200"]
    assert set(answer["content"]) == {"text/event-stream"}
    assert ("data-object" in str(answer)) == (name == "stream-object")


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


def examples(page: str) -> list[str]:
    """The commands that the page shows."""
    return [unescape(code) for code in re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page, re.DOTALL)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are commands of curl")
def test_the_examples_of_the_page_work(
    server: LiveServer, media: ProviderInstance, make_user: MakeUser, tmp_path: Path, settings: Settings
) -> None:
    token = token_of(make_user("grace", *CODENAMES))
    (tmp_path / "cat.png").write_bytes(samples.PNG)
    (tmp_path / "speech.wav").write_bytes(samples.WAV)
    shown = examples(httpx.get(f"{server.url}/api/ai/v1/docs").text)
    assert len(shown) >= len(EXPECTED)
    # Those of video jobs are tried where there are jobs, in tests/videos; a stream that can be cancelled has to run.
    for example in (example for example in shown if "video" not in example and "/cancel" not in example):
        command = shlex.split(example.replace("\\\n", " ").replace("YOUR_TOKEN", token).replace("{name}", "main"))
        assert command.pop(0) == "curl"
        done = subprocess.run(
            ["curl", "-sS", "--fail-with-body", *command], cwd=tmp_path, capture_output=True, timeout=30, check=False
        )
        assert done.returncode == 0, (example, done.stdout, done.stderr)
    assert (tmp_path / "image.png").read_bytes() == samples.PNG
    assert (tmp_path / "audio.wav").read_bytes() == samples.WAV


def test_fields_that_must_be_given_are_marked(schema: dict[str, Any]) -> None:
    marked = {name: shape.get("required") for name, shape in schema["components"]["schemas"].items()}
    assert {name: fields for name, fields in marked.items() if fields and name.endswith("Request")} == {
        "ObjectRequest": ["schema"],
        "ObjectStreamRequest": ["schema"],
        "ImageRequest": ["prompt"],
        "SpeechRequest": ["text"],
        "TranscribeRequest": ["audio"],
        "VideoRequest": ["prompt"],
        "ResolveRequest": ["capability"],
    }


def test_files_are_base64_in_json_and_bytes_in_forms(schema: dict[str, Any]) -> None:
    shapes = schema["components"]["schemas"]
    body = operations(schema)["post", "/api/ai/v1/transcribe"]["requestBody"]
    assert body["required"]
    assert {name: media["schema"]["$ref"].rpartition("/")[2] for name, media in body["content"].items()} == {
        "application/json": "TranscribeRequest",
        "multipart/form-data": "TranscribeForm",
    }
    assert shapes["TranscribeRequest"]["properties"]["audio"]["contentEncoding"] == "base64"
    form = shapes["TranscribeForm"]
    assert {form["properties"][name]["format"] for name in ("audio", "file")} == {"binary"}
    assert form["allOf"] == [{"oneOf": [{"required": ["audio"]}, {"required": ["file"]}]}]
    assert shapes["ImageForm"]["properties"]["images"]["items"]["format"] == "binary"
    assert shapes["ImageForm"]["required"] == ["prompt"]
    assert shapes["GeneratedFile"]["properties"]["base64"]["contentEncoding"] == "base64"


@pytest.mark.parametrize(("path", "media_type"), [("generate-image", "image/*"), ("generate-speech", "audio/*")])
def test_the_bytes_of_a_file_are_an_answer_too(schema: dict[str, Any], path: str, media_type: str) -> None:
    answer = operations(schema)["post", f"/api/ai/v1/{path}"]["responses"]["200"]
    assert set(answer["content"]) == {"application/json", media_type}
    assert {"X-AI-Provider", "X-AI-Model", "X-AI-Warnings", "Content-Disposition"} <= set(answer["headers"])
