"""What clients of each edge are told when an instance has no place for them, or is dead."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from tests.api.conftest import (  # noqa: F401  (fixtures)
    LiveServer,
    _scripted_family,
    bearer,
    make_user,
    media,
    provider,
    storage,
    user,
)
from tests.api.scripted import Scripted
from tests.conftest import Set
from tests.polling import until
from tests.websocket.conftest import Connect, connect, server  # noqa: F401  (fixtures)

REST = "/api/ai/v1/generate-text"
FACADE = "/api/ai/openai/v1/chat/completions"
CHAT = {"model": "main/echoes", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize(
    ("state", "code", "status", "kind"),
    [("full", "rate_limit_exceeded", 429, "rate_limit_error"), ("dead", "circuit_open", 503, "server_error")],
)
async def test_every_edge_tells_it_in_its_own_form(
    connect: Connect,  # noqa: F811
    server: LiveServer,  # noqa: F811
    user: User,  # noqa: F811
    setting: Set,
    state: str,
    code: str,
    status: int,
    kind: str,
) -> None:
    setting(MAX_CONCURRENT=1, MAX_WAITING=0, BREAKER_FAILURES=1)
    headers = await sync_to_async(bearer)(user)
    async with AsyncExitStack() as stack:
        socket = await stack.enter_async_context(connect())
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, headers=headers, timeout=15))
        if state == "full":
            await socket.stream("first", {"prompt": "a", "model": "hangs"})
            await until(Scripted.calling.is_set)
        else:
            assert (await client.post(REST, json={"prompt": "a", "model": "fails"})).status_code == 502
        asked = len(Scripted.requests)

        rest = await client.post(REST, json={"prompt": "a"})
        assert rest.status_code == status
        _is_told(rest, code)
        assert "requestId" in rest.json()["error"]

        facade = await client.post(FACADE, json=CHAT)
        assert (facade.status_code, facade.json()["error"]["type"]) == (status, kind)
        assert facade.headers["x-should-retry"] == "true"
        _is_told(facade, code)

        await socket.stream("second", {"prompt": "a"})
        error = await _error_on(socket, "second")
        assert (error["code"], error["retryable"], error["remedy"]) == (code, True, "retry")
        assert error["retryAfter"] >= 1

        assert len(Scripted.requests) == asked
        known = (await client.get("/api/ai/v1/providers/main")).json()
        assert known["circuit"] == ("closed" if state == "full" else "open")


def _is_told(response: httpx.Response, code: str) -> None:
    error = response.json()["error"]
    assert (error["code"], error["retryable"], error["remedy"]) == (code, True, "retry")
    assert int(response.headers["Retry-After"]) >= error["retryAfter"] >= 1


async def _error_on(socket: Any, stream_id: str) -> dict[str, Any]:
    while True:
        frame = await socket.receive()
        if frame["type"] == "error" and frame["streamId"] == stream_id:
            error: dict[str, Any] = frame["error"]
            return error
