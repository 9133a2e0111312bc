"""The Gemini API: ``models/MODEL:generateContent``, ``:streamGenerateContent?alt=sse``, ``:batchEmbedContents``, ``models``;
``:predict`` of Imagen; ``:predictLongRunning`` of Veo and its operations."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.upstreams import replies
from tests.upstreams.replies import Headers, Reply, json_reply, sse

MODEL = "gemini-2.5-flash"
ID = "scripted-response"
USAGE: Mapping[str, Any] = {
    "promptTokenCount": 20,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 3,
    "cachedContentTokenCount": 8,
    "totalTokenCount": 27,
}
ERROR_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
Usage = Mapping[str, Any] | None


def text(text: str = "Hello there", *, reasoning: str | None = None, finish: str = "STOP", usage: Usage = USAGE) -> Reply:
    thoughts = [] if reasoning is None else [{"text": reasoning, "thought": True}]
    return json_reply(_response([*thoughts, {"text": text}], finish, usage))


def tool_call(name: str, arguments: Any, *, id: str = "call_1", usage: Usage = USAGE) -> Reply:
    """An answer that calls one tool. ``arguments`` that are text are decoded: here they never travel as text."""
    decoded = json.loads(arguments) if isinstance(arguments, str) else arguments
    return json_reply(_response([_function_call(id, name, decoded)], "STOP", usage))


def stream(*deltas: str, reasoning: Sequence[str] = (), finish: str = "STOP", usage: Usage = USAGE) -> Reply:
    """A streamed answer. The last event carries the finish reason, as the API sends it; there is no ``[DONE]``."""
    parts: list[dict[str, Any]] = [
        *({"text": thought, "thought": True} for thought in reasoning),
        *({"text": delta} for delta in deltas),
    ]
    return _stream(parts, finish, usage)


def tool_call_stream(name: str, *arguments: str, id: str = "call_1", usage: Usage = USAGE) -> Reply:
    """A streamed call of one tool; the API sends its arguments whole."""
    return _stream([_function_call(id, name, json.loads("".join(arguments)))], "STOP", usage)


def tool_calls(*calls: tuple[str, Any]) -> Reply:
    """An answer that says something and calls several tools."""
    return json_reply(_response(_calling(calls), "STOP", USAGE))


def tool_calls_stream(*calls: tuple[str, Any]) -> Reply:
    """The same, streamed."""
    return _stream(_calling(calls), "STOP", USAGE)


def _calling(calls: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"text": "Let me look."},
        *(_function_call(f"call_{place}", name, given) for place, (name, given) in enumerate(calls)),
    ]


def embeddings(*vectors: Sequence[float], tokens: int | None = None) -> Reply:
    """The answer to ``batchEmbedContents``. Only newer models tell their tokens."""
    body: dict[str, Any] = {"embeddings": [{"values": list(vector)} for vector in vectors]}
    if tokens is not None:
        body["usageMetadata"] = {"promptTokenCount": tokens, "totalTokenCount": tokens}
    return json_reply(body)


def embedding(vector: Sequence[float]) -> Reply:
    """The answer to ``embedContent``."""
    return json_reply({"embedding": {"values": list(vector)}})


def predictions(*images: bytes, withheld: int = 0) -> Reply:
    """Imagen's images, and the reasons of those that it withheld."""
    made = [{"mimeType": "image/png", "bytesBase64Encoded": _base64(image)} for image in images]
    return json_reply({"predictions": [*made, *[{"raiFilteredReason": "It shows people."}] * withheld]})


def file(data: bytes | str, media_type: str, *, thought: bool = False) -> dict[str, Any]:
    """A part that is a file; text is sent as it is in place of base64."""
    encoded = data if isinstance(data, str) else _base64(data)
    return {"inlineData": {"mimeType": media_type, "data": encoded}, **({"thought": True} if thought else {})}


def content(*parts: Mapping[str, Any], finish: str = "STOP", usage: Usage = USAGE) -> Reply:
    """An answer of these parts."""
    return json_reply(_response(parts, finish, usage))


def content_stream(*parts: Mapping[str, Any], finish: str = "STOP", usage: Usage = USAGE) -> Reply:
    """A streamed answer of these parts, each in an event of its own."""
    return _stream(parts, finish, usage)


def started(name: Any) -> Reply:
    """A video is under way."""
    return json_reply({"name": name})


def filmed(name: str, *urls: str, **more: Any) -> Reply:
    """Work on videos that is done."""
    answer = {"generatedSamples": [{"video": {"uri": url}} for url in urls], **more}
    made = {"@type": "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"}
    return json_reply({"name": name, "done": True, "response": {**made, "generateVideoResponse": answer}})


def failed(name: str, message: str, code: int = 13) -> Reply:
    """Work that failed; the codes are those of gRPC."""
    return json_reply({"name": name, "done": True, "error": {"code": code, "message": message}})


def models(*ids: str, token: str | None = None) -> Reply:
    """A page of models; the token is that of the next one."""
    methods = ["generateContent", "countTokens"]
    body = {"models": [{"name": f"models/{id}", "supportedGenerationMethods": methods} for id in ids]}
    return json_reply(body if token is None else {**body, "nextPageToken": token})


def error(status: int, message: str = "It failed.", *, code: str | None = None, headers: Headers = ()) -> Reply:
    return json_reply(_error(status, message, code), status=status, headers=headers)


def error_with_200(message: str = "It failed.") -> Reply:
    """The error object, although the status says that all is well."""
    return json_reply(_error(500, message, None))


def error_in_stream(*deltas: str, message: str = "It failed.") -> Reply:
    """A stream that turns into an error after these deltas."""
    events = [_event(_response([{"text": delta}], None, None)) for delta in deltas]
    return replies.stream([*events, _event(_error(503, message, None))])


def _error(status: int, message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": code or ERROR_STATUSES.get(status, "UNKNOWN")}}


def _stream(parts: Sequence[Mapping[str, Any]], finish: str, usage: Usage) -> Reply:
    last = len(parts) - 1
    responses = [_response([part], finish if index == last else None, usage) for index, part in enumerate(parts)]
    return replies.stream([_event(response) for response in responses])


def _response(parts: Sequence[Mapping[str, Any]], finish: str | None, usage: Usage) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    body: dict[str, Any] = {"candidates": [candidate], "modelVersion": MODEL, "responseId": ID}
    return body if usage is None else {**body, "usageMetadata": usage}


def _function_call(id: str, name: str, arguments: Any) -> dict[str, Any]:
    return {"functionCall": {"id": id, "name": name, "args": arguments}}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _event(data: Mapping[str, Any]) -> bytes:
    return sse(data, newline="\r\n")
