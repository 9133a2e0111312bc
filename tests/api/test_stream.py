"""Server-sent events, over a real connection."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User

from ai_models import directory, events
from ai_models.api import sse
from ai_models.encoding import encode
from ai_models.exceptions import UpstreamError
from ai_models.models import ProviderInstance
from ai_models.resumption import Entry
from ai_models.types import TextResult
from tests.api.conftest import BASE, LiveServer, MakeUser, bearer
from tests.api.scripted import CANARY, OBJECT, WORDS, Scripted
from tests.polling import until
from tests.service.steps import Steps


def stream(server: LiveServer, user: User, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{server.url}{BASE}/stream-text", json=body, headers=bearer(user), timeout=10)


BLOCK = re.compile(r"data: (?P<data>[^\n]+)\nid: (?P<stream>\w+):(?P<seq>\d+)")


def lines(text: str) -> list[Any]:
    """The data lines: JSON objects, and ``[DONE]`` as it is. Every event has the stream's id and its number."""
    *blocks, done = text.removesuffix("\n\n").split("\n\n")
    assert done == "data: [DONE]"
    matches = [BLOCK.fullmatch(block) for block in blocks]
    assert all(matches), blocks
    told = [match for match in matches if match]
    assert [int(match["seq"]) for match in told] == list(range(1, len(told) + 1))
    assert len({match["stream"] for match in told}) == 1
    return [*(json.loads(match["data"]) for match in told), "[DONE]"]


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


SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["age"]}


def stream_object(server: LiveServer, user: User, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{server.url}{BASE}/stream-object", json=body, headers=bearer(user), timeout=10)


def test_an_object_is_streamed_as_it_grows(server: LiveServer, media: ProviderInstance, user: User) -> None:
    response = stream_object(server, user, {"prompt": "Ada", "schema": SCHEMA})
    assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    received = lines(response.text)
    assert received[-1] == "[DONE]"
    assert "".join(line["delta"] for line in received[:-1] if line["type"] == "text-delta") == "".join(OBJECT)
    grown = [line for line in received[:-1] if line["type"] == "data-object"]
    assert [line["data"] for line in grown] == [{"name": "A"}, {"name": "Ada"}, {"name": "Ada", "age": 36}]
    assert {frozenset(line) for line in grown} == {frozenset({"type", "id", "data"})}
    assert {line["id"] for line in grown} == {"object-1"}
    assert received[-2]["finishReason"] == "stop"


def test_an_object_that_breaks_its_schema_ends_in_an_error(server: LiveServer, media: ProviderInstance, user: User) -> None:
    response = stream_object(server, user, {"prompt": "Ada", "schema": {**SCHEMA, "required": ["colour"]}})
    received = lines(response.text)
    assert response.status_code == 200
    assert [line["type"] for line in received[-2:-1]] == ["error"]
    assert "does not satisfy the schema" in received[-2]["errorText"]
    assert "finish" not in {line["type"] for line in received[:-1]}


def test_an_object_is_streamed_for_what_the_hooks_send(server: LiveServer, media: ProviderInstance, user: User) -> None:
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    body = {"id": "a", "trigger": "submit-message", "messages": [message], "schema": SCHEMA}
    assert lines(stream_object(server, user, body).text)[-2]["type"] == "finish"
    assert "Hello" in str(Scripted.requests[0])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"prompt": "a"}, "schema: this field is required"),
        ({"prompt": "a", "schema": 5}, "schema: give JSON Schema"),
        ({"prompt": "a", "schema": {"type": "colour"}}, "schema: it is not valid JSON Schema"),
        ({"schema": {}}, "prompt: give exactly one of prompt and messages"),
    ],
)
def test_a_wrong_object_request_is_an_ordinary_error(
    server: LiveServer, media: ProviderInstance, user: User, body: dict[str, Any], told: str
) -> None:
    response = stream_object(server, user, body)
    assert response.status_code == 400
    assert told in response.json()["error"]["message"]
    assert not Scripted.requests


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


