"""Places for calls, as callers meet them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from asgiref.sync import sync_to_async

import ai_models
from ai_models import admission
from ai_models.exceptions import AIModelsError, RateLimitExceeded, UpstreamError
from ai_models.types import Chunk
from tests.conftest import Set
from tests.polling import until
from tests.pressure.conftest import load
from tests.service.conftest import DONE, Puppet
from tests.upstreams import faults, openai
from tests.upstreams.server import Upstream

ANSWER = [Chunk(text="Yes"), DONE]


async def test_the_bound_is_that_of_the_process_whatever_the_event_loop(puppet: type[Puppet], setting: Set) -> None:
    setting(MAX_CONCURRENT=3)
    puppet.scripts = [[0.02, *ANSWER]]
    in_threads = [sync_to_async(ai_models.generate_text, thread_sensitive=False)("Hi") for _ in range(8)]
    await asyncio.gather(*in_threads, *(ai_models.agenerate_text("Hi") for _ in range(8)))
    assert len(puppet.calls) == 16
    assert puppet.most_at_once == 3


async def test_a_full_queue_refuses_and_tells_when_to_come_back(puppet: type[Puppet], setting: Set) -> None:
    setting(MAX_CONCURRENT=1, MAX_WAITING=0)
    puppet.scripts = [[60.0]]
    task = asyncio.create_task(ai_models.agenerate_text("Hi"))
    await until(lambda: puppet.open == 1)
    with pytest.raises(RateLimitExceeded, match="main") as caught:
        await ai_models.agenerate_text("Hi")
    error = caught.value
    assert (error.retryable, error.remedy, error.retry_after) == (True, "retry", 1.0)
    assert len(puppet.calls) == 1
    task.cancel()
    await asyncio.wait({task})
    assert (await load()).in_flight == 0


@pytest.mark.parametrize(("most", "total"), [(0.01, 60.0), (60.0, 0.1)], ids=["setting", "half-the-call's-time"])
async def test_a_wait_is_bounded(puppet: type[Puppet], setting: Set, most: float, total: float) -> None:
    setting(MAX_CONCURRENT=1, MAX_WAIT_SECONDS=most)
    puppet.scripts = [[60.0]]
    task = asyncio.create_task(ai_models.agenerate_text("Hi"))
    await until(lambda: puppet.open == 1)
    with pytest.raises(RateLimitExceeded):
        await ai_models.agenerate_text("Hi", timeout=total)
    with pytest.raises(RateLimitExceeded):
        await ai_models.astream_text("Hi", timeout=total).response
    assert (await load()).waiting == 0
    task.cancel()
    await asyncio.wait({task})


async def test_a_call_that_is_cancelled_leaves_the_queue(puppet: type[Puppet], setting: Set) -> None:
    setting(MAX_CONCURRENT=1)
    go_on = asyncio.Event()
    puppet.scripts = [[go_on, *ANSWER], ANSWER]
    first = asyncio.create_task(ai_models.agenerate_text("1"))
    await until(lambda: puppet.open == 1)
    second, third = (asyncio.create_task(ai_models.agenerate_text(name)) for name in "23")
    await _waiting(2)
    second.cancel()
    await asyncio.wait({second})
    assert (await load()).waiting == 1
    go_on.set()
    await asyncio.gather(first, third)
    assert [request["prompt"] for _, request in puppet.calls] == ["1", "3"]


async def test_a_stream_holds_its_place_as_long_as_it_is_open(puppet: type[Puppet], setting: Set) -> None:
    setting(MAX_CONCURRENT=1, MAX_WAITING=0)
    stream = ai_models.astream_text("Hi")
    text = stream.text_stream
    puppet.scripts = [[Chunk(text="a"), 60.0], ANSWER]
    assert await anext(text) == "a"
    with pytest.raises(RateLimitExceeded):
        await ai_models.agenerate_text("Hi")
    await stream.aclose()
    assert (await ai_models.agenerate_text("Hi")).text == "Yes"


async def test_no_place_is_held_between_attempts(puppet: type[Puppet], setting: Set) -> None:
    setting(MAX_CONCURRENT=1, MAX_WAITING=0)
    puppet.scripts = [[UpstreamError("down", retry_after=30.0)], ANSWER]
    for started in (lambda: ai_models.agenerate_text("Hi"), lambda: _text_of_stream()):
        puppet.calls = []
        waits = asyncio.create_task(started())
        await until(lambda: len(puppet.calls) == 1 and puppet.open == 0)
        assert (await ai_models.agenerate_text("Hi")).text == "Yes"
        waits.cancel()
        await asyncio.wait({waits})


async def test_parts_of_a_call_take_a_place_each(puppet: type[Puppet], setting: Set) -> None:
    setting(MAX_CONCURRENT=2)
    puppet.per_call = 1
    results = await asyncio.gather(*(ai_models.aembed(values=["a", "bb", "ccc"]) for _ in range(4)))
    assert [result.embeddings for result in results] == [[[1.0], [2.0], [3.0]]] * 4
    assert puppet.most_at_once == 2


async def test_an_instance_has_a_bound_of_its_own(reach: Callable[..., Any], upstream: Upstream, setting: Set) -> None:
    setting(MAX_WAITING=0)
    await reach(upstream.url, "maxConcurrency: 2")
    upstream.always(faults.hang_before_first_byte())
    tasks = [asyncio.create_task(ai_models.agenerate_text("Hi")) for _ in range(2)]
    assert await upstream.await_requests(2)
    with pytest.raises(RateLimitExceeded):
        await ai_models.agenerate_text("Hi")
    await reach(upstream.url, "maxConcurrency: 3")
    upstream.always(openai.text("Hello"))
    assert (await ai_models.agenerate_text("Hi")).text == "Hello"
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_overload_costs_no_good_answers(reach: Callable[..., Any], setting: Set) -> None:
    """An upstream that fails all that it has under way as soon as that is more than it can do."""
    capacity, rounds = 8, 10

    async def good(bound: int, callers: int) -> int:
        setting(MAX_CONCURRENT=bound, MAX_WAIT_SECONDS=60.0, MAX_RETRIES=0)

        async def caller() -> int:
            return sum([await _succeeds() for _ in range(rounds)])

        return sum(await asyncio.gather(*(caller() for _ in range(callers))))

    async with _collapsing(capacity) as url:
        await reach(url)
        peak = await good(capacity, capacity)
        assert peak == capacity * rounds
        assert await good(capacity, 2 * capacity) >= 2 * 0.9 * peak
        assert await good(0, 2 * capacity) < 0.9 * peak  # what the bound is for


async def _succeeds() -> bool:
    try:
        await ai_models.agenerate_text("Hi", timeout=60.0)
    except AIModelsError:
        return False
    return True


class _collapsing:  # noqa: N801  (used as a function)
    """A server of OpenAI's protocol with a capacity."""

    def __init__(self, capacity: int) -> None:
        self._capacity, self._now, self._broken = capacity, 0, 0

    async def _answer(self, request: web.Request) -> web.Response:
        await request.read()
        self._now += 1
        if self._now > self._capacity:
            self._broken += 1
        before = self._broken
        await asyncio.sleep(0.01)
        self._now -= 1
        if self._broken != before or self._now >= self._capacity:
            return web.json_response({"error": {"message": "overloaded"}}, status=503)
        message = {"role": "assistant", "content": "Yes"}
        return web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


async def _text_of_stream() -> str:
    return "".join([text async for text in ai_models.astream_text("Hi").text_stream])


async def _waiting(count: int) -> None:
    await until(lambda: [one.waiting for one in admission.loads()] == [count])
