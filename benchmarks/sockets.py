"""Clients of this project's connections, lean enough not to be what is measured. A process of its own; the orders come as
JSON lines on standard input.

``{"do": "load", ...}`` runs streams over websockets, one at a time on each, and counts them. ``{"do": "open", ...}`` opens
connections and keeps them; with ``"again"`` it sends more on those that are there.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

import uvloop

OPEN_SECONDS = 60
AT_ONCE = 50
_LARGE = 126
_HUGE = 127


def handshake(host: str, token: str) -> bytes:
    """The request that opens a websocket. The key need not be random for a server to take it."""
    return (
        f"GET /ws/ai/v1/ HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YmVuY2htYXJrcyBvZiBhaQ==\r\n"
        f"Sec-WebSocket-Protocol: ai-models.v1\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()


def text_frame(text: str) -> bytes:
    """A frame as clients have to send it, masked; with a mask of zeros, which changes nothing."""
    data = text.encode()
    size = bytes([0x80 | len(data)]) if len(data) < _LARGE else bytes([0x80 | _LARGE]) + len(data).to_bytes(2)
    return b"\x81" + size + bytes(4) + data


def asking(name: str, request: str) -> str:
    """The message that begins a stream of this name."""
    return f'{{"type":"stream-text","streamId":"{name}","request":{request}}}'


def split_frames(received: bytes) -> tuple[list[bytes], bytes]:
    """The payloads of the whole frames in what was received from a server, and what is left over."""
    frames, at = [], 0
    while len(received) >= at + 2:
        size, start = received[at + 1], at + 2
        if size == _LARGE:
            size, start = int.from_bytes(received[at + 2 : at + 4]), at + 4
        elif size == _HUGE:
            size, start = int.from_bytes(received[at + 2 : at + 10]), at + 10
        if len(received) < start + size:
            break
        frames.append(received[start : start + size])
        at = start + size
    return frames, received[at:]


class Connection(asyncio.Protocol):
    """A connection on which something is sent, and then waited for."""

    def __init__(self) -> None:
        self.received = b""
        self.awaited = b""
        self.seen: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.seen is None or self.seen.done():
            return
        self.received += data
        if self.awaited in self.received:
            self.seen.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if self.seen is not None and not self.seen.done():
            self.seen.set_exception(ConnectionError("closed"))

    async def exchange(self, sent: bytes, awaited: bytes) -> None:
        """Send, and wait until that comes back; what comes later is thrown away.

        Raises:
            ConnectionError: the connection was closed instead.
        """
        self.received, self.awaited = b"", awaited
        self.seen = asyncio.get_running_loop().create_future()
        self.transport.write(sent)
        await self.seen
        self.received = b""


class StreamingSocket(Connection):
    """A websocket that asks for one stream after the other."""

    def __init__(self, request: str, marker: bytes, good: list[float], bad: list[str]) -> None:
        super().__init__()
        self.request = request
        self.marker = marker
        self.good = good
        self.bad = bad
        self.number = 0
        self.complete = False
        self.running = False

    def begin(self) -> None:
        """Ask for the next stream."""
        self.running = True
        self.number += 1
        self.complete = False
        self.transport.write(text_frame(asking(str(self.number), self.request)))

    def data_received(self, data: bytes) -> None:
        if not self.running:
            super().data_received(data)
            return
        frames, self.received = split_frames(self.received + data)
        for frame in frames:
            if self.marker in frame:
                self.complete = True
            if b'"finish"' in frame and self.complete:
                self.good.append(time.perf_counter())
                self.begin()
            elif b'"finish"' in frame or b'"error"' in frame or b'"abort"' in frame:
                self.bad.append(frame[:200].decode(errors="replace"))
                self.begin()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self.running:
            self.bad.append("closed")


async def load(order: dict[str, Any]) -> dict[str, Any]:
    """Streams over ``connections`` websockets for ``seconds``: good ones, bad ones, all with those of the warm-up, and what
    share of a core this client took."""
    good: list[float] = []
    bad: list[str] = []
    loop = asyncio.get_running_loop()
    sockets = []
    for _ in range(order["connections"]):
        _, socket = await loop.create_connection(
            lambda: StreamingSocket(order["request"], order["marker"].encode(), good, bad), order["host"], order["port"]
        )
        await socket.exchange(handshake(f"{order['host']}:{order['port']}", order["token"]), b"\r\n\r\n")
        sockets.append(socket)
    for socket in sockets:
        socket.begin()
    await asyncio.sleep(order["warm_up"])
    before = len(good) + len(bad)
    good.clear()
    bad.clear()
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(order["seconds"])
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    told: dict[str, Any] = {"good": len(good), "bad": len(bad), "all": before + len(good) + len(bad)}
    told |= {"seconds": seconds, "client_cpu": cpu / seconds, "first_bad": bad[:1]}
    for socket in sockets:
        socket.running = False
        socket.transport.abort()
    return told


async def open_connections(order: dict[str, Any], held: list[Connection]) -> dict[str, Any]:
    """Open ``connections``, or go on with those that are ``held``; on each send one of ``sends`` and wait for ``awaited``."""
    loop = asyncio.get_running_loop()
    places = asyncio.Semaphore(AT_ONCE)
    awaited = order["awaited"].encode()

    async def one(number: int) -> None:
        async with places:
            if order.get("again"):
                connection = held[number]
            else:
                _, connection = await loop.create_connection(Connection, order["host"], order["port"])
                held.append(connection)
            sent = order["sends"][number % len(order["sends"])]
            frame = text_frame(sent) if order.get("again") else sent.encode()
            await connection.exchange(frame, awaited)

    count = len(held) if order.get("again") else order["connections"]
    opening = [asyncio.ensure_future(one(number)) for number in range(count)]
    done, late = await asyncio.wait(opening, timeout=OPEN_SECONDS)
    for task in late:
        task.cancel()
    failed = [repr(error) for task in done if (error := task.exception())] + [f"not within {OPEN_SECONDS} s"] * len(late)
    return {"open": count - len(failed), "bad": len(failed), "first_bad": failed[:1]}


async def main() -> None:
    """Do what standard input orders until it ends."""
    held: list[Connection] = []
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        told = await load(order) if order["do"] == "load" else await open_connections(order, held)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