def test_a_chat_is_told_its_steps_and_which_message_is_continued(server: LiveServer, user: User) -> None:
    messages = [
        {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Weather?"}]},
        {"id": "m2", "role": "assistant", "parts": [{"type": "step-start"}, {"type": "text", "text": "Hm."}]},
    ]
    told = lines(stream(server, user, {"id": "c", "trigger": "submit-message", "messages": messages}).text)[:-1]
    types = [line["type"] for line in told]
    assert told[0] == {"type": "start", "messageId": "m2"}
    assert (types[1], types[-2], types[-1]) == ("start-step", "finish-step", "finish")
    first = lines(stream(server, user, {"id": "c", "trigger": "submit-message", "messages": messages[:1]}).text)
    assert first[0]["messageId"].startswith("msg_")


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
    assert received[-2]["type"] == "error"
    assert received[-2]["errorText"] == received[-2]["error"]["message"]
    assert received[-2]["error"]["requestId"] == response.headers["x-request-id"]
    assert received[-1] == "[DONE]"
    assert not {"finish", "abort"} & {line["type"] for line in received[:-1]}
    assert CANARY not in response.text


async def chunks(steps: Steps) -> AsyncIterator[bytes]:
    async for chunk in await sse.respond(directory.begin(steps)):
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
    assert received[0].startswith(b'data: {"type":"start","messageId":"m"}\nid: ')
    assert received[-2].startswith(b'data: {"type":"abort"}\nid: ')
    assert received[-1] == b"data: [DONE]\n\n"
    assert set(received[1:-2]) == {b": keep-alive\n\n"}


async def test_a_stream_that_breaks_is_still_ended_properly() -> None:
    steps = Steps(events.Start("m"), RuntimeError(CANARY))
    received = b"".join([chunk async for chunk in chunks(steps)])
    assert received.endswith(b"data: [DONE]\n\n")
    assert received.count(b'"type":"error"') == 1
    assert CANARY.encode() not in received
    assert steps.closed


async def test_an_error_as_first_event_is_raised_and_the_stream_closed() -> None:
    steps = Steps(events.Error(UpstreamError("No.")))
    with pytest.raises(UpstreamError):
        await sse.respond(directory.begin(steps))
    await until(lambda: steps.closed)


async def test_a_client_that_leaves_closes_the_stream() -> None:
    steps = Steps(events.Start("m"), events.TextStart("t"), asyncio.Event())
    body = aiter(await sse.respond(directory.begin(steps)))
    told = b""
    while b"text-start" not in told:
        told += await anext(body)
    reading = asyncio.ensure_future(anext(body))
    await asyncio.wait({reading}, timeout=0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: steps.closed)


async def test_a_response_that_nobody_reads_closes_the_stream() -> None:
    steps = Steps(events.Start("m"), asyncio.Event())
    response = await sse.respond(directory.begin(steps))
    await asyncio.to_thread(response.close)
    await until(lambda: steps.closed)


def test_every_event_encodes_under_the_names_of_the_protocol() -> None:
    sample = {
        "id": "t",
        "delta": "é",
        "message_id": "m",
        "tool_call_id": "c",
        "tool_name": "n",
        "input_text_delta": "{",
        "input": {"a_b": 1},
        "data": {"a_b": 1},
        "provider_metadata": {"vendor": {"signed_by": 1}},
    }
    encoded = {}
    for kind in events.Event.__subclasses__():
        if kind.type not in {"finish", "error"}:
            event = kind(**{field.name: sample[field.name] for field in dataclasses.fields(kind)})
            encoded[kind.type] = set(json.loads(encode(event, "-"))) - {"type"}
    assert encoded == {
        "start": {"messageId"},
        "start-step": set(),
        "finish-step": set(),
        "text-start": {"id"},
        "text-delta": {"id", "delta"},
        "text-end": {"id"},
        "reasoning-start": {"id"},
        "reasoning-delta": {"id", "delta"},
        "reasoning-end": {"id", "providerMetadata"},
        "tool-input-start": {"toolCallId", "toolName"},
        "tool-input-delta": {"toolCallId", "inputTextDelta"},
        "tool-input-available": {"toolCallId", "toolName", "input"},
        "data-object": {"id", "data"},
        "abort": set(),
    }


def test_reasoning_without_metadata_ends_without_it() -> None:
    """The AI SDK takes no ``null`` there."""
    assert json.loads(encode(events.ReasoningEnd("r"), "-")) == {"type": "reasoning-end", "id": "r"}


def test_line_breaks_in_text_cannot_end_an_event() -> None:
    encoded = encode(events.TextDelta("t", "a\n\ndata: {}\r\n\u2028"), "-")
    assert not {"\n", "\r"} & set(encoded)


def test_an_error_has_the_whole_error() -> None:
    told = json.loads(encode(events.Error(UpstreamError("No.")), "r-1"))
    assert told == {"type": "error", "errorText": "No.", **UpstreamError("No.").envelope("r-1")}


@pytest.mark.parametrize(
    ("event", "is_terminal"),
    [
        (events.Finish(TextResult(text="")), True),
        (events.Error(UpstreamError("It failed.")), True),
        (events.Abort(), True),
        (events.FinishStep(), False),
    ],
)
def test_the_event_that_ends_a_stream_is_known_by_its_lines(event: events.Event, is_terminal: bool) -> None:
    assert sse.is_terminal(sse.encode("stream", Entry(9, encode(event, "-"), is_terminal))) is is_terminal
