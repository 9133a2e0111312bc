"""Clients that leave, that are slow, and providers that are silent."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from ai_models import events, resumption
from ai_models.api import sse
from ai_models.events import Event
from ai_models.exceptions import AIModelsError, UpstreamError
from ai_models.openai_api import streaming
from ai_models.openai_api.chunks import Chunks
from ai_models.openai_api.errors import Told
from ai_models.types import TextResult
from tests.api.conftest import LiveServer, bearer
from tests.api.scripted import CANARY, Scripted
from tests.openai_api.conftest import BASE, HELLO, chunks, request
from tests.polling import until
from tests.service.steps import Endless, Steps

CHAT = {"messages": HELLO}
STREAM = {**CHAT, "stream": True}


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize(
    ("path", "body", "model", "first"),
    [
        ("chat/completions", CHAT, "hangs", b""),
        ("images/generations", {"prompt": "a"}, "hangs", b""),
        ("chat/completions", STREAM, "hangs", b""),
        ("chat/completions", STREAM, "hangs-later", b'"content":"one '),
        ("chat/completions", STREAM, "floods", b'"content":"xxx'),
    ],
    ids=["plain call", "image", "stream before its first chunk", "stream in its middle", "stream at full speed"],
)
def test_a_client_that_leaves_ends_the_upstream_call_within_a_second(
    server: LiveServer, user: User, path: str, body: dict[str, Any], model: str, first: bytes, leave: str
) -> None:
    client = server.connect()
    client.sendall(request(path, user, {"model": f"main/{model}", **body}))
    received = b""
    while first not in received:
        received += client.recv(65536)
    assert Scripted.calling.wait(10)
    if leave == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    left = time.monotonic()
    client.close()
    assert Scripted.ended.wait(5)
    assert time.monotonic() - left < 1
    answer = httpx.post(f"{server.url}{BASE}/chat/completions", json={"model": "echoes", **CHAT}, headers=bearer(user))
    assert answer.status_code == 200


async def test_a_client_that_does_not_read_pauses_its_provider(server: LiveServer, user: User) -> None:
    with await asyncio.to_thread(server.connect) as client:
        client.sendall(await sync_to_async(request)("chat/completions", user, {"model": "main/floods", **STREAM}))
        await asyncio.to_thread(Scripted.calling.wait, 10)
        seen = -1

        def still() -> bool:
            nonlocal seen
            before, seen = seen, Scripted.flooded
            return before == seen > 0

        deadline = time.monotonic() + 20
        while not all([still() and not await asyncio.sleep(0.05) for _ in range(5)]):
            assert time.monotonic() < deadline, "it never paused"
        assert not Scripted.ended.is_set()
        taken = Scripted.flooded
        while Scripted.flooded == taken:
            client.recv(1 << 20)
    await until(Scripted.ended.is_set)


# --- the stream itself ------------------------------------------------------------------------------------------------


def encoder() -> Chunks:
    return Chunks("m", Told(), request_id="r-1")


async def sent(steps: Steps) -> AsyncIterator[str]:
    async for chunk in await streaming.respond(steps, encoder().encode):
        assert isinstance(chunk, bytes)
        yield chunk.decode()


def contents(text: str) -> list[str]:
    """The texts in the chunks."""
    told = [chunk for chunk in chunks(text) if chunk != "[DONE]" and "choices" in chunk]
    return [content for chunk in told if (content := chunk["choices"][0]["delta"].get("content"))]


HELLO_EVENT = events.TextDelta("t", "Hello")
FINISH = events.Finish(TextResult(finish_reason="stop"))


async def test_a_silent_provider_is_bridged_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    answer = asyncio.Event()
    received = []
    async for chunk in sent(Steps(events.Start("m"), HELLO_EVENT, answer, FINISH)):
        received.append(chunk)
        if received.count(": keep-alive\n\n") == 2:
            answer.set()
    assert contents(received[0]) == ["Hello"]
    assert received[-1].endswith("data: [DONE]\n\n")
    assert set(received[1:-1]) == {": keep-alive\n\n"}


async def test_what_waits_is_sent_in_one_piece_and_in_order() -> None:
    steps = Steps(events.Start("m"), *(events.TextDelta("t", str(number)) for number in range(50)), FINISH)
    body = await streaming.respond(steps, encoder().encode)
    await until(lambda: steps.closed)
    pieces = [piece.decode() async for piece in body if isinstance(piece, bytes)]
    assert len(pieces) == 1
    assert contents(pieces[0]) == [str(number) for number in range(50)]


@pytest.mark.parametrize("broken", [RuntimeError(CANARY), events.Error(UpstreamError("It broke."))])
async def test_a_stream_that_breaks_ends_with_an_error(broken: Event | Exception) -> None:
    steps = Steps(events.Start("m"), HELLO_EVENT, broken)
    text = "".join([chunk async for chunk in sent(steps)])
    assert "[DONE]" not in text
    assert CANARY not in text
    last = chunks(text)[-1]["error"]
    assert (last["requestId"], text.count('"error"')) == ("r-1", 1)
    assert steps.closed


@pytest.mark.parametrize("broken", [RuntimeError(CANARY), events.Error(UpstreamError("It broke."))])
@pytest.mark.parametrize("before", [(), (events.Start("m"),)])
async def test_a_failure_before_anything_is_told_is_raised(before: tuple[Event, ...], broken: Event | Exception) -> None:
    steps = Steps(*before, broken)
    with pytest.raises(AIModelsError):
        await streaming.respond(steps, encoder().encode)
    assert steps.closed


async def test_a_client_that_leaves_closes_the_stream() -> None:
    steps = Steps(events.Start("m"), HELLO_EVENT, asyncio.Event())
    body = aiter(await streaming.respond(steps, encoder().encode))
    await anext(body)
    reading = asyncio.ensure_future(anext(body))
    await asyncio.wait({reading}, timeout=0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: steps.closed)


async def test_a_request_that_ends_before_the_first_chunk_closes_the_stream() -> None:
    steps = Steps(events.Start("m"), asyncio.Event())
    answering = asyncio.ensure_future(streaming.respond(steps, encoder().encode))
    await asyncio.wait({answering}, timeout=0.01)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    await until(lambda: steps.closed)


async def test_a_response_that_nobody_reads_closes_the_stream() -> None:
    steps = Steps(events.Start("m"), HELLO_EVENT, asyncio.Event())
    response = await streaming.respond(steps, encoder().encode)
    await asyncio.to_thread(response.close)
    await until(lambda: steps.closed)


async def test_leaving_twice_does_not_cut_the_end_short() -> None:
    closing, ended = asyncio.Event(), asyncio.Event()

    class Slow(Steps):
        async def aclose(self) -> None:
            closing.set()
            await ended.wait()
            await super().aclose()

    steps = Slow(events.Start("m"), HELLO_EVENT, asyncio.Event())
    response = await streaming.respond(steps, encoder().encode)
    response.close()
    await closing.wait()
    response.close()
    for _ in range(5):
        await asyncio.sleep(0)
    ended.set()
    await until(lambda: steps.closed)


@pytest.mark.parametrize(("window", "delta"), [(resumption.WINDOW, "x"), (2, "x" * (resumption.WINDOW_BYTES // 2))])
async def test_no_more_is_read_ahead_than_the_window(window: int, delta: str) -> None:
    steps = Endless(delta)
    body = aiter(await streaming.respond(steps, encoder().encode))
    await until(lambda: steps.taken >= window)
    for _ in range(100):
        await asyncio.sleep(0)
    assert steps.taken <= window
    await anext(body)
    await until(lambda: steps.taken >= 2 * window)
    await body.aclose()  # type: ignore[attr-defined]
    await until(lambda: steps.closed)


async def test_a_client_that_takes_nothing_is_cut_off_and_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "STALL_SECONDS", 0.02)
    steps = Endless()
    response = await streaming.respond(steps, encoder().encode)
    await until(lambda: steps.closed)
    text = "".join([piece.decode() async for piece in response if isinstance(piece, bytes)])
    assert len(contents(text)) == resumption.WINDOW
    assert chunks(text)[-1]["error"]["message"] == "The client took nothing of the stream for too long."
    assert "[DONE]" not in text
