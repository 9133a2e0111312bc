"""How a host puts the websocket to use: subclasses, the channel layer, and a cache that fails."""

from __future__ import annotations

import asyncio
import json
import pickle
import socket as sockets
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from channels.layers import InMemoryChannelLayer
from channels_redis.core import RedisChannelLayer
from django.contrib.auth.models import User
from django.core.cache import caches
from django.urls import path
from pytest_django import Settings

from ai_models import consumers, directory, events, shared_log
from ai_models.cache import JSONSerializer, shared_cache
from ai_models.consumers import AIModelsConsumer
from ai_models.exceptions import InvalidRequest, NotReady, PermissionDenied, StreamNotFound
from ai_models.models import ProviderInstance
from tests.api.conftest import BASE, LiveServer, MakeUser, bearer, serving
from tests.api.scripted import Scripted
from tests.polling import until
from tests.service.steps import Steps
from tests.websocket.conftest import Connect, Servers, application, redis_url, running

GONE, LONG = "0" * 32, "1" * 32
"""Ids of streams of other processes."""


class Assistant(AIModelsConsumer):
    """A host's own socket: it adds a system prompt, keeps a provider to itself, and takes news from the channel layer."""

    groups = ["news"]

    async def authorize(self, user: Any) -> None:
        if user.username == "eve":
            raise PermissionDenied("The assistant is not for you.")

    async def prepare(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if "provider" in request:
            raise InvalidRequest("provider: the assistant chooses it")
        return {**request, "system": f"Be brief. {operation}"}

    async def news(self, message: dict[str, Any]) -> None:
        await self.send(text_data=message["text"])


@pytest.fixture
def assistant(provider: ProviderInstance, settings: Settings) -> Iterator[LiveServer]:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    with serving(application(path("ws/assistant/", Assistant.as_asgi()))) as running:  # type: ignore[arg-type]
        yield running


async def test_a_subclass_adds_to_what_clients_ask_for(connect: Connect, assistant: LiveServer) -> None:
    async with connect(path="/ws/assistant/", to=assistant) as socket:
        await socket.stream("a", {"prompt": "Hello"})
        assert (await socket.until_end())[-1]["type"] == "finish"
        await socket.stream("b", {"prompt": "Hello", "provider": "main"})
        assert "the assistant chooses it" in (await socket.until_end())[-1]["error"]["message"]
    assert [request["system"] for request in Scripted.requests] == ["Be brief. stream-text"]


async def test_a_subclass_decides_who_may_come_in(connect: Connect, assistant: LiveServer, make_user: MakeUser) -> None:
    eve = await sync_to_async(bearer)(await sync_to_async(make_user)("eve"))
    async with connect(eve, path="/ws/assistant/", to=assistant) as socket:
        assert await socket.closed() == (4403, "The assistant is not for you.")


@pytest.mark.redis
async def test_a_subclass_hears_from_the_channel_layer_while_it_streams(
    connect: Connect, provider: ProviderInstance, settings: Settings
) -> None:
    reached: dict[str, Any] = {"hosts": [redis_url()], "prefix": uuid.uuid4().hex}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": reached}}
    with serving(application(path("ws/assistant/", Assistant.as_asgi()))) as server:  # type: ignore[arg-type]
        async with connect(path="/ws/assistant/", to=server) as socket:
            await socket.stream("a", {"prompt": "a", "model": "hangs"})
            await until(Scripted.calling.is_set)
            elsewhere = RedisChannelLayer(**reached)
            await elsewhere.group_send("news", {"type": "news", "text": '{"type":"news"}'})
            await elsewhere.close_pools()
            assert [(await socket.receive())["type"] for _ in range(2)] == ["ack", "news"]


async def test_who_may_come_in_is_asked_again(
    connect: Connect, assistant: LiveServer, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "FRESH_SECONDS", 0.0)
    async with connect(path="/ws/assistant/", to=assistant) as socket:
        user.username = "eve"
        await user.asave()
        await socket.stream("a", {"prompt": "Hello"})
        assert await socket.closed() == (4403, "The assistant is not for you.")


async def test_groups_of_a_layer_that_is_gone_cost_no_socket(
    connect: Connect, provider: ProviderInstance, settings: Settings
) -> None:
    backend = "channels_redis.core.RedisChannelLayer"
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]}}}
    with serving(application(path("ws/assistant/", Assistant.as_asgi()))) as server:  # type: ignore[arg-type]
        async with connect(path="/ws/assistant/", to=server) as socket:
            await socket.stream("a", {"prompt": "Hello"})
            assert (await socket.until_end())[-1]["type"] == "finish"


