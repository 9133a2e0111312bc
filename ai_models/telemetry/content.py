"""Prompts and answers in spans, for those who opt in: JSON by the schemas of OpenTelemetry's conventions.

Bytes are never told, only what kind of file they were.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ai_models.assembly import Assembler
from ai_models.types import Chunk, ReasoningContent, TextContent, TextResult, ToolCall


def of_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes with what the caller wrote."""
    found: dict[str, Any] = {}
    asked = request.get("prompt") or request.get("text")
    if messages := request.get("messages") or ([{"role": "user", "content": asked}] if asked else None):
        found["gen_ai.input.messages"] = json.dumps([_message(message) for message in messages])
    if system := request.get("system"):
        found["gen_ai.system_instructions"] = json.dumps([_text(system)])
    if stops := request.get("stop_sequences"):
        found["gen_ai.request.stop_sequences"] = list(stops)
    return found


class Answer:
    """What the model wrote."""

    def __init__(self) -> None:
        self._assembler = Assembler(TextResult())
        self._result: Any = None

    def take_result(self, result: Any) -> None:
        """The result of a call, of whatever type."""
        self._result = result

    def take_chunk(self, chunk: Chunk) -> None:
        """A chunk of a stream."""
        list(self._assembler.feed(chunk))  # it learns while its events are taken

    def attributes(self, finish_reason: str | None) -> dict[str, Any]:
        """Attributes with it; none when the model wrote nothing."""
        result = self._result or self._assembler.result()
        parts = list(_written(result))
        if not parts:
            return {}
        message = {"role": "assistant", "parts": parts, "finish_reason": finish_reason or "stop"}
        return {"gen_ai.output.messages": json.dumps([message])}


def _written(result: Any) -> Iterator[dict[str, Any]]:
    if isinstance(result, TextResult):
        for part in result.content:
            match part:
                case TextContent(text=text):
                    yield _text(text)
                case ReasoningContent(text=text):
                    yield {"type": "reasoning", "content": text}
                case ToolCall():
                    yield {"type": "tool_call", "id": part.tool_call_id, "name": part.tool_name, "arguments": part.input}
    elif spoken := getattr(result, "text", None):
        yield _text(spoken)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message["content"]
    parts: Iterable[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {"role": message["role"], "parts": [_part(part) for part in parts]}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    match part["type"]:
        case "text":
            return _text(part["text"])
        case "reasoning":
            return {"type": "reasoning", "content": part["text"]}
        case "tool-call":
            return {"type": "tool_call", "id": part["tool_call_id"], "name": part["tool_name"], "arguments": part["input"]}
        case "tool-result":
            return {"type": "tool_call_response", "id": part["tool_call_id"], "response": part["output"]}
    return {"type": "file", "mime_type": part.get("media_type")}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}
