"""The scripted server records what came and sees what its clients do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.upstreams import faults, openai
from tests.upstreams.replies import json_reply
from tests.upstreams.server import Upstream


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=5) as client:
        yield client


def raw_exchange(upstream: Upstream, request: bytes) -> bytes:
    """Send bytes, read until the server is silent or gone."""
    with socket.create_connection(("127.0.0.1", upstream.port), timeout=5) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65_536), b""))


def ended(client: socket.socket) -> bool:
    """Whether the server ended the connection, in good order or not."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_a_request_is_recorded_as_it_came(upstream: Upstream) -> None:
    upstream.always(json_reply({"ok": True}))
    raw_exchange(
        upstream,
        b'POST /v1/a%3Ab?x=1&y=%20 HTTP/1.1\r\nhOsT: h\r\nX-B: 2\r\nx-b: 3\r\nContent-Length: 10\r\n\r\n{"a": "b"}',
    )
    request = upstream.request
    assert (request.method, request.path, request.query) == ("POST", "/v1/a%3Ab", {"x": "1", "y": " "})
    assert request.header_list[:3] == (("hOsT", "h"), ("X-B", "2"), ("x-b", "3"))
    assert request.headers["x-b"] == "2, 3"
    assert request.json == {"a": "b"}


def test_a_chunked_request_is_put_together(upstream: Upstream) -> None:
    upstream.always(json_reply({}))
    body = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    raw_exchange(upstream, body)
    assert upstream.request.body == b"abcde"


def test_replies_follow_the_script_then_the_standing_reply(upstream: Upstream, client: httpx.Client) -> None:
    upstream.script(json_reply(1), lambda request: json_reply(request.path)).always(json_reply("standing"))
    assert [client.get(f"{upstream.url}/p").json() for _ in range(4)] == [1, "/p", "standing", "standing"]
    assert upstream.unscripted == 0


def test_a_request_without_a_reply_gets_500_and_is_counted(upstream: Upstream, client: httpx.Client) -> None:
    assert client.get(upstream.url).status_code == 500
    assert upstream.unscripted == 1


def test_connections_are_kept_and_their_close_is_seen(upstream: Upstream, client: httpx.Client) -> None:
    upstream.always(json_reply({}))
    client.get(upstream.url)
    client.get(upstream.url)
    assert [request.connection for request in upstream.requests] == [0, 0]
    assert upstream.open_connections == 1
    client.close()
    assert upstream.wait_closed()
    assert upstream.connections[0].closed_by == "client"
    assert upstream.open_connections == 0


def test_a_client_that_leaves_in_mid_reply_is_seen_at_once(upstream: Upstream) -> None:
    upstream.always(faults.hang_after(openai.stream("Hello", " there"), b"Hello"))
    with httpx.Client(trust_env=False) as client, client.stream("POST", upstream.url) as response:
        parts = response.iter_bytes()
        next(parts)
        assert not upstream.connections[0].closed.is_set()
    assert upstream.wait_closed()
    assert upstream.connections[0].closed_by == "client"


async def test_a_test_in_an_event_loop_can_wait_too(upstream: Upstream) -> None:
    upstream.always(json_reply({}))
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(upstream.url)
        assert await upstream.await_requests(1)
        assert not await upstream.connections[0].await_closed(0)
    assert await upstream.await_closed()


def test_waiting_for_what_does_not_come_ends_at_its_deadline(upstream: Upstream) -> None:
    assert not upstream.wait_requests(1, deadline=0.01)
    with socket.create_connection(("127.0.0.1", upstream.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert upstream.wait_requests(1)
        assert not upstream.wait_closed(0.01)


def test_upstreams_have_ports_of_their_own(upstreams: Callable[[], Upstream]) -> None:
    assert upstreams().port != upstreams().port


def test_a_stopped_server_leaves_no_thread_and_no_open_port() -> None:
    with Upstream() as upstream:
        upstream.always(faults.hang_before_first_byte())
        client = socket.create_connection(("127.0.0.1", upstream.port), timeout=5)
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert upstream.wait_requests(1)
        port = upstream.port
    with client:
        assert ended(client)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert not any(thread.name == "scripted-upstream" for thread in threading.enumerate())
