"""Requests as they came over the wire."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One request, nothing decoded or reordered.

    Attributes:
        target: the request target, still percent-encoded, with its query string.
        header_list: the headers in their order and with their case.
        connection: which connection of the server it came on, counted from 0.
        at: when it was complete, by the monotonic clock.
    """

    method: str
    target: str
    header_list: tuple[tuple[str, str], ...]
    body: bytes
    connection: int
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        """The path, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The query parameters, decoded."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def headers(self) -> dict[str, str]:
        """The headers by lower-case name; repeated ones are joined with a comma."""
        joined: dict[str, str] = {}
        for name, value in self.header_list:
            key = name.lower()
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
        return joined

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def everything(self) -> str:
        """All that was sent, to search for what must not be there."""
        lines = [f"{self.method} {self.target}", *(f"{name}: {value}" for name, value in self.header_list)]
        return "\n".join([*lines, "", self.body.decode("utf-8", "replace")])


async def read_request(reader: asyncio.StreamReader, connection: int) -> Recorded | None:
    """Read one request; ``None`` when the client closed the connection instead.

    Raises:
        asyncio.IncompleteReadError: the client closed in the middle of a request.
    """
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers = await _read_headers(reader)
    lower = {name.lower(): value for name, value in headers}
    if "chunked" in lower.get("transfer-encoding", "").lower():
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(lower.get("content-length", "0")))
    return Recorded(method=method, target=target, header_list=headers, body=body, connection=connection)


async def _read_headers(reader: asyncio.StreamReader) -> tuple[tuple[str, str], ...]:
    headers = []
    while (line := (await reader.readuntil(b"\r\n")).decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    return tuple(headers)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await _read_headers(reader)
    return b"".join(chunks)
