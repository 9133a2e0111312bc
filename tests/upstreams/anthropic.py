"""The Anthropic API: ``/v1/messages``, ``/v1/models``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.upstreams import replies
from tests.upstreams.replies import Headers, Reply, json_reply, sse

MODEL = "claude-sonnet-4-5-20250929"
ID = "msg_scripted"
HEADERS: Headers = (("request-id", "req_scripted"),)
USAGE: Mapping[str, Any] = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 8,
    "output_tokens": 7,
}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
Usage = Mapping[str, Any] | None


def text(text: str = "Hello there", *, reasoning: str | None = None, finish: str = "end_turn", usage: Usage = USAGE) -> Reply:
    thoughts = [] if reasoning is None else [{"type": "thinking", "thinking": reasoning, "signature": "c2lnbmVk"}]
    return _message([*thoughts, {"type": "text", "text": text}], finish, usage)


def tool_call(name: str, arguments: Any, *, id: str = "toolu_1", usage: Usage = USAGE) -> Reply:
    """A message that calls one tool. ``arguments`` that are text are decoded: here they never travel as text."""
    decoded = json.loads(arguments) if isinstance(arguments, str) else arguments
    return _message([{"type": "tool_use", "id": id, "name": name, "input": decoded}], "tool_use", usage)


def stream(*deltas: str, reasoning: Sequence[str] = (), finish: str = "end_turn", usage: Usage = USAGE) -> Reply:
    """A streamed message, with a ping near its start as the API sends one."""
    blocks = []
    if reasoning:
        thoughts = [{"type": "thinking_delta", "thinking": thought} for thought in reasoning]
        signed = {"type": "signature_delta", "signature": "c2lnbmVk"}
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signed]))
    blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": delta} for delta in deltas]))
    return _stream(blocks, finish, usage)


def tool_call_stream(name: str, *arguments: str, id: str = "toolu_1", usage: Usage = USAGE) -> Reply:
    """A streamed call of one tool; its JSON arguments come in these pieces."""
    opened = {"type": "tool_use", "id": id, "name": name, "input": {}}
    return _stream([(opened, [{"type": "input_json_delta", "partial_json": part} for part in arguments])], "tool_use", usage)


def tool_calls(*calls: tuple[str, Any]) -> Reply:
    """A message that says something and calls several tools."""
    uses = [
        {"type": "tool_use", "id": f"toolu_{place}", "name": name, "input": given} for place, (name, given) in enumerate(calls)
    ]
    return content({"type": "text", "text": "Let me look."}, *uses, finish="tool_use")


def tool_calls_stream(*calls: tuple[str, Any]) -> Reply:
    """The same, streamed."""
    text = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Let me look."}])
    uses = [
        (
            {"type": "tool_use", "id": f"toolu_{place}", "name": name, "input": {}},
            [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *_halves(json.dumps(given)))],
        )
        for place, (name, given) in enumerate(calls)
    ]
    return _stream([text, *uses], "tool_use", USAGE)


def content(*blocks: Mapping[str, Any], finish: str = "end_turn") -> Reply:
    """A message of these blocks."""
    return _message(blocks, finish, USAGE)


def content_stream(*blocks: tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]], finish: str = "end_turn") -> Reply:
    """A streamed message of these blocks, each with its deltas."""
    return _stream(blocks, finish, USAGE)


def models(*ids: str, more: bool = False) -> Reply:
    data = [{"type": "model", "id": id, "display_name": id, "created_at": "2025-09-29T00:00:00Z"} for id in ids]
    return json_reply({"data": data, "has_more": more, "first_id": ids[0], "last_id": ids[-1]}, headers=HEADERS)


def error(status: int, message: str = "It failed.", *, code: str | None = None, headers: Headers = ()) -> Reply:
    return json_reply(
        _error(message, code or ERROR_TYPES.get(status, "api_error")), status=status, headers=(*HEADERS, *headers)
    )


def error_with_200(message: str = "It failed.") -> Reply:
    """The error object, although the status says that all is well."""
    return json_reply(_error(message, "api_error"), headers=HEADERS)


def error_in_stream(*deltas: str, message: str = "It failed.") -> Reply:
    """A stream that turns into an error after these deltas."""
    begun = [
        _started(USAGE),
        *_block(0, {"type": "text", "text": ""}, [{"type": "text_delta", "text": delta} for delta in deltas]),
    ]
    return replies.stream([*begun[:-1], _event(_error(message, "overloaded_error"))], headers=HEADERS)


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _error(message: str, type: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_scripted"}


def _message(content: Sequence[Mapping[str, Any]], finish: str, usage: Usage) -> Reply:
    body: dict[str, Any] = {"id": ID, "type": "message", "role": "assistant", "model": MODEL, "content": content}
    body |= {"stop_reason": finish, "stop_sequence": None}
    return json_reply(body if usage is None else {**body, "usage": usage}, headers=HEADERS)


def _stream(blocks: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]], finish: str, usage: Usage) -> Reply:
    pieces = [_started(usage), _event({"type": "ping"})]
    for index, (block, deltas) in enumerate(blocks):
        pieces += _block(index, block, deltas)
    ended: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": finish, "stop_sequence": None}}
    if usage is not None:
        ended["usage"] = {key: usage[key] for key in ("output_tokens",) if key in usage}
    return replies.stream([*pieces, _event(ended), _event({"type": "message_stop"})], headers=HEADERS)


def _started(usage: Usage) -> bytes:
    message: dict[str, Any] = {"id": ID, "type": "message", "role": "assistant", "model": MODEL, "content": []}
    message |= {"stop_reason": None, "stop_sequence": None}
    if usage is not None:
        message["usage"] = {**usage, "output_tokens": 1}
    return _event({"type": "message_start", "message": message})


def _block(index: int, block: Mapping[str, Any], deltas: Sequence[Mapping[str, Any]]) -> list[bytes]:
    opened = _event({"type": "content_block_start", "index": index, "content_block": block})
    middle = [_event({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas]
    return [opened, *middle, _event({"type": "content_block_stop", "index": index})]


def _event(data: Mapping[str, Any]) -> bytes:
    return sse(data, event=data["type"])
