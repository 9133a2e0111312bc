"""Two server processes behind a load balancer are replaced one after the other under load, and no client sees it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import httpx
import pytest
import websockets

from tests.api.conftest import BASE
from tests.api.scripted import SHORT, STORY
from tests.draining import balancer as own
from tests.draining import haproxy
from tests.draining.conftest import Serve, connected, ended, lines, streamed
from tests.javascript.node import unavailable
from tests.state.test_processes import DEADLINE, Running

pytestmark = pytest.mark.usefixtures("provider")

# HAProxy asks once in a second, and believes it the second time; ours asks more often.
NOTICES = {"haproxy": "4", "own": "2"}
ROUNDS = 3
"""So often each client has to come to an answer after each process that was replaced."""


def port_of(server: Running) -> int:
    return int(server.url.rpartition(":")[2])


class Load:
    """Clients that call without a pause. What goes wrong for one of them ends the test.

    Attributes:
        done: how many answers each client had.
    """

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = url
        self.headers = headers
        self.done: list[int] = []

    def begin(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Have clients of every kind."""
        kinds = (self.call,) * 3 + (self.embed, self.stream, self.stream, self.facade, self.socket, self.socket)
        self.done = [0] * len(kinds)
        return [tasks.create_task(self._again(number, kind)) for number, kind in enumerate(kinds)]

    async def rounds(self) -> None:
        """Wait until each client had some more answers."""
        wanted = [done + ROUNDS for done in self.done]
        async with asyncio.timeout(DEADLINE):
            while any(done < want for done, want in zip(self.done, wanted, strict=True)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def _again(self, number: int, kind: Callable[[httpx.AsyncClient], AsyncIterator[None]]) -> None:
        async with httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=DEADLINE) as client:
            while True:
                async for _ in kind(client):
                    self.done[number] += 1

    async def call(self, client: httpx.AsyncClient) -> AsyncIterator[None]:
        response = await client.post(f"{BASE}/generate-text", json={"prompt": "Hello"})
        assert response.json()["text"] == "an answer", response.text
        yield

    async def embed(self, client: httpx.AsyncClient) -> AsyncIterator[None]:
        response = await client.post("/api/ai/openai/v1/embeddings", json={"model": "main/vectors", "input": "four"})
        assert response.json()["data"][0]["embedding"] == [4.0, 1.0], response.text
        yield

    async def stream(self, client: httpx.AsyncClient) -> AsyncIterator[None]:
        async with streamed(client, "tells") as response:
            told = [event async for event in lines(response)]
        assert told.pop() == "[DONE]"
        assert "".join(event.get("delta", "") for event in told) == "".join(STORY)
        yield

    async def facade(self, client: httpx.AsyncClient) -> AsyncIterator[None]:
        async with streamed(client, "tells", facade=True) as response:
            told = [event async for event in lines(response)]
        assert told.pop() == "[DONE]"
        assert "".join(event["choices"][0]["delta"].get("content") or "" for event in told) == "".join(STORY)
        yield

    async def socket(self, client: httpx.AsyncClient) -> AsyncIterator[None]:
        """One stream after the other on a socket, until its server ends."""
        async with connected(self.url, self.headers) as socket:
            for number in itertools.count():
                told = []
                try:
                    await socket.stream(str(number), {"prompt": "Hello", "model": "tells-shortly"})
                    while not told or told[-1]["type"] != "finish":
                        told.append(await socket.receive())
                except websockets.ConnectionClosed:
                    # Nothing was told of the stream, so that it was never begun, and is begun on another socket.
                    assert (socket.connection.close_code, told) == (1012, [])
                    return
                assert "".join(event.get("delta", "") for event in told) == "".join(STORY[:SHORT])
                yield


class Balancer(Protocol):
    """What finds out by itself which servers are ready."""

    port: int

    async def add(self, port: int) -> None: ...

    async def remove(self, port: int) -> None: ...


def balancing(kind: str, folder: Path) -> contextlib.AbstractAsyncContextManager[Balancer]:
    """A load balancer without servers."""
    if kind == "own":
        return own.balancing()
    if shutil.which("haproxy") is None:
        unavailable("HAProxy is missing")
    return haproxy.running(folder)


@pytest.mark.parametrize("kind", list(NOTICES))
async def test_a_rolling_restart_under_load_loses_nothing(
    serve: Serve, headers: dict[str, str], tmp_path: Path, kind: str
) -> None:
    async with balancing(kind, tmp_path) as balancer:
        servers = [await serve(notice=NOTICES[kind]) for _ in range(2)]
        for server in servers:
            await balancer.add(port_of(server))
        load = Load(f"http://127.0.0.1:{balancer.port}", headers)
        async with asyncio.TaskGroup() as tasks:
            clients = load.begin(tasks)
            await load.rounds()
            for server in servers:
                server.process.send_signal(signal.SIGTERM)
                assert await ended(server) == 0
                await balancer.remove(port_of(server))
                await balancer.add(port_of(await serve(notice=NOTICES[kind])))
                await load.rounds()
            for client in clients:
                client.cancel()
        for server in servers:
            assert "Traceback" not in server.log.read_text(), server.log.read_text()
