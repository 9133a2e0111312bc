"""What pydantic-ai's messages and tools are in the service's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic_ai.messages import (
    BinaryContent,
    CachePoint,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models._tool_choice import resolve_tool_choice
from pydantic_ai.settings import ModelSettings

from ai_models.exceptions import InvalidRequest
from ai_models.integrations import chat
from ai_models.types import Message, Part, ReasoningPart, TextResult, Tool

_KEPT = "ai_models"


def conversation(history: Iterable[ModelMessage]) -> list[Message]:
    """The conversation, without the instructions.

    Raises:
        InvalidRequest: a message holds something that no model is sent.
    """
    return [message for turn in history for message in (_asked(turn) if isinstance(turn, ModelRequest) else _answered(turn))]


def answer(result: TextResult) -> Iterator[ModelResponsePart]:
    """The parts of an answer, in their order."""
    for part in result.content:
        if part.type == "tool-call":
            yield ToolCallPart(tool_name=part.tool_name, args=chat.arguments(part), tool_call_id=part.tool_call_id)
        elif part.type == "reasoning":
            wanted_back = None if part.provider_metadata is None else kept(part.provider_metadata)
            origin = result.provider if wanted_back else None
            yield ThinkingPart(content=part.text, provider_name=origin, provider_details=wanted_back)
        elif part.text:
            yield TextPart(content=part.text)


def kept(wanted_back: Mapping[str, Any]) -> dict[str, Any]:
    """What a vendor wants back with its reasoning, as ``provider_details``; pydantic-ai's own models keep theirs there too."""
    return {_KEPT: dict(wanted_back)}


def tools(settings: ModelSettings, parameters: ModelRequestParameters) -> dict[str, Any]:
    """The tools of a request, and whether they are called."""
    declared = parameters.declared_tool_defs
    choice: Any = resolve_tool_choice(settings, parameters)
    if isinstance(choice, tuple):
        choice, names = choice
        declared = {name: tool for name, tool in declared.items() if name in names}
        if choice == "required" and len(declared) == 1:
            choice = chat.tool_choice(next(iter(declared)))
    if not declared:
        return {}
    found = [
        Tool(name=tool.name, description=tool.description or "", input_schema=tool.parameters_json_schema)
        for tool in declared.values()
    ]
    return {"tools": found, "tool_choice": None if choice == "auto" else choice}


def _asked(request: ModelRequest) -> Iterator[Message]:
    files: list[UserContent] = []
    for part in request.parts:
        if isinstance(part, ToolReturnPart):
            output, more = part.model_response_str_and_user_content()
            files += more
            result: Part = {
                "type": "tool-result", "tool_call_id": part.tool_call_id, "tool_name": part.tool_name, "output": output
            }  # fmt: skip
            yield Message(role="tool", content=[result])
        else:
            yield _told(part)
    if files:
        yield Message(role="user", content=[_content(item) for item in files if not isinstance(item, CachePoint)])


def _told(part: ModelRequestPart) -> Message:
    if isinstance(part, SystemPromptPart):
        return Message(role="system", content=part.content)
    if not isinstance(part, UserPromptPart):
        raise InvalidRequest(f"messages: {type(part).__name__} cannot be sent to a model")
    if isinstance(part.content, str):
        return Message(role="user", content=part.content)
    return Message(role="user", content=[_content(item) for item in part.content if not isinstance(item, CachePoint)])


def _content(item: UserContent) -> Part:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if isinstance(item, TextContent):
        return {"type": "text", "text": item.content}
    if isinstance(item, BinaryContent):
        return {"type": "file", "media_type": item.media_type, "data": item.data}
    if isinstance(item, ImageUrl):
        return chat.file(item.url, "image/*")
    raise InvalidRequest(f"messages: {type(item).__name__} cannot be sent to a model; send the file's data")


def _answered(response: ModelResponse) -> Iterator[Message]:
    parts: list[Part] = []
    for part in response.parts:
        if isinstance(part, TextPart):
            parts.append({"type": "text", "text": part.content})
        elif isinstance(part, ThinkingPart):
            thoughts = ReasoningPart(type="reasoning", text=part.content)
            if wanted_back := (part.provider_details or {}).get(_KEPT):
                thoughts["provider_metadata"] = wanted_back
            parts.append(thoughts)
        elif isinstance(part, ToolCallPart):
            parts.append(
                {
                    "type": "tool-call",
                    "tool_call_id": part.tool_call_id,
                    "tool_name": part.tool_name,
                    "input": part.args_as_dict(),
                }
            )
    if parts:
        yield Message(role="assistant", content=parts)
