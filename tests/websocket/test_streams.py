"""Streams over a websocket: their frames, their errors, and what ends them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User

from ai_models.models import ProviderCapability, ProviderInstance
from tests.api.scripted import CANARY, OBJECT, WORDS, Scripted
from tests.polling import until
from tests.websocket.conftest import Connect

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["age"]}
HANGS = {"prompt": "a", "model": "hangs-later"}


def error_of(frame: dict[str, Any]) -> tuple[str, Any, str]:
    """Stream, number and code of an error."""
    assert set(frame["error"]) >= {"code", "message", "retryable", "remedy", "requestId"}
    return frame["streamId"], frame.get("seq"), frame["error"]["code"]


async def test_a_stream_follows_the_protocol(connect: Connect) -> None:
    async with connect() as socket:
        assert socket.connection.subprotocol == "ai-models.v1"
        await socket.stream("a", {"prompt": "Hello"})
        ack, *frames = await socket.until_end()
    assert ack == {"type": "ack", "streamId": "a", "for": "stream-text", "requestId": ack["requestId"]}
    assert {frame["streamId"] for frame in frames} == {"a"}
    assert [frame["seq"] for frame in frames] == list(range(1, len(frames) + 1))
    assert [frame["type"] for frame in frames] == ["start", "text-start", *["text-delta"] * 3, "text-end", "finish"]
    assert "".join(frame.get("delta", "") for frame in frames) == "".join(WORDS)
    assert frames[-1]["finishReason"] == "stop"
    assert frames[-1]["messageMetadata"]["usage"]["outputTokens"] == 3


async def test_an_object_grows(connect: Connect, media: ProviderInstance) -> None:
    async with connect() as socket:
        await socket.send(type="stream-object", streamId="o", request={"prompt": "Ada", "schema": SCHEMA})
        _, *frames = await socket.until_end()
    assert "".join(frame.get("delta", "") for frame in frames) == "".join(OBJECT)
    grown = [frame["data"] for frame in frames if frame["type"] == "data-object"]
    assert grown == [{"name": "A"}, {"name": "Ada"}, {"name": "Ada", "age": 36}]
    assert frames[-1]["type"] == "finish"


async def test_what_the_hooks_send_is_a_request_too(connect: Connect) -> None:
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    async with connect() as socket:
        await socket.stream("a", {"id": "chat", "trigger": "submit-message", "messages": [message]})
        assert (await socket.until_end())[-1]["type"] == "finish"
    assert "Hello" in str(Scripted.requests[0])


@pytest.mark.parametrize(
    ("request_", "code", "told"),
    [
        ({}, "invalid_request", "prompt: give exactly one of prompt and messages"),
        ({"prompt": "a", "colour": "red"}, "invalid_request", "colour: this field does not exist"),
        ({"prompt": 5}, "invalid_request", "prompt"),
        ({"prompt": "a", "headers": {"x": "y"}}, "invalid_request", "headers: this field does not exist"),
        ({"prompt": "a", "provider": "nobody"}, "provider_not_found", ""),
        ({"prompt": "a", "onDisconnect": "stay"}, "invalid_request", "onDisconnect"),
    ],
)
async def test_a_wrong_request_is_an_error_of_its_stream_alone(
    connect: Connect, request_: dict[str, Any], code: str, told: str
) -> None:
    async with connect() as socket:
        await socket.stream("good", HANGS)
        frames = [await socket.receive() for _ in range(6)]
        await socket.stream("bad", request_)
        refused = (await socket.until_end())[-1]
        assert error_of(refused)[::2] == ("bad", code)
        assert told in refused["error"]["message"]
        await socket.send(type="cancel", streamId="good")
        rest = await socket.until_end()
    assert [frame["type"] for frame in rest][-1] == "abort"
    assert [frame["seq"] for frame in (*frames, *rest) if "seq" in frame] == list(range(1, 7))


@pytest.mark.parametrize("field", ["colour", "after"])
async def test_a_field_that_a_frame_has_not_is_an_error_of_its_stream(connect: Connect, field: str) -> None:
    async with connect() as socket:
        await socket.stream("a", {"prompt": "a"}, **{field: 1})
        frame = await socket.receive()
        assert error_of(frame) == ("a", None, "invalid_request")
        assert f"{field}: this field does not exist" in frame["error"]["message"]


async def test_a_capability_needs_its_permission(connect: Connect, user: User, media: ProviderInstance) -> None:
    await sync_to_async(user.user_permissions.set)(await _permissions("use_text_generation"))
    async with connect() as socket:
        await socket.send(type="stream-object", streamId="o", request={"prompt": "a", "schema": SCHEMA})
        assert error_of((await socket.until_end())[-1])[2] == "permission_denied"
        await socket.stream("t", {"prompt": "a"})
        assert (await socket.until_end())[-1]["type"] == "finish"
    assert not [request for request in Scripted.requests if "schema" in request]


@pytest.mark.parametrize(("model", "code"), [("fails-later", "upstream_error"), ("breaks-later", "internal")])
async def test_a_failure_in_mid_stream_is_its_last_event(connect: Connect, model: str, code: str) -> None:
    async with connect() as socket:
        await socket.stream("a", {"prompt": "a", "model": model})
        _, *frames = await socket.until_end()
        assert error_of(frames[-1]) == ("a", len(frames), code)
        assert frames[-1]["errorText"] == frames[-1]["error"]["message"]
        assert CANARY not in json.dumps(frames)
        await socket.stream("a", {"prompt": "again"})
        assert (await socket.until_end())[-1]["type"] == "finish"


async def test_streams_of_a_socket_run_side_by_side(connect: Connect) -> None:
    async with connect() as socket:
        await socket.stream("waits", HANGS)
        for name in ("b", "c"):
            await socket.stream(name, {"prompt": "a"})
        ended: list[str] = []
        while len(ended) < 2:
            frame = await socket.receive()
            ended += [frame["streamId"]] if frame["type"] == "finish" else []
        assert sorted(ended) == ["b", "c"]
        await socket.send(type="cancel", streamId="waits")
        assert (await socket.until_end())[-1]["type"] == "abort"


async def test_a_name_that_is_in_use_is_refused_and_its_stream_goes_on(connect: Connect) -> None:
    async with connect() as socket:
        await socket.stream("a", HANGS)
        for _ in range(6):
            await socket.receive()
        await socket.stream("a", {"prompt": "b"})
        assert error_of(await socket.receive()) == ("a", None, "invalid_request")
        await socket.send(type="resume", streamId="a", after=0)
        assert error_of(await socket.receive()) == ("a", None, "invalid_request")
        await socket.send(type="cancel", streamId="a")
        assert (await socket.until_end())[-1] == {"streamId": "a", "seq": 6, "type": "abort"}
    assert len(Scripted.requests) == 1


async def test_cancel_ends_the_upstream_call_within_a_second(connect: Connect) -> None:
    async with connect() as socket:
        await socket.stream("a", {"prompt": "a", "model": "hangs"})
        await until(Scripted.calling.is_set)
        began = time.monotonic()
        await socket.send(type="cancel", streamId="a")
        frames = await socket.until_end()
        assert time.monotonic() - began < 1
    assert Scripted.ended.is_set()
    assert [frame["type"] for frame in frames] == ["ack", "ack", "abort"]
    assert [frame.get("for") for frame in frames] == ["stream-text", "cancel", None]


async def test_cancel_comes_before_the_stream_has_begun(connect: Connect) -> None:
    async with connect() as socket:
        await socket.connection.send(json.dumps({"type": "stream-text", "streamId": "a", "request": HANGS}))
        await socket.connection.send(json.dumps({"type": "cancel", "streamId": "a"}))
        assert (await socket.until_end())[-1]["type"] == "abort"


async def test_a_stream_that_nobody_knows_cannot_be_cancelled(connect: Connect) -> None:
    async with connect() as socket:
        await socket.send(type="cancel", streamId="nothing")
        assert error_of(await socket.receive()) == ("nothing", None, "stream_not_found")


async def test_a_ping_is_answered(connect: Connect) -> None:
    async with connect() as socket:
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}


async def test_the_socket_listens_while_a_stream_begins(connect: Connect) -> None:
    async with connect() as socket:
        await socket.stream("a", {"prompt": "a", "model": "hangs"})
        await until(Scripted.calling.is_set)
        await socket.send(type="ping")
        frames = [await socket.receive(), await socket.receive()]
        assert {frame["type"] for frame in frames} == {"ack", "pong"}


# --- what changes while a socket is open ----------------------------------------------------------------------------


async def _permissions(*codenames: str) -> list[Permission]:
    rows = Permission.objects.filter(codename__in=codenames)
    return [row async for row in rows]


async def _refused(socket: Any, code: str) -> None:
    """The next streams are refused with this code, from a second on at the latest."""
    deadline = time.monotonic() + 1.5
    while True:
        await socket.stream("again", {"prompt": "a"})
        last = (await socket.until_end())[-1]
        if last["type"] == "error":
            assert last["error"]["code"] == code
            return
        assert time.monotonic() < deadline, "it still works"
        await asyncio.sleep(0.05)


async def test_a_permission_that_is_taken_away_counts_within_a_second(connect: Connect, user: User) -> None:
    async with connect() as socket:
        await socket.stream("a", {"prompt": "a"})
        assert (await socket.until_end())[-1]["type"] == "finish"
        await sync_to_async(user.user_permissions.clear)()
        await _refused(socket, "permission_denied")


async def test_a_provider_that_is_switched_off_is_refused_within_a_second(connect: Connect, provider: ProviderInstance) -> None:
    async with connect() as socket:
        await socket.stream("a", {"prompt": "a"})
        assert (await socket.until_end())[-1]["type"] == "finish"
        provider.enabled = False
        await provider.asave()
        await _refused(socket, "provider_disabled")


async def test_a_capability_that_is_switched_off_is_refused_within_a_second(
    connect: Connect, provider: ProviderInstance
) -> None:
    async with connect() as socket:
        capability = await ProviderCapability.objects.aget(instance=provider, capability="text-generation")
        capability.enabled = False
        await capability.asave()
        await _refused(socket, "capability_not_enabled")


async def test_a_user_who_is_deactivated_loses_the_socket(connect: Connect, user: User) -> None:
    async with connect() as socket:
        user.is_active = False
        await user.asave()
        deadline = time.monotonic() + 5
        closed = asyncio.create_task(socket.closed())
        while not closed.done():
            assert time.monotonic() < deadline
            await socket.stream(f"a{time.monotonic_ns()}", {"prompt": "a"})
            await asyncio.wait({closed}, timeout=0.1)
        assert (await closed)[0] == 4401
