"""Plain calls that fail: each fault has its code, ends its connection, and tells nobody what must stay here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import pytest
from pytest_django import Settings

from tests.families.contract.base import CANARY, Contract, failure_of, streamed, text_failure, told_by
from tests.upstreams import faults
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream

KIB = 1024

CODES = {
    400: "invalid_request",
    401: "upstream_auth_failed",
    403: "upstream_auth_failed",
    404: "model_not_found",
    408: "upstream_timeout",
    409: "upstream_error",
    413: "payload_too_large",
    422: "invalid_request",
    429: "upstream_rate_limited",
    500: "upstream_error",
    502: "upstream_error",
    503: "upstream_error",
    504: "upstream_error",
    529: "upstream_error",
}
RETRYABLE = frozenset({408, 409, 429, 500, 502, 503, 504, 529})

BROKEN = "upstream_error or upstream_invalid_response"
"""After its headers, an answer that was reset and one that was cut off cannot always be told apart."""

PLAIN_FAULTS: Mapping[str, tuple[Callable[[Reply], Reply], str]] = {
    "reset before the first byte": (lambda _: faults.reset_before_first_byte(), "upstream_error"),
    "reset after the headers": (faults.reset_after_headers, BROKEN),
    "reset in the body": (lambda good: faults.reset_after(faults.halved(good), 1), BROKEN),
    "hang before the first byte": (lambda _: faults.hang_before_first_byte(), "upstream_timeout"),
    "hang after the headers": (faults.hang_after_headers, "upstream_timeout"),
    "hang in the body": (lambda good: faults.hang_after(faults.halved(good), 1), "upstream_timeout"),
    "drip": (lambda good: faults.drip(good, size=1, every=0.05), "upstream_timeout"),
    "truncated": (lambda good: faults.truncated(faults.halved(good), 1), "upstream_invalid_response"),
    "nothing at all": (lambda good: faults.truncated(good, 0), "upstream_invalid_response"),
    "malformed JSON": (lambda _: faults.malformed_json(), "upstream_invalid_response"),
    "JSON of something else": (lambda good: faults.replaced(good, b'"', b'"x'), "upstream_invalid_response"),
    "a page": (lambda _: faults.html_page(), "upstream_invalid_response"),
    "compressed": (faults.gzipped, "upstream_invalid_response"),
    "gzip bomb": (lambda _: faults.gzip_bomb(), "upstream_invalid_response"),
    "endless body": (lambda _: faults.endless_body(), "upstream_invalid_response"),
    "huge length": (faults.huge_length, "upstream_invalid_response"),
    "endless headers": (lambda _: faults.endless_headers(), "upstream_invalid_response"),
}
CONNECTION_SURVIVES = frozenset({"malformed JSON", "JSON of something else", "a page", "compressed"})
"""Faults of the content alone, after which the connection is as good as any."""


class Failures(Contract):
    """Statuses, faults of a body, redirects, refusals."""

    error_with_200_code: ClassVar[str] = "upstream_error"
    too_long: ClassVar[Callable[[], Reply]]
    """What the vendor answers to an input that is too long."""

    @pytest.mark.parametrize("status", CODES)
    async def test_a_status_has_its_code(
        self, upstream: Upstream, status: int, everything_logged: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        upstream.always(self.vendor.error(status, f"The key {CANARY} at {upstream.url} is at fault."))
        error = await text_failure()
        assert (error.code, error.retryable) == (CODES[status], status in RETRYABLE)
        from_stream, text = await failure_of(streamed())
        assert (from_stream.code, text) == (CODES[status], "")
        for told in (told_by(error), told_by(from_stream), everything_logged.text, *capfd.readouterr()):
            assert CANARY not in told
            assert upstream.url not in told

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b'{"error": 7}', b'{"error": {"code": {}}}', b"\xff\xff"])
    async def test_an_error_whose_body_is_no_error_object_has_the_code_of_its_status(
        self, upstream: Upstream, body: bytes
    ) -> None:
        upstream.always(Reply(status=500, headers=(("Content-Type", "application/json"),), pieces=(body,)))
        assert (await text_failure()).code == "upstream_error"

    async def test_an_input_that_is_too_long_has_a_code_of_its_own(self, upstream: Upstream) -> None:
        upstream.always(type(self).too_long())
        assert (await text_failure()).code == "context_window_exceeded"

    async def test_an_error_object_with_status_200_is_an_error(self, upstream: Upstream) -> None:
        upstream.always(self.vendor.error_with_200(f"The key {CANARY} is at fault."))
        error = await text_failure()
        assert error.code == self.error_with_200_code
        assert CANARY not in told_by(error)
        assert (await failure_of(streamed()))[0].code in {self.error_with_200_code, "upstream_invalid_response"}

    @pytest.mark.parametrize("fault", PLAIN_FAULTS)
    async def test_a_fault_has_its_code_and_ends_its_connection(
        self, upstream: Upstream, settings: Settings, fault: str, everything_logged: pytest.LogCaptureFixture
    ) -> None:
        settings.AI_MODELS = {**settings.AI_MODELS, "MAX_RESPONSE_BYTES": 256 * KIB}
        spoil, code = PLAIN_FAULTS[fault]
        upstream.always(spoil(self.vendor.text("Hello there")))
        error = await text_failure(timeout=0.4 if code == "upstream_timeout" else 20.0)
        assert error.code in code.split(" or ")
        assert len(upstream.requests) == 1
        assert fault in CONNECTION_SURVIVES or await upstream.await_closed()
        assert upstream.connections[0].sent < 64 * 256 * KIB
        for told in (told_by(error), everything_logged.text):
            assert CANARY not in told
            assert upstream.url not in told
            assert "Hello there" not in told

    async def test_a_refused_connection(self, refused_url: str, reconfigure: Callable[..., object]) -> None:
        await reconfigure(baseURL=refused_url + self.base_path)  # type: ignore[misc]
        for error in (await text_failure(), (await failure_of(streamed()))[0]):
            assert (error.code, error.retryable) == ("upstream_error", True)
            assert refused_url.rpartition(":")[2] not in told_by(error)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_redirect_is_not_followed(self, upstream: Upstream, upstreams: Callable[[], Upstream], status: int) -> None:
        elsewhere = upstreams().always(self.vendor.text())
        upstream.always(faults.redirect(f"{elsewhere.url}/x?secret={CANARY}", status))
        for error in (await text_failure(), (await failure_of(streamed()))[0]):
            assert (error.code, error.retryable) == ("upstream_error", False)
            assert CANARY not in told_by(error)
        assert elsewhere.connections == []
        assert len(upstream.requests) == 2
