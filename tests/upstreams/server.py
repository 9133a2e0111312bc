"""A scripted HTTP/1.1 server on a loopback port, with an event loop and a thread of its own.

It keeps every request as it came and tells when the client closed each connection. Nothing here reads a clock to decide
what to do: a reply that hangs does so until its client, or the server, goes away.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

from tests.upstreams.recorded import Recorded, read_request
from tests.upstreams.replies import Piece, Reply, Step, Wait, json_reply

Script = Reply | Callable[[Recorded], Reply]
UNSCRIPTED = json_reply({"error": {"message": "No reply is scripted for this request."}}, status=500)
DEADLINE = 5.0


class Connection:
    """One accepted connection.

    Attributes:
        number: counted from 0.
        sent: bytes that were handed to the system for sending.
        closed: set when the connection is over: the client closed it, or the script reset it.
        closed_by: who ended it.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent = 0
        self.closed = threading.Event()
        self.closed_by: Literal["client", "script"] | None = None
        self.closed_at: float | None = None

    def wait_closed(self, deadline: float = 1.0) -> bool:
        """Wait until the connection is over; false when it still is not after ``deadline`` seconds."""
        return self.closed.wait(deadline)

    async def await_closed(self, deadline: float = 1.0) -> bool:
        """:meth:`wait_closed` for tests that run in an event loop."""
        return await asyncio.to_thread(self.closed.wait, deadline)

    def end(self, by: Literal["client", "script"]) -> None:
        """Note the end; the first one to say so counts."""
        if not self.closed.is_set():
            self.closed_by, self.closed_at = by, time.monotonic()
            self.closed.set()


class _Protocol(asyncio.StreamReaderProtocol):
    """Streams, and the moment when the client goes away, also while a reply is being sent."""

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(asyncio.StreamReader(), self._connected)
        self._upstream = upstream
        self._connection = upstream.accepted()
        self._gone = asyncio.Event()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._serve(reader, _Player(writer, self._connection, self._gone))
            # The client must be the one to close, or its close could not be observed.
            await self._gone.wait()
        except asyncio.CancelledError:
            pass  # the server stops; asyncio would report a cancelled connection as an error
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, player: _Player) -> None:
        while (request := await read_request(reader, self._connection.number)) is not None:
            reply = self._upstream.next_reply(request)
            await player.play(reply)
            if not reply.reusable:
                player.end()
                return

    def eof_received(self) -> bool:
        self._over()
        return super().eof_received() or False

    def connection_lost(self, exc: Exception | None) -> None:
        self._over()
        super().connection_lost(exc)

    def _over(self) -> None:
        self._connection.end("client")
        self._gone.set()


class _Player:
    """Sends replies on one connection."""

    def __init__(self, writer: asyncio.StreamWriter, connection: Connection, gone: asyncio.Event) -> None:
        self._writer, self._connection, self._gone = writer, connection, gone
        writer.transport.set_write_buffer_limits(high=0)

    async def play(self, reply: Reply) -> None:
        for piece in reply.before:
            await self._perform(piece)
        await self._send(reply.head())
        for piece in reply.pieces:
            await self._perform(piece, chunked=reply.framing == "chunked")
        if reply.framing == "chunked" and reply.terminated:
            await self._send(b"0\r\n\r\n")

    def end(self) -> None:
        """Close our side; what was sent still arrives."""
        with suppress(OSError):
            self._writer.write_eof()

    async def _perform(self, piece: Piece, *, chunked: bool = False) -> None:
        match piece:
            case bytes():
                await self._send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked and piece else piece)
            case Wait(seconds):
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._gone.wait(), seconds)
            case Step.HANG:
                await self._gone.wait()
            case Step.RESET:
                self._reset()
            case Step.END:
                self.end()
        if self._gone.is_set() or piece in (Step.RESET, Step.END):
            raise ConnectionAbortedError

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
        self._connection.sent += len(data)

    def _reset(self) -> None:
        self._connection.end("script")
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


class Upstream:
    """The server. Use it as a context manager, or through the fixtures.

    Attributes:
        requests: every request so far.
        connections: every connection so far.
        unscripted: how many requests found no reply; they got a 500.
    """

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.connections: list[Connection] = []
        self.unscripted = 0
        self._queue: deque[Script] = deque()
        self._otherwise: Script | None = None
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, name="scripted-upstream", daemon=True)
        self._started = threading.Event()

    def script(self, *replies: Script) -> Self:
        """Answer the next requests with these, in order. A function gets the request and returns its reply."""
        self._queue.extend(replies)
        return self

    def always(self, reply: Script) -> Self:
        """Answer with this whenever the script is at its end."""
        self._otherwise = reply
        return self

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``"""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def request(self) -> Recorded:
        """The one request that came."""
        assert len(self.requests) == 1, f"{len(self.requests)} requests came"
        return self.requests[0]

    @property
    def open_connections(self) -> int:
        return sum(not connection.closed.is_set() for connection in self.connections)

    def wait_requests(self, count: int, deadline: float = DEADLINE) -> bool:
        """Wait until so many requests came; false when they did not within ``deadline`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, deadline)

    async def await_requests(self, count: int, deadline: float = DEADLINE) -> bool:
        """:meth:`wait_requests` for tests that run in an event loop."""
        return await asyncio.to_thread(self.wait_requests, count, deadline)

    def wait_closed(self, deadline: float = 1.0) -> bool:
        """Wait until every connection is over; false when one still is not after ``deadline`` seconds."""
        end = time.monotonic() + deadline
        return all(connection.wait_closed(max(0.0, end - time.monotonic())) for connection in tuple(self.connections))

    async def await_closed(self, deadline: float = 1.0) -> bool:
        """:meth:`wait_closed` for tests that run in an event loop."""
        return await asyncio.to_thread(self.wait_closed, deadline)

    def accepted(self) -> Connection:
        connection = Connection(len(self.connections))
        self.connections.append(connection)
        return connection

    def next_reply(self, request: Recorded) -> Reply:
        script = self._queue.popleft() if self._queue else self._otherwise
        if script is None:
            self.unscripted += 1
            script = UNSCRIPTED
        reply = script if isinstance(script, Reply) else script(request)
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        return reply

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(self._loop.create_server(lambda: _Protocol(self), "127.0.0.1", 0))
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(_let_connections_begin())
        self._server.close()
        _cancel(asyncio.all_tasks(self._loop), self._loop)
        self._loop.close()


async def _let_connections_begin() -> None:
    """Until a connection's own task runs, some turns of the loop after the accept, nobody would close its socket."""
    for _ in range(5):
        await asyncio.sleep(0)


def _cancel(tasks: Iterable[asyncio.Task[object]], loop: asyncio.AbstractEventLoop) -> None:
    running = tuple(tasks)
    for task in running:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*running, return_exceptions=True))
    loop.run_until_complete(asyncio.sleep(0))  # aborted transports close their sockets in the next turn of the loop
