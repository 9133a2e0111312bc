"""Server-sent events, over a real connection."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User

from ai_models import events
from ai_models.api import sse
from ai_models.events import Event
from ai_models.exceptions import UpstreamError
from tests.api.conftest import BASE, LiveServer, MakeUser, bearer
from tests.api.scripted import CANARY, WORDS, Scripted


def stream(server: LiveServer, user: User, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{server.url}{BASE}/stream-text", json=body, headers=bearer(user), timeout=10)


def lines(text: str) -> list[Any]:
    """The data lines: JSON objects, and ``[DONE]`` as it is."""
    blocks = text.removesuffix("\n\n").split("\n\n")
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [block[6:] if block == "data: [DONE]" else json.loads(block[6:]) for block in blocks]


def test_a_stream_follows_the_protocol(server: LiveServer, user: User) -> None:
    response = stream(server, user, {"prompt": "Hello"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-request-id"]

    start, text_start, *deltas, text_end, finish, done = lines(response.text)
    assert start["type"] == "start"
    assert isinstance(start["messageId"], str)
    assert text_start == {"type": "text-start", "id": text_start["id"]}
    assert deltas == [{"type": "text-delta", "id": text_start["id"], "delta": word} for word in WORDS]
    assert text_end == {"type": "text-end", "id": text_start["id"]}
    assert finish["type"] == "finish"
    assert finish["finishReason"] == "stop"
    assert set(finish) == {"type", "finishReason", "messageMetadata"}
    metadata = finish["messageMetadata"]
    assert (metadata["provider"], metadata["model"], metadata["warnings"]) == ("main", "echoes", [])
    assert metadata["usage"]["outputTokens"] == 3
    assert done == "[DONE]"


@pytest.mark.parametrize(
    "body",
    [
        {"id": "a", "prompt": "Hello"},
        {
            "id": "a",
            "trigger": "submit-message",
            "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}],
        },
        {"id": "a", "trigger": "regenerate-message", "messageId": "m", "messages": [{"role": "user", "content": "Hello"}]},
    ],
)
def test_what_the_hooks_send_is_streamed(server: LiveServer, user: User, body: dict[str, Any]) -> None:
    assert [line["type"] for line in lines(stream(server, user, body).text)[:-1]][-1] == "finish"
    assert "Hello" in str(Scripted.requests[0])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"prompt": "a", "colour": "red"}, 400, "invalid_request"),
        ({}, 400, "invalid_request"),
        ({"prompt": "a", "provider": "nobody"}, 404, "provider_not_found"),
        ({"messages": [{"role": "user", "parts": [{"type": "hologram"}]}]}, 400, "invalid_request"),
    ],
)
def test_a_failure_before_the_first_event_is_an_ordinary_error(
    server: LiveServer, user: User, body: dict[str, Any], status: int, code: str
) -> None:
    response = stream(server, user, body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_a_stranger_gets_an_ordinary_error(server: LiveServer, make_user: MakeUser) -> None:
    response = stream(server, make_user("eve"), {"prompt": "a"})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "permission_denied")


@pytest.mark.parametrize("model", ["fails-later", "breaks-later"])
def test_a_failure_in_mid_stream_is_the_last_event(server: LiveServer, user: User, model: str) -> None:
    response = stream(server, user, {"prompt": "a", "model": model})
    received = lines(response.text)
    assert response.status_code == 200
    assert "text-delta" in {line["type"] for line in received[:-1]}
    assert received[-2] == {"type": "error", "errorText": received[-2]["errorText"]}
    assert received[-1] == "[DONE]"
    assert not {"finish", "abort"} & {line["type"] for line in received[:-1]}
    assert CANARY not in response.text


class Steps:
    """A stream made of these steps: events to yield, an exception to raise, or an asyncio event to wait for."""

    def __init__(self, *steps: Event | Exception | asyncio.Event) -> None:
        self._steps = steps
        self.closed = 0

    @property
    def events(self) -> AsyncIterator[Event]:
        return self._run()

    async def _run(self) -> AsyncIterator[Event]:
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step

    async def aclose(self) -> None:
        self.closed += 1


async def chunks(steps: Steps) -> AsyncIterator[bytes]:
    async for chunk in await sse.respond(steps):
        assert isinstance(chunk, bytes)
        yield chunk


async def test_a_silent_provider_is_bridged_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    answer = asyncio.Event()
    received = []
    async for chunk in chunks(Steps(events.Start("m"), answer, events.Abort())):
        received.append(chunk)
        if received.count(b": keep-alive\n\n") == 2:
            answer.set()
    assert received[0] == b'data: {"type":"start","messageId":"m"}\n\n'
    assert received[-2:] == [b'data: {"type":"abort"}\n\n', b"data: [DONE]\n\n"]
    assert set(received[1:-2]) == {b": keep-alive\n\n"}


async def test_a_stream_that_breaks_is_still_ended_properly() -> None:
    steps = Steps(events.Start("m"), RuntimeError(CANARY))
    received = b"".join([chunk async for chunk in chunks(steps)])
    assert received.endswith(b"data: [DONE]\n\n")
    assert received.count(b'"type":"error"') == 1
    assert CANARY.encode() not in received
    assert steps.closed == 1


async def test_an_error_as_first_event_is_raised_and_the_stream_closed() -> None:
    steps = Steps(events.Error(UpstreamError("No.")))
    with pytest.raises(UpstreamError):
        await sse.respond(steps)
    assert steps.closed == 1


async def test_a_client_that_stops_reading_closes_the_stream() -> None:
    steps = Steps(events.Start("m"), events.TextStart("t"), asyncio.Event())
    body = aiter(await sse.respond(steps))
    await anext(body)
    await anext(body)
    reading = asyncio.ensure_future(anext(body))
    await asyncio.wait({reading}, timeout=0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert steps.closed == 1


async def test_a_slow_reader_holds_the_provider_back() -> None:
    taken = 0

    class Endless(Steps):
        async def _run(self) -> AsyncIterator[Event]:
            nonlocal taken
            while True:
                taken += 1
                yield events.TextDelta("t", "x")

    body = aiter(await sse.respond(Endless()))
    await anext(body)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert taken <= sse.WINDOW + 3
    await body.aclose()  # type: ignore[attr-defined]


def test_every_event_encodes_under_the_names_of_the_protocol() -> None:
    sample = {
        "id": "t",
        "delta": "é",
        "message_id": "m",
        "tool_call_id": "c",
        "tool_name": "n",
        "input_text_delta": "{",
        "input": {"a_b": 1},
    }
    encoded = {}
    for kind in events.Event.__subclasses__():
        if kind.type not in {"finish", "error"}:
            event = kind(**{field.name: sample[field.name] for field in dataclasses.fields(kind)})
            encoded[kind.type] = set(json.loads(sse.encode(event).removeprefix(b"data: "))) - {"type"}
    assert encoded == {
        "start": {"messageId"},
        "text-start": {"id"},
        "text-delta": {"id", "delta"},
        "text-end": {"id"},
        "reasoning-start": {"id"},
        "reasoning-delta": {"id", "delta"},
        "reasoning-end": {"id"},
        "tool-input-start": {"toolCallId", "toolName"},
        "tool-input-delta": {"toolCallId", "inputTextDelta"},
        "tool-input-available": {"toolCallId", "toolName", "input"},
        "abort": set(),
    }


def test_line_breaks_in_text_cannot_end_an_event() -> None:
    encoded = sse.encode(events.TextDelta("t", "a\n\ndata: {}\r\n\u2028"))
    assert encoded.count(b"\n") == 2
    assert b"\r" not in encoded
