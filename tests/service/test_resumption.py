"""The log of a stream: its readers, its window, what a disconnect means, and how long it is kept."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django import Settings

import ai_models
from ai_models import directory, events, resumption
from ai_models.exceptions import InvalidRequest, StreamNotFound, UpstreamError
from ai_models.resumption import Entry, Log, Reader
from ai_models.types import Chunk
from tests.polling import until
from tests.service.conftest import DONE, Puppet
from tests.service.steps import Endless, Steps

ADA = SimpleNamespace(pk=1)
EVE = SimpleNamespace(pk=2)

START, OPEN, CLOSE = events.Start("m"), events.TextStart("text-1"), events.TextEnd("text-1")


def delta(text: str) -> events.TextDelta:
    return events.TextDelta("text-1", text)


async def read(reader: Reader) -> list[Entry]:
    """Everything up to the end."""
    entries = []
    while (entry := await reader.next()) is not None:
        entries.append(entry)
    return entries


def types(entries: list[Entry]) -> list[str]:
    return [json.loads(entry.body)["type"] for entry in entries]


async def test_events_are_numbered_from_one_and_the_last_is_marked() -> None:
    stream = directory.begin(Steps(START, OPEN, delta("a"), CLOSE, events.Abort()))
    entries = await read(stream.read())
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.last for entry in entries] == [False] * 4 + [True]
    assert types(entries) == ["start", "text-start", "text-delta", "text-end", "abort"]


@pytest.mark.parametrize("after", range(5))
async def test_a_reader_goes_on_after_any_event(after: int) -> None:
    stream = directory.begin(Steps(START, OPEN, delta("a"), CLOSE, events.Abort()), user=ADA)
    whole = await read(stream.read())
    assert await read((await directory.find(ADA, stream.id)).read(after)) == whole[after:]


@pytest.mark.parametrize("after", [5, 6, 1000])
async def test_nothing_can_come_after_the_end(after: int) -> None:
    stream = directory.begin(Steps(START, OPEN, delta("a"), CLOSE, events.Abort()), user=ADA)
    await read(stream.read())
    with pytest.raises(InvalidRequest, match="ended with event 5"):
        stream.read(after)


async def test_an_event_that_was_not_told_yet_cannot_be_the_last_seen() -> None:
    stream = directory.begin(Steps(START, asyncio.Event()), user=ADA)
    reader = stream.read()
    await reader.next()
    with pytest.raises(InvalidRequest, match="has come to event 1"):
        stream.read(2)
    reader.leave()


async def test_several_readers_see_the_same() -> None:
    go_on = asyncio.Event()
    stream = directory.begin(Steps(START, OPEN, delta("a"), go_on, delta("b"), CLOSE, events.Abort()), user=ADA)
    first = stream.read()
    seen = [await first.next(), await first.next(), await first.next()]
    second = asyncio.create_task(read(stream.read(1)))
    go_on.set()
    rest = await read(first)
    assert [*seen[1:], *rest] == await second


async def test_a_reader_that_waits_can_be_timed_out_without_a_loss() -> None:
    go_on = asyncio.Event()
    reader = directory.begin(Steps(START, go_on, events.Abort())).read()
    await reader.next()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.next(), 0.01)
    go_on.set()
    assert types(await read(reader)) == ["abort"]


# --- the window -----------------------------------------------------------------------------------------------------


async def settled(steps: Steps) -> int:
    """How many steps a stream takes until it waits."""
    before = -1
    while before != steps.taken:
        before = steps.taken
        for _ in range(20):
            await asyncio.sleep(0)
    return before


async def test_the_provider_is_read_a_window_ahead_of_the_fastest_reader() -> None:
    steps = Endless()
    stream = directory.begin(steps)
    fast, slow = stream.read(), stream.read()
    assert await settled(steps) == resumption.WINDOW
    for _ in range(10):
        await fast.next()
    assert await settled(steps) == resumption.WINDOW + 10
    await slow.next()
    assert await settled(steps) == resumption.WINDOW + 10
    for reader in (fast, slow):
        reader.leave()
    await until(lambda: steps.closed)


async def test_large_events_make_the_window_smaller() -> None:
    steps = Endless("x" * resumption.WINDOW_BYTES)
    reader = directory.begin(steps).read()
    assert await settled(steps) == 2
    await reader.next()
    assert await settled(steps) == 3
    reader.leave()


async def test_a_reader_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "STALL_SECONDS", 0.02)
    steps = Endless()
    reader = directory.begin(steps).read()
    await until(lambda: steps.closed)
    assert reader.cut
    assert await reader.next() is None


async def test_readers_that_are_cut_off_do_not_end_a_stream_that_is_to_be_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "STALL_SECONDS", 0.02)
    steps = Steps(*[delta("x")] * 200, events.Abort())
    stream = directory.begin(steps, user=ADA, on_disconnect="finish")
    stalled = stream.read()
    await until(lambda: stream.ended)
    assert await stalled.next() is None
    assert len(await read(stream.read())) == 201


# --- what a disconnect means ----------------------------------------------------------------------------------------


async def test_the_last_reader_that_leaves_cancels_the_call(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text="Hello"), asyncio.Event()]]
    stream = directory.begin(ai_models.astream_text("Hi"), user=ADA)
    first, second = stream.read(), stream.read()
    for _ in range(3):
        await first.next()
    first.leave()
    first.leave()
    assert puppet.open == 1
    second.leave()
    await until(lambda: puppet.open == 0)
    await until(lambda: stream.ended)
    assert types(await read(stream.read()))[-1] == "abort"


async def test_a_stream_that_is_to_be_finished_outlives_its_readers(puppet: type[Puppet]) -> None:
    go_on = asyncio.Event()
    puppet.scripts = [[Chunk(text="Hello "), go_on, Chunk(text="you"), DONE]]
    stream = directory.begin(ai_models.astream_text("Hi"), user=ADA, name="a", on_disconnect="finish")
    reader = stream.read()
    seen = [entry for entry in (await reader.next(), await reader.next(), await reader.next()) if entry]
    reader.leave()
    go_on.set()
    await until(lambda: stream.ended)
    rest = await read((await directory.find(ADA, "a")).read(seen[-1].seq))
    told = [json.loads(entry.body) for entry in (*seen, *rest)]
    assert "".join(event.get("delta", "") for event in told) == "Hello you"
    assert told[-1]["type"] == "finish"


@pytest.mark.parametrize("on_disconnect", ["cancel", "finish"])
async def test_cancel_ends_the_call_whoever_reads(puppet: type[Puppet], on_disconnect: Any) -> None:
    puppet.scripts = [[Chunk(text="Hello"), asyncio.Event()]]
    stream = directory.begin(ai_models.astream_text("Hi"), user=ADA, on_disconnect=on_disconnect)
    reader = stream.read()
    for _ in range(3):
        await reader.next()
    await (await directory.find(ADA, stream.id)).cancel()
    assert types(await read(reader)) == ["abort"]
    assert puppet.open == 0
    await stream.cancel()
    assert len(stream.log) == 4


async def test_a_stream_that_waits_for_its_readers_can_be_cancelled() -> None:
    steps = Endless()
    stream = directory.begin(steps)
    reader = stream.read()
    await settled(steps)
    await stream.cancel()
    assert types(await read(reader))[-1] == "abort"


async def test_a_failure_is_the_last_event_and_kept_as_it_is() -> None:
    error = UpstreamError("No.")
    stream = directory.begin(Steps(START, events.Error(error)), request_id="r-1")
    last = (await read(stream.read()))[-1]
    assert json.loads(last.body) == {"type": "error", "errorText": "No.", **error.envelope("r-1")}
    assert stream.failure is error


# --- who finds what, and for how long -------------------------------------------------------------------------------


async def test_a_stream_is_found_by_its_owner_alone() -> None:
    stream = directory.begin(Steps(START, events.Abort()), user=ADA, name="a")
    await read(stream.read())
    for name in ("a", stream.id):
        assert (await directory.find(ADA, name)).id == stream.id
        for stranger in (EVE, SimpleNamespace(pk=None), None):
            with pytest.raises(StreamNotFound, match="There is no such stream"):
                await directory.find(stranger, name)


async def test_a_name_means_the_latest_stream_of_its_owner() -> None:
    first = directory.begin(Steps(START, events.Abort()), user=ADA, name="a")
    other = directory.begin(Steps(START, events.Abort()), user=EVE, name="a")
    latest = directory.begin(Steps(START, events.Abort()), user=ADA, name="a")
    for stream in (first, other, latest):
        await read(stream.read())
    assert (await directory.find(ADA, "a")).id == latest.id
    assert (await directory.find(ADA, first.id)).id == first.id
    assert (await directory.find(EVE, "a")).id == other.id


async def test_a_stream_is_forgotten_in_time(settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "RESUME_SECONDS": 0.05}
    stream = directory.begin(Steps(START, events.Abort()), user=ADA, name="a")
    await read(stream.read())
    assert await directory.find(ADA, "a")
    await until(lambda: stream.id not in directory._directory().streams)
    with pytest.raises(StreamNotFound):
        await never_found()


async def never_found() -> None:
    """Ask until it is gone: a cache that processes share counts whole seconds."""
    async with asyncio.timeout(10.0):
        while await directory.find(ADA, "a"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_oldest_streams_make_room(settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "RESUME_BYTES": 10_000}
    kept = []
    for _ in range(10):
        kept.append(directory.begin(Steps(delta("x" * 3000), events.Abort()), user=ADA))
        await read(kept[-1].read())
    assert [stream.id for stream in kept if stream.id in directory._directory().streams] == [stream.id for stream in kept[-3:]]


async def test_a_stream_that_nobody_can_come_back_to_is_not_kept() -> None:
    stream = directory.begin(Steps(START, events.Abort()))
    assert stream.id in directory._directory().streams
    await read(stream.read())
    assert stream.id not in directory._directory().streams


async def test_the_last_event_counts_as_delivered_only_when_it_is_asked_for() -> None:
    stream = directory.begin(Steps(START, delta("a"), events.Abort()), user=ADA)
    reader = stream.read()
    await until(lambda: stream.ended)
    assert len(reader.ready()) == 2
    assert not stream.delivered
    assert reader.ready() == []
    last = await reader.next()
    assert last is not None
    assert last.last
    assert stream.delivered


async def test_what_is_kept_is_counted_in_bytes(settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "RESUME_BYTES": 5_000}
    stream = directory.begin(Steps(delta("\N{SNOWMAN}" * 2_000), events.Abort()), user=ADA)
    await read(stream.read())
    assert stream.id not in directory._directory().streams


async def test_streams_are_forgotten_each_in_its_time(settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "RESUME_SECONDS": 0.1}
    first = directory.begin(Steps(START, events.Abort()), user=ADA, name="a")
    await read(first.read())
    go_on = asyncio.Event()
    later = directory.begin(Steps(START, go_on, events.Abort()), user=ADA, name="b")
    reader = later.read()
    await until(lambda: first.id not in directory._directory().streams)
    assert later.id in directory._directory().streams
    go_on.set()
    await read(reader)
    assert later.id in directory._directory().streams
    await until(lambda: later.id not in directory._directory().streams)


def test_a_log_is_a_sequence_of_texts() -> None:
    texts = ["{}", "", "wörld 😀", "x" * 1000, "last"]
    log = Log()
    for text in texts:
        log.append(text)
    assert list(log) == texts
    assert [log[place] for place in range(-5, 5)] == texts * 2
    assert (log[1:3], log[::-1], log[3:100]) == (texts[1:3], texts[::-1], texts[3:])
    for outside in (5, -6):
        with pytest.raises(IndexError):
            log[outside]
