"""Clients that lose their connection and go on where they were: on a new socket or over REST, in this process or another."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from tests.api.conftest import BASE, LiveServer, MakeUser
from tests.api.scripted import STORY, Scripted
from tests.polling import until
from tests.websocket.conftest import TERMINAL, Connect, Servers, Socket, abearer, is_read_elsewhere

TELLS = {"prompt": "a", "model": "tells"}
HANGS = {"prompt": "a", "model": "hangs-later"}
SLOTS = 12
STORIES = 8

Events = list[dict[str, Any]]


def text_of(events: Events) -> str:
    return "".join(event.get("delta", "") for event in events)


async def resumed(socket: Socket, stream_id: str, after: int) -> Events:
    """The rest of a stream."""
    await socket.send(type="resume", streamId=stream_id, after=after)
    ack, *frames = await socket.until_end()
    assert (ack["type"], ack["streamId"], ack["for"]) == ("ack", stream_id, "resume")
    assert [frame["seq"] for frame in frames] == list(range(after + 1, after + 1 + len(frames)))
    return frames


async def begun(socket: Socket, stream_id: str, request: dict[str, Any], count: int, **fields: Any) -> Events:
    """The first events of a stream."""
    await socket.stream(stream_id, request, **fields)
    assert (await socket.receive())["type"] == "ack"
    return [await socket.receive() for _ in range(count)]


@pytest.mark.parametrize("place", ["frame", "request"])
async def test_a_stream_that_is_to_be_finished_goes_on_without_its_client(connect: Connect, place: str) -> None:
    choice = {"onDisconnect": "finish"}
    async with connect() as socket:
        if place == "frame":
            seen = await begun(socket, "a", TELLS, 5, **choice)
        else:
            seen = await begun(socket, "a", {**TELLS, **choice}, 5)
        socket.cut()
    async with connect() as socket:
        seen += await resumed(socket, "a", 5)
    assert text_of(seen) == "".join(STORY)
    assert len(Scripted.requests) == 1


async def test_a_stream_is_cancelled_with_its_client_by_default(connect: Connect) -> None:
    async with connect() as socket:
        seen = await begun(socket, "a", HANGS, 5)
        socket.cut()
    await until(Scripted.ended.is_set, seconds=1)
    async with connect() as socket:
        rest = await resumed(socket, "a", 3)
    assert rest[:2] == seen[3:]
    assert rest[2] == {"streamId": "a", "seq": 6, "type": "abort"}


async def test_whatever_was_seen_is_not_told_again(connect: Connect) -> None:
    async with connect() as socket:
        await begun(socket, "a", {"prompt": "a"}, 7, onDisconnect="finish")
    for after in range(7):
        async with connect() as socket:
            assert len(await resumed(socket, "a", after)) == 7 - after
    async with connect() as socket:
        for after in (7, 8):
            await socket.send(type="resume", streamId="a", after=after)
            refused = await socket.receive()
            assert (refused["error"]["code"], "seq" in refused) == ("invalid_request", False)
            assert "ended with event 7" in refused["error"]["message"]


async def test_a_stream_is_nobody_elses(connect: Connect, make_user: MakeUser) -> None:
    other = await abearer(await sync_to_async(make_user)("eve", "use_text_generation"))
    async with connect() as socket, connect(other) as stranger:
        await begun(socket, "a", HANGS, 2)
        for frame in ({"type": "resume", "after": 0}, {"type": "cancel"}):
            await stranger.send(streamId="a", **frame)
            refused = await stranger.receive()
            await stranger.send(streamId="unheard-of", **frame)
            unknown = await stranger.receive()
            assert refused["error"]["code"] == "stream_not_found"
            assert refused["error"]["message"] == unknown["error"]["message"]
        assert not Scripted.ended.is_set()


async def test_two_sockets_read_one_stream_and_either_can_end_it(connect: Connect) -> None:
    async with connect() as first, connect() as second:
        await begun(first, "a", HANGS, 5)
        await second.send(type="resume", streamId="a", after=0)
        assert [(await second.receive())["type"] for _ in range(6)][-1] == "text-delta"
        first.cut()
        assert not Scripted.ended.is_set()
        async with connect() as third:
            await third.send(type="cancel", streamId="a")
            assert (await third.receive())["for"] == "cancel"
        assert (await second.receive())["type"] == "abort"
        assert Scripted.ended.is_set()


# --- over REST ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def posted(server: LiveServer, headers: dict[str, str], body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
    async with (
        httpx.AsyncClient(timeout=15) as client,
        client.stream("POST", f"{server.url}{BASE}/stream-text", json=body, headers=headers) as response,
    ):
        yield response


async def sent(response: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Id and data of each event."""
    data: Any = None
    async for line in response.aiter_lines():
        if line.startswith("data: {"):
            data = json.loads(line[6:])
        elif line.startswith("id: "):
            yield line[4:], data


