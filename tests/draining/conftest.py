"""Server processes that are stopped, and clients that are there when it happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from ai_models.types.frames import SUBPROTOCOL
from tests.api.conftest import BASE, bearer, make_user, media, provider, storage, user  # noqa: F401  (fixtures)
from tests.state.test_processes import DEADLINE, Running, Start, start  # noqa: F401  (a fixture)
from tests.websocket.conftest import Socket

OPENAI = "/api/ai/openai/v1"
SERVE = ("-m", "uvicorn", "tests.draining.server:application", "--port", "0", "--log-level", "info", "--no-access-log")
LONG = "3600"
"""Seconds that no test waits for."""


@pytest.fixture
def headers(user: User) -> dict[str, str]:  # noqa: F811
    """What authenticates the user."""
    return bearer(user)


Serve = Callable[..., Any]


@pytest.fixture
def serve(start: Start, tmp_path: Path) -> Serve:  # noqa: F811
    """Start a server: ``await serve(workers=..., notice=..., drain=...)``. Each worker takes requests."""

    async def run(*, workers: int = 1, notice: str = "0", drain: str = LONG) -> Running:
        more = {"NOTICE": notice, "DRAIN": drain, "CACHE_DIR": str(tmp_path / "cache")}
        running = start(*SERVE, "--workers", str(workers), **more)
        async with asyncio.timeout(DEADLINE):
            while (log := running.log.read_text()).count("startup complete") < workers or "running on" not in log:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return running

    return run


async def ended(server: Running) -> int:
    """Its exit code, once it has ended."""
    return await sync_to_async(server.process.wait)(DEADLINE)


@asynccontextmanager
async def client_of(server: Running, headers: dict[str, str], **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client that keeps its connections."""
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=DEADLINE, **options) as client:
        yield client


@asynccontextmanager
async def connected(url: str, headers: dict[str, str]) -> AsyncIterator[Socket]:
    """A websocket."""
    address = f"{url.replace('http', 'ws', 1)}/ws/ai/v1/"
    async with websockets.connect(address, subprotocols=[SUBPROTOCOL], additional_headers=headers) as connection:
        yield Socket(connection)


def streamed(client: httpx.AsyncClient, model: str, *, facade: bool = False) -> Any:
    """A stream of this model, as server-sent events."""
    if facade:
        messages = [{"role": "user", "content": "Hello"}]
        body: dict[str, Any] = {"model": f"main/{model}", "messages": messages, "stream": True}
        return client.stream("POST", f"{OPENAI}/chat/completions", json=body)
    return client.stream("POST", f"{BASE}/stream-text", json={"prompt": "Hello", "model": model})


async def lines(response: httpx.Response) -> AsyncIterator[Any]:
    """The data of each event: what its JSON holds, and the text ``[DONE]``."""
    assert response.is_success, await response.aread()
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)
