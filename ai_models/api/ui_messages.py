"""What the AI SDK's ``useChat`` and ``useCompletion`` hooks send, turned into an ordinary text request.

A UI message is ``{"id", "role", "parts": [...]}``. Its parts carry what a page shows; only what a model reads is taken over.
Everything here is JSON data with JSON names, before validation.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_to_bytes

from ai_models.events import Event, Finish, FinishStep, Start, StartStep
from ai_models.exceptions import InvalidRequest
from ai_models.resumption import Source

Json = dict[str, Any]

TRANSPORT_FIELDS = frozenset({"id", "trigger", "messageId"})
"""What the hooks add for their own bookkeeping."""

_DISPLAY_PARTS = ("data-", "source-")
_FINISHED_TOOL_STATES = frozenset({"output-available", "output-error", "output-denied"})


def told(stream: Source, body: Mapping[str, Any]) -> Source:
    """The stream as the sender of this body expects it: a chat counts steps, and an answer may continue its last message."""
    messages = body.get("messages")
    if "trigger" not in body or not isinstance(messages, list):
        return stream
    last = messages[-1] if messages and isinstance(messages[-1], dict) else {}
    continued = last.get("id") if last.get("role") == "assistant" else None
    return _ChatStream(stream, continued if isinstance(continued, str) else None)


class _ChatStream:
    """A stream with the marks of a step, and with the id of the message that it continues.

    Without the marks, the AI SDK takes tool calls that were answered for open ones, and asks again and again.
    """

    def __init__(self, stream: Source, continued: str | None) -> None:
        self._stream = stream
        self._continued = continued

    @property
    def events(self) -> AsyncGenerator[Event]:
        return self._run()

    async def aclose(self) -> None:
        """End the stream."""
        await self._stream.aclose()

    async def _run(self) -> AsyncGenerator[Event]:
        async with aclosing(self._stream.events) as read:
            async for event in read:
                match event:
                    case Start():
                        yield replace(event, message_id=self._continued or event.message_id)
                        yield StartStep()
                    case Finish():
                        yield FinishStep()
                        yield event
                    case _:
                        yield event


def to_request(body: Mapping[str, Any]) -> Json:
    """The request without the hooks' own fields and with UI messages as messages.

    Raises:
        InvalidRequest: names the part that cannot be understood.
    """
    request = {name: value for name, value in body.items() if name not in TRANSPORT_FIELDS}
    messages = request.get("messages")
    if isinstance(messages, list):
        request["messages"] = [
            turned for index, message in enumerate(messages) for turned in _turn(message, f"messages.{index}")
        ]
    return request


def _turn(message: Any, path: str) -> Iterator[Any]:
    if not isinstance(message, dict) or "parts" not in message:
        yield message
        return
    parts = message["parts"]
    if not isinstance(parts, list) or not all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in parts):
        raise InvalidRequest(f"{path}.parts: must be a list of objects with a type")
    for step in _steps(parts):
        content = [turned for index, part in step if (turned := _part(part, f"{path}.parts.{index}"))]
        results = [_tool_result(part) for _, part in step if part.get("state") in _FINISHED_TOOL_STATES and _is_tool(part)]
        if message.get("role") == "system":
            yield {"role": "system", "content": "".join(part.get("text", "") for part in content)}
        elif content:
            yield {"role": message.get("role"), "content": content}
        if results:
            yield {"role": "tool", "content": results}


def _steps(parts: list[Json]) -> Iterator[list[tuple[int, Json]]]:
    """The parts between ``step-start`` marks: tool results of one step stand before the text of the next."""
    step: list[tuple[int, Json]] = []
    for index, part in enumerate(parts):
        if part["type"] == "step-start":
            yield step
            step = []
        else:
            step.append((index, part))
    yield step


def _part(part: Json, path: str) -> Json | None:
    """The part as the model reads it; ``None`` for one that only the page shows."""
    kind = part["type"]
    if kind == "text":
        return {"type": kind, "text": part.get("text")}
    if kind == "reasoning":
        metadata = {"providerMetadata": part["providerMetadata"]} if part.get("providerMetadata") else {}
        return {"type": kind, "text": part.get("text"), **metadata}
    if kind == "file":
        return _file(part, path)
    if _is_tool(part):
        return None if part.get("state") == "input-streaming" else _tool_call(part)
    if kind.startswith(_DISPLAY_PARTS):
        return None
    raise InvalidRequest(f"{path}.type: this kind of part does not exist")


def _file(part: Json, path: str) -> Json:
    url = part.get("url")
    if not isinstance(url, str):
        raise InvalidRequest(f"{path}.url: must be a string")
    file = {"type": "file", "mediaType": part.get("mediaType")}
    if isinstance(part.get("filename"), str):
        file["filename"] = part["filename"]
    if not url.startswith("data:"):
        return {**file, "url": url}
    head, comma, payload = url.partition(",")
    if not comma:
        raise InvalidRequest(f"{path}.url: is not a valid data URL")
    if head.endswith(";base64"):
        return {**file, "data": payload}
    return {**file, "data": base64.b64encode(unquote_to_bytes(payload)).decode()}


def _is_tool(part: Json) -> bool:
    kind: str = part["type"]
    return kind == "dynamic-tool" or kind.startswith("tool-")


def _tool_name(part: Json) -> Any:
    return part.get("toolName") if part["type"] == "dynamic-tool" else part["type"].removeprefix("tool-")


def _tool_call(part: Json) -> Json:
    return {"type": "tool-call", "toolCallId": part.get("toolCallId"), "toolName": _tool_name(part), "input": part.get("input")}


def _tool_result(part: Json) -> Json:
    match part["state"]:
        case "output-available":
            output = part.get("output")
        case "output-error":
            output = {"error": part.get("errorText")}
        case _:
            output = {"error": "The user did not allow this tool call."}
    return {"type": "tool-result", "toolCallId": part.get("toolCallId"), "toolName": _tool_name(part), "output": output}
