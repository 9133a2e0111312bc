"""Whole streams in every encoding, for authors of clients: what ``docs/streams`` has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ai_models import events
from ai_models.api import sse
from ai_models.assembly import Assembler, ObjectAssembler
from ai_models.encoding import encode
from ai_models.events import Event
from ai_models.exceptions import StreamNotFound, UpstreamError
from ai_models.objects import Schema
from ai_models.openai_api.chunks import Chunks
from ai_models.openai_api.errors import Told
from ai_models.resumption import Entry
from ai_models.types import Chunk, InputTokenDetails, OutputTokenDetails, TextResult, ToolCallDelta, Usage

STREAM = "18af08ed7d354d898b2af074b152b176"
REQUEST = "496e035b04a7456e92c1c7ea17a13a77"
MODEL = "local/fast"

_USAGE = Usage(
    input_tokens=12,
    output_tokens=3,
    total_tokens=15,
    input_token_details=InputTokenDetails(no_cache=12),
    output_token_details=OutputTokenDetails(text=3),
)
_STOP = Chunk(finish_reason="stop", raw_finish_reason="stop", usage=_USAGE)
_BASE = TextResult(provider="local", model="SmolLM2-135M-Instruct")
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
_TEXT = {"prompt": "Say hello.", "model": "fast"}
_WORDS = [Chunk(text="Hello "), Chunk(text="you, "), Chunk(text="wörld 😀")]


@dataclass(frozen=True, slots=True)
class Case:
    """One stream.

    Attributes:
        request: of the frame that begins it.
        chunks: what the provider tells.
        ending: how it ends, when it is not by the last chunk.
        operation: the frame's type.
    """

    description: str
    request: dict[str, Any]
    chunks: list[Chunk]
    ending: Event | None = None
    operation: str = "stream-text"

    def told(self) -> list[Event]:
        """The events."""
        assembler = Assembler(_BASE) if self.operation == "stream-text" else ObjectAssembler(_BASE, Schema.of(_SCHEMA))
        told: list[Event] = [events.Start("msg_67cc42e996874fcfa49b03c09bfe24a9")]
        for chunk in self.chunks:
            told += assembler.feed(chunk)
        return [*told, self.ending] if self.ending else [*told, *assembler.finish()]


_WEATHER = {"name": "weather", "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}}}}

CASES = {
    "text": Case("Text, to its end.", _TEXT, [*_WORDS, _STOP]),
    "reasoning": Case(
        "The model thinks before it answers. Blocks have ids of their own.",
        {**_TEXT, "reasoning": "low"},
        [Chunk(reasoning="They want "), Chunk(reasoning="a greeting."), *_WORDS, _STOP],
    ),
    "tool-calls": Case(
        "The model asks for two tools. Their input comes in pieces, and whole at the end.",
        {"prompt": "How is the weather in Ulm and in Köln?", "tools": [_WEATHER]},
        [
            Chunk(tool_calls=(ToolCallDelta(index=0, id="call_1", name="weather"),)),
            Chunk(tool_calls=(ToolCallDelta(index=0, arguments='{"city":'),)),
            Chunk(tool_calls=(ToolCallDelta(index=0, arguments=' "Ulm"}'),)),
            Chunk(tool_calls=(ToolCallDelta(index=1, id="call_2", name="weather", arguments='{"city": "Köln"}'),)),
            Chunk(finish_reason="tool-calls", raw_finish_reason="tool_calls", usage=_USAGE),
        ],
    ),
    "object": Case(
        "Structured output. Each data-object is in place of the one before; the last one is held against the schema.",
        {"prompt": "A person named Ada, 36 years old.", "schema": _SCHEMA},
        [Chunk(text='{"name": "A'), Chunk(text='da", "age"'), Chunk(text=": 36}"), _STOP],
        operation="stream-object",
    ),
    "failure": Case(
        "The provider breaks off. What came before is incomplete.",
        _TEXT,
        _WORDS[:2],
        events.Error(UpstreamError("The provider closed the connection before its answer was complete.")),
    ),
    "cancelled": Case("The client cancels; what it sent is the last frame of its own.", _TEXT, _WORDS[:2], events.Abort()),
    "resumed": Case(
        "The connection is lost after event 3, and the client comes back on another one.",
        {**_TEXT, "onDisconnect": "finish"},
        [*_WORDS, _STOP],
    ),
}

README = """# Streams to test clients with

