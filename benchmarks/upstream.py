"""``python -m benchmarks.upstream``: an OpenAI-compatible endpoint that costs next to nothing, so that a measurement is about
what stands before it. It prints its port.

It knows no errors and reads of a request only what it must: where the body ends, whether it wants a stream, how many inputs
there are to embed. Answers are made once.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import struct
import sys
from functools import cache
from typing import Any, cast

import uvloop

from benchmarks.workloads import DIMENSIONS, MODEL, STREAM_TOKENS, TEXT, TOKENS

PROMPT_TOKENS = 12
BACKLOG = 4096

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_PAUSE = re.compile(rb"pause=(\d{5})")
_STREAMED = re.compile(rb'"stream":\s*true')


def response(body: bytes) -> bytes:
    """A whole HTTP response with a JSON body."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def event(data: bytes) -> bytes:
    """One server-sent event as a chunk of a chunked body."""
    line = b"data: " + data + b"\n\n"
    return b"%x\r\n" % len(line) + line + b"\r\n"


def chunk(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
    """One chunk of a streamed chat completion."""
    told = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": MODEL, "choices": choices}
    return event(json.dumps(told if usage is None else {**told, "usage": usage}).encode())


def delta(content: dict[str, str], finish_reason: str | None = None) -> bytes:
    """A chunk with a part of the answer."""
    return chunk([{"index": 0, "delta": content, "finish_reason": finish_reason}])


def usage(completion: int) -> dict[str, int]:
    """What OpenAI says about tokens."""
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": completion, "total_tokens": PROMPT_TOKENS + completion}


PLAIN = response(
    json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1700000000,
            "model": MODEL,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop", "logprobs": None}
            ],
            "usage": usage(80),
        }
    ).encode()
)
OPENING = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    + delta({"role": "assistant", "content": ""})
    + delta({"content": TOKENS[0]})
)
MIDDLE = [delta({"content": token}) for token in TOKENS[1:]]
ENDING = delta({}, "stop") + chunk([], usage(STREAM_TOKENS)) + event(b"[DONE]") + b"0\r\n\r\n"
STREAM = OPENING + b"".join(MIDDLE) + ENDING


@cache
def embeddings(count: int, encoded: bool) -> bytes:
    """The response with so many vectors, in base64 or as numbers of the length that OpenAI writes."""
    numbers = random.Random(count)
    vectors = [[round(numbers.uniform(-0.1, 0.1), 8) for _ in range(DIMENSIONS)] for _ in range(count)]
    data = [
        {"object": "embedding", "index": index, "embedding": packed(vector) if encoded else vector}
        for index, vector in enumerate(vectors)
    ]
    told = {"prompt_tokens": count, "total_tokens": count}
    return response(json.dumps({"object": "list", "data": data, "model": MODEL, "usage": told}).encode())


def packed(vector: list[float]) -> str:
    """A vector as OpenAI sends it in base64: 32-bit floats, little-endian."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self) -> None:
        self.received = b""
        self.streaming: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            declared = _LENGTH.search(self.received, 0, end + 2)
            size = end + 4 + (int(declared[1]) if declared else 0)
            if len(self.received) < size:
                return
            head, body, self.received = self.received[:end], self.received[end + 4 : size], self.received[size:]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        if b"/embeddings" in head.split(b"\r\n", 1)[0]:
            asked = json.loads(body)
            count = len(asked["input"]) if isinstance(asked["input"], list) else 1
            self.transport.write(embeddings(count, asked.get("encoding_format") == "base64"))
        elif not _STREAMED.search(body):
            self.transport.write(PLAIN)
        elif pause := _PAUSE.search(body):
            task = asyncio.ensure_future(self.stream(int(pause[1]) / 1000))
            self.streaming.add(task)
            task.add_done_callback(self.streaming.discard)
        else:
            self.transport.write(STREAM)

    async def stream(self, pause: float) -> None:
        self.transport.write(OPENING)
        for token in (*MIDDLE, ENDING):
            await asyncio.sleep(pause)
            if self.transport.is_closing():
                return
            self.transport.write(token)


async def main() -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=BACKLOG)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
