"""The provider, which now and then fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

FAULTS = ("reset", "hang", "drip", "truncate", "limited", "broken")
FAULT_SHARE = 0.1
WORDS = tuple(f"word{number} " for number in range(40))


class Upstream:
    """Speaks OpenAI's protocol, and fails now and then.

    Attributes:
        keys: credentials that it takes.
        told: how often it did what.
    """

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.told: Counter[str] = Counter()
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen on a port of its own."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embed)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield
        finally:
            await runner.cleanup()

    def _fate(self, request: web.Request) -> str:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.keys:
            fate = "refused"
        else:
            fate = random.choice(FAULTS) if random.random() < FAULT_SHARE else "well"
        self.told[fate] += 1
        return fate

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        fate, body = self._fate(request), await request.json()
        values = [body["input"]] if isinstance(body["input"], str) else body["input"]
        data = [{"object": "embedding", "index": index, "embedding": [1.0] * 256} for index in range(len(values))]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return await self._answer(request, fate, {"object": "list", "model": "vectors", "data": data, "usage": usage})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        fate, body = self._fate(request), await request.json()
        if body.get("stream") and fate in ("well", "drip", "truncate"):
            return await self._stream(request, fate)
        message = {"role": "assistant", "content": "".join(WORDS)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 3, "completion_tokens": 40, "total_tokens": 43}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "chat", "choices": [choice], "usage": usage}
        return await self._answer(request, fate, answer)

    async def _answer(self, request: web.Request, fate: str, answer: dict[str, Any]) -> web.StreamResponse:
        text = json.dumps(answer).encode()
        match fate:
            case "well" | "drip":
                return web.Response(body=text, content_type="application/json")
            case "limited":
                return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "1"})
            case "broken":
                return web.json_response({"error": {"message": "oops"}}, status=500)
            case "refused":
                return web.json_response({"error": {"message": "who are you"}}, status=401)
            case "hang":
                await asyncio.sleep(15)
            case "truncate":
                response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(text))})
                await response.prepare(request)
                await response.write(text[: len(text) // 2])
        return _cut(request)

    async def _stream(self, request: web.Request, fate: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for number, word in enumerate(WORDS):
                if fate == "truncate" and number == len(WORDS) // 2:
                    return _cut(request)
                await response.write(_chunk({"content": word}))
                await asyncio.sleep(0.25 if fate == "drip" else 0.02)
            await response.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
        return response


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "chat", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
