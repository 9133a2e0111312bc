"""What the app does around a host's application."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from ai_models import asgi, service
from tests.test_architecture import ROOT, run_python

Message = dict[str, Any]


async def echo(scope: Message, receive: Any, send: Any) -> None:
    """An application that reads the whole body and answers with its length."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


async def call(scope: Message, *messages: Message) -> tuple[int, bytes]:
    """Status and body of one request to the wrapped application."""
    sent: list[Message] = []
    waiting = list(messages)

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await asgi.serve(echo, body_seconds=0.05)(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


def http(*headers: tuple[bytes, bytes], path: str = "/api/ai/v1/embed", **extra: Any) -> Message:
    return {"type": "http", "path": path, "headers": list(headers), **extra}


BODY = {"type": "http.request", "body": b"abc"}


async def test_an_ordinary_request_passes() -> None:
    assert await call(http((b"content-length", b"3")), BODY) == (200, b"3")


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"3"), (b"content-length", b"3")],
        [(b"content-length", b"3"), (b"transfer-encoding", b"chunked")],
        [(b"content-type", b"multipart/form-data; boundary=x"), (b"content-type", b"application/json")],
        [(b"content-length", b"-3")],
        [(b"content-length", b"")],
    ],
)
async def test_contradicting_lengths_are_refused_if_the_server_let_them_through(headers: list[tuple[bytes, bytes]]) -> None:
    status, body = await call(http(*headers), BODY)
    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(("path", "root_path"), [("/other", ""), ("/api/ai", ""), ("/mounted/api/other", "/mounted")])
async def test_only_the_apps_own_addresses_are_limited(path: str, root_path: str) -> None:
    scope = http((b"content-length", b"99999999999"), path=path, root_path=root_path)
    assert await call(scope, BODY) == (200, b"3")


async def test_a_mounted_app_is_limited_too() -> None:
    scope = http((b"content-length", b"99999999999"), path="/mounted/api/ai/v1/embed", root_path="/mounted")
    assert (await call(scope, BODY))[0] == 413


@pytest.mark.parametrize(
    "media_type", [b"multipart/form-data; boundary=x", b"Multipart/Form-Data;boundary=x", b"multipart/form-data"]
)
async def test_forms_may_be_larger(settings: Settings, media_type: bytes) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_REQUEST_BYTES": 2, "MAX_UPLOAD_BYTES": 3}
    form = (b"content-type", media_type)
    assert await call(http(form, (b"content-length", b"3")), BODY) == (200, b"3")
    assert await call(http(form), BODY) == (200, b"3")
    assert (await call(http(form, (b"content-length", b"4")), BODY))[0] == 413
    assert (await call(http(form), {**BODY, "body": b"abcd"}))[0] == 413


@pytest.mark.parametrize("media_type", [b"application/json", b"multipart/mixed; boundary=x", b"x; multipart/form-data", b""])
async def test_other_bodies_may_not(settings: Settings, media_type: bytes) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_REQUEST_BYTES": 2}
    assert (await call(http((b"content-type", media_type)), BODY))[0] == 413


async def test_a_content_type_that_django_cannot_read_is_refused() -> None:
    status, body = await call(http((b"content-type", b"application/json; charset*=nope''x")), BODY)
    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_request")


async def test_a_body_that_stalls_after_a_part_is_refused() -> None:
    status, body = await call(http(), {**BODY, "more_body": True})
    assert (status, json.loads(body)["error"]["code"]) == (408, "invalid_request")


async def test_the_lifespan_warms_up_in_the_background_and_closes_at_the_end(
    storage: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    warming, stop = asyncio.Event(), asyncio.Event()

    async def warm_up() -> None:
        happened.append("warming up")
        warming.set()
        await asyncio.Event().wait()

    async def close() -> None:
        happened.append("closed")

    async def receive() -> Message:
        if not happened:
            return {"type": "lifespan.startup"}
        await stop.wait()
        return {"type": "lifespan.shutdown"}

    async def send(message: Message) -> None:
        happened.append(message["type"])

    monkeypatch.setattr(service, "awarm_up", warm_up)
    monkeypatch.setattr(service, "aclose", close)
    running = asyncio.ensure_future(asgi.serve(echo)({"type": "lifespan"}, receive, send))
    await asyncio.wait_for(warming.wait(), 5)
    stop.set()
    await asyncio.wait_for(running, 5)
    assert happened == ["lifespan.startup.complete", "warming up", "closed", "lifespan.shutdown.complete"]


SERVED = """
import asyncio, gc, django
django.setup()
from ai_models.asgi import serve

async def nothing(scope, receive, send): pass

async def main():
    received, sent = asyncio.Queue(), asyncio.Queue()
    serving = asyncio.create_task(serve(nothing)({"type": "lifespan"}, received.get, sent.put))
    await received.put({"type": "lifespan.startup"})
    await sent.get()
    print(gc.get_freeze_count() > 10_000, gc.get_threshold()[0])
    await received.put({"type": "lifespan.shutdown"})
    await serving
    print(gc.get_freeze_count(), gc.get_threshold()[0] < 10_000)

asyncio.run(main())
"""


def test_a_server_spares_the_garbage_collector_what_it_loaded(tmp_path: Path) -> None:
    settings = {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": "sqlite://:memory:"}
    assert run_python(SERVED, tmp_path, **settings).split() == ["True", "10000", "0", "True"]
