"""Many sockets with many streams on one process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from pytest_django import Settings

from tests.api.conftest import LiveServer, bearer
from tests.api.scripted import SHORT, STORY, Scripted
from tests.websocket.conftest import Connect

SOCKETS = 200
STREAMS = 5


async def test_a_thousand_streams_tell_every_event_in_order(
    connect: Connect, server: LiveServer, user: User, settings: Settings
) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "TIMEOUT": {"total": 300.0, "first_chunk": 120.0, "chunk": 120.0}}
    headers = await sync_to_async(bearer)(user)
    together = asyncio.Barrier(SOCKETS)

    async def one() -> None:
        async with connect(headers, open_timeout=60, ping_timeout=None) as socket:
            await together.wait()  # all are open at once
            for number in range(STREAMS):
                await socket.stream(f"s{number}", {"prompt": "a", "model": "tells-shortly"})
            streams: dict[str, list[dict[str, Any]]] = defaultdict(list)
            ended = 0
            while ended < STREAMS:
                frame = await socket.receive(within=120)
                if frame["type"] != "ack":
                    streams[frame["streamId"]].append(frame)
                    ended += frame["type"] == "finish"
        assert len(streams) == STREAMS
        for events in streams.values():
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
            assert "".join(event.get("delta", "") for event in events) == "".join(STORY[:SHORT])

    await asyncio.gather(*(one() for _ in range(SOCKETS)))
    assert len(Scripted.requests) == SOCKETS * STREAMS
