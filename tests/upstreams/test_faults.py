"""Each fault does on the wire what its name says."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice

import httpx
import pytest

from tests.upstreams import anthropic, faults, google, openai
from tests.upstreams.replies import Reply, json_reply
from tests.upstreams.server import Upstream

STREAM = openai.stream("Hello", " there")
PLAIN = openai.text("Hello there")


class Wire:
    """A raw client connection that has sent its request."""

    def __init__(self, upstream: Upstream, reply: Reply) -> None:
        upstream.always(reply)
        self.socket = socket.create_connection(("127.0.0.1", upstream.port), timeout=5)
        self.socket.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")

    def until(self, mark: bytes) -> bytes:
        data = b""
        while mark not in data:
            more = self.socket.recv(65_536)
            assert more, f"the connection ended before {mark!r}"
            data += more
        return data

    def silent(self) -> bool:
        self.socket.settimeout(0.02)
        try:
            return self.socket.recv(1) == b"never"
        except TimeoutError:
            return True


@pytest.fixture
def wire(upstream: Upstream) -> Iterator[Callable[[Reply], Wire]]:
    with ExitStack() as opened:

        def connect(reply: Reply) -> Wire:
            connection = Wire(upstream, reply)
            opened.enter_context(connection.socket)
            return connection

        yield connect


@pytest.fixture
def get(upstream: Upstream) -> Callable[[Reply], httpx.Response]:
    def exchange(reply: Reply) -> httpx.Response:
        upstream.always(reply)
        return httpx.get(upstream.url, trust_env=False, timeout=5)

    return exchange


def events(body: bytes) -> list[str]:
    """The data of server-sent events, read as the standard says."""
    text = body.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    blocks = (
        [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")] for block in text.split("\n\n")
    )
    return ["\n".join(lines) for lines in blocks if lines]


def meaning(body: bytes) -> list[object]:
    return [data if data == "[DONE]" else json.loads(data) for data in events(body)]


def test_a_refused_url_refuses(refused_url: str) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(refused_url, trust_env=False)


def test_reset_before_the_first_byte(wire: Callable[[Reply], Wire]) -> None:
    with pytest.raises(ConnectionResetError):
        wire(faults.reset_before_first_byte()).socket.recv(1)


@pytest.mark.parametrize("reply", [PLAIN, STREAM], ids=["plain", "stream"])
def test_reset_after_the_headers(wire: Callable[[Reply], Wire], reply: Reply) -> None:
    connection = wire(faults.reset_after_headers(reply))
    assert connection.until(b"\r\n\r\n").endswith(b"\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        connection.socket.recv(1)


def test_reset_in_mid_stream(wire: Callable[[Reply], Wire]) -> None:
    connection = wire(faults.reset_after(STREAM, b"Hello"))
    assert b"there" not in connection.until(b"Hello")
    with pytest.raises(ConnectionResetError):
        connection.until(b"there")


def test_hang_before_the_first_byte(wire: Callable[[Reply], Wire]) -> None:
    assert wire(faults.hang_before_first_byte()).silent()


def test_hang_after_the_headers(wire: Callable[[Reply], Wire]) -> None:
    connection = wire(faults.hang_after_headers(PLAIN))
    connection.until(b"\r\n\r\n")
    assert connection.silent()


def test_hang_between_chunks(wire: Callable[[Reply], Wire]) -> None:
    connection = wire(faults.hang_after(STREAM, 2))
    connection.until(b"Hello")
    assert connection.silent()


def test_a_stream_kept_open_is_complete_and_does_not_end(wire: Callable[[Reply], Wire]) -> None:
    connection = wire(faults.kept_open(STREAM))
    connection.until(b"[DONE]")
    assert connection.silent()


def test_drip_sends_little_at_a_time(wire: Callable[[Reply], Wire]) -> None:
    connection = wire(faults.drip(PLAIN, size=4, every=60))
    assert len(connection.until(b"\r\n\r\n").partition(b"\r\n\r\n")[2] or connection.socket.recv(100)) == 4
    assert connection.silent()


def test_a_drip_stops_when_the_client_leaves(upstream: Upstream, wire: Callable[[Reply], Wire]) -> None:
    connection = wire(faults.drip(PLAIN, size=1, every=60))
    connection.until(b"\r\n\r\n")
    connection.socket.close()
    assert upstream.wait_closed()


@pytest.mark.parametrize("reply", [faults.halved(PLAIN), STREAM], ids=["length", "chunked"])
def test_a_truncated_body_is_short(get: Callable[[Reply], httpx.Response], reply: Reply) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection without"):
        get(faults.truncated(reply, 1))


def test_a_stream_cut_short_ends_in_good_order(get: Callable[[Reply], httpx.Response]) -> None:
    body = get(faults.cut_short(STREAM, b"there")).content
    assert b"there" in body
    assert b'finish_reason": "stop' not in body
    assert b"[DONE]" not in body


def test_malformed_json_is_not_json(get: Callable[[Reply], httpx.Response]) -> None:
    with pytest.raises(ValueError, match="Unterminated"):
        get(faults.malformed_json()).json()


def test_a_malformed_event_stands_among_good_ones(get: Callable[[Reply], httpx.Response]) -> None:
    data = events(get(faults.malformed_event(STREAM, b"Hello")).content)
    assert data[2] == "{not json"
    assert data[:2] + data[3:] == events(get(STREAM).content)


@pytest.mark.parametrize(
    "reply", [STREAM, anthropic.stream("a", "b"), google.stream("a", "b")], ids=["openai", "anthropic", "google"]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\n \r\n \r"])
def test_dialects_of_sse_mean_the_same(get: Callable[[Reply], httpx.Response], reply: Reply, newline: str) -> None:
    spoken = faults.sse_dialect(reply, newline, bom=True, comments=True, multiline=True)
    assert meaning(get(faults.bytewise(spoken)).content) == meaning(get(reply).content)
    assert get(spoken).content.startswith(b"\xef\xbb\xbf: keep-alive")


def test_bytewise_sends_one_byte_per_chunk(wire: Callable[[Reply], Wire]) -> None:
    body = wire(faults.bytewise(STREAM)).until(b"0\r\n\r\n").partition(b"\r\n\r\n")[2]
    assert body.startswith(b"1\r\nd\r\n1\r\na\r\n1\r\nt\r\n")


def test_a_gzipped_reply_inflates_to_itself(get: Callable[[Reply], httpx.Response]) -> None:
    response = get(faults.gzipped(PLAIN))
    assert response.headers["content-encoding"] == "gzip"
    assert response.json()["choices"][0]["message"]["content"] == "Hello there"


def test_a_gzip_bomb_grows_without_end(upstream: Upstream) -> None:
    upstream.always(faults.gzip_bomb())
    with httpx.stream("GET", upstream.url, trust_env=False) as response:
        inflated = sum(len(part) for part in islice(response.iter_bytes(), 16))
        assert inflated > 8 * faults.MIB
        assert response.num_bytes_downloaded < faults.MIB
    assert upstream.wait_closed()


@pytest.mark.parametrize("reply", [faults.endless_body(), faults.endless_line()], ids=["body", "line"])
def test_an_endless_body_ends_with_its_client(upstream: Upstream, reply: Reply) -> None:
    upstream.always(reply)
    with httpx.stream("GET", upstream.url, trust_env=False) as response:
        parts = islice(response.iter_bytes(65_536), 64)
        assert sum(part.count(b"\n") for part in parts) == 0
    assert upstream.wait_closed()
    assert upstream.connections[0].sent > 4 * faults.MIB - 65_536


def test_endless_headers_end_with_their_client(upstream: Upstream, wire: Callable[[Reply], Wire]) -> None:
    connection = wire(faults.endless_headers())
    received = b""
    while len(received) < faults.MIB:
        received += connection.socket.recv(65_536)
    assert b"\r\n\r\n" not in received
    connection.socket.close()
    assert upstream.wait_closed()


def test_a_huge_length_is_declared_and_not_sent(wire: Callable[[Reply], Wire]) -> None:
    assert b"Content-Length: 5368709120" in wire(faults.huge_length(json_reply({}))).until(b"{}")


def test_an_html_page_is_html_with_status_200(get: Callable[[Reply], httpx.Response]) -> None:
    response = get(faults.html_page())
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("new", [b"\xff\xfe", b"\\ud800", b"\\u0000"])
def test_replaced_bytes_are_sent_as_they_are(get: Callable[[Reply], httpx.Response], new: bytes) -> None:
    assert b'"content": "a' + new + b'b"' in get(faults.replaced(openai.text("aXb"), b"X", new)).content


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_names_its_target(get: Callable[[Reply], httpx.Response], status: int) -> None:
    response = get(faults.redirect("http://elsewhere.test/x", status))
    assert (response.status_code, response.headers["location"]) == (status, "http://elsewhere.test/x")


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -1}, {"prompt_tokens": "many"}, {"prompt_tokens": float("nan")}])
def test_usage_can_be_missing_or_a_lie(get: Callable[[Reply], httpx.Response], usage: dict[str, object] | None) -> None:
    assert repr(get(openai.text(usage=usage)).json().get("usage")) == repr(usage)
