from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ai_models.transports.faults import NotPermitted, from_error_object, from_status, retry_after

SECRET = "sk-canary-0123456789"


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "invalid_request", False),
        (401, "upstream_auth_failed", False),
        (402, "upstream_error", False),
        (403, "upstream_auth_failed", False),
        (404, "model_not_found", False),
        (405, "upstream_error", False),
        (408, "upstream_timeout", True),
        (409, "upstream_error", True),
        (413, "payload_too_large", False),
        (418, "upstream_error", False),
        (422, "invalid_request", False),
        (429, "upstream_rate_limited", True),
        (500, "upstream_error", True),
        (501, "upstream_error", False),
        (502, "upstream_error", True),
        (503, "upstream_error", True),
        (504, "upstream_error", True),
        (529, "upstream_error", True),
        (599, "upstream_error", False),
    ],
)
def test_the_status_decides(status: int, code: str, retryable: bool) -> None:
    body = json.dumps({"error": {"message": f"key {SECRET} at http://10.0.0.1/", "code": SECRET}}).encode()
    error = from_status(status, {}, body)
    assert (error.code, error.retryable) == (code, retryable)
    assert SECRET not in error.message
    assert "10.0.0.1" not in error.message


@pytest.mark.parametrize(
    ("headers", "error", "permission"),
    [
        ({"x-amzn-errortype": "AccessDeniedException:http://internal.amazon.com/coral/"}, {"message": "No."}, True),
        ({"x-amzn-errortype": "UnrecognizedClientException"}, {"message": "No."}, False),
        ({}, {"type": "permission_error"}, True),
        ({}, {"code": "missing_scope"}, True),
        ({}, {"status": "PERMISSION_DENIED"}, False),
        ({}, None, False),
    ],
)
def test_a_credential_that_may_not_is_told_from_one_that_is_not_taken(
    headers: dict[str, str], error: object, permission: bool
) -> None:
    body = json.dumps({"error": error}).encode()
    assert isinstance(from_status(403, headers, body), NotPermitted) is permission
    assert not isinstance(from_status(401, headers, body), NotPermitted)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "context_length_exceeded"}, "context_window_exceeded"),
        ({"type": "exceed_context_size_error", "code": 400}, "context_window_exceeded"),
        ({"message": "prompt is too long: 250000 tokens > 200000 maximum"}, "context_window_exceeded"),
        ({"message": "This model's maximum context length is 8192 tokens."}, "context_window_exceeded"),
        ({"message": "Input is too long for requested model."}, "context_window_exceeded"),
        ({"message": "The input token count exceeds the maximum number of tokens allowed"}, "context_window_exceeded"),
        ({"code": "content_policy_violation"}, "content_policy_violation"),
        ({"message": "Rejected by our safety system."}, "content_policy_violation"),
        ({"message": "temperature must be below 2"}, "invalid_request"),
        ("just a text", "invalid_request"),
        (None, "invalid_request"),
        (7, "invalid_request"),
    ],
)
def test_the_kinds_of_a_rejected_request_are_told_apart(error: object, code: str) -> None:
    assert from_status(400, {}, json.dumps({"error": error}).encode()).code == code


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[[]]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_says_nothing_leaves_the_status_to_speak(body: bytes) -> None:
    assert from_status(400, {}, body).code == "invalid_request"


def test_a_used_up_quota_is_not_worth_another_attempt() -> None:
    error = from_status(429, {"retry-after": "1"}, b'{"error": {"code": "insufficient_quota"}}')
    assert (error.code, error.retryable, error.remedy) == ("upstream_rate_limited", False, "admin")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "1000000000"}, 3600.0),
        ({"retry-after": "NaN"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"}, None),
    ],
)
def test_the_wish_to_wait_is_read_and_clamped(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_is_read_as_the_time_until_then() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after({"retry-after": then}) == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": 429, "message": "slow down"}, "upstream_rate_limited"),
        ({"type": "overloaded_error"}, "upstream_error"),
        ({"type": "invalid_request_error", "message": "prompt is too long"}, "context_window_exceeded"),
        ({"type": "authentication_error"}, "upstream_auth_failed"),
        ({"code": 503, "status": "UNAVAILABLE"}, "upstream_error"),
        ({"code": 200}, "upstream_error"),
        ("boom", "upstream_error"),
        (True, "upstream_error"),
    ],
)
def test_an_error_that_came_with_success_is_that_error(error: object, code: str) -> None:
    assert from_error_object({"error": error}).code == code
