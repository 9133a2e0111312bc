"""From OpenAI's chat format, which runtimes can turn their conversations into, to the service's words."""

from __future__ import annotations

import json
import logging
import mimetypes
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from ai_models import jsontext
from ai_models.exceptions import InvalidRequest
from ai_models.types import (
    FilePart,
    Message,
    NamedTool,
    Part,
    ReasoningPart,
    TextPart,
    TextResult,
    Tool,
    ToolCall,
    ToolCallPart,
    ToolResultPart,
    Warning,
)

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)")
_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


class Once:
    """Logs each sentence once, for what a runtime has no place for in its results."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said: set[str] = set()

    def say(self, sentence: str) -> None:
        """Log a warning, unless it was logged before."""
        if sentence not in self._said:
            self._said.add(sentence)
            self._logger.warning("%s", sentence)

    def warn(self, warnings: Iterable[Warning]) -> None:
        """Log what the service did otherwise than it was asked to."""
        for warning in warnings:
            self.say(f"{warning.setting}: {warning.message}" if warning.setting else warning.message)


def messages(turns: Iterable[Mapping[str, Any]]) -> list[Message]:
    """The conversation.

    Args:
        turns: messages of OpenAI's chat format, https://platform.openai.com/docs/api-reference/chat/create.

    Raises:
        InvalidRequest: a message holds something that no model is sent.
    """
    names: dict[str, str] = {}
    return [_message(turn, names) for turn in turns]


def tools(declared: Iterable[Mapping[str, Any]]) -> list[Tool]:
    """Tools, from OpenAI's ``{"type": "function", "function": {...}}``.

    Raises:
        InvalidRequest: one is not a function; the provider would have to run it.
    """
    return [_tool(tool) for tool in declared]


def tool_choice(choice: Any) -> str | NamedTool:
    """Whether tools are called: from OpenAI's words, a tool's name, or ``{"type": "function", "function": {"name": ...}}``."""
    if isinstance(choice, Mapping):
        return NamedTool(type="tool", tool_name=choice.get("function", choice).get("name"))
    if isinstance(choice, bool):
        choice = "required" if choice else "none"
    return _CHOICES.get(choice) or NamedTool(type="tool", tool_name=choice)


def effort(level: str) -> str:
    """How much a model may think; the service has no word above ``high``."""
    return "high" if level in {"xhigh", "max"} else level


def arguments(call: ToolCall) -> str:
    """A tool call's arguments as the text they were."""
    return call.input if call.invalid else json.dumps(call.input, ensure_ascii=False)


def thinking_block(text: str, wanted_back: Mapping[str, Any]) -> dict[str, Any]:
    """Reasoning that its vendor wants back in the next turn, as LiteLLM adds it to the format.

    What is wanted back differs by family, so all of it stands where the format has Anthropic's signature.
    https://docs.litellm.ai/docs/reasoning_content

    Args:
        wanted_back: the ``provider_metadata`` of the reasoning.
    """
    return {"type": "thinking", "thinking": text, "signature": json.dumps(wanted_back)}


def thinking_blocks(result: TextResult) -> list[dict[str, Any]]:
    """The reasoning of an answer that its vendor wants back in the next turn."""
    return [
        thinking_block(part.text, part.provider_metadata)
        for part in result.content
        if part.type == "reasoning" and part.provider_metadata is not None
    ]


def file(address: str, media_type: str | None = None, name: str | None = None) -> FilePart:
    """A file of a message, from a ``data:`` URL or from the address of one that the provider fetches."""
    inline = _DATA_URL.match(address)
    if inline:
        media_type = inline[1]
    elif media_type == "image/*":
        guessed = mimetypes.guess_type(urlsplit(address).path)[0] or ""
        media_type = guessed if guessed.startswith("image/") else media_type
    given = {
        "data" if inline else "url": address,
        "media_type": media_type,
        "filename": name,
    }
    return cast(FilePart, {"type": "file", **{key: value for key, value in given.items() if value}})


def _message(turn: Mapping[str, Any], names: dict[str, str]) -> Message:
    role, content = turn["role"], turn.get("content")
    if role == "assistant":
        calls = [_call(call) for call in turn.get("tool_calls") or ()]
        names.update((call["tool_call_id"], call["tool_name"]) for call in calls)
        said = _texts(turn.get("refusal") if content is None else _without_thoughts(content))
        thoughts = [*_thoughts(turn.get("thinking_blocks") or ())]
        if not thoughts and turn.get("reasoning_content"):
            thoughts = [ReasoningPart(type="reasoning", text=turn["reasoning_content"])]
        return Message(role="assistant", content=[*thoughts, *said, *calls])
    if role == "tool":
        identity = turn["tool_call_id"]
        text = "\n".join(part["text"] for part in _texts(content))
        name = names.get(identity) or turn.get("name") or ""
        result = ToolResultPart(type="tool-result", tool_call_id=identity, tool_name=name, output=text)
        return Message(role="tool", content=[result])
    if role == "user":
        return Message(role="user", content=content if isinstance(content, str) else [_part(part) for part in content or ()])
    if role in {"system", "developer"}:
        return Message(role="system", content=content if isinstance(content, str) else [*_texts(content)])
    raise InvalidRequest(f"messages: there is no role {role}")


def _thoughts(blocks: Iterable[Mapping[str, Any]]) -> Iterator[ReasoningPart]:
    """What :func:`thinking_block` made. What came another way has a vendor's signature, and no family could tell whose."""
    for block in blocks:
        try:
            wanted_back = jsontext.loads(block.get("signature") or "")
        except ValueError:
            continue
        if isinstance(wanted_back, dict):
            yield ReasoningPart(type="reasoning", text=block.get("thinking") or "", provider_metadata=wanted_back)


def _without_thoughts(content: Any) -> Any:
    return content if isinstance(content, str) else [part for part in content if part.get("type") not in _THOUGHTS]


def _texts(content: Any) -> list[TextPart]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    for part in content or ():
        if part.get("type") not in {"text", "refusal"}:
            raise InvalidRequest(f"messages: content of type {part.get('type')} belongs into messages of the user")
    return [TextPart(type="text", text=part[part["type"]]) for part in content or ()]


def _part(part: Mapping[str, Any]) -> Part:
    kind = part.get("type")
    if kind == "text":
        return TextPart(type="text", text=part["text"])
    if kind == "image_url":
        image = part["image_url"]
        return file(image if isinstance(image, str) else image["url"], "image/*")
    if kind == "input_audio":
        audio = part["input_audio"]
        return file(f"data:audio/{audio['format']};base64,{audio['data']}")
    if kind == "file" and "file_data" in part.get("file", ()):
        return file(part["file"]["file_data"], name=part["file"].get("filename"))
    raise InvalidRequest(f"messages: content of type {kind} cannot be sent to a model; send text, or files as data")


def _call(call: Mapping[str, Any]) -> ToolCallPart:
    function = call["function"]
    try:
        given = jsontext.loads(function["arguments"] or "{}")
    except ValueError:
        given = function["arguments"]
    return ToolCallPart(type="tool-call", tool_call_id=call["id"], tool_name=function["name"], input=given)


def _tool(tool: Mapping[str, Any]) -> Tool:
    if tool.get("type") != "function":
        raise InvalidRequest(f"tools: {tool.get('type')} is no function; tools that a provider runs are not available")
    function = tool["function"]
    declared = Tool(name=function["name"], input_schema=function.get("parameters") or {"type": "object", "properties": {}})
    if function.get("description"):
        declared["description"] = function["description"]
    return declared
