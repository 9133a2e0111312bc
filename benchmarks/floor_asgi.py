"""The least a gateway in Python can do: a bare ASGI application that hands a call on with aiohttp, reading what it passes."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from pydantic_core import from_json, to_json

Message = dict[str, Any]

UPSTREAM = os.environ["BENCH_UPSTREAM"]
JSON = {"content-type": "application/json"}

_sessions: list[aiohttp.ClientSession] = []


def session() -> aiohttp.ClientSession:
    """The client of this process; it can only be made while the loop runs."""
    if not _sessions:
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
    return _sessions[0]


async def call(asked: Any) -> Any:
    """The upstream's answer to a plain call."""
    async with session().post(f"{UPSTREAM}/chat/completions", data=to_json(asked), headers=JSON) as answer:
        return from_json(await answer.read())


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Chat completions at every address."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    asked = from_json(body)
    if asked.get("stream"):
        await stream(asked, send)
        return
    told = to_json(await call(asked))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": told})


async def stream(asked: Any, send: Callable[[Message], Awaitable[None]]) -> None:
    """Each event read and written anew, as one that looks into them has to."""
    async with session().post(f"{UPSTREAM}/chat/completions", data=to_json(asked), headers=JSON) as answer:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        async for line in answer.content:
            if line.startswith(b"data: {"):
                told = b"data: " + to_json(from_json(line[6:])) + b"\n\n"
                await send({"type": "http.response.body", "body": told, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
