"""Streams between two processes when things go wrong: names used again, slow readers, a cache that is late or flushed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.cache.backends.filebased import FileBasedCache
from pytest_django import Settings

from ai_models import directory, events, mirror, sharing
from ai_models.cache import shared_cache
from ai_models.models import ProviderInstance
from tests.api.conftest import BASE, LiveServer, serving
from tests.api.scripted import STORY, Scripted
from tests.polling import until
from tests.service.steps import Steps
from tests.websocket.conftest import Connect, Servers, abearer, application, is_read_elsewhere, running
from tests.websocket.test_resume import HANGS, TELLS, begun, posted, resumed, sent, some, text_of


async def test_a_chat_is_the_latest_of_its_name_wherever_it_runs(servers: Servers, user: User) -> None:
    first, second = servers
    headers = await abearer(user)
    async with httpx.AsyncClient(timeout=15) as client:
        async with posted(first, headers, {"prompt": "a", "id": "chat", "onDisconnect": "finish"}) as response:
            assert [event["type"] async for _, event in sent(response)][-1] == "finish"
        async with posted(second, headers, {**HANGS, "id": "chat", "onDisconnect": "finish"}) as response:
            await some(response, 5)
        await until_named(user, "chat")
        for server in servers:
            async with client.stream("GET", f"{server.url}{BASE}/stream-text/chat/stream", headers=headers) as response:
                assert response.status_code == 200
                assert len((await some(response, 5))[1]) == 5
        assert (await client.post(f"{first.url}{BASE}/stream-text/chat/cancel", headers=headers)).status_code == 204
        await until(Scripted.ended.is_set, seconds=2)


async def until_named(user: User, name: str) -> None:
    """Wait until the name means the stream that runs."""
    owner = directory.owner_of(user) or ""
    deadline = asyncio.get_running_loop().time() + 5
    while (identity := await sharing.identity_of(owner, name)) is None or identity not in running():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("leave", [False, True])
async def test_a_cancel_that_was_heard_is_done(connect: Connect, servers: Servers, leave: bool) -> None:
    first, second = servers
    async with connect(to=first) as socket:
        await begun(socket, "a", HANGS, 5, onDisconnect="finish")
        async with connect(to=second) as other:
            if not leave:
                await other.send(type="resume", streamId="a", after=5)
            await other.send(type="cancel", streamId="a")
            if leave:
                await other.connection.close()
            await until(Scripted.ended.is_set, seconds=3)
        assert (await socket.until_end())[-1]["type"] == "abort"


async def test_a_reader_that_is_slow_elsewhere_is_still_there(servers: Servers, user: User) -> None:
    stream = directory.begin(Steps(events.Start("m"), asyncio.Event()), user=user)
    local = stream.read()
    await local.next()
    reader = await elsewhere(user, stream.id)
    await reader.next()
    await until(is_read_elsewhere)
    local.leave()
    # It asks for nothing for longer than its presence lasts.
    with pytest.raises(AssertionError):
        await until(lambda: stream._closing is not None, seconds=3)
    reader.leave()
    await until(lambda: stream._closing is not None, seconds=3)


async def test_a_reader_that_leaves_elsewhere_does_not_take_another_with_it(servers: Servers, user: User) -> None:
    streams = [directory.begin(Steps(events.Start("m"), asyncio.Event()), user=user) for _ in range(10)]
    locals_ = [stream.read() for stream in streams]
    readers = [(await elsewhere(user, stream.id), await elsewhere(user, stream.id)) for stream in streams]
    await until(lambda: all(stream._read_elsewhere for stream in streams))
    for reader in (*locals_, *(one for one, _ in readers)):
        reader.leave()
    with pytest.raises(AssertionError):
        await until(lambda: any(stream._closing is not None for stream in streams), seconds=2)
    for _, other in readers:
        other.leave()
    await until(lambda: all(stream._closing is not None for stream in streams), seconds=3)


async def elsewhere(user: User, identity: str) -> sharing.SharedReader:
    """A reader as another process has it."""
    found = await sharing.find(directory.owner_of(user) or "", identity)
    assert found is not None
    return found.read()


async def test_a_cache_that_is_flushed_loses_nothing(connect: Connect, servers: Servers) -> None:
    first, second = servers
    async with connect(to=first) as socket, connect(to=second) as other:
        seen = await begun(socket, "a", TELLS, 5, onDisconnect="finish")
        socket.cut()
        await other.send(type="resume", streamId="a", after=5)
        seen += [await other.receive() for _ in range(20)][1:]
        await sync_to_async(caches["default"].clear)()
        seen += await other.until_end()
        assert text_of(seen) == "".join(STORY)
        assert seen[-1]["type"] == "finish"
    async with connect(to=second) as other:
        assert text_of(await resumed(other, "a", 0)) == "".join(STORY)


class Late(FileBasedCache):
    """A cache whose first write after ``begins`` takes longer than anyone waits for it."""

    begins = threading.Event()
    goes_on = threading.Event()

    def set_many(self, data: Any, *arguments: Any, **options: Any) -> Any:
        if self.begins.is_set() and any("stream-log" in key for key in data):
            self.begins.clear()
            assert self.goes_on.wait(10)
        return super().set_many(data, *arguments, **options)


async def test_a_write_that_comes_late_undoes_nothing(
    connect: Connect, provider: ProviderInstance, settings: Settings, tmp_path: Any
) -> None:
    options = {"OPTIONS": {"MAX_ENTRIES": 1_000_000}}
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Late", "LOCATION": str(tmp_path), **options}}
    Late.goes_on.clear()
    with serving(application()) as first, serving(application()) as second:
        async with connect(to=first) as socket:
            await begun(socket, "a", TELLS, 20, onDisconnect="finish")
            Late.begins.set()
            await socket.until_end()
        Late.goes_on.set()
        async with connect(to=second) as other:
            assert text_of(await resumed(other, "a", 0)) == "".join(STORY)


async def test_what_stands_behind_a_gap_is_not_told(servers: Servers, user: User) -> None:
    stream = "2" * 32
    bodies = [f'{{"type":"text-delta","id":"t","delta":"{number}"}}' for number in range(1, 81)]
    whole = ["\n".join(["open", *bodies[:64]]), "\n".join(["ended", *bodies[64:]])]
    head = f'{{"owner": "{directory.owner_of(user)}", "entries": 80, "delivered": false}}'
    segments = {mirror.segment_key(stream, number): text for number, text in enumerate(whole)}
    behind = {**segments, mirror.segment_key(stream, 0): "\n".join(["open", *bodies[:20]])}
    await shared_cache().set_many({**behind, mirror.head_key(stream): head}, 60)
    reader = await elsewhere(user, stream)
    assert [(await reader.next() or (0,))[0] for _ in range(20)] == list(range(1, 21))
    waiting = asyncio.create_task(reader.next())
    _, pending = await asyncio.wait({waiting}, timeout=0.3)
    assert pending
    await shared_cache().set_many(segments, 60)
    assert (await waiting or (0,))[0] == 21
    reader.leave()


async def test_that_the_end_was_told_is_known_everywhere(servers: Servers, user: User) -> None:
    first, second = servers
    headers = await abearer(user)
    async with httpx.AsyncClient(timeout=15) as client:
        async with posted(first, headers, {**TELLS, "id": "chat", "onDisconnect": "finish"}) as response:
            await some(response, 10)
        address = f"{second.url}{BASE}/stream-text/chat/stream"
        assert (await client.get(address, headers=headers)).text.endswith("data: [DONE]\n\n")

        async def told(server: LiveServer) -> bool:
            return (await client.get(f"{server.url}{BASE}/stream-text/chat/stream", headers=headers)).status_code == 204

        deadline = asyncio.get_running_loop().time() + 3
        while not (await told(second) and await told(first)):
            assert asyncio.get_running_loop().time() < deadline


async def test_an_event_that_never_was_cannot_be_the_last_seen(connect: Connect, servers: Servers) -> None:
    first, second = servers
    async with connect(to=first) as socket, connect(to=second) as other:
        await begun(socket, "a", {"prompt": "a"}, 7)
        await other.send(type="resume", streamId="a", after=1000)
        refused = (await other.until_end())[-1]
        assert (refused["error"]["code"], "seq" in refused) == ("invalid_request", False)
