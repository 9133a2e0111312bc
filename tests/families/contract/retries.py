"""One retry loop, which honours what the provider asks for; and calls that end when their caller leaves."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from ai_models import events, service
from tests.families.contract.base import Contract, failure_of, finish_of, streamed, text_failure
from tests.upstreams import faults
from tests.upstreams.replies import Headers
from tests.upstreams.server import Upstream

SOON: Headers = (("Retry-After-Ms", "10"),)


class Retries(Contract):
    """How often the upstream is called, when, and until when."""

    async def test_failures_that_pass_are_retried(self, upstream: Upstream) -> None:
        failure = self.vendor.error(500, headers=SOON)
        upstream.script(failure, failure, self.vendor.text("Hello"))
        assert (await service.agenerate_text("Hi", max_retries=2)).text == "Hello"
        assert len(upstream.requests) == 3
        first, *others = (request.body for request in upstream.requests)
        assert others == [first, first]

    async def test_a_stream_is_retried_until_its_first_chunk(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.error(503, headers=SOON), faults.reset_before_first_byte(), self.vendor.stream("Hello"))
        assert (await finish_of(streamed(max_retries=2))).text == "Hello"
        assert len(upstream.requests) == 3

    @pytest.mark.parametrize("retries", [0, 1, 3])
    async def test_attempts_are_one_and_the_retries(self, upstream: Upstream, retries: int) -> None:
        upstream.always(self.vendor.error(500, headers=SOON))
        assert (await text_failure(max_retries=retries)).code == "upstream_error"
        assert len(upstream.requests) == 1 + retries
        await failure_of(streamed(max_retries=retries))
        assert len(upstream.requests) == 2 * (1 + retries)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
    async def test_failures_that_stay_are_not_retried(self, upstream: Upstream, status: int) -> None:
        upstream.always(self.vendor.error(status, headers=SOON))
        await text_failure(max_retries=2)
        assert len(upstream.requests) == 1

    @pytest.mark.parametrize("header", [("Retry-After", "0.2"), ("retry-after-ms", "200")], ids=["seconds", "milliseconds"])
    async def test_retry_after_is_waited_for(self, upstream: Upstream, header: tuple[str, str]) -> None:
        upstream.script(self.vendor.error(429, headers=(header,)), self.vendor.text("Hello"))
        await service.agenerate_text("Hi", max_retries=1)
        first, second = upstream.requests
        assert 0.2 <= second.at - first.at < 5

    @pytest.mark.parametrize("value", ["0", "-1", "Wed, 21 Oct 2015 07:28:00 GMT"])
    async def test_a_retry_after_that_is_over_means_now(self, upstream: Upstream, value: str) -> None:
        upstream.script(self.vendor.error(429, headers=(("Retry-After", value),)), self.vendor.text("Hello"))
        await service.agenerate_text("Hi", max_retries=1)
        first, second = upstream.requests
        assert second.at - first.at < 0.2

    @pytest.mark.parametrize("value", ["nan", "inf", "soon", "", "1e400"])
    async def test_a_retry_after_without_sense_is_no_answer(self, upstream: Upstream, value: str) -> None:
        upstream.always(self.vendor.error(429, headers=(("Retry-After", value),)))
        error = await text_failure()
        assert (error.code, error.retry_after) == ("upstream_rate_limited", None)

    @pytest.mark.parametrize(("value", "told"), [("30", 30.0), ("1000000000", 3600.0)])
    async def test_a_retry_after_beyond_the_deadline_is_not_slept(self, upstream: Upstream, value: str, told: float) -> None:
        upstream.always(self.vendor.error(429, headers=(("Retry-After", value),)))
        async with asyncio.timeout(5):
            error = await text_failure(max_retries=2, timeout=10)
        assert (error.code, error.retry_after, error.retryable) == ("upstream_rate_limited", told, True)
        assert len(upstream.requests) == 1

    # --- callers that leave ---

    async def test_a_cancelled_call_ends_its_connection(self, upstream: Upstream) -> None:
        upstream.always(faults.hang_before_first_byte())
        call = asyncio.create_task(service.agenerate_text("Hi"))
        assert await upstream.await_requests(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await upstream.await_closed()
        assert len(upstream.requests) == 1

    async def test_a_call_cancelled_while_it_waits_for_a_retry_ends(self, upstream: Upstream) -> None:
        upstream.always(self.vendor.error(500, headers=(("Retry-After", "30"),)))
        call = asyncio.create_task(service.agenerate_text("Hi"))
        assert await upstream.await_requests(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len(upstream.requests) == 1

    async def test_a_stream_that_is_left_ends_its_connection(self, upstream: Upstream) -> None:
        upstream.always(faults.hang_after(self.vendor.stream("Hello", " there"), b"Hello"))
        stream = streamed()
        async for event in stream.events:
            if isinstance(event, events.TextDelta):
                break
        await stream.aclose()
        assert await upstream.await_closed()

    async def test_a_stream_whose_reader_is_cancelled_ends_its_connection(self, upstream: Upstream) -> None:
        upstream.always(faults.hang_after(self.vendor.stream("Hello", " there"), b"Hello"))
        reached = asyncio.Event()

        async def read() -> None:
            async for event in streamed().events:
                if isinstance(event, events.TextDelta):
                    reached.set()

        reading = asyncio.create_task(read())
        async with asyncio.timeout(30):
            await reached.wait()
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        assert await upstream.await_closed()

    async def test_a_stream_cancelled_before_its_first_byte_ends_its_connection(self, upstream: Upstream) -> None:
        upstream.always(faults.hang_before_first_byte())
        reading = asyncio.create_task(anext(streamed().events))
        assert await upstream.await_requests(1)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        assert await upstream.await_closed()
