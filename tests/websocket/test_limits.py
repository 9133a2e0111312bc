"""What a socket takes: frames, their size and number, streams and sockets; and clients that leave, stall or are gone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket as sockets
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import websockets
from django.contrib.auth.models import User
from pytest_django import Settings

from ai_models import consumers, resumption
from ai_models.conf import Conf
from ai_models.models import ProviderInstance
from tests.api.conftest import LiveServer, bearer, serving
from tests.api.scripted import Scripted
from tests.polling import until
from tests.websocket.conftest import Connect, application

HANGS = {"prompt": "a", "model": "hangs"}


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        "5",
        '"text"',
        "{}",
        '{"type": null}',
        '{"type": ["ping"]}',
        '{"type": "hello"}',
        '{"type": "ping", "colour": "red"}',
        '{"type": "stream-text", "request": {"prompt": "a"}}',
        '{"type": "stream-text", "streamId": 5, "request": {}}',
        '{"type": "stream-text", "streamId": "", "request": {}}',
        '{"type": "stream-text", "streamId": "a b", "request": {}}',
        '{"type": "cancel"}',
        '{"type": "ping", "type": "ping"}',
        '{"type": "ping", "a": ' + "[" * 200 + "]" * 200 + "}",
        '{"type": "ping", "a": 1e999}',
        '{"type": "ping", "a": "\\ud800"}',
    ],
)
async def test_a_bad_frame_closes_the_socket(connect: Connect, text: str) -> None:
    async with connect() as socket:
        await socket.connection.send(text)
        code, reason = await socket.closed()
    assert code == 4400
    assert 0 < len(reason.encode()) <= 123


async def test_a_binary_frame_closes_the_socket(connect: Connect) -> None:
    async with connect() as socket:
        await socket.connection.send(b'{"type": "ping"}')
        assert (await socket.closed())[0] == 1003


async def test_a_message_that_is_too_large_closes_the_socket(connect: Connect, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "WS_MAX_MESSAGE_BYTES": 1000}
    async with connect() as socket:
        await socket.stream("a", {"prompt": "x" * 500})
        assert (await socket.until_end())[-1]["type"] == "finish"
        await socket.stream("b", {"prompt": "ü" * 600})
        assert (await socket.closed())[0] == 1009


async def test_a_message_beyond_the_servers_own_limit_closes_the_socket(connect: Connect) -> None:
    async with connect() as socket:
        with contextlib.suppress(websockets.ConnectionClosed):
            await socket.connection.send("x" * (20 * 1024 * 1024))
        assert (await socket.closed())[0] == 1009


async def test_a_message_in_pieces_is_counted_as_a_whole(connect: Connect, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "WS_MAX_MESSAGE_BYTES": 10_000}
    async with connect() as socket:
        with contextlib.suppress(websockets.ConnectionClosed):
            await socket.connection.send(["x" * 1000] * 100)
        assert (await socket.closed())[0] == 1009


async def test_a_large_message_within_the_limit_is_answered(connect: Connect) -> None:
    async with connect() as socket:
        await socket.stream("a", {"prompt": "x" * 900_000})
        assert (await socket.until_end())[-1]["type"] == "finish"


async def test_a_flood_closes_the_socket(connect: Connect) -> None:
    async with connect() as socket:

        async def flood() -> None:
            with contextlib.suppress(websockets.ConnectionClosed):
                for _ in range(100_000):
                    await socket.connection.send('{"type":"ping"}')

        flooding = asyncio.create_task(flood())
        assert (await socket.closed())[0] == 4429
        await flooding


async def test_messages_at_an_ordinary_rate_are_taken(connect: Connect) -> None:
    async with connect() as socket:
        for _ in range(2 * Conf().WS_MESSAGES_PER_SECOND):
            await socket.send(type="ping")
            assert (await socket.receive())["type"] == "pong"


async def test_streams_beyond_the_limit_are_refused_and_the_others_go_on(connect: Connect, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "WS_MAX_STREAMS": 3}
    async with connect() as socket:
        for name in "abc":
            await socket.stream(name, {"prompt": "a", "model": "hangs-later"})
        received = [await socket.receive() for _ in range(3 * 6)]
        await socket.stream("d", {"prompt": "a"})
        refused = await socket.receive()
        assert (refused["streamId"], refused["error"]["code"]) == ("d", "rate_limit_exceeded")
        assert refused["error"]["retryable"]
        await socket.send(type="cancel", streamId="a")
        assert (await socket.until_end())[-1]["streamId"] == "a"
        await socket.stream("d", {"prompt": "a"})
        assert (await socket.until_end())[-1] | {"messageMetadata": None} == {
            "streamId": "d", "seq": 7, "type": "finish", "finishReason": "stop", "messageMetadata": None
        }  # fmt: skip
    assert {frame["type"] for frame in received} == {"ack", "start", "text-start", "text-delta"}


async def test_sockets_of_a_user_are_counted(connect: Connect, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "WS_MAX_SOCKETS_PER_USER": 2}
    async with connect(), connect() as second:
        async with connect() as third:
            assert (await third.closed())[0] == 4429
        await second.connection.close()
        await until(lambda: len(consumers.sockets) == 1)
        async with connect() as again:
            await again.send(type="ping")
            assert (await again.receive())["type"] == "pong"
    await until(lambda: len(consumers.sockets) == 0)


async def test_sockets_of_the_process_are_counted(connect: Connect, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "WS_MAX_SOCKETS": 1}
    async with connect(), connect() as second:
        assert (await second.closed())[0] == 1013


async def test_a_socket_that_nobody_uses_is_closed(connect: Connect, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "WS_IDLE_SECONDS": 0.3}
    async with connect() as socket:
        assert (await socket.closed())[0] == 4408


async def test_a_socket_with_a_stream_is_not_idle(connect: Connect, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "WS_IDLE_SECONDS": 0.2}
    async with connect() as socket:
        await socket.stream("a", HANGS)
        await socket.receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 0.6)
        await socket.send(type="cancel", streamId="a")
        assert (await socket.until_end())[-1]["type"] == "abort"
        assert (await socket.closed())[0] == 4408


# --- clients that go away -------------------------------------------------------------------------------------------


class RawSocket:
    """A websocket without a library: it can vanish, stall, and break the rules."""

    def __init__(self, server: LiveServer, user: User, *, receive_buffer: int | None = None) -> None:
        self.connection = sockets.socket()
        if receive_buffer is not None:
            self.connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, receive_buffer)
        self.connection.settimeout(10)
        self.connection.connect(("127.0.0.1", server.port))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /ws/ai/v1/ HTTP/1.1",
            "Host: localhost",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: ai-models.v1",
            f"Authorization: {bearer(user)['Authorization']}",
        ]
        self.connection.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.connection.recv(1)
        assert b" 101 " in received

    def send(self, payload: bytes, opcode: int = 1, *, fin: bool = True) -> None:
        """One frame, masked as a client's must be."""
        first = (0x80 if fin else 0) | opcode
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + struct.pack("!H", size)
        mask = os.urandom(4)
        self.connection.sendall(bytes([first]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))

    def begin(self, stream_id: str, model: str) -> None:
        frame = {"type": "stream-text", "streamId": stream_id, "request": {"prompt": "a", "model": model}}
        self.send(json.dumps(frame).encode())

    def close_code(self) -> int | None:
        """The code of the server's close frame; frames before it are thrown away."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := self.connection.recv(65536):
                received += part
        while received:
            opcode, size = received[0] & 15, received[1]
            if size == 126:
                size, received = struct.unpack("!H", received[2:4])[0], received[2:]
            if opcode == 8:
                return int(struct.unpack("!H", received[2:4])[0])
            received = received[2 + size :]
        return None

    def reset(self) -> None:
        """Close without the closing handshake of TCP."""
        self.connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()


Raw = Callable[..., RawSocket]


@pytest.fixture
def raw(user: User) -> Iterator[Raw]:
    """Open raw sockets to a server."""
    with contextlib.ExitStack() as stack:

        def opened(server: LiveServer, **options: Any) -> RawSocket:
            found = RawSocket(server, user, **options)
            stack.enter_context(found.connection)
            return found

        yield opened


@pytest.mark.parametrize("leave", ["close frame", "end", "reset"])
def test_a_client_that_goes_away_ends_its_upstream_call_within_a_second(server: LiveServer, raw: Raw, leave: str) -> None:
    socket = raw(server)
    socket.begin("a", "hangs")
    assert Scripted.calling.wait(10)
    left = time.monotonic()
    if leave == "close frame":
        socket.send(struct.pack("!H", 1000), opcode=8)
    elif leave == "end":
        socket.connection.close()
    else:
        socket.reset()
    assert Scripted.ended.wait(5)
    assert time.monotonic() - left < 1


@pytest.mark.complaints  # the server logs it
def test_invalid_utf8_closes_the_socket(server: LiveServer, raw: Raw) -> None:
    socket = raw(server)
    socket.send(b'{"type": "\xff"}')
    assert socket.close_code() == 1007


def test_a_frame_that_breaks_the_protocol_closes_the_socket(server: LiveServer, raw: Raw) -> None:
    socket = raw(server)
    socket.send(b"x", opcode=3)
    assert socket.close_code() == 1002


def test_a_message_that_never_ends_is_refused_when_it_is_too_large(server: LiveServer, raw: Raw) -> None:
    socket = raw(server)
    socket.send(b"x" * 60_000, fin=False)
    with contextlib.suppress(ConnectionError):
        for _ in range(400):
            socket.send(b"x" * 60_000, opcode=0, fin=False)
    assert socket.close_code() in {1009, None}
    raw(server)


def test_a_peer_that_is_gone_without_a_word_is_noticed(provider: ProviderInstance, raw: Raw) -> None:
    with serving(application(), ws_ping_interval=0.2, ws_ping_timeout=0.2) as server:
        socket = raw(server)  # never answers a ping
        socket.begin("a", "hangs")
        assert Scripted.calling.wait(10)
        assert Scripted.ended.wait(5)


# --- clients that do not read ---------------------------------------------------------------------------------------


def test_a_slow_reader_pauses_its_own_upstream_and_nobody_elses(server: LiveServer, raw: Raw) -> None:
    slow, quick = raw(server, receive_buffer=4096), raw(server)
    slow.begin("a", "floods")
    taken = settled()
    assert taken < 20_000
    quick.begin("b", "echoes")
    answer = b""
    while b'"finish"' not in answer:
        answer += quick.connection.recv(65536)
    assert Scripted.flooded == taken
    received = 0
    while Scripted.flooded == taken:
        received += len(slow.connection.recv(65536))
    assert received > 0
    for socket in (slow, quick):
        socket.reset()
    assert Scripted.ended.wait(5)


@pytest.mark.parametrize("streams", ["a", "abcdefgh"])
def test_a_reader_that_takes_nothing_is_cut_off(
    server: LiveServer, raw: Raw, monkeypatch: pytest.MonkeyPatch, streams: str
) -> None:
    monkeypatch.setattr(resumption, "STALL_SECONDS", 0.5)
    stalled = raw(server, receive_buffer=4096)
    for name in streams:
        stalled.begin(name, "floods")
    assert Scripted.ended.wait(10)
    deadline = time.monotonic() + 5
    while len(consumers.sockets):
        assert time.monotonic() < deadline
    stalled.reset()


def test_a_client_that_reads_nothing_is_still_heard(server: LiveServer, raw: Raw) -> None:
    stalled = raw(server, receive_buffer=4096)
    stalled.begin("a", "floods")
    settled()
    stalled.send(b'{"type": "ping"}')
    stalled.send(b'{"type": "cancel", "streamId": "a"}')
    assert Scripted.ended.wait(5)


def settled() -> int:
    """How many chunks were taken, once no more are."""
    deadline, seen, since = time.monotonic() + 30, -1, time.monotonic()
    while seen != Scripted.flooded or time.monotonic() - since < 0.5:
        assert time.monotonic() < deadline, "it never waits"
        if seen != Scripted.flooded:
            seen, since = Scripted.flooded, time.monotonic()
    return seen
