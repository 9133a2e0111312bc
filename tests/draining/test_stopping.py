"""A server process that gets SIGTERM: what becomes of each thing that runs in it."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import httpx
import pytest
import websockets

from ai_models.models import ProviderInstance
from tests.api.conftest import BASE, parse
from tests.api.scripted import STORY
from tests.draining.conftest import LONG, Serve, client_of, connected, ended, lines, streamed
from tests.state.test_processes import DEADLINE, Running

pytestmark = pytest.mark.usefixtures("provider")

CALL = f"{BASE}/generate-text"


def terminate(server: Running) -> None:
    server.process.send_signal(signal.SIGTERM)


async def not_ready(client: httpx.AsyncClient) -> httpx.Response:
    """The first answer that says so."""
    while (response := await client.get("/readyz")).is_success:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return response


async def refused(client: httpx.AsyncClient) -> None:
    """Wait until no new connection is taken. What is answered until then is answered well."""
    while True:
        try:
            response = await client.post(CALL, json={"prompt": "Hello"})
        except (httpx.ConnectError, httpx.ReadError):
            return  # or the kernel took it in the very moment in which the server closed, and then reset it
        assert response.is_success
        assert response.headers["connection"] == "close"


async def test_readiness_goes_off_while_everything_is_still_served_and_then_nothing_new_is_taken(
    serve: Serve, headers: dict[str, str]
) -> None:
    server = await serve(notice="2")
    async with client_of(server, headers) as client:
        assert (await client.get("/readyz")).is_success
        terminate(server)
        response = await not_ready(client)
        assert response.status_code == 503
        assert (response.json()["checks"], response.json()["error"]["code"]) == (
            {"process": "is being stopped"},
            "not_ready",
        )
        assert (await client.get("/healthz")).is_success
        call = await client.post(CALL, json={"prompt": "Hello"})
        assert (call.status_code, call.headers["connection"]) == (200, "close")
        async with connected(server.url, headers) as socket:
            await socket.stream("a", {"prompt": "Hello"})
            assert (await socket.until_end())[-1]["type"] == "finish"
            await refused(client)
            assert (await socket.closed())[0] == 1012
    assert await ended(server) == 0


async def test_where_nobody_asks_for_readiness_nobody_is_waited_for(serve: Serve) -> None:
    server = await serve(notice=LONG)
    terminate(server)
    assert await ended(server) == 0


@pytest.mark.parametrize("facade", [False, True], ids=["rest", "facade"])
async def test_a_stream_comes_to_its_end(serve: Serve, headers: dict[str, str], facade: bool) -> None:
    server = await serve()
    async with client_of(server, headers) as client, streamed(client, "tells", facade=facade) as response:
        told = lines(response)
        seen = [await anext(told)]
        terminate(server)
        seen += [event async for event in told]
        assert seen[-1] == "[DONE]"
        if facade:
            text = "".join(event["choices"][0]["delta"].get("content") or "" for event in seen[:-1])
        else:
            text = "".join(event.get("delta", "") for event in seen[:-1])
        assert text == "".join(STORY)
    assert await ended(server) == 0


async def test_a_stream_of_a_socket_comes_to_its_end_and_then_the_socket(serve: Serve, headers: dict[str, str]) -> None:
    server = await serve()
    async with connected(server.url, headers) as socket, client_of(server, headers) as client:
        await socket.stream("a", {"prompt": "Hello", "model": "tells"})
        seen = [await socket.receive(), await socket.receive()]
        terminate(server)
        await refused(client)
        # It has a stream that runs, so that only the new one is refused.
        await socket.stream("b", {"prompt": "Hello"})
        seen += [await socket.receive() for _ in range(len(STORY) + 4)]
        refusal = next(frame for frame in seen if frame["streamId"] == "b")
        assert (refusal["error"]["code"], refusal["error"]["retryable"]) == ("not_ready", True)
        assert "".join(frame.get("delta", "") for frame in seen) == "".join(STORY)
        assert seen[-1]["type"] == "finish"
        assert await socket.closed() == (1012, "The server restarts.")
    assert await ended(server) == 0


async def hanging(server: Running, headers: dict[str, str], stop: Any) -> None:
    """Have one of everything run that never ends, stop the server, and look how each is ended."""
    async with (
        client_of(server, headers) as client,
        connected(server.url, headers) as socket,
        streamed(client, "hangs-later") as rest,
        streamed(client, "hangs-later", facade=True) as facade,
        asyncio.TaskGroup() as tasks,
    ):
        call = tasks.create_task(client.post(CALL, json={"prompt": "Hello", "model": "hangs"}))
        await socket.stream("a", {"prompt": "Hello", "model": "hangs-later"})
        while (await socket.receive())["type"] != "text-delta":
            pass
        told, facade_told = lines(rest), lines(facade)
        while (await anext(told))["type"] != "text-delta":
            pass
        await anext(facade_told)
        await stop(server)

        *_, last, done = [event async for event in told]
        assert (last["type"], last["error"]["code"], done) == ("error", "not_ready", "[DONE]")
        assert last["error"]["retryable"]
        last = [event async for event in facade_told][-1]
        assert (last["error"]["code"], last["error"]["type"]) == ("not_ready", "server_error")
        last = (await socket.until_end())[-1]
        assert (last["type"], last["error"]["code"], last["streamId"]) == ("error", "not_ready", "a")
        assert (await socket.closed())[0] == 1012
        response = await call
        assert (response.status_code, response.json()["error"]["code"]) == (503, "not_ready")
        assert (response.headers["retry-after"], response.headers["connection"]) == ("1", "close")
    assert await ended(server) == 0
    assert "Traceback" not in server.log.read_text(), server.log.read_text()


async def test_what_has_not_ended_by_the_end_of_the_drain_time_is_told_why(serve: Serve, headers: dict[str, str]) -> None:
    async def stop(server: Running) -> None:
        terminate(server)

    await hanging(await serve(drain="1"), headers, stop)


async def test_the_second_signal_does_without_the_rest_of_the_time_and_leaves_nothing_out(
    serve: Serve, headers: dict[str, str]
) -> None:
    async def stop(server: Running) -> None:
        terminate(server)
        async with client_of(server, headers) as client:
            await refused(client)
        terminate(server)

    await hanging(await serve(), headers, stop)


async def told_late(server: Running, response: httpx.Response) -> list[Any]:
    """The rest of a stream that its client reads only when its server is about to cut it off."""
    told = lines(response)
    await anext(told)
    terminate(server)
    async with asyncio.timeout(DEADLINE):
        while "not ended in time" not in server.log.read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return [event async for event in told]


def slow(server: Running, headers: dict[str, str]) -> Any:
    """A client for whom little fits on the way."""
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)]
    return client_of(server, headers, transport=httpx.AsyncHTTPTransport(socket_options=options))


@pytest.mark.parametrize("facade", [False, True], ids=["rest", "facade"])
async def test_a_client_that_reads_nothing_until_the_end_is_told_once(
    serve: Serve, headers: dict[str, str], facade: bool
) -> None:
    server = await serve(drain="0.1")
    async with slow(server, headers) as client, streamed(client, "overflows", facade=facade) as response:
        told = await told_late(server, response)
    if not facade:
        assert told.pop() == "[DONE]"
    *_, text, last = told
    assert "error" not in text
    assert last["error"]["code"] == "not_ready"
    assert await ended(server) == 0


async def test_nothing_is_put_into_an_event_that_is_on_its_way(serve: Serve, headers: dict[str, str]) -> None:
    server = await serve(drain="0.1")
    async with slow(server, headers) as client, streamed(client, "overflows") as first:
        told = first.aiter_lines()  # kept, since httpx closes the connection of one that nobody has any more
        while not (line := await anext(told)).startswith("id: "):
            pass
        last_event = {"Last-Event-ID": line.removeprefix("id: ")}
        # This way to a stream is through Django's request cycle, which cuts large events into pieces.
        async with client.stream("GET", f"{BASE}/stream-text", headers=last_event) as response:
            *_, text, last, done = await told_late(server, response)
    assert text["type"] == "text-delta"
    assert (last["error"]["code"], done) == ("not_ready", "[DONE]")
    assert await ended(server) == 0


async def test_an_answer_that_is_whole_is_not_called_a_failure_because_its_client_is_slow(
    serve: Serve, headers: dict[str, str]
) -> None:
    server = await serve(drain="0.1")
    async with slow(server, headers) as client, streamed(client, "overflows-shortly", facade=True) as response:
        *_, last, done = await told_late(server, response)
    assert (last["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")
    assert await ended(server) == 0


async def test_the_workers_of_a_server_end_alike(serve: Serve, headers: dict[str, str]) -> None:
    async def stop(server: Running) -> None:
        terminate(server)

    await hanging(await serve(workers=2, drain="1"), headers, stop)


async def test_what_comes_on_a_connection_that_is_just_made_is_served_and_idle_ones_are_closed(
    serve: Serve, headers: dict[str, str]
) -> None:
    server = await serve()
    address = server.url.removeprefix("http://").split(":")
    connections = [await asyncio.open_connection(*address) for _ in range(3)]
    async with client_of(server, headers) as client, streamed(client, "tells") as response:
        told = lines(response)
        await anext(told)
        terminate(server)
        async with client_of(server, headers) as other:
            await refused(other)
        late = await asked(*connections[0], headers)
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        for reader, _ in connections:
            assert await reader.read() == b""
        assert [event async for event in told][-1] == "[DONE]"
    for _, writer in connections:
        writer.close()
    assert await ended(server) == 0


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]) -> httpx.Response:
    """What a call on this connection is answered."""
    body = b'{"prompt": "Hello"}'
    head = f"POST {CALL} HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {len(body)}"
    writer.write("\r\n".join([*head, f"Authorization: {headers['Authorization']}", "", ""]).encode() + body)
    response = parse(await reader.read())
    writer.close()
    return response


async def test_a_stream_that_was_left_running_is_ended_for_readers_in_other_processes(
    serve: Serve, headers: dict[str, str]
) -> None:
    first, second = await serve(drain="1"), await serve()
    async with connected(first.url, headers) as socket:
        await socket.stream("a", {"prompt": "Hello", "model": "hangs-later"}, onDisconnect="finish")
        seen = 0
        while (frame := await socket.receive())["type"] != "text-delta":
            seen = frame.get("seq", seen)
    terminate(first)
    assert await ended(first) == 0
    async with connected(second.url, headers) as socket:
        await socket.send(type="resume", streamId="a", after=seen)
        told = await socket.until_end()
        assert (told[-1]["type"], told[-1]["error"]["code"]) == ("error", "not_ready")
        assert told[-1]["seq"] > seen


async def test_idle_sockets_are_closed_and_handshakes_are_refused(
    serve: Serve, headers: dict[str, str], provider: ProviderInstance
) -> None:
    server = await serve()
    async with connected(server.url, headers) as busy, connected(server.url, headers) as idle:
        await busy.stream("a", {"prompt": "Hello", "model": "hangs-later"})
        await busy.receive()
        terminate(server)
        assert await idle.closed() == (1012, "The server restarts.")
        with pytest.raises((websockets.InvalidHandshake, OSError)):
            async with connected(server.url, headers):
                pass
        await busy.send(type="cancel", streamId="a")
        assert (await busy.closed())[0] == 1012
    assert await ended(server) == 0
