"""The Bedrock runtime: ``/model/MODEL/converse``, ``/converse-stream``, ``/invoke`` of embeddings and images; its models."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
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
    signed = {"reasoningContent": {"signature": "c2ln"}}
    blocks = [[*({"reasoningContent": {"text": thought}} for thought in reasoning), signed]] if reasoning else []
    return _stream([*blocks, [{"text": delta} for delta in deltas]], finish, usage)


def tool_call_stream(name: str, *arguments: str, id: str = "tooluse_1", usage: Usage = USAGE) -> Reply:
    """A streamed call of one tool; its JSON arguments come in these pieces."""
    opened = {"toolUse": {"toolUseId": id, "name": name}}
    return _stream([[{"toolUse": {"input": part}} for part in arguments]], "tool_use", usage, starts={0: opened})


def tool_calls(*calls: tuple[str, Any]) -> Reply:
    """An answer that says something and calls several tools."""
    uses = [
        {"toolUse": {"toolUseId": f"tooluse_{place}", "name": name, "input": given}}
        for place, (name, given) in enumerate(calls)
    ]
    return content({"text": "Let me look."}, *uses, finish="tool_use")


def tool_calls_stream(*calls: tuple[str, Any]) -> Reply:
    """The same, streamed."""
    starts = {place + 1: {"toolUse": {"toolUseId": f"tooluse_{place}", "name": name}} for place, (name, _) in enumerate(calls)}
    blocks = [[{"toolUse": {"input": piece}} for piece in _halves(json.dumps(given))] for _, given in calls]
    return _stream([[{"text": "Let me look."}], *blocks], "tool_use", USAGE, starts=starts)


def content(*blocks: Mapping[str, Any], finish: str = "end_turn") -> Reply:
    """An answer of these blocks."""
    return _converse(blocks, finish, USAGE)


def content_stream(*blocks: Sequence[Mapping[str, Any]], finish: str = "end_turn") -> Reply:
    """A streamed answer of blocks without an announced start, each of these deltas."""
    return _stream(blocks, finish, USAGE)


def embeddings(*vectors: Sequence[float], tokens: int | None = 5) -> Reply:
    """Titan takes one text at a time, so there is one vector."""
    (vector,) = vectors
    body: dict[str, Any] = {"embedding": list(vector), "embeddingsByType": {"float": list(vector)}}
    return json_reply(body if tokens is None else {**body, "inputTextTokenCount": tokens}, headers=HEADERS)


def cohere_embeddings(*vectors: Sequence[float]) -> Reply:
    """Cohere takes many texts at a time."""
    body = {"id": "1", "embeddings": [list(vector) for vector in vectors], "response_type": "embeddings_floats"}
    return json_reply(body, headers=HEADERS)


def images(*images: bytes, **more: Any) -> Reply:
    """The images of Titan, Nova Canvas, and Stability's models."""
    return json_reply({"images": [base64.b64encode(image).decode() for image in images], **more}, headers=HEADERS)


def models(*ids: str) -> Reply:
    """The control plane's ``/foundation-models``."""
    return json_reply({"modelSummaries": [{"modelId": id, "modelName": id} for id in ids]}, headers=HEADERS)


def async_invokes() -> Reply:
    """The runtime's ``/async-invoke``: nothing was invoked in this way."""
    return json_reply({"asyncInvokeSummaries": []}, headers=HEADERS)


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
    blocks: Sequence[Sequence[Mapping[str, Any]]],
    finish: str,
    usage: Usage,
    starts: Mapping[int, Mapping[str, Any]] = MappingProxyType({}),
) -> Reply:
    # The service announces the start of a block only for tools.
    frames = [event("messageStart", {"role": "assistant"})]
    for index, deltas in enumerate(blocks):
        if index in starts:
            frames.append(event("contentBlockStart", {"contentBlockIndex": index, "start": starts[index]}))
        frames += [*_deltas(index, deltas), event("contentBlockStop", {"contentBlockIndex": index})]
    frames.append(event("messageStop", {"stopReason": finish}))
    if usage is not None:
        frames.append(event("metadata", {"usage": usage, "metrics": {"latencyMs": 12}}))
    return _frames(frames)


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _deltas(index: int, deltas: Sequence[Mapping[str, Any]]) -> list[bytes]:
    return [event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}) for delta in deltas]


def _frames(frames: Sequence[bytes]) -> Reply:
    return replies.stream(frames, eventstream.CONTENT_TYPE, HEADERS)
