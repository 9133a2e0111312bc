"""The default provider ``main`` of the scripted family, ``stage`` whose answers a test writes, and clients of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from pytest_django import Settings

from ai_models import asgi
from ai_models.models import ProviderInstance
from ai_models.types import Chunk
from tests.api import conftest
from tests.api.conftest import (  # noqa: F401  (fixtures)
    LiveServer,
    _scripted_family,
    add_capabilities,
    bearer,
    http,
    make_user,
    media,
    provider,
    road,
    serving,
    storage,
    user,
)
from tests.openai_api.actor import DONE, TRANSCRIPT, Actor

BASE = "/api/ai/openai/v1"
head = partial(conftest.head, base=BASE)
request = partial(conftest.request, base=BASE)


@pytest.fixture(autouse=True)
def _actor_family(_scripted_family: None, settings: Settings) -> None:  # noqa: F811
    families = [*settings.AI_MODELS["FAMILIES"], "tests.openai_api.actor.Actor"]
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": families}
    Actor.script = [Chunk(text="Hello "), Chunk(text="you"), DONE]
    Actor.requests, Actor.tokens, Actor.transcript = [], 5, TRANSCRIPT


@pytest.fixture
def stage(provider: ProviderInstance) -> ProviderInstance:  # noqa: F811
    """An instance of the actor's family, beside the default provider; ``star`` is its alias for text alone."""
    instance = ProviderInstance.objects.create(name="stage", family="actor")
    add_capabilities(instance, dict.fromkeys(Actor.capabilities, "lead"), {"star": "lead"})
    return instance


class Facade:
    """A Django test client of the facade."""

    def __init__(self, client: Any, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        data = body if isinstance(body, bytes | str) else json.dumps(body or {})
        return self.client.post(f"{BASE}/{path}", data, content_type="application/json", headers={**self.headers, **headers})

    def chat(self, **fields: Any) -> Any:
        """A chat completion of the actor's, with one message of the user."""
        return self.post("chat/completions", {"model": "stage/lead", "messages": HELLO, **fields})

    def form(self, path: str, fields: dict[str, Any]) -> Any:
        return self.client.post(f"{BASE}/{path}", fields, headers=self.headers)

    def get(self, path: str) -> Any:
        return self.client.get(f"{BASE}/{path}", headers=self.headers)


HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def facade(client: Any, stage: ProviderInstance, media: ProviderInstance, user: User) -> Facade:  # noqa: F811
    """The facade as the user sees it."""
    client.raise_request_exception = False
    return Facade(client, bearer(user))


@pytest.fixture
def server(stage: ProviderInstance, media: ProviderInstance, road: str) -> Iterator[LiveServer]:  # noqa: F811
    """The whole application, as a host serves it."""
    with serving(asgi.serve(get_asgi_application())) as running:
        yield running


def error_of(response: Any) -> dict[str, Any]:
    """The error of a response, whose parts that every error has are right."""
    error: dict[str, Any] = response.json()["error"]
    assert response.headers["Content-Type"] == "application/json"
    assert {"message", "type", "param", "code", "retryable", "remedy", "requestId"} <= error.keys()
    headers = response.headers
    assert headers["X-Request-ID"] == error["requestId"]
    assert headers["x-should-retry"] == ("true" if error["retryable"] else "false")
    return error


def stream(server: LiveServer, user: User, **fields: Any) -> httpx.Response:  # noqa: F811
    """A streamed chat completion of the actor's."""
    body = {"model": "stage/lead", "messages": HELLO, "stream": True, **fields}
    return httpx.post(f"{server.url}{BASE}/chat/completions", json=body, headers=bearer(user), timeout=10)


def chunks(text: str) -> list[Any]:
    """The data lines of a stream: JSON objects, and ``[DONE]`` as it is."""
    lines = text.removesuffix("\n\n").split("\n\n")
    assert all(line.startswith("data: ") for line in lines), lines
    payloads = [line.removeprefix("data: ") for line in lines]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]
