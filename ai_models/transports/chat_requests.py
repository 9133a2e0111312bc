"""What goes out in OpenAI's chat format, which litellm reads too: settings, tools and turns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ai_models.exceptions import InvalidRequest, UnsupportedFunctionality
from ai_models.transports.encoded import base64_text

if TYPE_CHECKING:
    from ai_models.types import FilePart, Message, ObjectRequest, Part, TextRequest, Tool

# Where a setting has another name in OpenAI's format.
_WIRE_NAMES = {"max_output_tokens": "max_tokens", "stop_sequences": "stop", "reasoning": "reasoning_effort"}
_PLAIN_SETTINGS = (
    "max_output_tokens", "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty",
    "stop_sequences", "seed", "reasoning",
)  # fmt: skip

# https://platform.openai.com/docs/guides/audio#add-audio-to-your-existing-application
_SOUNDS = {"audio/wav": "wav", "audio/mpeg": "mp3"}

Own = Callable[["Part"], Mapping[str, Any] | None]
"""What stands in a turn for a part of type ``file`` or ``reasoning``, ``None`` when the part is left out; and for the input of
a tool call, ``None`` when that stands for itself."""


def wire_name(setting: str) -> str:
    """A setting's name in OpenAI's format."""
    return _WIRE_NAMES.get(setting, setting)


def settings(request: TextRequest) -> dict[str, Any]:
    """The request's settings by their wire names; messages are not among them."""
    wire: dict[str, Any] = {wire_name(name): request[name] for name in _PLAIN_SETTINGS if name in request}  # type: ignore[literal-required]
    if "tools" in request:
        wire["tools"] = [_tool(tool) for tool in request["tools"]]
    if "tool_choice" in request:
        choice = request["tool_choice"]
        wire["tool_choice"] = (
            choice if isinstance(choice, str) else {"type": "function", "function": {"name": choice["tool_name"]}}
        )
    return wire


def response_format(request: ObjectRequest) -> dict[str, Any]:
    """Ask for JSON that satisfies the request's schema."""
    declared: dict[str, Any] = {
        "name": request.get("schema_name", "response"),
        "schema": request["schema"],
        "strict": is_strict(request["schema"]),
    }
    if "schema_description" in request:
        declared["description"] = request["schema_description"]
    return {"type": "json_schema", "json_schema": declared}


def is_strict(schema: object) -> bool:
    """Whether OpenAI's strict mode takes the schema: every object closed, and every property required.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    if isinstance(schema, list):
        return all(is_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties")
        if schema.get("additionalProperties") is not False or not isinstance(properties, dict):
            return False
        if set(schema.get("required", ())) != set(properties):
            return False
    return all(is_strict(value) for value in schema.values())


def own_part(part: Part) -> Mapping[str, Any] | None:
    """A file in OpenAI's format; reasoning has no place there.

    https://platform.openai.com/docs/api-reference/chat/create#chat_create-messages

    Raises:
        UnsupportedFunctionality: the format has no place for such a file.
    """
    if part["type"] != "file":
        return None
    kind = media_type(part)
    if kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": part["url"] if "url" in part else _data_url(kind, part)}}
    if "data" in part and kind in _SOUNDS:
        return {"type": "input_audio", "input_audio": {"data": encoded(part), "format": _SOUNDS[kind]}}
    if "data" in part and kind == "application/pdf":
        return {"type": "file", "file": {"filename": part.get("filename", "file.pdf"), "file_data": _data_url(kind, part)}}
    raise UnsupportedFunctionality(
        f"messages: a file is {kind}{' by url' if 'url' in part else ''}. "
        "OpenAI's protocol takes images by data or url, and PDF, WAV and MP3 files by data."
    )


def messages(request: TextRequest, own: Own = own_part) -> list[dict[str, Any]]:
    """The conversation in OpenAI's format, but for the parts that are ``own``'s.

    Raises:
        InvalidRequest: a part stands in a message of the wrong role, or a file by url has no media type.
        UnsupportedFunctionality: there is no place for a file.
    """
    turns: list[dict[str, Any]] = []
    if "system" in request:
        turns.append({"role": "system", "content": request["system"]})
    if "prompt" in request:
        turns.append({"role": "user", "content": request["prompt"]})
    for message in request.get("messages", ()):
        turns.extend(_turns(message, own))
    return turns


def media_type(part: FilePart) -> str:
    """What a file is.

    Raises:
        InvalidRequest: it is given by url, and nobody says what it is; nobody here looks.
    """
    if "media_type" not in part:
        raise InvalidRequest("messages: a file given by url needs its media_type")
    return part["media_type"]


def encoded(part: FilePart) -> str:
    """A file's bytes in base64."""
    return base64_text(part["data"])


def _data_url(kind: str, part: FilePart) -> str:
    return f"data:{kind};base64,{encoded(part)}"


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool["name"], "parameters": tool.get("input_schema", {"type": "object", "properties": {}})}
    if "description" in tool:
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _turns(message: Message, own: Own) -> list[dict[str, Any]]:
    role, body = message["role"], message["content"]
    if isinstance(body, str):
        return [{"role": role, "content": body}]
    if role == "tool":
        return [_tool_result(part) for part in body]
    if role == "assistant":
        return [_assistant(body, own)]
    if role == "system":
        return [{"role": role, "content": "".join(_text(part) for part in body)}]
    return [{"role": role, "content": [_user_part(part, own) for part in body]}]


def _assistant(parts: Sequence[Part], own: Own) -> dict[str, Any]:
    """One turn. Calls have a place of their own in it, after everything else."""
    texts: list[str] = []
    content: list[Mapping[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for part in parts:
        if part["type"] == "tool-call":
            function = {"name": part["tool_name"], "arguments": json.dumps(own(part) or part["input"])}
            calls.append({"id": part["tool_call_id"], "type": "function", "function": function})
        elif part["type"] == "text" and part["text"]:
            texts.append(part["text"])
            content.append({"type": "text", "text": part["text"]})
        elif part["type"] == "reasoning" and (item := own(part)):
            content.append(item)
        elif part["type"] not in {"text", "reasoning"}:
            raise InvalidRequest("messages: an assistant message holds parts of type text, reasoning and tool-call only")
    # Not every endpoint takes a list from an assistant.
    plain = len(content) == len(texts)
    turn: dict[str, Any] = {"role": "assistant", "content": ("".join(texts) or None) if plain else content}
    return {**turn, "tool_calls": calls} if calls else turn


def _tool_result(part: Part) -> dict[str, Any]:
    if part["type"] != "tool-result":
        raise InvalidRequest("messages: a message of role tool holds parts of type tool-result only")
    output = part["output"]
    return {
        "role": "tool",
        "tool_call_id": part["tool_call_id"],
        "content": output if isinstance(output, str) else json.dumps(output),
    }


def _text(part: Part) -> str:
    if part["type"] != "text":
        raise InvalidRequest("messages: a system message holds parts of type text only")
    return part["text"]


def _user_part(part: Part, own: Own) -> Mapping[str, Any]:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    if part["type"] == "file" and (item := own(part)):
        return item
    raise InvalidRequest("messages: a user message holds parts of type text and file only")
