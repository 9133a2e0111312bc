"""Streams that wait hold no connection to the database, however many there are."""

from __future__ import annotations

import contextlib
import time

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from pytest_django import Settings

from tests.api.conftest import BASE, LiveServer
from tests.api.scripted import Scripted
from tests.polling import until
from tests.websocket.conftest import Connect, abearer, running

SOCKETS = 10
STREAMS = 5
HANGS = {"prompt": "a", "model": "hangs-later"}


def sessions() -> int:
    """Connections of others to the test's database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        found: int = cursor.fetchone()[0]
        return found


def until_sessions(most: int) -> None:
    """Wait until there are no more than so many: one that was closed is seen for a moment longer."""
    deadline = time.monotonic() + 10
    while (found := sessions()) > most:
        assert time.monotonic() < deadline, f"{found} connections are held, and {most} were before"


@pytest.fixture
def unpolled(settings: Settings) -> None:
    """No thread looks for changes of the configuration, on a connection that it keeps."""
    settings.AI_MODELS = {**settings.AI_MODELS, "REVISION_POLL_SECONDS": 0}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite does not tell who is connected")
async def test_open_streams_hold_no_connection(unpolled: None, connect: Connect, server: LiveServer, user: User) -> None:
    headers = await abearer(user)
    before = await sync_to_async(sessions)()
    async with contextlib.AsyncExitStack() as stack, httpx.AsyncClient(timeout=30) as client:
        for number in range(SOCKETS * STREAMS):
            if number % STREAMS == 0:
                # Nobody reads here, and behind a full queue the answer to the close frame would not be seen.
                socket = await stack.enter_async_context(connect(headers, max_queue=None))
            await socket.stream(f"s{number}", HANGS)
            request = client.stream("POST", f"{server.url}{BASE}/stream-text", json=HANGS, headers=headers)
            assert (await stack.enter_async_context(request)).status_code == 200
        total = 2 * SOCKETS * STREAMS
        await until(lambda: len(Scripted.requests) == total)
        await sync_to_async(until_sessions)(before)
        assert len(running()) == total