async def some(response: httpx.Response, count: int) -> tuple[str, Events]:
    """The first events, and the id of the last of them."""
    events = []
    async for identity, event in sent(response):
        events.append(event)
        if len(events) == count:
            return identity, events
    raise AssertionError("the stream ended too early")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_server_sent_events_go_on_after_the_last_event_id(server: LiveServer, user: User, method: str) -> None:
    headers = await abearer(user)
    async with posted(server, headers, {**TELLS, "onDisconnect": "finish"}) as response:
        last, events = await some(response, 10)
    async with httpx.AsyncClient(timeout=15) as client:
        again = {**headers, "Last-Event-ID": last}
        body = {"json": TELLS} if method == "POST" else {}
        response = await client.request(method, f"{server.url}{BASE}/stream-text", headers=again, **body)
        assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
        assert response.text.endswith("data: [DONE]\n\n")
        async for identity, event in sent(response):
            events.append(event)
            assert identity == f"{last.rpartition(':')[0]}:{len(events)}"
    assert text_of(events) == "".join(STORY)
    assert len(Scripted.requests) == 1


@pytest.mark.parametrize(
    ("last", "status", "code"),
    [
        ("nonsense", 400, "invalid_request"),
        ("a:-1", 400, "invalid_request"),
        ("unheard-of:3", 404, "stream_not_found"),
        (f"{'0' * 32}:0", 404, "stream_not_found"),
    ],
)
async def test_an_event_id_that_names_nothing_is_an_error(
    server: LiveServer, user: User, last: str, status: int, code: str
) -> None:
    headers = {**await abearer(user), "Last-Event-ID": last}
    async with httpx.AsyncClient() as client:
        response = await client.get(f"{server.url}{BASE}/stream-text", headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_a_chat_is_found_by_its_id_while_it_is_answered(server: LiveServer, user: User) -> None:
    headers = await abearer(user)
    address = f"{server.url}{BASE}/stream-text/chat-1"
    async with httpx.AsyncClient(timeout=15) as client:
        assert (await client.get(f"{address}/stream", headers=headers)).status_code == 204
        async with posted(server, headers, {**TELLS, "id": "chat-1", "onDisconnect": "finish"}) as response:
            await some(response, 10)
        found = await client.get(f"{address}/stream", headers=headers)
        assert text_of([event async for _, event in sent(found)]) == "".join(STORY)
        # Its end was told: there is nothing to go on with.
        assert (await client.get(f"{address}/stream", headers=headers)).status_code == 204


async def test_a_chat_can_be_cancelled_by_its_id(server: LiveServer, user: User, make_user: MakeUser) -> None:
    headers = await abearer(user)
    other = await abearer(await sync_to_async(make_user)("eve", "use_text_generation"))
    address = f"{server.url}{BASE}/stream-text/chat-1/cancel"
    async with httpx.AsyncClient(timeout=15) as client:
        async with posted(server, headers, {**HANGS, "id": "chat-1", "onDisconnect": "finish"}) as response:
            await some(response, 5)
        assert (await client.post(address, headers=other)).status_code == 404
        assert not Scripted.ended.is_set()
        assert (await client.post(address, headers=headers)).status_code == 204
        await until(Scripted.ended.is_set, seconds=1)


async def test_a_stream_of_a_socket_goes_on_over_rest_and_the_other_way(
    server: LiveServer, connect: Connect, user: User
) -> None:
    headers = await abearer(user)
    async with connect() as socket:
        seen = await begun(socket, "a", {**TELLS, "onDisconnect": "finish"}, 20)
    async with httpx.AsyncClient(timeout=15) as client:
        again = {**headers, "Last-Event-ID": "a:20"}
        async with client.stream("GET", f"{server.url}{BASE}/stream-text", headers=again) as response:
            seen += (await some(response, 20))[1]
    async with connect() as socket:
        seen += await resumed(socket, "a", 40)
    assert text_of(seen) == "".join(STORY)


# --- in another process, and again and again ------------------------------------------------------------------------


async def test_a_stream_goes_on_in_another_process(connect: Connect, servers: Servers) -> None:
    first, second = servers
    async with connect(to=first) as socket:
        seen = await begun(socket, "a", TELLS, 20, onDisconnect="finish")
        socket.cut()
    async with connect(to=second) as socket:
        seen += await resumed(socket, "a", 20)
    assert text_of(seen) == "".join(STORY)
    assert len(Scripted.requests) == 1


async def test_a_reader_in_another_process_keeps_a_stream_alive_and_its_leaving_ends_it(
    connect: Connect, servers: Servers
) -> None:
    first, second = servers
    async with connect(to=first) as socket, connect(to=second) as other:
        await begun(socket, "a", HANGS, 5)
        await other.send(type="resume", streamId="a", after=0)
        assert [(await other.receive())["type"] for _ in range(6)][-1] == "text-delta"
        await until(is_read_elsewhere)
        socket.cut()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.connection.recv(), 1)
        assert not Scripted.ended.is_set()
        other.cut()
    await until(Scripted.ended.is_set, seconds=2)


