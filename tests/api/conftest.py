"""One provider of the scripted family, users with and without permissions, and a real server to talk to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission, User
from django.core.asgi import get_asgi_application
from django.db import transaction
from knox.models import AuthToken
from pytest_django import Settings

from ai_models import asgi, store, tokenuse
from ai_models.capabilities import Capability
from ai_models.models import ProviderCapability, ProviderInstance, bump_revision
from tests.api.scripted import MEDIA, PICTURE, Scripted

BASE = "/api/ai/v1"


@pytest.fixture(autouse=True)
def _scripted_family(settings: Settings) -> None:
    settings.AI_MODELS = {
        **django_settings.AI_MODELS,
        "FAMILIES": ["tests.api.scripted.Scripted"],
        "CONFIG_FILES": (),
        "MAX_RETRIES": 0,
    }
    Scripted.calling.clear()
    Scripted.ended.clear()
    Scripted.requests.clear()
    Scripted.picture = PICTURE
    Scripted.flooded = 0


@pytest.fixture(params=["direct", "django"])
def road(request: pytest.FixtureRequest, _scripted_family: None, settings: Settings) -> str:
    """How requests come to their view: directly, or through Django's request cycle."""
    settings.AI_MODELS = {**settings.AI_MODELS, "DIRECT": request.param == "direct"}
    name: str = request.param
    return name


@pytest.fixture
def storage(transactional_db: None) -> Iterator[None]:
    """The database, as other threads see it too. Those that the app has use it no longer when it is emptied."""
    yield
    store.stop_polling()
    if tokenuse._uses.writer is not None:
        tokenuse._uses.writer.join(30)


def add_capabilities(instance: ProviderInstance, models: Mapping[str, str], aliases: Mapping[str, str] | None = None) -> None:
    """Give an instance capabilities, by their names with the default model of each, in one write.

    Args:
        aliases: those of text generation.
    """
    rows = [ProviderCapability(instance=instance, capability=name, default_model=model) for name, model in models.items()]
    for row in rows:
        if row.capability == Capability.TEXT_GENERATION:
            row.aliases = dict(aliases or {})
    with transaction.atomic():
        bump_revision()
        ProviderCapability.objects.bulk_create(rows)


@pytest.fixture
def provider(storage: None) -> ProviderInstance:
    """The default provider ``main``; it has no model for structured output."""
    instance = ProviderInstance.objects.create(name="main", family="scripted", is_default=True)
    add_capabilities(instance, {"text-generation": "echoes", "embeddings": "vectors"}, {"slow": "hangs"})
    return instance


@pytest.fixture
def media(provider: ProviderInstance) -> ProviderInstance:
    """The default provider, with models for images, speech, transcription and structured output too."""
    add_capabilities(provider, dict.fromkeys((*MEDIA, "structured-output"), "echoes"))
    return provider


MakeUser = Callable[..., User]


@pytest.fixture
def make_user(storage: None) -> MakeUser:
    """Make a user with these permissions of the app."""

    def make(name: str, *codenames: str) -> User:
        user = User.objects.create_user(name, password="a password for tests")
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames, content_type__app_label="ai_models"))
        return user

    return make


@pytest.fixture
def user(make_user: MakeUser) -> User:
    """May use everything but videos."""
    return make_user("ada", *(item.codename for item in Capability if item != Capability.VIDEO_GENERATION))


def bearer(user: User) -> dict[str, str]:
    """The header that authenticates the user."""
    return {"Authorization": f"Bearer {token_of(user)}"}


def token_of(user: User) -> str:
    """A new token of the user."""
    _, token = AuthToken.objects.create(user)
    return str(token)


def head(path: str, user: User, *headers: str, content_type: str = "application/json", base: str = BASE) -> bytes:
    """The head of a POST; the body is the caller's affair."""
    lines = [
        f"POST {base}/{path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {content_type}",
        f"Authorization: {bearer(user)['Authorization']}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def request(path: str, user: User, body: dict[str, Any], base: str = BASE) -> bytes:
    """A POST with its body."""
    encoded = json.dumps(body).encode()
    return head(path, user, f"Content-Length: {len(encoded)}", base=base) + encoded


class Api:
    """A Django test client that speaks JSON to the API."""

    def __init__(self, client: Any, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        data = body if isinstance(body, bytes | str) else json.dumps(body or {})
        return self.client.post(f"{BASE}/{path}", data, content_type="application/json", headers={**self.headers, **headers})

    def form(self, path: str, fields: dict[str, Any], **headers: str) -> Any:
        """The fields as ``multipart/form-data``: text, open files, and lists of these."""
        return self.client.post(f"{BASE}/{path}", fields, headers={**self.headers, **headers})

    def get(self, path: str, query: dict[str, str] | None = None, **headers: str) -> Any:
        return self.client.get(f"{BASE}/{path}", query, headers={**self.headers, **headers})


@pytest.fixture
def api(client: Any, provider: ProviderInstance, user: User) -> Api:
    """The API as the user sees it."""
    client.raise_request_exception = False
    return Api(client, bearer(user))


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A real ASGI server on a port of its own."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """A raw connection. Every read has a deadline."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def exchange(self, request: bytes) -> httpx.Response:
        """Send these very bytes, and read until the server closes."""
        with self.connect() as connection:
            with contextlib.suppress(OSError):
                connection.sendall(request)
            return parse(read_all(connection))


def read_all(connection: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received


def parse(raw: bytes) -> httpx.Response:
    """A response as it came over the wire."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)


@pytest.fixture(params=["h11", "httptools"])
def http(request: pytest.FixtureRequest) -> str:
    """Which HTTP implementation the server uses."""
    name: str = request.param
    return name


class Uvicorn(uvicorn.Server):
    """The server, which looks ten times as often whether it is to stop: hundreds of tests each stop one."""

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            await asyncio.sleep(0.01)


@contextlib.contextmanager
def serving(application: Any, http: str = "auto", **options: Any) -> Iterator[LiveServer]:
    """Run the application on a real server in a thread.

    Args:
        options: of uvicorn, beside the usual ones.
    """
    config = uvicorn.Config(
        application, port=0, http=http, log_level="warning", lifespan="on", timeout_graceful_shutdown=5, **options
    )
    server = Uvicorn(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listener]),))
    thread.start()
    try:
        yield LiveServer(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        assert not thread.is_alive()


@pytest.fixture
def server(provider: ProviderInstance, road: str) -> Iterator[LiveServer]:
    """The whole application, as a host serves it."""
    with serving(asgi.serve(get_asgi_application())) as running:
        yield running
