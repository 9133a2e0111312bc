"""What a scripted server sends: a head, and a body in pieces. Pieces are bytes or steps, so that a fault is a piece too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal

Headers = tuple[tuple[str, str], ...]


class Step(Enum):
    """Something to do instead of sending bytes."""

    HANG = "say nothing until the client goes away"
    RESET = "end the connection with a TCP reset"
    END = "end the connection at once, as a server that was stopped"


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause.

    Attributes:
        seconds: how long; it ends early when the client goes away.
    """

    seconds: float


Piece = bytes | Step | Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP reply. It can be sent many times, so ``pieces`` and ``before`` must be iterable again and again.

    Attributes:
        pieces: the body. Each piece is written and flushed by itself; with ``chunked`` framing it is a chunk.
        framing: ``length`` declares the body's length, ``chunked`` sends chunks, ``close`` ends the body with the connection.
        before: sent before the status line.
        declared_length: stands in ``Content-Length`` instead of the true length.
        terminated: whether a chunked body gets its last, empty chunk; without it the connection ends.
    """

    status: int = 200
    headers: Headers = ()
    pieces: Iterable[Piece] = ()
    framing: Literal["length", "chunked", "close"] = "length"
    before: Iterable[Piece] = ()
    declared_length: int | None = None
    terminated: bool = True

    @property
    def reusable(self) -> bool:
        """Whether the connection can serve another request after this reply."""
        return self.framing != "close" and self.terminated and self.declared_length is None

    def head(self) -> bytes:
        """The status line and the headers."""
        headers = list(self.headers)
        if self.framing == "chunked":
            headers.append(("Transfer-Encoding", "chunked"))
        elif self.framing == "length":
            length = self.declared_length
            if length is None:
                length = sum(len(piece) for piece in self.pieces if isinstance(piece, bytes))
            headers.append(("Content-Length", str(length)))
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def with_headers(self, *headers: tuple[str, str]) -> Reply:
        """The same reply with these headers; a header of the same name is replaced."""
        names = {name.lower() for name, _ in headers}
        kept = (header for header in self.headers if header[0].lower() not in names)
        return replace(self, headers=(*kept, *headers))


def raw(body: bytes, content_type: str = "application/json", *, status: int = 200, headers: Headers = ()) -> Reply:
    """A reply with exactly this body."""
    return Reply(status=status, headers=(("Content-Type", content_type), *headers), pieces=(body,))


def json_reply(data: Any, *, status: int = 200, headers: Headers = ()) -> Reply:
    """A JSON reply. NaN and lone surrogates are sent as they are."""
    return raw(json.dumps(data).encode(), status=status, headers=headers)


def stream(pieces: Iterable[Piece], content_type: str = "text/event-stream", headers: Headers = ()) -> Reply:
    """A streamed reply, one chunk for each piece."""
    return Reply(headers=(("Content-Type", content_type), *headers), pieces=tuple(pieces), framing="chunked")


def sse(data: Mapping[str, Any] | str, event: str | None = None, newline: str = "\n") -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data)
    lines = [f"event: {event}"] if event is not None else []
    return newline.join([*lines, f"data: {text}", "", ""]).encode()
