"""Every failure leaves as the one envelope, with the request's id and without what was not meant for callers."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import IntegrityError, InterfaceError, OperationalError, ProgrammingError
from django.http import Http404
from pytest_django import Settings
from rest_framework import exceptions as drf

from ai_models.api import errors, requestid
from ai_models.exceptions import CircuitOpen
from ai_models.models import ProviderInstance
from tests.api.conftest import Api
from tests.api.scripted import CANARY


def envelope(response: Any) -> dict[str, Any]:
    """The error; checks that it is whole."""
    error: dict[str, Any] = response.json()["error"]
    assert {"code", "message", "retryable", "remedy", "requestId"} <= set(error)
    assert response["X-Request-ID"] == error["requestId"]
    assert response["Content-Type"] == "application/json"
    return error


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [("fails", 502, "upstream_error"), ("limited", 429, "upstream_rate_limited"), ("breaks", 500, "internal")],
)
def test_a_failing_call_answers_with_its_code(api: Api, model: str, status: int, code: str) -> None:
    response = api.post("generate-text", {"prompt": "a", "model": model})
    assert response.status_code == status
    assert envelope(response)["code"] == code
    assert CANARY not in response.content.decode()


def test_retry_after_is_a_header_in_whole_seconds(api: Api) -> None:
    response = api.post("generate-text", {"prompt": "a", "model": "limited"})
    assert (response["Retry-After"], envelope(response)["retryAfter"]) == ("7", 6.2)


@pytest.mark.parametrize(
    ("request_body", "status", "code"),
    [
        ({"prompt": "a", "provider": "nobody"}, 404, "provider_not_found"),
        ({"prompt": "a", "schema": {"type": "object"}}, 409, "capability_not_enabled"),
    ],
)
def test_a_closed_gate_answers_with_its_code(api: Api, request_body: dict[str, Any], status: int, code: str) -> None:
    response = api.post("generate-object" if "schema" in request_body else "generate-text", request_body)
    assert response.status_code == status
    assert envelope(response)["code"] == code


def test_a_capability_that_is_not_configured_names_the_key_to_set(api: Api) -> None:
    response = api.post("generate-object", {"prompt": "a", "schema": {"type": "object"}})
    assert envelope(response)["configPath"] == "ai.providers.main.defaultModels.structured-output"


def test_a_disabled_provider_is_refused_at_once(api: Api, provider: ProviderInstance) -> None:
    assert api.post("generate-text", {"prompt": "a"}).status_code == 200
    provider.enabled = False
    provider.save()
    response = api.post("generate-text", {"prompt": "a"})
    assert (response.status_code, envelope(response)["code"]) == (409, "provider_disabled")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"]
)
def test_another_content_type_is_refused(api: Api, content_type: str) -> None:
    response = api.client.post("/api/ai/v1/generate-text", b'{"prompt": "a"}', content_type=content_type, headers=api.headers)
    assert (response.status_code, envelope(response)["code"]) == (415, "invalid_request")


def test_another_method_is_refused_with_the_allowed_ones(api: Api) -> None:
    response = api.get("generate-text")
    assert (response.status_code, envelope(response)["code"]) == (405, "invalid_request")
    assert "POST" in response["Allow"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["", "nothing", "generate-text/", "providers/main/nothing"])
def test_an_unknown_address_says_where_to_look(api: Api, method: str, path: str) -> None:
    response = api.client.generic(method, f"/api/ai/v1/{path}")
    assert response.status_code == 404
    assert envelope(response)["code"] == "invalid_request"
    assert "/api/ai/v1/schema" in envelope(response)["message"]


def test_malformed_json_is_not_repeated(api: Api) -> None:
    response = api.post("generate-text", f'{{"prompt": "{CANARY}'.encode())
    assert response.status_code == 400
    assert CANARY not in response.content.decode()


def test_a_body_above_the_limit_is_refused(api: Api, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_REQUEST_BYTES": 200_000}
    response = api.post("generate-text", {"prompt": "x" * 200_000})
    assert (response.status_code, envelope(response)["code"]) == (413, "payload_too_large")
    assert api.post("generate-text", {"prompt": "x" * 190_000}).status_code == 200


def test_djangos_own_body_limit_does_not_stand_in_the_way(api: Api, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert api.post("generate-text", {"prompt": "x" * 5000}).status_code == 200


def test_an_accept_header_never_turns_an_answer_into_an_error(api: Api) -> None:
    assert api.post("generate-text", {"prompt": "a"}, Accept="text/event-stream").status_code == 200


@pytest.mark.parametrize("sent", ["job-17.a_B", "x" * 128])
def test_a_harmless_request_id_is_kept(api: Api, sent: str) -> None:
    response = api.post("generate-text", {"prompt": "a"}, **{"X-Request-ID": sent})
    assert response["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 129, "a b", "a\x0bb", "<script>", "ä"])
def test_another_request_id_is_replaced(api: Api, sent: str) -> None:
    response = api.post("generate-text", {"prompt": "a"}, **{"X-Request-ID": sent})
    assert re.fullmatch(r"[0-9a-f]{32}", response["X-Request-ID"])


def test_an_unexpected_failure_is_logged_under_the_request_id(
    api: Api, provider: ProviderInstance, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(requestid.RequestIdFilter())
    with caplog.at_level(logging.ERROR):
        response = api.post("generate-text", {"prompt": "a", "model": "breaks"}, **{"X-Request-ID": "job-17"})
    assert response.status_code == 500
    records = [record for record in caplog.records if getattr(record, "request_id", None) == "job-17"]
    assert any(record.exc_info for record in records)


@pytest.mark.parametrize(
    ("exception", "status", "code"),
    [
        (RequestDataTooBig(CANARY), 413, "payload_too_large"),
        (DjangoPermissionDenied(CANARY), 403, "permission_denied"),
        (SuspiciousOperation(CANARY), 400, "invalid_request"),
        (Http404(CANARY), 404, "invalid_request"),
        (OperationalError(CANARY), 503, "not_ready"),
        (InterfaceError(CANARY), 503, "not_ready"),
        (ProgrammingError(CANARY), 503, "not_ready"),
        (IntegrityError(CANARY), 500, "internal"),
        (KeyError(CANARY), 500, "internal"),
        (drf.ParseError(CANARY), 400, "invalid_request"),
        (drf.NotFound(CANARY), 404, "invalid_request"),
        (drf.AuthenticationFailed(CANARY), 401, "unauthenticated"),
        (drf.APIException(CANARY), 500, "internal"),
        (drf.Throttled(wait=3), 429, "rate_limit_exceeded"),
        (CircuitOpen("Paused."), 503, "circuit_open"),
    ],
)
def test_every_exception_has_a_code_and_keeps_its_text_to_itself(exception: Exception, status: int, code: str) -> None:
    error = errors.translate(exception)
    assert (error.http_status, error.code) == (status, code)
    assert CANARY not in error.message


def test_a_storage_failure_says_when_to_come_back() -> None:
    assert errors.retry_headers(errors.translate(OperationalError())) == {"Retry-After": "5"}


def test_a_throttled_caller_is_told_when_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from rest_framework.throttling import UserRateThrottle

    from ai_models.api.views import View

    class OnePerHour(UserRateThrottle):
        rate = "1/hour"

    monkeypatch.setattr(View, "throttle_classes", (OnePerHour,))
    assert api.post("generate-text", {"prompt": "a"}).status_code == 200
    response = api.post("generate-text", {"prompt": "a"})
    assert (response.status_code, envelope(response)["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(response["Retry-After"]) <= 3600
