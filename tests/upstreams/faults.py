"""Replies that go wrong. Most take a good reply and spoil it, so that every vendor's format can be spoiled alike.

A position in a reply (``after``) is a number of pieces, or bytes: then it is the end of the first piece that has them.
"""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

from tests.upstreams.replies import Headers, Piece, Reply, Step, Wait, raw

Position = int | bytes
MIB = 1024 * 1024


@contextmanager
def refused() -> Iterator[str]:
    """The URL of a port that refuses connections, and that nobody else gets meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


# --- connections that end or stall ----------------------------------------------------------------------------------


def reset_before_first_byte() -> Reply:
    return Reply(before=(Step.RESET,))


def hang_before_first_byte() -> Reply:
    return Reply(before=(Step.HANG,))


def hang_after_headers(reply: Reply) -> Reply:
    return _break(reply, 0, Step.HANG)


def reset_after_headers(reply: Reply) -> Reply:
    return _break(reply, 0, Step.RESET)


def reset_after(reply: Reply, after: Position) -> Reply:
    return _break(reply, after, Step.RESET)


def hang_after(reply: Reply, after: Position) -> Reply:
    """Say nothing more after these pieces, with the connection open."""
    return _break(reply, after, Step.HANG)


def truncated(reply: Reply, after: Position) -> Reply:
    """End the connection within the body: less than ``Content-Length``, or chunks without the last, empty one."""
    return _break(reply, after, Step.END)


def cut_short(reply: Reply, after: Position) -> Reply:
    """End the body in good order after these pieces: the HTTP is right, the content is not complete."""
    return replace(reply, pieces=_until(reply, after))


def kept_open(reply: Reply) -> Reply:
    """Send everything but the end of the body, and keep the connection open."""
    return replace(reply, pieces=(*reply.pieces, Step.HANG))


def drip(reply: Reply, size: int, every: float) -> Reply:
    """Send the body in pieces of ``size`` bytes with ``every`` seconds between them."""
    return replace(reply, pieces=tuple(step for part in _parts(reply, size) for step in (part, Wait(every))))


def _break(reply: Reply, after: Position, step: Step) -> Reply:
    pieces = tuple(reply.pieces)
    length = sum(len(piece) for piece in pieces if isinstance(piece, bytes)) if reply.framing == "length" else None
    return replace(reply, pieces=(*_until(reply, after), step), declared_length=length)


def _until(reply: Reply, after: Position) -> tuple[Piece, ...]:
    pieces = tuple(reply.pieces)
    if isinstance(after, bytes):
        after = 1 + next(i for i, piece in enumerate(pieces) if isinstance(piece, bytes) and after in piece)
    return pieces[:after]


# --- bodies cut and written otherwise, with the same meaning --------------------------------------------------------


def bytewise(reply: Reply) -> Reply:
    """Every byte of the body by itself."""
    return replace(reply, pieces=_parts(reply, 1))


def halved(reply: Reply) -> Reply:
    """A body of one piece in two, for faults that happen in its middle."""
    body = _body(reply)
    return replace(reply, pieces=(body[: len(body) // 2], body[len(body) // 2 :]))


def gzipped(reply: Reply) -> Reply:
    return replace(reply, pieces=(gzip.compress(_body(reply)),)).with_headers(("Content-Encoding", "gzip"))


def sse_dialect(
    reply: Reply, newline: str = "\n", *, bom: bool = False, comments: bool = False, multiline: bool = False
) -> Reply:
    """The same server-sent events, written in another legal way.

    Args:
        newline: between lines; several characters are used in turn when they are separated by a space.
        bom: begin with a byte order mark.
        comments: put a comment and a field without meaning before every event.
        multiline: spread JSON over several ``data`` lines.
    """
    endings = newline.split(" ")
    pieces = []
    for number, piece in enumerate(reply.pieces):
        assert isinstance(piece, bytes)
        lines = [": keep-alive", "x-unknown: 1"] if comments else []
        for line in piece.decode().splitlines():
            lines += _spread(line) if multiline else [line]
        pieces.append((endings[number % len(endings)].join([*lines, ""])).encode())
    if bom:
        pieces[0] = b"\xef\xbb\xbf" + pieces[0]
    return replace(reply, pieces=tuple(pieces))


def _spread(line: str) -> list[str]:
    if not line.startswith("data: {"):
        return [line]
    return [f"data: {part}" for part in json.dumps(json.loads(line[6:]), indent=1).splitlines()]


def _body(reply: Reply) -> bytes:
    return b"".join(piece for piece in reply.pieces if isinstance(piece, bytes))


def _parts(reply: Reply, size: int) -> tuple[bytes, ...]:
    body = _body(reply)
    return tuple(body[start : start + size] for start in range(0, len(body), size))


# --- content that is wrong ------------------------------------------------------------------------------------------


def malformed_json() -> Reply:
    return raw(b'{"id": "x", "choices": [{"mess')


def malformed_event(reply: Reply, after: Position) -> Reply:
    """A well-framed event that is no JSON stands after these pieces; the rest of the stream follows."""
    return inserted(reply, after, b"data: {not json\n\n")


def inserted(reply: Reply, after: Position, piece: bytes) -> Reply:
    """Another piece stands after these; the rest of the stream follows."""
    kept = _until(reply, after)
    return replace(reply, pieces=(*kept, piece, *tuple(reply.pieces)[len(kept) :]))


def html_page() -> Reply:
    """What a captive portal answers."""
    return raw(b"<!doctype html><title>Sign in</title><p>Welcome to the hotel", "text/html; charset=utf-8")


def replaced(reply: Reply, old: bytes, new: bytes) -> Reply:
    """Other bytes in the body, for text that is not UTF-8 and the like."""
    return replace(
        reply, pieces=tuple(piece.replace(old, new) if isinstance(piece, bytes) else piece for piece in reply.pieces)
    )


# --- too much -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endless:
    """Pieces without end: ``first``, then ``then`` for ever."""

    first: bytes
    then: bytes

    def __iter__(self) -> Iterator[bytes]:
        yield self.first
        while True:
            yield self.then


def endless_body(content_type: str = "application/json") -> Reply:
    return Reply(headers=(("Content-Type", content_type),), pieces=Endless(b'{"a": "', b"a" * 65_536), framing="chunked")


def endless_line(content_type: str = "text/event-stream") -> Reply:
    """A stream whose first event never ends."""
    return Reply(headers=(("Content-Type", content_type),), pieces=Endless(b'data: {"a": "', b"a" * 65_536), framing="chunked")


def endless_headers() -> Reply:
    return Reply(before=Endless(b"HTTP/1.1 200 OK\r\n", b"X-Padding: %b\r\n" % (b"a" * 1024)))


def huge_length(reply: Reply) -> Reply:
    """The header declares 5 GB; the body is the reply's, and then nothing."""
    return replace(reply, pieces=(*reply.pieces, Step.HANG), declared_length=5 * 1024 * MIB)


def gzip_bomb(content_type: str = "application/json") -> Reply:
    """A body without end that grows a thousandfold when it is inflated."""
    headers = (("Content-Type", content_type), ("Content-Encoding", "gzip"))
    return Reply(headers=headers, pieces=Endless(*_bomb()), framing="chunked")


@cache
def _bomb() -> tuple[bytes, bytes]:
    # A full flush makes each block independent of the ones before it, so that one block can be repeated.
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = compressor.compress(b'{"a": "' + b"a" * MIB) + compressor.flush(zlib.Z_FULL_FLUSH)
    return first, compressor.compress(b"a" * MIB) + compressor.flush(zlib.Z_FULL_FLUSH)


# --- redirects ------------------------------------------------------------------------------------------------------


def redirect(location: str, status: int = 307, headers: Headers = ()) -> Reply:
    return Reply(status=status, headers=(("Location", location), *headers))
