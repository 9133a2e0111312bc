"""Clients of every kind."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import websockets

from benchmarks.soak.provider import WORDS

REST, OPENAI = "/api/ai/v1", "/api/ai/openai/v1"


class Refused(Exception):
    """An answer with this error code."""


class Clients:
    """Calls of every kind, one after the other from each client.

    Attributes:
        outcomes: how often each kind ended how.
    """

    def __init__(self, url: str, token: str, pause: float) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._pause = pause
        self.outcomes: dict[str, Counter[str]] = {}

    @property
    def kinds(self) -> tuple[Callable[[httpx.AsyncClient], Awaitable[None]], ...]:
        """Every kind of call."""
        return (
            self.call, self.call_spare, self.embed, self.stream, self.stream_left, self.facade, self.facade_stream,
            self.socket, self.socket_left, self.socket_resumed,
        )  # fmt: skip

    async def run(self, kind: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
        """Make calls of this kind for ever."""
        counted = self.outcomes.setdefault(kind.__name__, Counter())
        async with httpx.AsyncClient(base_url=self._url, headers=self._headers, timeout=60) as client:
            while True:
                try:
                    await kind(client)
                    counted["ok"] += 1
                except Refused as refused:
                    counted[str(refused)] += 1
                except (httpx.HTTPError, OSError, TimeoutError, websockets.WebSocketException) as error:
                    counted[f"connection: {type(error).__name__}"] += 1
                except Exception as error:
                    counted[f"answer: {type(error).__name__}"] += 1
                await asyncio.sleep(random.expovariate(1 / self._pause))

    async def call(self, client: httpx.AsyncClient, **more: str) -> None:
        _well(await client.post(f"{REST}/generate-text", json={"prompt": "Hello", **more}))

    async def call_spare(self, client: httpx.AsyncClient) -> None:
        await self.call(client, provider="spare")

    async def embed(self, client: httpx.AsyncClient) -> None:
        _well(await client.post(f"{REST}/embed", json={"values": ["a", "b"]}))

    async def facade(self, client: httpx.AsyncClient) -> None:
        messages = [{"role": "user", "content": "Hello"}]
        _well(await client.post(f"{OPENAI}/chat/completions", json={"model": "main/chat", "messages": messages}))

    async def stream(self, client: httpx.AsyncClient, leave: bool = False) -> None:
        async with client.stream("POST", f"{REST}/stream-text", json={"prompt": "Hello"}) as response:
            await _streamed(response, leave)

    async def stream_left(self, client: httpx.AsyncClient) -> None:
        await self.stream(client, leave=True)

    async def facade_stream(self, client: httpx.AsyncClient) -> None:
        body = {"model": "main/chat", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
        async with client.stream("POST", f"{OPENAI}/chat/completions", json=body) as response:
            await _streamed(response, leave=False)

    async def socket(self, client: httpx.AsyncClient) -> None:
        async with self._socket() as socket:
            await socket.send(_frame("stream-text", "a", request={"prompt": "Hello"}))
            await _told(socket)

    async def socket_left(self, client: httpx.AsyncClient) -> None:
        async with self._socket() as socket:
            await socket.send(_frame("stream-text", "a", request={"prompt": "Hello"}))
            await _told(socket, upto=5)
            socket.transport.abort()

    async def socket_resumed(self, client: httpx.AsyncClient) -> None:
        name = f"{random.getrandbits(64):x}"
        async with self._socket() as socket:
            await socket.send(_frame("stream-text", name, request={"prompt": "Hello"}, onDisconnect="finish"))
            seen = await _told(socket, upto=5)
            socket.transport.abort()
        async with self._socket() as socket:
            await socket.send(_frame("resume", name, after=seen))
            await _told(socket, after=seen)

    def _socket(self) -> websockets.connect:
        url = f"{self._url.replace('http', 'ws', 1)}/ws/ai/v1/"
        return websockets.connect(url, subprotocols=["ai-models.v1"], additional_headers=self._headers)  # type: ignore[list-item]


def _frame(kind: str, stream_id: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "streamId": stream_id, **fields})


def _well(response: httpx.Response) -> None:
    if not response.is_success:
        raise Refused(response.json()["error"]["code"])


async def _streamed(response: httpx.Response, leave: bool) -> None:
    """Read up to the end, or go away in the middle."""
    if not response.is_success:
        await response.aread()
        _well(response)
    count, last = 0, ""
    async for line in response.aiter_lines():
        if not line.startswith("data: "):
            continue
        count, last = count + 1, line.removeprefix("data: ")
        if leave and count == len(WORDS) // 4:
            return
        if last != "[DONE]" and isinstance(told := json.loads(last).get("error"), dict):
            raise Refused(told["code"])
    if last != "[DONE]":
        raise Refused("no end")


async def _told(socket: Any, *, after: int = 0, upto: int | None = None) -> int:
    """Read a stream up to this event, or up to its end; every event in order."""
    seen = after
    async with asyncio.timeout(60):
        while seen != upto:
            frame = json.loads(await socket.recv())
            if "seq" in frame:
                seen += 1
                if frame["seq"] != seen:
                    raise Refused("out of order")
            if frame["type"] == "error":
                raise Refused(frame["error"]["code"])
            if frame["type"] in ("finish", "abort"):
                break
    return seen
