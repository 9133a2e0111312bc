"""A stream as its callers hold it: order, readers, ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from asgiref.sync import sync_to_async

import ai_models
from ai_models import events
from ai_models.exceptions import InvalidRequest, ProviderNotFound, UpstreamError, UpstreamInvalidResponse, UpstreamTimeout
from ai_models.types import Chunk, ToolCallDelta, Usage
from tests.polling import until
from tests.service.conftest import DONE, Puppet


async def everything(stream: Any) -> list[events.Event]:
    return [event async for event in stream.events]


async def test_a_stream_is_returned_at_once_and_calls_nobody_before_it_is_read(puppet: type[Puppet]) -> None:
    stream = ai_models.astream_text("Hi")
    assert puppet.calls == []
    assert [piece async for piece in stream.text_stream] == ["Hello ", "you"]
    result = await stream.response
    assert (result.text, result.finish_reason, result.raw_finish_reason) == ("Hello you", "stop", "end")
    assert (result.provider, result.model) == ("main", "big-1")
    assert result.usage == Usage(input_tokens=3, output_tokens=2, total_tokens=5)
    assert len(puppet.calls) == 1


async def test_the_response_alone_reads_the_stream(puppet: type[Puppet]) -> None:
    assert (await ai_models.astream_text(prompt="Hi").response).text == "Hello you"


async def test_events_come_in_order_with_one_end(puppet: type[Puppet]) -> None:
    puppet.scripts = [
        [
            Chunk(reasoning="hm"),
            Chunk(text="a"),
            Chunk(text="b"),
            Chunk(tool_calls=(ToolCallDelta(index=0, id="c1", name="look", arguments='{"x"'),)),
            Chunk(tool_calls=(ToolCallDelta(index=0, arguments=":1}"), ToolCallDelta(index=1, id="c2", name="go"))),
            DONE,
        ]
    ]
    told = await everything(ai_models.astream_text("Hi"))
    assert [event.type for event in told] == [
        "start", "reasoning-start", "reasoning-delta", "reasoning-end", "text-start", "text-delta", "text-delta", "text-end",
        "tool-input-start", "tool-input-delta", "tool-input-delta", "tool-input-start",
        "tool-input-available", "tool-input-available", "finish",
    ]  # fmt: skip
    finish = told[-1]
    assert isinstance(finish, events.Finish)
    assert finish.result.reasoning_text == "hm"
    assert [(call.tool_call_id, call.tool_name, call.input) for call in finish.result.tool_calls] == [
        ("c1", "look", {"x": 1}),
        ("c2", "go", {}),
    ]
    assert [part.type for part in finish.result.content] == ["reasoning", "text", "tool-call", "tool-call"]


async def test_arguments_that_are_no_json_are_passed_on_as_text(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(tool_calls=(ToolCallDelta(index=0, id="c", name="look", arguments='{"x": '),)), DONE]]
    (call,) = (await ai_models.astream_text("Hi").response).tool_calls
    assert (call.input, call.invalid) == ('{"x": ', True)


@pytest.mark.parametrize(
    ("request_", "error"), [({"prompt": ""}, InvalidRequest), ({"prompt": "a", "provider": "none"}, ProviderNotFound)]
)
async def test_a_refused_call_has_one_event_its_error(
    puppet: type[Puppet], request_: dict[str, Any], error: type[Exception]
) -> None:
    told = await everything(ai_models.astream_text(**request_))
    assert [event.type for event in told] == ["error"]
    with pytest.raises(error):
        await anext(ai_models.astream_text(**request_).text_stream)
    with pytest.raises(error):
        await ai_models.astream_text(**request_).response


async def test_a_stream_is_asked_again_only_before_its_first_chunk(puppet: type[Puppet]) -> None:
    puppet.scripts = [
        [UpstreamError("down", retry_after=0.0)],
        [Chunk(), UpstreamError("down", retry_after=0.0)],
        [Chunk(text="a"), DONE],
    ]
    assert (await ai_models.astream_text("Hi").response).text == "a"
    assert len(puppet.calls) == 3
    puppet.calls.clear()
    puppet.scripts = [[Chunk(text="a"), UpstreamError("down", retry_after=0.0)]]
    told = await everything(ai_models.astream_text("Hi"))
    assert [event.type for event in told] == ["start", "text-start", "text-delta", "error"]
    assert len(puppet.calls) == 1


@pytest.mark.parametrize(
    ("script", "limits"),
    [
        ([60.0], {"first_chunk": 0.1}),
        ([Chunk(text="a"), 60.0], {"chunk": 0.1}),
        # Empty chunks are no progress.
        ([Chunk(text="a"), *[0.04, Chunk()] * 100], {"chunk": 0.2}),
        ([*[Chunk(text="a"), 0.05] * 100], {"total": 0.3}),
    ],
)
async def test_a_stalled_stream_ends_with_a_timeout(puppet: type[Puppet], script: Any, limits: Any) -> None:
    puppet.scripts = [script]
    async with asyncio.timeout(5):
        told = await everything(ai_models.astream_text("Hi", timeout=limits, max_retries=0))
    last = told[-1]
    assert isinstance(last, events.Error)
    assert isinstance(last.error, UpstreamTimeout)


async def test_two_readers_see_the_same(puppet: type[Puppet]) -> None:
    stream = ai_models.astream_text("Hi")
    first, second, result = await asyncio.gather(everything(stream), everything(stream), stream.response)
    assert first == second
    assert result.text == "Hello you"
    assert len(puppet.calls) == 1


async def test_a_reader_that_comes_late_sees_everything(puppet: type[Puppet]) -> None:
    stream = ai_models.astream_text("Hi")
    await stream.response
    assert [piece async for piece in stream.text_stream] == ["Hello ", "you"]


async def test_leaving_the_loop_ends_the_call(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text="a"), 60.0]]
    stream = ai_models.astream_text("Hi")
    async for _ in stream.text_stream:
        break
    result = await stream.response
    assert (result.text, result.finish_reason) == ("a", "other")
    assert puppet.open == 0


async def test_closing_ends_the_call_and_other_readers_see_it(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text="a"), 60.0]]
    stream = ai_models.astream_text("Hi")
    reader = asyncio.create_task(everything(stream))
    await until(lambda: puppet.open == 1)
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await stream.aclose()
        told = await reader
    assert told[-1].type == "abort"
    await stream.aclose()


async def test_a_cancelled_reader_ends_the_call(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text="a"), 60.0]]
    stream = ai_models.astream_text("Hi")
    reader = asyncio.create_task(everything(stream))
    await until(lambda: puppet.open == 1)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert puppet.open == 0


async def test_a_forgotten_stream_ends_its_call(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text="a"), 60.0]]
    stream = ai_models.astream_text("Hi")
    text = stream.text_stream
    await anext(text)
    del stream, text
    gc.collect()
    await until(lambda: puppet.open == 0)


async def test_the_provider_is_read_no_faster_than_the_reader(puppet: type[Puppet]) -> None:
    given: list[int] = []

    async def many(self: Puppet, model: str, request: Any) -> AsyncIterator[Chunk]:
        for number in range(1000):
            given.append(number)
            yield Chunk(text="x")
        yield DONE

    original, Puppet.do_stream_text = Puppet.do_stream_text, many  # type: ignore[method-assign]
    try:
        async with aclosing(ai_models.astream_text("Hi").text_stream) as text:
            await anext(text)
            await anext(text)
            await asyncio.sleep(0.05)
            assert len(given) <= 3
    finally:
        Puppet.do_stream_text = original  # type: ignore[method-assign]


def test_a_sync_stream_reads_alike(puppet: type[Puppet]) -> None:
    with ai_models.stream_text("Hi", model="fast") as stream:
        assert list(stream.text_stream) == ["Hello ", "you"]
        assert stream.response.model == "small-1"
        assert [event.type for event in stream.events][-1] == "finish"


def test_leaving_a_sync_loop_ends_the_call(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text="a"), 60.0]]
    stream = ai_models.stream_text("Hi")
    for _ in stream.text_stream:
        break
    assert stream.response.finish_reason == "other"
    assert puppet.open == 0


def test_a_sync_stream_raises_where_it_is_read(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text="a"), UpstreamInvalidResponse("cut off")]]
    stream = ai_models.stream_text("Hi")
    text = stream.text_stream
    assert next(text) == "a"
    with pytest.raises(UpstreamInvalidResponse):
        next(text)
    with pytest.raises(UpstreamInvalidResponse):
        _ = stream.response


async def test_a_sync_twin_refuses_to_block_an_event_loop(puppet: type[Puppet]) -> None:
    from django.core.exceptions import SynchronousOnlyOperation

    with pytest.raises(SynchronousOnlyOperation, match="async twin"):
        ai_models.generate_text("Hi")
    assert (await sync_to_async(ai_models.generate_text)("Hi")).text == "Hello you"