async def test_a_stream_is_cancelled_from_another_process(connect: Connect, servers: Servers) -> None:
    first, second = servers
    async with connect(to=first) as socket, connect(to=second) as other:
        await begun(socket, "a", HANGS, 5)
        await other.send(type="cancel", streamId="a")
        assert (await other.receive())["for"] == "cancel"
        assert (await socket.until_end())[-1]["type"] == "abort"


async def test_the_end_of_a_cancelled_stream_is_found_in_another_process(connect: Connect, servers: Servers) -> None:
    first, second = servers
    async with connect(to=first) as socket:
        await begun(socket, "a", HANGS, 5)
        socket.cut()
    async with connect(to=second) as socket:
        assert [event["type"] for event in await resumed(socket, "a", 4)] == ["text-delta", "abort"]


async def test_a_stream_is_nobody_elses_in_another_process(connect: Connect, servers: Servers, make_user: MakeUser) -> None:
    first, second = servers
    other = await abearer(await sync_to_async(make_user)("eve", "use_text_generation"))
    async with connect(to=first) as socket, connect(other, to=second) as stranger:
        await begun(socket, "a", HANGS, 5)
        await stranger.send(type="resume", streamId="a", after=0)
        assert (await stranger.receive())["error"]["code"] == "stream_not_found"


async def cut_again_and_again(connect: Connect, servers: tuple[LiveServer, ...], name: str, chance: random.Random) -> int:
    """Read a story to its end over connections that break at random points. Gives the number of cuts."""
    events: Events = []
    cuts = 0
    while not events or events[-1]["type"] not in TERMINAL:
        async with connect(to=chance.choice(servers)) as socket:
            if events:
                await socket.send(type="resume", streamId=name, after=len(events))
            else:
                await socket.stream(name, TELLS, onDisconnect="finish")
            assert (await socket.receive())["type"] == "ack"
            for _ in range(chance.randint(0 if events else 1, SLOTS)):
                frame = await socket.receive()
                assert frame["seq"] == len(events) + 1, (name, frame)
                events.append(frame)
                if frame["type"] in TERMINAL:
                    break
            else:
                cuts += 1
                socket.cut()
    assert text_of(events) == "".join(STORY)
    assert [event["type"] for event in events if event["type"] in TERMINAL] == ["finish"]
    return cuts


async def fuzz(connect: Connect, servers: tuple[LiveServer, ...]) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    stories = [
        cut_again_and_again(connect, servers, f"story-{number}", random.Random(chance.random())) for number in range(STORIES)
    ]
    try:
        cuts = sum(await asyncio.gather(*stories))
    except BaseException:
        print(f"the seed was {seed}")  # noqa: T201
        raise
    assert cuts >= 100
    assert len(Scripted.requests) == STORIES


async def test_connections_that_break_at_random_points_lose_nothing(connect: Connect, server: LiveServer) -> None:
    await fuzz(connect, (server,))


async def test_connections_that_break_lose_nothing_between_processes(connect: Connect, servers: Servers) -> None:
    await fuzz(connect, servers)
