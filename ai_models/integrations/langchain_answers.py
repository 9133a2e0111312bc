"""What answers of the service are in LangChain's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from ai_models import events
from ai_models.events import Event
from ai_models.exceptions import NoObjectGenerated
from ai_models.integrations import chat
from ai_models.serialization import to_json
from ai_models.types import TextResult, ToolCall, Usage


def result(answer: TextResult) -> ChatResult:
    """An answer as LangChain's result."""
    message = AIMessage(
        content=answer.text,
        additional_kwargs=_reasoning(answer) | _wanted_back(answer),
        tool_calls=[
            tool_call(name=call.tool_name, args=call.input, id=call.tool_call_id) for call in answer.tool_calls if _usable(call)
        ],
        invalid_tool_calls=[
            invalid_tool_call(name=call.tool_name, args=chat.arguments(call), id=call.tool_call_id, error="not a JSON object")
            for call in answer.tool_calls
            if not _usable(call)
        ],
        usage_metadata=_usage(answer.usage),
        response_metadata=_metadata(answer),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def rejected(error: NoObjectGenerated, lenient: bool) -> ChatResult:
    """The answer that breaks its schema, where the caller asked for raw answers too."""
    if not lenient:
        raise error
    return ChatResult(generations=[ChatGeneration(message=AIMessage(content=error.text or ""))])


class Chunks:
    """From the events of one stream to LangChain's chunks.

    Args:
        lenient: an object that breaks its schema is left to the parser.
    """

    def __init__(self, lenient: bool) -> None:
        self._lenient = lenient
        self._positions: dict[str, int] = {}

    def of(self, event: Event) -> Iterator[ChatGenerationChunk]:
        """What an event is; nothing for most of them."""
        message = self._message(event)
        if message is not None:
            yield ChatGenerationChunk(message=message)

    def _message(self, event: Event) -> AIMessageChunk | None:
        match event:
            case events.TextDelta(delta=delta):
                return AIMessageChunk(content=delta)
            case events.ReasoningDelta(delta=delta):
                return AIMessageChunk(content="", additional_kwargs={"reasoning_content": delta})
            case events.ToolInputStart(tool_call_id=identity, tool_name=name):
                position = self._positions.setdefault(identity, len(self._positions))
                piece = tool_call_chunk(name=name, args="", id=identity, index=position)
                return AIMessageChunk(content="", tool_call_chunks=[piece])
            case events.ToolInputDelta(tool_call_id=identity, input_text_delta=delta):
                piece = tool_call_chunk(args=delta, index=self._positions[identity])
                return AIMessageChunk(content="", tool_call_chunks=[piece])
            case events.Finish(result=result):
                told = {"usage_metadata": _usage(result.usage), "response_metadata": _metadata(result)}
                return AIMessageChunk(content="", additional_kwargs=_wanted_back(result), chunk_position="last", **told)
            case events.Error(error=error):
                if not (self._lenient and isinstance(error, NoObjectGenerated)):
                    raise error
        return None


def _reasoning(result: TextResult) -> dict[str, Any]:
    return {"reasoning_content": result.reasoning_text} if result.reasoning_text else {}


def _wanted_back(result: TextResult) -> dict[str, Any]:
    """What is kept of an answer for the next turn."""
    blocks = chat.thinking_blocks(result)
    return {"thinking_blocks": blocks} if blocks else {}


def _usable(call: ToolCall) -> bool:
    return isinstance(call.input, dict) and not call.invalid


def _metadata(result: TextResult) -> dict[str, Any]:
    return {
        "finish_reason": result.finish_reason,
        "model_name": result.response.model or result.model,
        "id": result.response.id,
        "provider": result.provider,
        "warnings": to_json(result.warnings),
    }


def _usage(usage: Usage) -> UsageMetadata | None:
    """Token counts; ``None`` where the provider did not tell them, as LangChain has no word for a single unknown one."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    read = {"cache_read": usage.input_token_details.cache_read, "cache_creation": usage.input_token_details.cache_write}
    written = {"reasoning": usage.output_token_details.reasoning}
    return UsageMetadata(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens or usage.input_tokens + usage.output_tokens,
        input_token_details=cast(InputTokenDetails, _known(read)),
        output_token_details=cast(OutputTokenDetails, _known(written)),
    )


def _known(counts: Mapping[str, int | None]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count is not None}
