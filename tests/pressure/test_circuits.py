"""Providers that are dead: on real sockets, and by what their failures mean."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

import ai_models
from ai_models import admission, catalog, store
from ai_models.exceptions import (
    AIModelsError,
    CircuitOpen,
    Internal,
    InvalidRequest,
    ModelNotFound,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from ai_models.transports.faults import Unsuitable
from ai_models.types import Chunk
from tests.conftest import Seed, Set
from tests.polling import until
from tests.pressure.conftest import load
from tests.service.conftest import CONFIG, DONE, Puppet
from tests.upstreams import faults, openai
from tests.upstreams.server import Upstream

ANSWER = [Chunk(text="Yes"), DONE]
SOON = (("Retry-After-Ms", "1"),)
Reach = Callable[..., Any]


async def failures(count: int, **request: Any) -> list[str]:
    """The codes of so many calls, one after the other."""
    codes = []
    for _ in range(count):
        with pytest.raises(AIModelsError) as caught:
            await ai_models.agenerate_text("Hi", **{"max_retries": 0, **request})
        codes.append(caught.value.code)
    return codes


async def test_a_port_where_nobody_listens(reach: Reach, refused_url: str, setting: Set) -> None:
    setting(BREAKER_FAILURES=3)
    await reach(refused_url)
    assert await failures(6) == ["upstream_error"] * 3 + ["circuit_open"] * 3


@pytest.mark.parametrize("reply", [faults.reset_before_first_byte(), openai.error(500, headers=SOON), openai.error(529)])
async def test_no_byte_goes_to_a_provider_that_is_dead(reach: Reach, upstream: Upstream, setting: Set, reply: Any) -> None:
    setting(BREAKER_FAILURES=3)
    await reach(upstream.url)
    upstream.always(reply)
    assert await failures(3) == ["upstream_error"] * 3
    requests, connections = len(upstream.requests), len(upstream.connections)
    assert await failures(20) == ["circuit_open"] * 20
    with pytest.raises(CircuitOpen) as caught:
        await ai_models.astream_text("Hi").response
    assert (caught.value.retryable, caught.value.remedy, caught.value.http_status) == (True, "retry", 503)
    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 60
    assert (len(upstream.requests), len(upstream.connections)) == (requests, connections)
    assert requests == 3


async def test_a_provider_that_hangs_fails_fast_after_the_first_few(reach: Reach, upstream: Upstream, setting: Set) -> None:
    setting(BREAKER_FAILURES=3, BREAKER_SLOW_SECONDS=0.05, TIMEOUT={"total": 0.2})
    await reach(upstream.url)
    upstream.always(faults.hang_before_first_byte())
    assert await failures(5) == ["upstream_timeout"] * 3 + ["circuit_open"] * 2
    assert len(upstream.requests) == 3


async def test_a_time_too_short_is_the_caller_s_fault(reach: Reach, upstream: Upstream, setting: Set) -> None:
    setting(BREAKER_FAILURES=3, BREAKER_SLOW_SECONDS=0.01)
    await reach(upstream.url)
    upstream.always(faults.hang_before_first_byte())
    assert await failures(6, timeout=0.05) == ["upstream_timeout"] * 6


async def test_a_process_that_stood_still_knows_nothing_about_its_provider(
    reach: Reach, upstream: Upstream, setting: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LATE_SECONDS", 0.1)
    setting(BREAKER_FAILURES=1, BREAKER_SLOW_SECONDS=0.01, TIMEOUT={"total": 0.2})
    await reach(upstream.url)
    upstream.script(faults.hang_before_first_byte()).always(openai.text())
    frozen = asyncio.create_task(failures(1))
    assert await upstream.await_requests(1)
    time.sleep(0.5)  # noqa: ASYNC251, nothing runs meanwhile
    assert await frozen == ["upstream_timeout"]
    assert (await ai_models.agenerate_text("Hello")).text


async def test_those_who_wait_for_a_dead_provider_are_sent_away(reach: Reach, upstream: Upstream, setting: Set) -> None:
    setting(BREAKER_FAILURES=1, BREAKER_SLOW_SECONDS=0.05, MAX_CONCURRENT=1, MAX_WAIT_SECONDS=60.0, TIMEOUT={"total": 2.0})
    await reach(upstream.url)
    upstream.always(faults.hang_before_first_byte())
    held = asyncio.create_task(failures(1))
    assert await upstream.await_requests(1)
    ends = await asyncio.gather(held, *(failures(1, timeout=60.0) for _ in range(5)))
    assert [code for (code,) in ends] == ["upstream_timeout"] + ["circuit_open"] * 5
    assert len(upstream.requests) == 1


async def test_one_probe_finds_out_that_it_is_over(reach: Reach, upstream: Upstream, setting: Set) -> None:
    setting(BREAKER_FAILURES=2, BREAKER_SECONDS=0.05)
    await reach(upstream.url)
    upstream.script(openai.error(500), openai.error(500)).always(faults.hang_before_first_byte())
    await failures(2)
    facts = (await store.acurrent()).instances["main"]
    await until(lambda: admission.load(facts).circuit == "half-open")
    probe = asyncio.create_task(ai_models.agenerate_text("Hi"))
    assert await upstream.await_requests(3)
    assert await failures(10) == ["circuit_open"] * 10
    assert len(upstream.requests) == 3
    probe.cancel()
    await asyncio.wait({probe})
    upstream.always(openai.text("Hello"))
    assert (await ai_models.agenerate_text("Hi")).text == "Hello"
    assert (await load()).circuit == "closed"


async def test_the_first_chunk_of_a_stream_closes_it(puppet: type[Puppet], setting: Set) -> None:
    setting(BREAKER_FAILURES=1, BREAKER_SECONDS=0.01)
    puppet.scripts = [[UpstreamError("down")], [Chunk(text="a"), 60.0]]
    await failures(1)
    facts = (await store.acurrent()).instances["main"]
    await until(lambda: admission.load(facts).circuit == "half-open")
    stream = ai_models.astream_text("Hi")
    assert await anext(stream.text_stream) == "a"
    assert admission.load(facts).circuit == "closed"
    await stream.aclose()


async def test_streams_that_are_cut_off_count(puppet: type[Puppet], setting: Set) -> None:
    setting(BREAKER_FAILURES=5)
    puppet.scripts = [[Chunk(text="a"), UpstreamInvalidResponse("cut off")]]
    for _ in range(10):
        with pytest.raises(UpstreamInvalidResponse):
            await ai_models.astream_text("Hi").response
    assert (await load()).circuit == "open"


@pytest.mark.parametrize(
    ("error", "circuit"),
    [
        (UpstreamError("down"), "open"),
        (UpstreamTimeout("late"), "open"),
        (UpstreamInvalidResponse("garbage"), "open"),
        (UpstreamError("a redirect", retryable=False), "closed"),
        (UpstreamAuthFailed("refused"), "closed"),
        (Unsuitable("no image"), "closed"),
        (UpstreamRateLimited("wait", retry_after=9.0), "closed"),
        (InvalidRequest("no"), "closed"),
        (ModelNotFound("no"), "closed"),
        (KeyError("a fault of the family"), "closed"),
    ],
)
async def test_what_a_failure_means(puppet: type[Puppet], setting: Set, error: Exception, circuit: str) -> None:
    setting(BREAKER_FAILURES=3)
    puppet.scripts = [[error]]
    await failures(3)
    assert (await load()).circuit == circuit


async def test_a_refusal_is_a_sign_of_life_and_a_fault_of_ours_is_none(puppet: type[Puppet], setting: Set) -> None:
    setting(BREAKER_FAILURES=2)
    for between, circuit in ((InvalidRequest("no"), "closed"), (Internal("?"), "open")):
        puppet.calls = []
        puppet.scripts = [[UpstreamError("down")], [between], [UpstreamError("down")]]
        await failures(3)
        assert (await load()).circuit == circuit


async def test_attempts_end_when_it_opens(puppet: type[Puppet], setting: Set) -> None:
    setting(BREAKER_FAILURES=1)
    puppet.scripts = [[UpstreamError("down", retry_after=0.0)]]
    assert await failures(1, max_retries=5) == ["upstream_error"]
    assert len(puppet.calls) == 1


async def test_one_call_is_one_failure_however_often_it_is_repeated(puppet: type[Puppet], setting: Set) -> None:
    setting(BREAKER_FAILURES=2)
    puppet.scripts = [[UpstreamError("down", retry_after=0.0)]]
    assert await failures(1, max_retries=5) == ["upstream_error"]
    assert len(puppet.calls) == 6
    assert (await load()).circuit == "closed"


async def test_a_stream_counts_once_in_the_window(puppet: type[Puppet], setting: Set) -> None:
    setting(BREAKER_FAILURES=100)
    puppet.scripts = [ANSWER, [UpstreamError("down")]] * 10
    for _ in range(10):
        await ai_models.astream_text("Hi").response
        with pytest.raises(UpstreamError):
            await ai_models.astream_text("Hi", max_retries=0).response
    assert (await load()).circuit == "open"


async def test_retries_are_a_share_of_the_calls(puppet: type[Puppet], setting: Set) -> None:
    setting(RETRY_BUDGET=0.5)
    puppet.scripts = [[UpstreamError("down", retry_after=0.0)]]
    await failures(40, max_retries=5)
    assert 40 + 10 <= len(puppet.calls) <= 40 + 10 + 20 + 10  # a reserve, half of the calls, and one for each second
    puppet.calls = []
    setting(RETRY_BUDGET=None)
    await failures(10, max_retries=5)
    assert len(puppet.calls) == 60


async def test_new_settings_begin_anew(puppet: type[Puppet], setting: Set, seed: Seed) -> None:
    setting(BREAKER_FAILURES=1)
    puppet.scripts = [[UpstreamError("down")], ANSWER]
    assert await failures(2) == ["upstream_error", "circuit_open"]
    await sync_to_async(seed)(CONFIG.replace("canary-key-main", "canary-key-new"))
    assert (await ai_models.agenerate_text("Hi")).text == "Yes"


async def test_a_check_goes_through_and_closes_it(reach: Reach, upstream: Upstream, setting: Set) -> None:
    setting(BREAKER_FAILURES=1)
    await reach(upstream.url)
    upstream.script(openai.error(500), openai.models("big-1")).always(openai.text("Hello"))
    assert await failures(2) == ["upstream_error", "circuit_open"]
    provider = await catalog.aprovider("main")
    assert provider.circuit == "open"
    assert "failed too often" in provider.message
    assert (await catalog.acheck("main")).circuit == "closed"
    assert (await ai_models.agenerate_text("Hi")).text == "Hello"


async def test_a_check_that_fails_does_not(reach: Reach, upstream: Upstream, setting: Set) -> None:
    setting(BREAKER_FAILURES=1)
    await reach(upstream.url)
    upstream.always(openai.error(500))
    await failures(1)
    assert (await catalog.acheck("main")).circuit == "open"
