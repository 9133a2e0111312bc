"""Between a chat completion and the service: the request, and the whole answer. Its pieces are :mod:`.chunks`.

https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from ai_models.capabilities import Capability
from ai_models.correlation import new_id
from ai_models.encoding import dump_bytes, dumps
from ai_models.exceptions import InvalidRequest
from ai_models.integrations import chat
from ai_models.openai_api.errors import Told
from ai_models.openai_api.fields import Asked, ask
from ai_models.openai_api.requests import AUTO, ChatRequest
from ai_models.types import FinishReason, ObjectResult, TextResult, Usage, Warning

FENCE = "```"
"""What some models put around JSON."""

_FINISH_REASONS: Mapping[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "content-filter": "content_filter",
    "tool-calls": "tool_calls",
}
_ANY_OBJECT = {"type": "object"}
_NO_WORD = Warning(type="other", message="The model stopped for a reason that finish_reason has no word for.")
_LESS_THOUGHT = Warning(type="compatibility", setting="reasoning", message="The most that can be asked for is high.")


def asked(body: ChatRequest) -> tuple[Capability, Asked, tuple[Warning, ...]]:
    """What a chat completion asks for: text, or an object of a schema.

    Raises:
        InvalidRequest: two fields contradict each other, or a message holds what no model is sent.
    """
    if "max_tokens" in body and "max_completion_tokens" in body:
        raise InvalidRequest("max_tokens: it is the older name of max_completion_tokens; send one of them")
    found = ask(ChatRequest, body)
    found.left_out.update(_not_passed_on(body))
    effort = body.get("reasoning_effort")
    warnings = (_LESS_THOUGHT,) if effort is not None and effort != chat.effort(effort) else ()
    wanted = body.get("response_format")
    if wanted is None or wanted["type"] == "text":
        return Capability.TEXT_GENERATION, found, warnings
    if wanted["type"] == "json_object":
        found.fields["schema"] = _ANY_OBJECT
    else:
        declared = wanted["json_schema"]
        found.fields |= {"schema": declared["schema"], "schema_name": declared["name"]}
        if "description" in declared:
            found.fields["schema_description"] = declared["description"]
    found.names |= dict.fromkeys(("schema", "schema_name", "schema_description"), "response_format")
    return Capability.STRUCTURED_OUTPUT, found, warnings


def completion(model: str, result: TextResult, told: Told) -> bytes:
    """The answer as JSON.

    Args:
        model: as the caller named it.
    """
    message: dict[str, Any] = {"role": "assistant", "content": _content(result), "refusal": None}
    if result.reasoning_text:
        message["reasoning_content"] = result.reasoning_text
    if blocks := chat.thinking_blocks(result):
        message["thinking_blocks"] = blocks
    if result.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.tool_call_id,
                "type": "function",
                "function": {"name": call.tool_name, "arguments": chat.arguments(call)},
            }
            for call in result.tool_calls
        ]
    reason, more = finish_reason(result)
    answer: dict[str, Any] = {
        **head("chat.completion", model),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": usage(result.usage),
    }
    if warnings := told.about(result, *more):
        answer["warnings"] = warnings
    return dump_bytes(answer)


def head(kind: str, model: str) -> dict[str, Any]:
    """What an answer, and each chunk of one, begins with."""
    return {"id": f"chatcmpl-{new_id()}", "object": kind, "created": int(time.time()), "model": model}


def finish_reason(result: TextResult) -> tuple[str, tuple[Warning, ...]]:
    """Why the model stopped, and a warning where OpenAI has no word for that."""
    if (reason := _FINISH_REASONS.get(result.finish_reason)) is not None:
        return reason, ()
    return "tool_calls" if result.tool_calls else "stop", (_NO_WORD,)


def usage(reported: Usage) -> dict[str, Any] | None:
    """Token counts; an unknown one is ``None``, and so is the whole when all are unknown."""
    totals = {
        "prompt_tokens": reported.input_tokens,
        "completion_tokens": reported.output_tokens,
        "total_tokens": reported.total_tokens,
    }
    if all(figure is None for figure in totals.values()):
        return None
    read, written = reported.input_token_details.cache_read, reported.input_token_details.cache_write
    details = {
        "prompt_tokens_details": _known(cached_tokens=read, cache_write_tokens=written),
        "completion_tokens_details": _known(reasoning_tokens=reported.output_token_details.reasoning),
    }
    return {**totals, **{name: figures for name, figures in details.items() if figures}}


def object_text(result: ObjectResult) -> str:
    """An object's JSON, as the model wrote it, without what stands around it."""
    return dumps(result.object) if result.text.lstrip().startswith(FENCE) else result.text


def _content(result: TextResult) -> str | None:
    if isinstance(result, ObjectResult) and not result.tool_calls:
        return object_text(result)
    return result.text or (None if result.tool_calls else "")


def _known(**figures: int | None) -> dict[str, int]:
    return {name: figure for name, figure in figures.items() if figure is not None}


def _not_passed_on(body: ChatRequest) -> Iterable[str]:
    """What stands in messages and tools, would change the answer, and has no word in the service."""
    if "tools" in body and any(tool["function"].get("strict") for tool in body["tools"]):
        yield "tools.function.strict"
    for message in body["messages"]:
        if "name" in message and message["role"] != "tool":
            yield "messages.name"
        content = message.get("content")
        if isinstance(content, list) and any(map(_is_detailed, content)):
            yield "messages.content.image_url.detail"


def _is_detailed(part: Mapping[str, Any]) -> bool:
    return part["type"] == "image_url" and part["image_url"].get("detail", "auto") not in AUTO
