"""Plain calls through the whole stack, down to a family."""

from __future__ import annotations

import pytest

from ai_models.models import ProviderCapability, ProviderInstance
from tests.api.conftest import Api, MakeUser, bearer
from tests.api.scripted import CANARY, Scripted


def test_generate_text_answers_with_text_usage_and_where_it_came_from(api: Api) -> None:
    response = api.post("generate-text", {"prompt": "Hello", "maxOutputTokens": 20, "stopSequences": ["."]})
    answer = response.json()
    assert response.status_code == 200
    assert answer["text"] == "an answer"
    assert answer["finishReason"] == "stop"
    assert answer["usage"]["totalTokens"] == 5
    assert answer["usage"]["inputTokenDetails"]["cacheRead"] is None
    assert (answer["provider"], answer["model"], answer["warnings"]) == ("main", "echoes", [])
    assert Scripted.requests[0]["max_output_tokens"] == 20


def test_embed_answers_with_one_vector_per_value(api: Api) -> None:
    answer = api.post("embed", {"values": ["a", "bcd"]}).json()
    assert answer["embeddings"] == [[1.0, 1.0], [3.0, 1.0]]
    assert api.post("embed", {"value": "ab"}).json()["embedding"] == [2.0, 1.0]


def test_generate_object_answers_with_an_object_that_satisfies_the_schema(api: Api, provider: ProviderInstance) -> None:
    ProviderCapability.objects.create(instance=provider, capability="structured-output", default_model="echoes")
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    response = api.post("generate-object", {"prompt": "How old?", "schema": schema})
    assert response.status_code == 200
    assert response.json()["object"] == {"name": "Ada", "age": 36}


def test_resolve_explains_without_calling(api: Api) -> None:
    answer = api.post("resolve", {"capability": "text-generation", "model": "slow"}).json()
    assert (answer["provider"], answer["model"]) == ("main", "hangs")
    assert not Scripted.calling.is_set()


def test_providers_are_listed_with_what_each_can_do(api: Api) -> None:
    (listed,) = api.get("providers").json()["providers"]
    shown = api.get("providers/main").json()
    assert listed == shown
    assert (shown["name"], shown["family"], shown["default"], shown["state"]) == ("main", "scripted", True, "ready")
    available = {row["capability"] for row in shown["capabilities"] if row["available"]}
    assert available == {"text-generation", "embeddings"}


def test_models_are_listed_and_narrowed_by_capability(api: Api) -> None:
    everything = {row["id"] for row in api.get("models").json()["models"]}
    assert everything == {"main/echoes", "main/slow", "main/vectors"}
    assert {row["id"] for row in api.get("models", {"capability": "embeddings"}).json()["models"]} == {"main/vectors"}


@pytest.mark.parametrize("query", [{"capability": "telepathy"}, {"colour": "red"}])
def test_a_wrong_query_is_refused(api: Api, query: dict[str, str]) -> None:
    response = api.get("models", query)
    assert response.status_code == 400
    assert next(iter(query)) in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "field",
    [
        "headers", "api_base", "base_url", "api_key", "apiKey", "extra_headers", "user_config", "custom_llm_provider",
        "mock_response", "callbacks", "metadata", "max_output_tokens", "user", "is_staff", "encrypted_credentials",
    ],
)  # fmt: skip
def test_fields_that_do_not_exist_are_refused_by_name(api: Api, field: str) -> None:
    response = api.post("generate-text", {"prompt": "Hello", field: CANARY})
    assert response.status_code == 400
    assert response.json()["error"]["message"] == f"{field}: this field does not exist"
    assert not Scripted.requests


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("generate-text", {"prompt": 5}, "prompt"),
        ("generate-text", {"prompt": "a", "temperature": "warm"}, "temperature"),
        ("generate-text", {"prompt": "a", "maxOutputTokens": 10**9}, "maxOutputTokens"),
        ("generate-text", {"prompt": "a", "messages": [{"role": "user", "content": "b"}]}, "prompt"),
        ("generate-text", {}, "prompt"),
        ("generate-text", {"messages": [{"role": "user", "content": "b", "name": "x"}]}, "messages.0.name"),
        ("generate-text", {"prompt": "a", "tools": [{"name": "t"}] * 500}, "tools"),
        ("embed", {"values": []}, "values"),
        ("embed", {}, "value"),
        ("resolve", {"capability": 7}, "capability"),
    ],
)
def test_wrong_values_are_refused_by_field(api: Api, path: str, body: dict[str, object], field: str) -> None:
    response = api.post(path, body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request"
    assert field in response.json()["error"]["message"]


def test_a_variant_that_does_not_exist_is_refused_without_repeating_it(api: Api) -> None:
    response = api.post("generate-text", {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]})
    assert response.json()["error"]["message"] == (
        "messages.0.content.0: its type is one of text, file, reasoning, tool-call, tool-result"
    )


def test_the_result_of_a_check_is_stored_and_shown(api: Api, make_user: MakeUser, provider: ProviderInstance) -> None:
    admin = make_user("grace", "change_providerinstance")
    response = Api(api.client, bearer(admin)).post("providers/main/check")
    assert response.status_code == 200
    assert (response.json()["latencyMs"], response.json()["checkedAt"] is not None) == (12, True)
    assert (response.json()["check"], response.json()["message"]) == ("healthy", "It answers.")
    provider.refresh_from_db()
    assert provider.latency_ms == 12
