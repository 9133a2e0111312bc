"""Every failure in OpenAI's shape, whoever finds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings
from rest_framework.throttling import UserRateThrottle

from ai_models import asgi, exceptions, service
from ai_models.exceptions import AIModelsError
from ai_models.models import ProviderCapability, ProviderInstance
from ai_models.openai_api import errors
from ai_models.types import Chunk
from tests.api.conftest import LiveServer, MakeUser, bearer, parse, read_all, serving
from tests.api.scripted import CANARY, Scripted
from tests.documented import subclasses
from tests.openai_api.actor import DONE, Actor
from tests.openai_api.conftest import BASE, HELLO, Facade, error_of, head
from tests.openai_api.test_chat import AGE

LIMIT = 100_000


RAISED = [kind for kind in subclasses(AIModelsError) if kind is not exceptions.ConfigurationError]
TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    405: "invalid_request_error", 408: "invalid_request_error", 409: "invalid_request_error", 413: "invalid_request_error",
    415: "invalid_request_error", 416: "invalid_request_error", 422: "invalid_request_error", 429: "rate_limit_error",
    500: "server_error", 502: "server_error", 503: "server_error", 504: "server_error",
}  # fmt: skip


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_every_error_has_its_status_its_type_and_says_whether_to_try_again(
    facade: Facade, monkeypatch: pytest.MonkeyPatch, kind: type[AIModelsError]
) -> None:
    failure = kind("It failed.", config_path="ai.providers.main", retry_after=2.5)

    async def fail(**request: Any) -> None:
        raise failure

    monkeypatch.setattr(service, "amodels", fail)
    response = facade.get("models")
    error = error_of(response)
    assert response.status_code == kind.http_status
    assert error["type"] == TYPES[kind.http_status]
    assert (error["code"], error["message"], error["remedy"]) == (kind.code, "It failed.", failure.remedy)
    assert (error["configPath"], error["retryAfter"]) == ("ai.providers.main", 2.5)
    assert response["Retry-After"] == "3"
    assert response["x-should-retry"] == ("true" if failure.retryable else "false")


def test_an_error_tells_what_it_is_about_by_openais_name_and_notation() -> None:
    names = {"max_output_tokens": "max_tokens", "text": "input"}

    def told(message: str) -> tuple[str, str | None]:
        error = errors.body(exceptions.InvalidRequest(message), "r", names)["error"]
        return error["message"], error["param"]

    assert told("text: it is too long for text-generation") == ("input: it is too long for text-generation", "input")
    assert told("messages.3.content.12.text: no") == ("messages[3].content[12].text: no", "messages[3].content[12].text")
    assert told("The model does not support max_output_tokens.") == ("The model does not support max_tokens.", None)
    assert told("Note: this is no field") == ("Note: this is no field", None)


# --- what is at which address ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
@pytest.mark.parametrize(
    "path", ["", "completions", "responses", "chat", "chat/completions/", "models/", "images/edits", "audio/translations"]
)
def test_nothing_is_at_other_addresses(facade: Facade, method: str, path: str) -> None:
    response = getattr(facade.client, method)(f"{BASE}/{path}")
    error = error_of(response)
    assert (response.status_code, error["type"], error["param"]) == (404, "not_found_error", None)
    assert "chat/completions" in error["message"]


@pytest.mark.parametrize("path", ["/api/ai/openai/chat/completions", "/api/ai/openai/", "/api/ai/openai/v2/models"])
def test_addresses_without_the_version_say_where_it_is(client: Client, storage: None, path: str) -> None:
    response = client.post(path)
    assert response.status_code == 404
    assert "/api/ai/openai/v1/" in error_of(response)["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("get", "chat/completions"), ("delete", "embeddings"), ("put", "images/generations"), ("post", "models"),
     ("delete", "models/stage/lead"), ("patch", "audio/speech"), ("options", "audio/transcriptions")],
)  # fmt: skip
def test_a_wrong_method_is_told(facade: Facade, method: str, path: str) -> None:
    response = getattr(facade.client, method)(f"{BASE}/{path}", headers=facade.headers)
    assert (response.status_code, error_of(response)["type"]) == (405, "invalid_request_error")


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "model: field required"),
        (b"[]", "must be a JSON object"),
        (b'{"model": ', "not valid JSON at character"),
        (b'{"model": "a", "model": "b"}', "names a key twice"),
        (b'{"temperature": NaN}', "finite"),
        (b'{"model": "\\ud800"}', "surrogate"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nesting is deeper than 64"),
        (b"\xff", "UTF-8"),
    ],
)
def test_a_body_that_is_no_json_is_refused(facade: Facade, body: bytes, told: str) -> None:
    response = facade.post("chat/completions", body)
    assert (response.status_code, error_of(response)["code"]) == (400, "invalid_request")
    assert told in error_of(response)["message"]


@pytest.mark.parametrize("path", ["chat/completions", "embeddings", "images/generations", "audio/speech"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_of_another_type_is_refused(facade: Facade, path: str, content_type: str) -> None:
    response = facade.client.post(f"{BASE}/{path}", b"{}", content_type=content_type, headers=facade.headers)
    assert response.status_code == 415
    assert "application/json" in error_of(response)["message"]


def test_a_form_that_is_malformed_is_refused(facade: Facade) -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        response = facade.client.post(
            f"{BASE}/audio/transcriptions", b"--y\r\n", content_type=content_type, headers=facade.headers
        )
        assert (response.status_code, error_of(response)["code"]) == (400, "invalid_request")


def test_errors_are_json_whatever_the_client_accepts(facade: Facade) -> None:
    assert error_of(facade.post("audio/speech", {"model": "a"}, Accept="audio/mpeg"))["param"] == "input"


# --- who gets in ------------------------------------------------------------------------------------------------------

CALLS = [
    ("chat/completions", {"messages": HELLO}, "use_text_generation"),
    ("chat/completions", {"messages": HELLO, "response_format": AGE}, "use_structured_output"),
    ("chat/completions", {"messages": HELLO, "verbosity": "low"}, "use_text_generation"),
    ("embeddings", {"input": "a"}, "use_embeddings"),
    ("images/generations", {"prompt": "a"}, "use_image_generation"),
    ("audio/speech", {"input": "a"}, "use_speech_generation"),
]


@pytest.mark.parametrize("path", [*(path for path, _, _ in CALLS), "audio/transcriptions"])
@pytest.mark.parametrize("credential", [None, "Bearer nonsense", "Basic YTpi"])
def test_nobody_gets_in_without_a_credential(facade: Facade, path: str, credential: str | None) -> None:
    facade.headers = {"Authorization": credential} if credential else {}
    response = facade.post(path, {"model": "stage/lead"})
    error = error_of(response)
    assert (response.status_code, error["code"], error["type"]) == (401, "unauthenticated", "authentication_error")
    assert response["WWW-Authenticate"] == "Bearer"
    assert "nonsense" not in response.content.decode()


@pytest.mark.parametrize("path", ["models", "models/stage/lead"])
def test_nobody_looks_without_a_credential(facade: Facade, path: str) -> None:
    facade.headers = {}
    assert error_of(facade.get(path))["code"] == "unauthenticated"


@pytest.mark.parametrize(("path", "body", "needed"), CALLS)
def test_each_capability_needs_its_permission(
    facade: Facade, make_user: MakeUser, path: str, body: dict[str, Any], needed: str
) -> None:
    others = {"use_text_generation", "use_structured_output", "use_embeddings", "use_image_generation",
              "use_speech_generation", "use_transcription"} - {needed}  # fmt: skip
    facade.headers = bearer(make_user("eve", *others))
    response = facade.post(path, {"model": "stage/lead", **body})
    error = error_of(response)
    assert (response.status_code, error["code"], error["type"]) == (403, "permission_denied", "permission_error")
    assert needed in error["message"]
    assert not Actor.requests
    Actor.script = [Chunk(text='{"age": 1}'), DONE]
    facade.headers = bearer(make_user("eva", needed))
    assert facade.post(path, {"model": "stage/lead", **body}).status_code == 200


def test_a_stranger_learns_nothing_about_providers(facade: Facade, make_user: MakeUser) -> None:
    facade.headers = bearer(make_user("eve", "use_embeddings"))
    for model in ("stage/lead", "nobody/lead", "main/echoes"):
        assert error_of(facade.chat(model=model, logit_bias={"1": 1}))["code"] == "permission_denied"


def test_the_hosts_throttles_hold(facade: Facade, monkeypatch: pytest.MonkeyPatch) -> None:
    class Once(UserRateThrottle):
        rate = "1/day"
        scope = "facade-test"

    monkeypatch.setattr("ai_models.openai_api.views.ChatView.throttle_classes", [Once])
    assert facade.chat().status_code == 200
    response = facade.chat()
    error = error_of(response)
    assert (response.status_code, error["code"], error["type"]) == (429, "rate_limit_exceeded", "rate_limit_error")
    assert int(response["Retry-After"]) > 0
    assert response["x-should-retry"] == "true"


# --- gates ------------------------------------------------------------------------------------------------------------


def test_a_provider_that_is_switched_off_is_told(facade: Facade, stage: ProviderInstance) -> None:
    stage.enabled = False
    stage.save()
    response = facade.chat()
    error = error_of(response)
    assert (response.status_code, error["code"], error["type"]) == (409, "provider_disabled", "invalid_request_error")
    assert response["x-should-retry"] == "false"


def test_a_capability_that_is_not_set_up_is_told_with_the_key_to_set(facade: Facade) -> None:
    ProviderCapability.objects.get(instance__name="stage", capability="structured-output").delete()
    response = facade.chat(response_format=AGE)
    error = error_of(response)
    assert (response.status_code, error["code"]) == (409, "capability_not_enabled")
    assert error["configPath"] == "ai.providers.stage.defaultModels.structured-output"
    assert response["x-should-retry"] == "false"
    assert facade.chat().status_code == 200


def test_a_database_that_is_down_is_told(facade: Facade, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(**request: Any) -> None:
        raise OperationalError(CANARY)

    monkeypatch.setattr(service, "amodels", fail)
    response = facade.get("models")
    assert (response.status_code, error_of(response)["code"]) == (503, "not_ready")
    assert CANARY not in response.content.decode()


def test_a_fault_tells_nothing_of_itself(facade: Facade) -> None:
    response = facade.chat(model="main/breaks")
    assert (response.status_code, error_of(response)["type"]) == (500, "server_error")
    assert CANARY not in response.content.decode()


def test_the_request_id_is_the_callers(facade: Facade) -> None:
    facade.headers["X-Request-ID"] = "mine-1"
    assert facade.chat()["X-Request-ID"] == "mine-1"
    assert error_of(facade.chat(n=2))["requestId"] == "mine-1"


# --- what the application around finds ---------------------------------------------------------------------------------


@pytest.fixture
def strict(stage: ProviderInstance, http: str, settings: Settings) -> Iterator[LiveServer]:
    """A server with a low limit and little patience, once per HTTP implementation."""
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_REQUEST_BYTES": LIMIT, "MAX_UPLOAD_BYTES": 2 * LIMIT}
    with serving(asgi.serve(get_asgi_application(), body_seconds=0.5), http) as running:
        yield running


def test_a_body_that_is_too_large_is_told(strict: LiveServer, user: User) -> None:
    response = strict.exchange(head("chat/completions", user, f"Content-Length: {LIMIT + 1}"))
    error = error_of(response)
    assert (response.status_code, error["code"], error["type"]) == (413, "payload_too_large", "invalid_request_error")


def test_a_form_that_is_too_large_is_told(strict: LiveServer, user: User) -> None:
    form = "multipart/form-data; boundary=x"
    sent = head("audio/transcriptions", user, f"Content-Length: {2 * LIMIT + 1}", content_type=form)
    assert error_of(strict.exchange(sent))["code"] == "payload_too_large"


def test_a_chunked_body_that_is_too_large_is_told(strict: LiveServer, user: User) -> None:
    with strict.connect() as connection:
        connection.sendall(head("chat/completions", user, "Transfer-Encoding: chunked"))
        for _ in range(LIMIT // 10_000 + 1):
            connection.sendall(b"%x\r\n%b\r\n" % (10_000, b"x" * 10_000))
        assert error_of(parse(read_all(connection)))["code"] == "payload_too_large"


def test_a_body_that_drips_is_told_and_may_be_sent_again(strict: LiveServer, user: User) -> None:
    with strict.connect() as connection:
        connection.sendall(head("chat/completions", user, "Content-Length: 1000") + b'{"model": ')
        response = parse(read_all(connection))
    error = error_of(response)
    assert (response.status_code, error["code"], error["type"]) == (408, "invalid_request", "invalid_request_error")
    assert response.headers["x-should-retry"] == "true"


def test_a_content_type_that_cannot_be_read_is_told(strict: LiveServer, user: User) -> None:
    response = strict.exchange(
        head("chat/completions", user, "Content-Length: 2", content_type="application/json; charset*=nope''x") + b"{}"
    )
    assert (response.status_code, error_of(response)["code"]) == (400, "invalid_request")


def test_the_rest_api_keeps_its_own_shape(strict: LiveServer, user: User) -> None:
    response = strict.exchange(head("embed", user, f"Content-Length: {LIMIT + 1}", base="/api/ai/v1"))
    assert response.json()["error"].keys() == {"code", "message", "retryable", "remedy", "requestId"}
    assert "x-should-retry" not in response.headers


def test_a_body_without_a_length_is_answered(strict: LiveServer, user: User) -> None:
    body = iter([json.dumps({"model": "stage/lead", "messages": HELLO}).encode()])
    headers = {**bearer(user), "Content-Type": "application/json"}
    response = httpx.post(f"{strict.url}{BASE}/chat/completions", content=body, headers=headers)
    assert response.json()["choices"][0]["message"]["content"] == "Hello you"
    assert not Scripted.requests
