"""A load balancer: passes connections on to servers that say that they are ready, in turns."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import httpx

CHECK_SECONDS = 0.2


class Balancer:
    """In front of servers, each by its port.

    Attributes:
        port: where it listens.
        ready: ports of the servers that were ready when they were last asked.
    """

    def __init__(self) -> None:
        self.port = 0
        self.ready: set[int] = set()
        self._ports: list[int] = []
        self._turns = itertools.count()
        self._passing: set[asyncio.Task[None]] = set()

    async def add(self, port: int) -> None:
        """Send connections to one more server, once it is ready."""
        self._ports.append(port)
        async with asyncio.timeout(60):
            while port not in self.ready:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def remove(self, port: int) -> None:
        """Forget a server that has ended."""
        self._ports.remove(port)

    async def check(self) -> None:
        """Ask the servers again and again."""
        async with httpx.AsyncClient(timeout=5) as client:
            while True:
                for port in list(self._ports):
                    await self._ask(client, port)
                await asyncio.sleep(CHECK_SECONDS)

    async def _ask(self, client: httpx.AsyncClient, port: int) -> None:
        try:
            is_ready = (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success
        except httpx.HTTPError:
            is_ready = False
        (self.ready.add if is_ready else self.ready.discard)(port)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a connection on."""
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        try:
            server_reader, server_writer = await self._connect()
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(reader, server_writer))
                pumps.create_task(_pump(server_reader, writer))
        finally:
            self._passing.discard(task)
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the next server; one that takes none gets nothing, so that the one after it can be tried."""
        while True:
            ports = sorted(self.ready)
            port = ports[next(self._turns) % len(ports)]
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                self.ready.discard(port)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def balancing() -> AsyncIterator[Balancer]:
    """A load balancer without servers."""
    balancer = Balancer()
    listener = await asyncio.start_server(balancer.accept, "127.0.0.1", 0)
    balancer.port = listener.sockets[0].getsockname()[1]
    checking = asyncio.create_task(balancer.check())
    try:
        yield balancer
    finally:
        listener.close()
        ending = [checking, *balancer._passing]
        for task in ending:
            task.cancel()
        await asyncio.wait(ending)
