"""Streams that fail end with an error, never with a finish; and good ones are understood however they are cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import pytest
from pytest_django import Settings

from tests.families.contract.base import CANARY, Contract, failure_of, finish_of, streamed, told_by
from tests.families.contract.failures import BROKEN
from tests.upstreams import faults
from tests.upstreams.replies import Reply, Wait
from tests.upstreams.server import Upstream

KIB = 1024
FIRST = b"Hello"
"""Marks the first piece of text. What a fault spoils comes after it."""

STREAM_FAULTS: Mapping[str, tuple[Callable[[Reply], Reply], str]] = {
    "reset in mid-stream": (lambda good: faults.reset_after(good, FIRST), BROKEN),
    "hang between chunks": (lambda good: faults.hang_after(good, FIRST), "upstream_timeout"),
    "truncated": (lambda good: faults.truncated(good, FIRST), "upstream_invalid_response"),
    "ended early": (lambda good: faults.cut_short(good, FIRST), "upstream_invalid_response"),
}
EARLY_FAULTS: Mapping[str, tuple[Callable[[Reply], Reply], str]] = {
    "reset before the first byte": (lambda _: faults.reset_before_first_byte(), "upstream_error"),
    "reset after the headers": (faults.reset_after_headers, BROKEN),
    "hang before the first byte": (lambda _: faults.hang_before_first_byte(), "upstream_timeout"),
    "hang after the headers": (faults.hang_after_headers, "upstream_timeout"),
    "nothing at all": (lambda good: faults.cut_short(good, 0), "upstream_invalid_response"),
    "a page": (lambda _: faults.html_page(), "upstream_invalid_response"),
    "an endless line": (lambda _: faults.endless_line(), "upstream_invalid_response"),
    "compressed": (faults.gzipped, "upstream_invalid_response"),
    "gzip bomb": (lambda _: faults.gzip_bomb("text/event-stream"), "upstream_invalid_response"),
}
CONNECTION_SURVIVES = frozenset({"nothing at all", "a page", "compressed"})
# On a busy machine a first chunk may take long, and these tests are about the second.
LIMITS = {"total": 30.0, "first_chunk": 10.0, "chunk": 0.4}


def at_once(reply: Reply) -> Reply:
    """The same body, in one piece."""
    return replace(reply, pieces=(b"".join(piece for piece in reply.pieces if isinstance(piece, bytes)),))


class Streams(Contract):
    """Faults in mid-stream, ends, and the forms that the same events can have."""

    @pytest.mark.parametrize("fault", STREAM_FAULTS)
    async def test_a_fault_in_mid_stream_is_an_error_after_the_text(
        self, upstream: Upstream, fault: str, everything_logged: pytest.LogCaptureFixture
    ) -> None:
        spoil, code = STREAM_FAULTS[fault]
        upstream.always(spoil(self.vendor.stream("Hello", " there")))
        error, text = await failure_of(streamed(timeout=LIMITS, max_retries=2))
        assert error.code in code.split(" or ")
        assert text == "Hello"
        assert len(upstream.requests) == 1
        assert fault == "ended early" or await upstream.await_closed()
        for told in (told_by(error), everything_logged.text):
            assert CANARY not in told
            assert upstream.url not in told

    @pytest.mark.parametrize("fault", EARLY_FAULTS)
    async def test_a_fault_before_the_text_is_an_error_alone(self, upstream: Upstream, settings: Settings, fault: str) -> None:
        settings.AI_MODELS = {**settings.AI_MODELS, "MAX_EVENT_BYTES": 256 * KIB}
        spoil, code = EARLY_FAULTS[fault]
        upstream.always(spoil(self.vendor.stream("Hello", " there")))
        error, text = await failure_of(streamed(timeout={**LIMITS, "first_chunk": 0.6}))
        assert error.code in code.split(" or ")
        assert text == ""
        assert fault in CONNECTION_SURVIVES or await upstream.await_closed()
        assert upstream.connections[0].sent < 64 * 256 * KIB

    async def test_an_end_without_a_finish_reason_is_an_error(self, upstream: Upstream) -> None:
        good = self.vendor.stream("Hello", " there")
        upstream.always(faults.cut_short(good, b" there" if not self.finish_stands_in_last_delta else FIRST))
        error, text = await failure_of(streamed())
        assert error.code == "upstream_invalid_response"
        assert text in {"Hello", "Hello there"}

    finish_stands_in_last_delta: ClassVar[bool] = False

    async def test_a_whole_answer_is_no_stream(self, upstream: Upstream) -> None:
        upstream.always(self.vendor.text("Hello"))
        error, text = await failure_of(streamed())
        assert (error.code, text) == ("upstream_invalid_response", "")

    async def test_an_error_in_mid_stream_is_that_error(self, upstream: Upstream) -> None:
        upstream.always(self.vendor.error_in_stream("Hello", message=f"The key {CANARY} is at fault."))
        error, text = await failure_of(streamed())
        assert (error.code, text) == ("upstream_error", "Hello")
        assert CANARY not in told_by(error)

    async def test_a_malformed_event_is_an_error(self, upstream: Upstream) -> None:
        upstream.always(self.malformed(self.vendor.stream("Hello", " there")))
        error, text = await failure_of(streamed())
        assert (error.code, text) == ("upstream_invalid_response", "Hello")

    def malformed(self, good: Reply) -> Reply:
        return faults.malformed_event(good, FIRST)

    async def test_the_whole_call_has_a_limit_too(self, upstream: Upstream) -> None:
        good = self.vendor.stream(*["Hello"] * 200)
        upstream.always(replace(good, pieces=tuple(step for piece in good.pieces for step in (piece, Wait(0.05)))))
        error, text = await failure_of(streamed(timeout={"total": 1.5}))
        assert error.code == "upstream_timeout"
        assert text.startswith("Hello")
        assert await upstream.await_closed()

    async def test_a_stream_that_the_provider_keeps_open_finishes(self, upstream: Upstream) -> None:
        upstream.always(faults.kept_open(self.vendor.stream("Hello", " there")))
        result = await finish_of(streamed())
        assert (result.text, result.usage) == ("Hello there", self.usage)
        assert await upstream.await_closed()

    async def test_a_stream_of_single_bytes_is_the_same_stream(self, upstream: Upstream) -> None:
        good = self.vendor.stream("Hé", "llo ✓", reasoning=["We"])
        upstream.script(good, faults.bytewise(good))
        assert await finish_of(streamed()) == await finish_of(streamed())


class ServerSentEvents(Contract):
    """For vendors whose streams are server-sent events."""

    async def test_signs_of_life_are_no_progress(self, upstream: Upstream) -> None:
        begun = faults.hang_after(self.vendor.stream("Hello"), FIRST)
        comments = (b": still here\n\n", Wait(0.05)) * 200
        upstream.always(replace(begun, pieces=(*tuple(begun.pieces)[:-1], *comments)))
        error, text = await failure_of(streamed(timeout=LIMITS))
        assert (error.code, text) == ("upstream_timeout", "Hello")
        assert await upstream.await_closed()

    async def test_text_is_told_before_a_fault_that_arrives_with_it(self, upstream: Upstream) -> None:
        upstream.always(at_once(faults.malformed_event(self.vendor.stream("Hello", " there"), FIRST)))
        error, text = await failure_of(streamed())
        assert (error.code, text) == ("upstream_invalid_response", "Hello")

    async def test_who_leaves_has_what_was_read_and_not_all_that_arrived(self, upstream: Upstream) -> None:
        upstream.always(at_once(self.vendor.stream("Hello", " there")))
        stream = streamed()
        async for _ in stream.text_stream:
            break
        result = await stream.response
        assert (result.text, result.finish_reason) == ("Hello", "other")

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\n \r\n \r"], ids=["LF", "CRLF", "CR", "mixed"])
    async def test_every_form_of_server_sent_events_is_understood(self, upstream: Upstream, newline: str) -> None:
        good = self.vendor.stream("Hé", "llo ✓", reasoning=["We"])
        spoken = faults.sse_dialect(good, newline, bom=True, comments=True, multiline=True)
        upstream.script(good, spoken, faults.bytewise(spoken))
        first = await finish_of(streamed())
        assert await finish_of(streamed()) == first
        assert await finish_of(streamed()) == first
