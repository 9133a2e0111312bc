"""A TCP proxy that cuts connections, as networks do."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a connection ends.

    Attributes:
        sent: bytes that the client gets through after the handshake.
        received: bytes that it gets after the handshake.
        handshake: the handshake is not answered.
        silent: nothing more passes, and neither side is told.
    """

    sent: int | None = None
    received: int | None = None
    handshake: bool = False
    silent: bool = False


class Proxy:
    """Passes connections on to a port, and cuts one after the other as planned; those without a plan are left alone."""

    def __init__(self, target: int, cuts: Iterable[Cut]) -> None:
        self.port = 0
        self.connections = 0
        self._target = target
        self._cuts = iter(cuts)
        self._open: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Stop listening, and cut what is open."""
        self._loop.call_soon_threadsafe(self._server.close)
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """Cut every open connection."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    async def _cut(self) -> None:
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._pass(reader, writer, next(self._cuts, Cut())))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: Cut) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        pumps = [
            asyncio.create_task(_pump(reader, server_writer, cut.sent)),
            asyncio.create_task(_pump(server_reader, writer, cut.received, answered=not cut.handshake)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            if cut.silent:
                await asyncio.Event().wait()
        finally:
            for pump in pumps:
                pump.cancel()
            writer.close()
            server_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None, answered: bool = True) -> None:
    """Pass bytes on until one side is gone, or the limit after the handshake is reached."""
    with contextlib.suppress(OSError):
        head = await reader.readuntil(_END_OF_HEAD) if limit is not None or not answered else b""
        if answered:
            writer.write(head)
        while answered and (part := await reader.read(65536)):
            writer.write(part if limit is None else part[:limit])
            if limit is not None and len(part) > limit:
                await writer.drain()
                return
            limit = None if limit is None else limit - len(part)
            await writer.drain()


@contextlib.contextmanager
def proxying(target: int, cuts: Iterable[Cut] = ()) -> Iterator[Proxy]:
    """A proxy in front of a port."""
    proxy = Proxy(target, cuts)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
