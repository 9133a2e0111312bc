"""The OpenAI API: ``/v1/chat/completions``, ``/v1/embeddings``, ``/v1/models``. Compatible vendors answer the same."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.upstreams import replies
from tests.upstreams.replies import Headers, Reply, json_reply, sse

MODEL = "gpt-4o-2024-11-20"
ID = "chatcmpl-scripted"
HEADERS: Headers = (("x-request-id", "req_scripted"), ("openai-version", "2020-10-01"))
USAGE: Mapping[str, Any] = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0},
}
Usage = Mapping[str, Any] | None


def text(text: str = "Hello there", *, reasoning: str | None = None, finish: str = "stop", usage: Usage = USAGE) -> Reply:
    """A chat completion. ``reasoning`` is ``reasoning_content``, as compatible vendors send it."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    return _completion(message, finish, usage)


def tool_call(name: str, arguments: Any, *, id: str = "call_1", usage: Usage = USAGE) -> Reply:
    """A chat completion that calls one tool. ``arguments`` that are text are sent as they are."""
    call = {"id": id, "type": "function", "function": {"name": name, "arguments": _encoded(arguments)}}
    return _completion({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls", usage)


def stream(*deltas: str, reasoning: Sequence[str] = (), finish: str = "stop", usage: Usage = USAGE) -> Reply:
    """A streamed chat completion."""
    thoughts = [_chunk({"reasoning_content": thought}) for thought in reasoning]
    return _stream([*thoughts, *(_chunk({"content": delta}) for delta in deltas)], finish, usage)


def tool_call_stream(name: str, *arguments: str, id: str = "call_1", usage: Usage = USAGE) -> Reply:
    """A streamed call of one tool; its JSON arguments come in these pieces."""
    opened = {"index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in arguments]
    return _stream([_chunk({"tool_calls": [call]}) for call in (opened, *pieces)], "tool_calls", usage)


def tool_calls(*calls: tuple[str, Any]) -> Reply:
    """A chat completion that says something and calls several tools."""
    listed = [
        {"id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for place, (name, given) in enumerate(calls)
    ]
    return message({"content": "Let me look.", "tool_calls": listed}, "tool_calls")


def tool_calls_stream(*calls: tuple[str, Any]) -> Reply:
    """The same, streamed; the pieces of the calls come by turns."""
    opened = [
        {"index": place, "id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": ""}}
        for place, (name, _) in enumerate(calls)
    ]
    halves = [(json.dumps(given)[:3], json.dumps(given)[3:]) for _, given in calls]
    pieces = [{"index": place, "function": {"arguments": pair[half]}} for half in (0, 1) for place, pair in enumerate(halves)]
    return deltas({"content": "Let me look."}, *({"tool_calls": [call]} for call in (*opened, *pieces)), finish="tool_calls")


def message(message: Mapping[str, Any], finish: Any = "stop", usage: Usage = USAGE) -> Reply:
    """A chat completion with this message."""
    return _completion({"role": "assistant", **message}, finish, usage)


def deltas(*deltas: Mapping[str, Any], finish: str = "stop", usage: Usage = USAGE) -> Reply:
    """A streamed chat completion of these deltas."""
    return _stream([_chunk(delta) for delta in deltas], finish, usage)


def event_of(delta: Mapping[str, Any]) -> bytes:
    """One event of a stream."""
    return _chunk(delta)


def embeddings(*vectors: Sequence[float], tokens: int | None = 5, encoding_format: str = "float") -> Reply:
    form: Callable[[Sequence[float]], Any] = list if encoding_format == "float" else packed
    data = [{"object": "embedding", "index": index, "embedding": form(vector)} for index, vector in enumerate(vectors)]
    body: dict[str, Any] = {"object": "list", "data": data, "model": "text-embedding-3-large"}
    if tokens is not None:
        body["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_reply(body, headers=HEADERS)


def packed(vector: Sequence[float]) -> str:
    """A vector in base64: 32-bit floats, little-endian."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def models(*ids: str) -> Reply:
    data = [{"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "system"} for id in ids]
    return json_reply({"object": "list", "data": data}, headers=HEADERS)


def error(status: int, message: str = "It failed.", *, code: str | None = None, headers: Headers = ()) -> Reply:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return json_reply(_error(message, kind, code), status=status, headers=(*HEADERS, *headers))


def error_with_200(message: str = "It failed.") -> Reply:
    """The error object, although the status says that all is well."""
    return json_reply(_error(message, "server_error", None), headers=HEADERS)


def error_in_stream(*deltas: str, message: str = "It failed.") -> Reply:
    """A stream that turns into an error after these deltas."""
    events = [_chunk({"role": "assistant", "content": ""}), *(_chunk({"content": delta}) for delta in deltas)]
    return replies.stream([*events, sse(_error(message, "server_error", None))], headers=HEADERS)


def _error(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _completion(message: Mapping[str, Any], finish: str, usage: Usage) -> Reply:
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    body = {"id": ID, "object": "chat.completion", "created": 1_700_000_000, "model": MODEL, "choices": [choice]}
    return json_reply(body if usage is None else {**body, "usage": usage}, headers=HEADERS)


def _stream(chunks: Sequence[bytes], finish: str, usage: Usage) -> Reply:
    first = _chunk({"role": "assistant", "content": "", "refusal": None})
    ended = [first, *chunks, _chunk({}, finish)]
    if usage is not None:
        ended.append(_event([], usage))
    return replies.stream([*ended, sse("[DONE]")], headers=HEADERS)


def _chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    return _event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], None)


def _event(choices: list[Any], usage: Usage) -> bytes:
    head = {"id": ID, "object": "chat.completion.chunk", "created": 1_700_000_000, "model": MODEL}
    return sse({**head, "choices": choices, "usage": usage})


def _encoded(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)