class BrokenLayer(InMemoryChannelLayer):
    """A layer whose server is gone."""

    async def receive(self, channel: str) -> Any:
        raise ConnectionError("canary")


async def test_a_channel_layer_that_fails_ends_no_socket(connect: Connect, provider: Any, settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.BrokenLayer"}}
    with serving(application()) as server:
        async with connect(to=server) as socket:
            for name in "ab":
                await socket.stream(name, {"prompt": "Hello"})
                assert (await socket.until_end())[-1]["type"] == "finish"


class Quiet(AIModelsConsumer):
    """Hears from the channel layer, as every subclass may."""


async def test_a_channel_layer_that_fails_ends_no_socket_of_a_subclass(
    connect: Connect, provider: ProviderInstance, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.BrokenLayer"}}
    with serving(application(path("ws/quiet/", Quiet.as_asgi()))) as server:  # type: ignore[arg-type]
        async with connect(path="/ws/quiet/", to=server) as socket:
            await until(lambda: "The channel layer failed with ConnectionError" in caplog.messages)
            await socket.stream("a", {"prompt": "Hello"})
            assert (await socket.until_end())[-1]["type"] == "finish"


# --- a cache that fails ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["refuses", "hangs"])
def broken_cache(request: pytest.FixtureRequest, settings: Settings) -> Iterator[str]:
    """A Redis server that is not there, or takes connections and says nothing."""
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if request.param == "refuses":
            listener.close()
        settings.CACHES = {
            "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"redis://127.0.0.1:{port}/0"}
        }
        yield request.param


async def test_streams_go_on_without_their_cache(connect: Connect, broken_cache: str, caplog: pytest.LogCaptureFixture) -> None:
    async with connect() as socket:
        began = time.monotonic()
        await socket.stream("a", {"prompt": "a", "model": "tells"})
        assert (await socket.until_end())[-1]["type"] == "finish"
        assert time.monotonic() - began < 5
    told = [record.getMessage() for record in caplog.records if record.name == "ai_models.mirror"]
    assert len(told) == 1
    assert "Streams cannot be continued in other processes for now" in told[0]


async def test_an_event_loop_ends_while_its_cache_is_asked(broken_cache: str, user: User) -> None:
    stream = directory.begin(Steps(events.Start("m"), asyncio.Event()), user=user)
    (writing,) = [task for task in asyncio.all_tasks() if "Mirror._run" in repr(task)]
    await until(lambda: shared_cache()._threads._threads)
    writing.cancel()
    await asyncio.wait({writing}, timeout=5)
    assert writing.cancelled()
    stream.close()


async def test_what_needs_the_cache_says_so_soon(connect: Connect, server: LiveServer, user: User, broken_cache: str) -> None:
    async with connect() as socket:
        began = time.monotonic()
        await socket.send(type="resume", streamId="elsewhere", after=0)
        refused = await socket.receive()
        assert time.monotonic() - began < 2
        assert (refused["error"]["code"], refused["error"]["retryable"]) == ("not_ready", True)
        assert "127.0.0.1" not in refused["error"]["message"]
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{server.url}{BASE}/ws-ticket", headers=await sync_to_async(bearer)(user))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")


async def test_what_others_put_into_the_cache_is_nobodys_stream(connect: Connect, servers: Servers, user: User) -> None:
    heads = {
        "a" * 32: "nonsense",
        "b" * 32: "[1, 2]",
        "c" * 32: json.dumps({"owner": directory.owner_of(user)}),
        "d" * 32: '{"owner": 5, "entries": 1, "delivered": false}',
    }
    for identity, text in heads.items():
        await shared_cache().set_many({shared_log.head_key(identity): text}, 60)
    await sync_to_async(caches["default"].set)(
        "ai_models:" + shared_log.head_key("e" * 32), {"owner": directory.owner_of(user)}
    )
    for identity in (*heads, "e" * 32):
        with pytest.raises(StreamNotFound):
            await directory.find(user, identity)


async def test_a_process_that_is_gone_is_told_to_its_reader(
    servers: Servers, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_log, "ALIVE_SECONDS", 1.0)
    head = json.dumps({"owner": directory.owner_of(user), "entries": None, "delivered": False})
    log = 'open\n{"type":"start","messageId":"m"}'
    await shared_cache().set_many({shared_log.head_key(GONE): head, shared_log.segment_key(GONE, 0): log}, 2)
    reader = (await directory.find(user, GONE)).read()
    first = await reader.next()
    assert first is not None
    assert (first.seq, first.last) == (1, False)
    last = await reader.next()
    assert last is not None
    assert (last.seq, last.last) == (2, True)
    assert "is gone" in last.body
    assert await reader.next() is None
    reader.leave()


async def test_a_log_longer_than_a_segment_is_read_from_anywhere(servers: Servers, user: User) -> None:
    bodies = [f'{{"type":"text-delta","id":"t","delta":"{number}"}}' for number in range(1, 1000)]
    texts = {
        shared_log.segment_key(LONG, number): "\n".join(["ended" if number == 15 else "open", *bodies[number * 64 :][:64]])
        for number in range(16)
    }
    head = json.dumps({"owner": directory.owner_of(user), "entries": 999, "delivered": True})
    await shared_cache().set_many({**texts, shared_log.head_key(LONG): head}, 60)
    for after in (0, 1, 63, 64, 65, 511, 512, 998):
        reader = (await directory.find(user, LONG)).read(after)
        entries = []
        while (entry := await reader.next()) is not None:
            entries.append(entry)
        assert [entry.seq for entry in entries] == list(range(after + 1, 1000))
        assert [entry.body for entry in entries] == bodies[after:]
    with pytest.raises(InvalidRequest):
        (await directory.find(user, LONG)).read(999)


async def test_operations_of_the_cache_have_a_deadline(broken_cache: str) -> None:
    began = time.monotonic()
    with pytest.raises(NotReady):
        await shared_cache().get("a")
    assert time.monotonic() - began < 2


def test_the_serializer_reads_json_and_nothing_else() -> None:
    serializer = JSONSerializer()
    for value in ("text", 5, 1.5, True, None, {"a": [1, "ü"]}):
        dumped = serializer.dumps(value)
        assert serializer.loads(dumped if isinstance(dumped, bytes) else str(dumped).encode()) == value
    with pytest.raises(ValueError, match=r"."):
        serializer.loads(pickle.dumps({"a": 1}))


async def test_a_socket_confirms_its_credential_while_it_is_quiet(
    connect: Connect, user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "CONFIRM_SECONDS", 0.0)
    monkeypatch.setattr(consumers, "FRESH_SECONDS", 0.0)
    settings.AI_MODELS = {**settings.AI_MODELS, "WS_IDLE_SECONDS": 600}
    monkeypatch.setattr(consumers, "_LOOK_SECONDS", 0.1)
    async with connect() as socket:
        user.is_active = False
        await user.asave()
        assert (await socket.closed())[0] == 4401


async def test_what_a_socket_held_is_given_back(connect: Connect) -> None:
    for _ in range(3):
        Scripted.calling.clear()
        async with connect() as socket:
            await socket.stream("a", {"prompt": "a", "model": "hangs"})
            await until(Scripted.calling.is_set)
            socket.cut()
        await until(lambda: len(consumers.sockets) == 0)
        await until(lambda: not running())
