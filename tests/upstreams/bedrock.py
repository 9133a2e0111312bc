"""The Bedrock runtime: ``/model/MODEL/converse``, ``/converse-stream``, ``/invoke`` for Titan embeddings; the model list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.upstreams import eventstream, replies
from tests.upstreams.eventstream import event
from tests.upstreams.replies import Headers, Reply, json_reply

MODEL = "anthropic.claude-3-5-sonnet-20240620-v1:0"
HEADERS: Headers = (("x-amzn-RequestId", "00000000-0000-4000-8000-000000000000"),)
USAGE: Mapping[str, Any] = {
    "inputTokens": 10,
    "outputTokens": 7,
    "totalTokens": 27,
    "cacheReadInputTokens": 8,
    "cacheWriteInputTokens": 2,
}
ERROR_TYPES = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    409: "ConflictException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
Usage = Mapping[str, Any] | None


def text(text: str = "Hello there", *, reasoning: str | None = None, finish: str = "end_turn", usage: Usage = USAGE) -> Reply:
    thoughts = [] if reasoning is None else [{"reasoningContent": {"reasoningText": {"text": reasoning, "signature": "c2ln"}}}]
    return _converse([*thoughts, {"text": text}], finish, usage)


def tool_call(name: str, arguments: Any, *, id: str = "tooluse_1", usage: Usage = USAGE) -> Reply:
    """An answer that calls one tool. ``arguments`` that are text are decoded: here they never travel as text."""
    decoded = json.loads(arguments) if isinstance(arguments, str) else arguments
    return _converse([{"toolUse": {"toolUseId": id, "name": name, "input": decoded}}], "tool_use", usage)


def stream(*deltas: str, reasoning: Sequence[str] = (), finish: str = "end_turn", usage: Usage = USAGE) -> Reply:
    blocks = [[{"reasoningContent": {"text": thought}} for thought in reasoning]] if reasoning else []
    return _stream([*blocks, [{"text": delta} for delta in deltas]], finish, usage)


def tool_call_stream(name: str, *arguments: str, id: str = "tooluse_1", usage: Usage = USAGE) -> Reply:
    """A streamed call of one tool; its JSON arguments come in these pieces."""
    opened = {"toolUse": {"toolUseId": id, "name": name}}
    return _stream([[{"toolUse": {"input": part}} for part in arguments]], "tool_use", usage, start=opened)


def embeddings(*vectors: Sequence[float], tokens: int | None = 5) -> Reply:
    """Titan takes one text at a time, so there is one vector."""
    (vector,) = vectors
    body: dict[str, Any] = {"embedding": list(vector), "embeddingsByType": {"float": list(vector)}}
    return json_reply(body if tokens is None else {**body, "inputTextTokenCount": tokens}, headers=HEADERS)


def models(*ids: str) -> Reply:
    """The control plane's ``/foundation-models``."""
    return json_reply({"modelSummaries": [{"modelId": id, "modelName": id} for id in ids]}, headers=HEADERS)


def error(status: int, message: str = "It failed.", *, code: str | None = None, headers: Headers = ()) -> Reply:
    kind = code or ERROR_TYPES.get(status, "InternalServerException")
    named = ("x-amzn-ErrorType", f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/")
    return json_reply({"message": message}, status=status, headers=(*HEADERS, named, *headers))


def error_with_200(message: str = "It failed.") -> Reply:
    """An error body, although the status says that all is well."""
    return json_reply({"message": message, "__type": "InternalServerException"}, headers=HEADERS)


def error_in_stream(*deltas: str, message: str = "It failed.") -> Reply:
    """A stream that ends with an exception message after these deltas."""
    begun = [event("messageStart", {"role": "assistant"}), *_deltas(0, [{"text": delta} for delta in deltas])]
    return _frames([*begun, eventstream.exception("modelStreamErrorException", message)])


def _converse(content: Sequence[Mapping[str, Any]], finish: str, usage: Usage) -> Reply:
    body: dict[str, Any] = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": finish}
    body["metrics"] = {"latencyMs": 12}
    return json_reply(body if usage is None else {**body, "usage": usage}, headers=HEADERS)


def _stream(
    blocks: Sequence[Sequence[Mapping[str, Any]]], finish: str, usage: Usage, start: Mapping[str, Any] | None = None
) -> Reply:
    # The service announces the start of a block only for tools.
    frames = [event("messageStart", {"role": "assistant"})]
    if start is not None:
        frames.append(event("contentBlockStart", {"contentBlockIndex": 0, "start": start}))
    for index, deltas in enumerate(blocks):
        frames += [*_deltas(index, deltas), event("contentBlockStop", {"contentBlockIndex": index})]
    frames.append(event("messageStop", {"stopReason": finish}))
    if usage is not None:
        frames.append(event("metadata", {"usage": usage, "metrics": {"latencyMs": 12}}))
    return _frames(frames)


def _deltas(index: int, deltas: Sequence[Mapping[str, Any]]) -> list[bytes]:
    return [event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}) for delta in deltas]


def _frames(frames: Sequence[bytes]) -> Reply:
    return replies.stream(frames, eventstream.CONTENT_TYPE, HEADERS)
