"""A real server with the websocket on it, and a client that is the standard library of the field."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import websockets
from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from pytest_django import Settings
from websockets.asyncio.client import ClientConnection

from ai_models import asgi, directory
from ai_models.models import ProviderInstance
from ai_models.resumption import ResumableStream
from ai_models.routing import unknown_path, websocket_urlpatterns
from ai_models.types.frames import SUBPROTOCOL
from tests import settings as settings_of_tests
from tests.api.conftest import (  # noqa: F401  (fixtures)
    LiveServer,
    _scripted_family,
    bearer,
    make_user,
    media,
    provider,
    serving,
    storage,
    user,
)

TERMINAL = {"finish", "error", "abort"}


@pytest.fixture(autouse=True)
def _no_traceback(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever clients and networks do, the server and the event loop have nothing to complain about."""
    yield
    if "complaints" not in request.keywords:
        told = [*caplog.get_records("setup"), *caplog.get_records("call")]
        errors = [record for record in told if record.name in {"uvicorn.error", "asyncio"} and record.levelno >= logging.ERROR]
        assert not errors, [record.getMessage() for record in errors]


def application(*routes: Any) -> Any:
    """The whole application as a host serves it."""
    sockets = URLRouter([*routes, *websocket_urlpatterns, unknown_path])
    return asgi.serve(ProtocolTypeRouter({"http": get_asgi_application(), "websocket": sockets}))


@pytest.fixture
def server(provider: ProviderInstance) -> Iterator[LiveServer]:  # noqa: F811
    """The server, on a port of its own."""
    with serving(application()) as running:
        yield running


abearer = sync_to_async(bearer)


def _streams() -> list[ResumableStream]:
    return [stream for found in directory._directories.values() for stream in found.streams.values()]


def running() -> set[str]:
    """Ids of the streams that have not ended, in any process."""
    return {stream.id for stream in _streams() if not stream.ended}


def is_read_elsewhere() -> bool:
    """Whether the process of a stream knows of a reader in another one."""
    return any(stream._read_elsewhere for stream in _streams())


class Socket:
    """A client of the protocol: sends frames, and sorts what comes by stream."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def receive(self, within: float = 15) -> dict[str, Any]:
        async with asyncio.timeout(within):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
            return frame

    async def stream(self, stream_id: str, request: dict[str, Any], **fields: Any) -> None:
        await self.send(type="stream-text", streamId=stream_id, request=request, **fields)

    async def until_end(self) -> list[dict[str, Any]]:
        """Every frame up to the end of a stream, or an error."""
        frames = []
        while True:
            frames.append(await self.receive())
            if frames[-1]["type"] in TERMINAL:
                return frames

    def cut(self) -> None:
        """Break the connection, as a network does."""
        self.connection.transport.abort()

    async def closed(self) -> tuple[int | None, str]:
        """The close code and reason, once the server has closed; frames before that are thrown away."""
        async with asyncio.timeout(15):
            try:
                while True:
                    await self.connection.recv()
            except websockets.ConnectionClosed as closed:
                return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, "")


Connect = Callable[..., Any]


@pytest.fixture(params=["files", pytest.param("redis", marks=pytest.mark.redis)])
def shared(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> str:
    """A cache that several processes share: files, and Redis where a server answers."""
    if request.param == "files":
        options = {"OPTIONS": {"MAX_ENTRIES": 1_000_000}}
        cache = {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path), **options}
    else:
        cache = {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": redis_url(),
            "KEY_PREFIX": uuid.uuid4().hex,
            "OPTIONS": {"serializer": "ai_models.cache.JSONSerializer"},
        }
    settings.CACHES = {"default": cache}
    kind: str = request.param
    return kind


def redis_url() -> str:
    """A Redis server; the test is skipped where none answers."""
    url = settings_of_tests.redis_url(os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379")
    try:
        redis.Redis.from_url(url, socket_connect_timeout=1).ping()
    except redis.RedisError:
        pytest.skip("no Redis server answers at REDIS_URL or on the standard port")
    return url


Servers = tuple[LiveServer, LiveServer]


@pytest.fixture
def servers(provider: ProviderInstance, shared: str) -> Iterator[Servers]:  # noqa: F811
    """Two servers that know of each other by the database and the cache alone: each has an event loop of its own."""
    with serving(application()) as first, serving(application()) as second:
        yield first, second


@pytest.fixture
def connect(request: pytest.FixtureRequest, user: User) -> Connect:  # noqa: F811
    """Open a socket: ``async with connect() as socket``; by default to ``server`` and with a token of the user's."""
    default = request.getfixturevalue("server") if "servers" not in request.fixturenames else None

    @asynccontextmanager
    async def opened(
        headers: dict[str, str] | None = None,
        *,
        subprotocols: tuple[str, ...] = (SUBPROTOCOL,),
        path: str = "/ws/ai/v1/",
        to: LiveServer | None = default,
        **options: Any,
    ) -> AsyncIterator[Socket]:
        given = await sync_to_async(bearer)(user) if headers is None else headers
        assert to is not None
        url = f"ws://127.0.0.1:{to.port}{path}"
        async with websockets.connect(
            url, additional_headers=given, subprotocols=[*map(websockets.Subprotocol, subprotocols)] or None, **options
        ) as connection:
            yield Socket(connection)

    return opened
