"""The caller's ``X-Request-ID`` goes the whole way: answers, errors, frames, log lines and spans, in whatever thread."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from opentelemetry import trace

import ai_models
from ai_models import correlation
from tests.api.conftest import (  # noqa: F401  (fixtures)
    BASE,
    LiveServer,
    _scripted_family,
    bearer,
    make_user,
    provider,
    storage,
    user,
)
from tests.telemetry.conftest import Collector, Log, attributes
from tests.upstreams import openai
from tests.upstreams.server import Upstream
from tests.websocket.conftest import Connect, connect, server  # noqa: F401  (fixtures)

ID = "job-17.a_B"


class Api:
    """The API, as a caller with a request id sees it."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url, self.headers = url, {**headers, "X-Request-ID": ID}

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, headers={**self.headers, **headers}, timeout=15)


@pytest.fixture
def caller(server: LiveServer, user: User, log: Log) -> Api:  # noqa: F811
    return Api(server.url, bearer(user))


def test_an_answer_and_its_log_line_have_it(caller: Api, log: Log) -> None:
    response = caller.post(f"{BASE}/generate-text", {"prompt": "a"})
    assert (response.status_code, response.headers["X-Request-ID"]) == (200, ID)
    (line,) = log.calls
    assert (line["request_id"], line["provider"], line["outcome"]) == (ID, "main", "ok")


def test_a_stream_that_runs_in_a_task_of_its_own_has_it(caller: Api, log: Log) -> None:
    response = caller.post(f"{BASE}/stream-text", {"prompt": "a"})
    assert response.headers["X-Request-ID"] == ID
    assert [line["request_id"] for line in log.calls] == [ID]


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        (f"{BASE}/generate-text", {"prompt": "a", "model": "breaks"}, "error"),
        (f"{BASE}/generate-text", {"prompt": ""}, "error"),
        (f"{BASE}/nowhere", {}, "error"),
    ],
)
def test_an_error_has_it(path: str, body: dict[str, Any], error: str, caller: Api) -> None:
    response = caller.post(path, body)
    assert response.status_code >= 400
    assert (response.headers["X-Request-ID"], response.json()[error]["requestId"]) == (ID, ID)


def test_the_facade_has_it(caller: Api, log: Log) -> None:
    messages = [{"role": "user", "content": "a"}]
    response = caller.post("/api/ai/openai/v1/chat/completions", {"model": "echoes", "messages": messages})
    assert (response.status_code, response.headers["X-Request-ID"]) == (200, ID)
    assert [line["request_id"] for line in log.calls] == [ID]


def test_a_refusal_before_django_has_it(caller: Api) -> None:
    response = caller.post(f"{BASE}/generate-text", {}, **{"Content-Type": "text/plain; =broken"})
    assert (response.headers["X-Request-ID"], response.json()["error"]["requestId"]) == (ID, ID)


async def test_the_streams_of_a_socket_have_parts_of_its_own(connect: Connect, user: User, log: Log) -> None:  # noqa: F811
    headers = {**await sync_to_async(bearer)(user), "X-Request-ID": ID}
    async with connect(headers) as socket:
        await socket.stream("a", {"prompt": "a"})
        first = (await socket.until_end())[0]["requestId"]
        await socket.stream("b", {"prompt": ""})
        error = (await socket.until_end())[-1]["error"]["requestId"]
    assert re.fullmatch(rf"{re.escape(ID)}\.[0-9a-f]{{8}}", first)
    assert re.fullmatch(rf"{re.escape(ID)}\.[0-9a-f]{{8}}", error)
    assert first != error
    assert [line["request_id"] for line in log.calls] == [first]


async def test_a_span_has_it_and_the_provider_does_not(main: Upstream, collector: Collector) -> None:
    main.script(openai.text("Hello"))
    token = correlation.request_id.set(ID)
    await ai_models.agenerate_text("Hi")
    correlation.request_id.reset(token)
    assert attributes(collector.span)["ai_models.request_id"] == ID
    sent = main.request
    assert ID not in str(sent.headers) + str(sent.body)


def test_sync_twins_threads_and_tasks_have_it(main: Upstream, log: Log) -> None:
    def in_thread() -> None:
        correlation.request_id.set(ID)
        main.script(openai.text("Hello"), openai.stream("a"), openai.text("Hello"))
        ai_models.generate_text("Hi")
        assert "".join(ai_models.stream_text("Hi").text_stream) == "a"
        asyncio.run(_in_task())

    async def _in_task() -> None:
        await asyncio.create_task(ai_models.agenerate_text("Hi"))

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join(30)
    assert [line["request_id"] for line in log.calls] == [ID] * 3


@pytest.fixture
def upstream_trace(collector: Collector) -> tuple[str, str]:
    """A trace that a caller began: its id, and the header."""
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    return trace_id, f"00-{trace_id}-b7ad6b7169203331-01"


@pytest.mark.parametrize("path", [f"{BASE}/generate-text", f"{BASE}/stream-text"])
def test_a_callers_trace_goes_on(path: str, caller: Api, collector: Collector, upstream_trace: tuple[str, str]) -> None:
    trace_id, header = upstream_trace
    caller.post(path, {"prompt": "a"}, traceparent=header)
    span = collector.span
    assert span.context is not None
    assert span.parent is not None
    assert trace.format_trace_id(span.context.trace_id) == trace_id
    assert trace.format_span_id(span.parent.span_id) == "b7ad6b7169203331"
    caller.post(path, {"prompt": "a"}, traceparent="c4n4ry")
    assert collector.spans[-1].parent is None
