"""Clients that leave, and requests that are too big, too slow or ambiguous, over raw sockets to a real server."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.db import connection
from pytest_django import Settings

from ai_models import asgi
from ai_models.models import ProviderInstance
from tests import samples
from tests.api.conftest import BASE, LiveServer, bearer, head, parse, read_all, request, serving
from tests.api.scripted import Scripted

LIMIT = 100_000


@pytest.fixture
def server(provider: ProviderInstance, road: str, http: str, settings: Settings) -> Iterator[LiveServer]:
    """A server with a low limit and little patience, once per HTTP implementation."""
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_REQUEST_BYTES": LIMIT, "MAX_UPLOAD_BYTES": 20 * LIMIT}
    with serving(asgi.serve(get_asgi_application(), body_seconds=0.5), http) as running:
        yield running


def code(response: httpx.Response) -> tuple[int, str]:
    error = response.json()["error"]
    assert response.headers["x-request-id"] == error["requestId"]
    return response.status_code, error["code"]


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize(
    ("path", "model", "first"),
    [
        ("generate-text", "hangs", b""),
        ("generate-image", "hangs", b""),
        ("stream-text", "hangs", b""),
        ("stream-text", "hangs-later", b"text-delta"),
    ],
    ids=["plain call", "image", "stream before its first token", "stream in its middle"],
)
def test_a_client_that_leaves_ends_the_upstream_call_within_a_second(
    server: LiveServer, media: ProviderInstance, user: User, path: str, model: str, first: bytes, leave: str
) -> None:
    client = server.connect()
    client.sendall(request(path, user, {"prompt": "a", "model": model}))
    received = b""
    while first not in received:
        received += client.recv(65536)
    assert Scripted.calling.wait(10)
    if leave == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    left = time.monotonic()
    client.close()
    assert Scripted.ended.wait(5)
    assert time.monotonic() - left < 1


def test_the_server_goes_on_after_a_client_left(server: LiveServer, user: User) -> None:
    with server.connect() as client:
        client.sendall(request("generate-text", user, {"prompt": "a", "model": "hangs"}))
        assert Scripted.calling.wait(10)
    assert Scripted.ended.wait(5)
    answer = httpx.post(f"{server.url}{BASE}/generate-text", json={"prompt": "a"}, headers=bearer(user))
    assert answer.status_code == 200


def open_database_files() -> int:
    """How many file handles of this process are the test database."""
    name = str(connection.settings_dict["NAME"])
    return sum(1 for handle in Path("/proc/self/fd").iterdir() if os.path.realpath(handle) == name)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts the handles that the kernel lists")
def test_calls_that_wait_hold_no_database_connection(server: LiveServer, user: User) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a SQLite connection is a file handle, which can be counted")
    waiting = request("generate-text", user, {"prompt": "a", "model": "hangs"})
    httpx.post(f"{server.url}{BASE}/generate-text", json={"prompt": "a"}, headers=bearer(user))
    before = open_database_files()
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(server.connect()).sendall(waiting)
        deadline = time.monotonic() + 10
        # The watch for changed configuration opens one for a moment now and then.
        while len(Scripted.requests) < 5 or open_database_files() > before:
            assert time.monotonic() < deadline


def test_a_body_announced_as_too_large_is_refused_before_it_is_sent(server: LiveServer, user: User) -> None:
    response = server.exchange(head("generate-text", user, f"Content-Length: {LIMIT + 1}"))
    assert code(response) == (413, "payload_too_large")


@pytest.mark.parametrize("length", ["9" * 30, "9" * 5000])
def test_an_absurd_length_is_refused(server: LiveServer, user: User, length: str) -> None:
    response = server.exchange(head("generate-text", user, f"Content-Length: {length}"))
    assert response.status_code in {400, 413}


def test_a_chunked_body_is_refused_when_the_count_passes_the_limit(server: LiveServer, user: User) -> None:
    with server.connect() as client:
        client.sendall(head("generate-text", user, "Transfer-Encoding: chunked"))
        chunk = b"x" * 10_000
        for _ in range(LIMIT // len(chunk) + 1):
            client.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        # The body goes on, and the answer is there all the same.
        assert code(parse(read_all(client))) == (413, "payload_too_large")


def test_a_chunked_body_within_the_limit_is_answered(server: LiveServer, user: User) -> None:
    body = json.dumps({"prompt": "x" * 1000}).encode()
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    response = server.exchange(head("generate-text", user, "Transfer-Encoding: chunked", "Connection: close") + framed)
    assert response.status_code == 200


FORM = "multipart/form-data; boundary=x"
BEGINNING = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
MIB = 1024 * 1024


@pytest.mark.parametrize("content_type", ["application/json", FORM])
def test_a_hundred_megabytes_are_refused_before_they_are_sent(server: LiveServer, user: User, content_type: str) -> None:
    announced = head("transcribe", user, f"Content-Length: {100 * MIB}", content_type=content_type)
    assert code(server.exchange(announced)) == (413, "payload_too_large")


def test_a_hundred_megabytes_that_nobody_announced_are_refused_when_the_limit_is_passed(server: LiveServer, user: User) -> None:
    piece = b"%x\r\n%b\r\n" % (MIB, bytes(MIB))
    with server.connect() as client:
        client.sendall(head("transcribe", user, "Transfer-Encoding: chunked", content_type=FORM))
        client.sendall(b"%x\r\n%b\r\n" % (len(BEGINNING), BEGINNING))
        sent = 0
        while sent < 100 and not select.select([client], [], [], 0)[0]:
            client.sendall(piece)
            sent += 1
        assert code(parse(read_all(client))) == (413, "payload_too_large")
    assert sent < 50
    assert not Scripted.requests


def test_a_form_that_is_larger_than_json_may_be_is_answered(server: LiveServer, media: ProviderInstance, user: User) -> None:
    recording = samples.wav(seconds=4)
    assert len(recording) > LIMIT
    files = {"audio": ("a.wav", recording)}
    response = httpx.post(f"{server.url}{BASE}/transcribe", files=files, headers=bearer(user), timeout=10)
    assert response.status_code == 200
    in_json = {"audio": base64.b64encode(recording).decode()}
    assert httpx.post(f"{server.url}{BASE}/transcribe", json=in_json, headers=bearer(user)).status_code == 413


def test_a_form_that_drips_is_refused_in_time(server: LiveServer, user: User) -> None:
    with server.connect() as client:
        client.sendall(head("transcribe", user, "Content-Length: 5000", content_type=FORM) + BEGINNING)
        assert code(parse(read_all(client))) == (408, "invalid_request")


def test_a_form_that_is_cut_off_calls_nobody(server: LiveServer, media: ProviderInstance, user: User) -> None:
    with server.connect() as client:
        client.sendall(head("transcribe", user, "Content-Length: 5000", content_type=FORM) + BEGINNING)
    headers = bearer(user)
    assert httpx.get(f"{server.url}{BASE}/models", headers=headers).status_code == 200
    assert not Scripted.requests


def test_a_body_that_drips_is_refused_in_time(server: LiveServer, user: User) -> None:
    with server.connect() as client:
        client.sendall(head("generate-text", user, "Content-Length: 1000") + b'{"prompt": ')
        began = time.monotonic()
        response = parse(read_all(client))
    assert code(response) == (408, "invalid_request")
    assert time.monotonic() - began < 5


def test_other_addresses_of_the_host_keep_their_own_limits(server: LiveServer) -> None:
    assert httpx.post(f"{server.url}/elsewhere", content=b"x" * (LIMIT + 1)).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Content-Length: 2", "Content-Length: 3"),
        ("Content-Length: +2",),
        ("Content-Length: 2, 3",),
        ("Transfer-Encoding: chunked, identity",),
        ("X-Forwarded-For: 1.2.3.4\x0bX: y",),
    ],
)
def test_ambiguous_framing_is_never_answered_as_a_request(server: LiveServer, user: User, headers: tuple[str, ...]) -> None:
    response = server.exchange(head("generate-text", user, "Connection: close", *headers) + b"{}\r\n0\r\n\r\n")
    assert response.status_code in {400, 501}
    assert not Scripted.requests