Each file is one stream, as it goes over the wire in each encoding:

| key | is |
| --- | --- |
| `description` | what happens |
| `websocket` | [frames](../websocket.md) in order: of the `client`, of the `server`, or `connection` when it is lost |
| `serverSentEvents` | the body of [`stream-text` or `stream-object`](../rest.md#stream-text) |
| `openai` | the body of the [OpenAI-compatible](../openai.md) `chat/completions` with `stream_options.include_usage` |

The `ack` of a frame and the next event of another stream may come in any order; the events of one stream never do.

| file | |
| --- | --- |
"""


def pages() -> Iterator[tuple[str, str]]:
    """Name and text of each file."""
    rows = [f"| [{name}.json]({name}.json) | {case.description} |" for name, case in CASES.items()]
    rows.append("| [refused.json](refused.json) | A frame that is refused begins no stream. |")
    yield "README.md", README + "\n".join(rows) + "\n"
    for name, case in CASES.items():
        yield f"{name}.json", _json(_encoded(name, case))
    yield "refused.json", _json(_refused())


def _encoded(name: str, case: Case) -> dict[str, Any]:
    told = case.told()
    entries = [Entry(seq, encode(event, REQUEST), seq == len(told)) for seq, event in enumerate(told, start=1)]
    return {
        "description": case.description,
        "websocket": list(_frames(name, case, entries)),
        "serverSentEvents": "".join(sse.encode(STREAM, entry).decode() for entry in entries) + sse.DONE.decode(),
        "openai": _openai(case, told),
    }


def _frames(name: str, case: Case, entries: list[Entry]) -> Iterator[dict[str, Any]]:
    yield {"client": {"type": case.operation, "streamId": "a", "request": case.request}}
    yield {"server": _ack(case.operation)}
    for entry in entries:
        if name == "cancelled" and entry.last:
            yield {"client": {"type": "cancel", "streamId": "a"}}
            yield {"server": _ack("cancel")}
        yield {"server": {"streamId": "a", "seq": entry.seq, **json.loads(entry.body)}}
        if name == "resumed" and entry.seq == 3:
            yield {"connection": "lost"}
            yield {"client": {"type": "resume", "streamId": "a", "after": 3}}
            yield {"server": _ack("resume")}


def _ack(kind: str) -> dict[str, Any]:
    return {"type": "ack", "streamId": "a", "for": kind, "requestId": REQUEST}


def _openai(case: Case, told: list[Event]) -> str | None:
    """The chunks; none where OpenAI's API has nothing of the kind."""
    if isinstance(case.ending, events.Abort):
        return None
    is_object = case.operation == "stream-object"
    chunks = Chunks(MODEL, Told(), include_usage=True, is_object=is_object, request_id=REQUEST)
    text = "".join(map(chunks.encode, told))
    text = re.sub(r"chatcmpl-\w+", "chatcmpl-67cc42e996874fcfa49b03c09bfe24a9", text)
    return re.sub(r'"created":\d+', '"created":1767225600', text)


def _refused() -> dict[str, Any]:
    error = StreamNotFound("There is no such stream, or the time to come back to it is over.").envelope(REQUEST)
    return {
        "description": "A frame that is refused begins no stream.",
        "websocket": [
            {"client": {"type": "resume", "streamId": "b", "after": 17}},
            {"server": {"type": "error", "streamId": "b", **error}},
        ],
        "serverSentEvents": None,
        "openai": None,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
