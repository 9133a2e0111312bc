"""What answers of the service are in OpenAI's chat format, of which the Agents SDK makes its own items and events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, cast

from agents import Usage as AgentsUsage
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessage
from openai.types.completion_usage import CompletionTokensDetails, CompletionUsage, PromptTokensDetails

from ai_models import events
from ai_models.integrations import chat
from ai_models.streams import TextStream
from ai_models.types import TextResult, Usage

_FINISH_REASONS = {"length": "length", "content-filter": "content_filter", "tool-calls": "tool_calls"}
_WITHHELD = "Response withheld by the provider's content filter."


def message(result: TextResult, text: str) -> ChatCompletionMessage:
    """An answer as a message.

    Args:
        text: what it says; of an object, its JSON.
    """
    withheld = result.finish_reason == "content-filter" and not text and not result.tool_calls
    calls = [
        {"id": call.tool_call_id, "type": "function", "function": {"name": call.tool_name, "arguments": chat.arguments(call)}}
        for call in result.tool_calls
    ]
    return ChatCompletionMessage.model_validate(
        {
            "role": "assistant",
            "content": text or None,
            "refusal": _WITHHELD if withheld else None,
            "tool_calls": calls or None,
            "reasoning_content": result.reasoning_text or "",
            "thinking_blocks": chat.thinking_blocks(result),
        }
    )


async def chunks(stream: TextStream) -> AsyncGenerator[ChatCompletionChunk]:
    """The stream as chunks of a chat completion, which the SDK makes its own events of."""
    positions: dict[str, int] = {}
    thoughts: dict[str, str] = {}
    async with aclosing(stream.events) as found:
        async for event in found:
            match event:
                case events.TextDelta(delta=delta):
                    yield _chunk({"content": delta})
                case events.ReasoningEnd(id=identity, provider_metadata=wanted_back) if wanted_back is not None:
                    yield _chunk({"thinking_blocks": [chat.thinking_block(thoughts.get(identity, ""), wanted_back)]})
                case events.ReasoningDelta(id=identity, delta=delta):
                    thoughts[identity] = thoughts.get(identity, "") + delta
                    yield _chunk({"reasoning_content": delta})
                case events.ToolInputStart(tool_call_id=identity, tool_name=name):
                    index = positions.setdefault(identity, len(positions))
                    function = {"name": name, "arguments": ""}
                    yield _chunk({"tool_calls": [{"index": index, "id": identity, "type": "function", "function": function}]})
                case events.ToolInputDelta(tool_call_id=identity, input_text_delta=delta):
                    yield _chunk({"tool_calls": [{"index": positions[identity], "function": {"arguments": delta}}]})
                case events.Finish(result=result):
                    yield _chunk({}, _FINISH_REASONS.get(result.finish_reason, "stop"), _usage(result.usage))
                case events.Error(error=error):
                    raise error


def _chunk(delta: Mapping[str, Any], finish: str | None = None, usage: CompletionUsage | None = None) -> ChatCompletionChunk:
    return ChatCompletionChunk.model_validate(
        {
            "id": "",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
            "usage": usage,
        }
    )


def spent(reported: Usage) -> AgentsUsage:
    """What one request cost, in the SDK's words, which have 0 for an unknown figure."""
    counts = _usage(reported)
    if counts is None:
        return AgentsUsage(requests=1)
    return AgentsUsage(
        requests=1,
        input_tokens=counts.prompt_tokens,
        output_tokens=counts.completion_tokens,
        total_tokens=counts.total_tokens,
        # The SDK turns these into its own.
        input_tokens_details=cast(Any, counts.prompt_tokens_details),
        output_tokens_details=cast(Any, counts.completion_tokens_details),
    )


def _usage(reported: Usage) -> CompletionUsage | None:
    """Token counts; ``None`` where the provider did not tell them."""
    if reported.input_tokens is None or reported.output_tokens is None:
        return None
    read = reported.input_token_details
    return CompletionUsage(
        prompt_tokens=reported.input_tokens,
        completion_tokens=reported.output_tokens,
        total_tokens=reported.total_tokens or reported.input_tokens + reported.output_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=read.cache_read, cache_write_tokens=read.cache_write),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=reported.output_token_details.reasoning),
    )
