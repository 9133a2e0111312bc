"""The clients that ``docs/websocket.md`` shows, against a real server."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from tests.api.conftest import LiveServer, token_of
from tests.api.scripted import STORY, Scripted
from tests.javascript.proxy import proxying
from tests.test_docs import PAGES

_PYTHON = re.compile(r"^## A client in Python\n.*?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def shown() -> dict[str, Any]:
    """The names that the page's client defines."""
    found = _PYTHON.search(PAGES["docs/websocket.md"])
    assert found is not None
    names: dict[str, Any] = {}
    exec(compile(found[1], "docs/websocket.md", "exec"), names)
    return names


async def test_the_python_client_comes_back_until_it_has_everything(
    server: LiveServer, user: User, shown: dict[str, Any]
) -> None:
    with proxying(server.port) as proxy:
        url = f"ws://127.0.0.1:{proxy.port}/ws/ai/v1/"
        events = []
        async for event in shown["stream_text"](url, await sync_to_async(token_of)(user), {"prompt": "a", "model": "tells"}):
            events.append(event)
            if event["seq"] in {1, 7, 60}:
                proxy.cut()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert "".join(event.get("delta", "") for event in events) == "".join(STORY)
    assert len(Scripted.requests) == 1
    assert proxy.connections > 1


async def test_the_python_client_tells_what_was_refused(server: LiveServer, user: User, shown: dict[str, Any]) -> None:
    url = f"ws://127.0.0.1:{server.port}/ws/ai/v1/"
    with pytest.raises(RuntimeError, match="colour: this field does not exist"):
        await anext(shown["stream_text"](url, await sync_to_async(token_of)(user), {"prompt": "a", "colour": "red"}))


async def test_the_python_client_gives_up_in_the_end(shown: dict[str, Any]) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionError):
            await anext(shown["stream_text"]("ws://127.0.0.1:9/ws/ai/v1/", "token", {"prompt": "a"}, attempts=3))
