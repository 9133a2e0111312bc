"""What comes back in OpenAI's chat format, which litellm writes too: results, chunks, usage, embeddings."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ai_models import jsontext, vectors
from ai_models.exceptions import UpstreamInvalidResponse
from ai_models.types import (
    Chunk,
    EmbeddingUsage,
    EmbedResult,
    FinishReason,
    InputTokenDetails,
    OutputTokenDetails,
    ResponseInfo,
    TextResult,
    ToolCall,
    ToolCallDelta,
    Usage,
)

FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
}
_LARGEST_COUNT = 10**12
_UNKNOWN_INPUT, _UNKNOWN_OUTPUT = InputTokenDetails(), OutputTokenDetails()


def text_result(payload: Mapping[str, Any]) -> TextResult:
    """A whole chat completion.

    Raises:
        UpstreamInvalidResponse: it has no choice with a message.
    """
    try:
        choice = payload["choices"][0]
        message = choice["message"]
        text = clean(message.get("content") or "")
        reasoning = clean(_reasoning(message))
        pieces = message.get("tool_calls")
        calls = tuple([_tool_call(call) for call in pieces]) if pieces else ()
        raw = _name(choice.get("finish_reason"))
    except (KeyError, IndexError, TypeError, AttributeError):
        raise UpstreamInvalidResponse("The provider's answer is not a chat completion.") from None
    return TextResult(
        text=text,
        reasoning_text=reasoning or None,
        tool_calls=calls,
        finish_reason=FINISH_REASONS.get(raw or "", "other"),
        raw_finish_reason=raw,
        usage=usage(payload.get("usage")),
        response=response_info(payload),
    )


class Calls:
    """The tool calls of one stream: which piece belongs to which, also where the endpoint numbers them badly or not at all.

    Attributes:
        response: what the stream's last chunk told about the response; most chunks say the same.
    """

    def __init__(self) -> None:
        self._ours: dict[object, int] = {}
        self._ids: dict[int, str] = {}
        self._begun = 0
        self.response = ResponseInfo()

    def index(self, call: Mapping[str, Any], name: str | None) -> int:
        """The number of the call that a piece belongs to. A piece with a name begins one, unless number or id say otherwise."""
        told, identity = call.get("index"), _name(call.get("id"))
        ours = self._ours.get(told)
        if ours is None or (name and (told is None if not identity else self._ids.get(ours, identity) != identity)):
            ours = self._ours[told] = self._begun
            self._begun += 1
        if identity:
            self._ids.setdefault(ours, identity)
        return ours


def chunk(payload: Mapping[str, Any], calls: Calls) -> Chunk:
    """One chunk of a streamed chat completion.

    Args:
        calls: of this stream.

    Raises:
        UpstreamInvalidResponse: it does not have the format of a chunk.
    """
    try:
        choice: Mapping[str, Any] = (payload.get("choices") or ({},))[0]
        delta = choice.get("delta") or {}
        text, reasoning, pieces = delta.get("content"), _reasoning(delta), delta.get("tool_calls")
        raw = _name(choice.get("finish_reason"))
        reported = payload.get("usage")
        told = calls.response
        if payload.get("id") != told.id or payload.get("model") != told.model:
            told = calls.response = response_info(payload)
        return Chunk(
            text=clean(text) if text else "",
            reasoning=clean(reasoning) if reasoning else "",
            tool_calls=tuple([_tool_delta(call, calls) for call in pieces]) if pieces else (),
            finish_reason=FINISH_REASONS.get(raw, "other") if raw else None,
            raw_finish_reason=raw,
            usage=usage(reported) if reported else None,
            response=told,
        )
    except (KeyError, IndexError, TypeError, AttributeError):
        raise UpstreamInvalidResponse("The provider's stream has a chunk that is not a chat completion chunk.") from None


def embeddings(payload: Mapping[str, Any], expected: int) -> EmbedResult:
    """A list of embeddings, put in the order of the inputs.

    Raises:
        UpstreamInvalidResponse: a vector is missing, or neither a list of numbers nor one in base64.
    """
    try:
        found: dict[int, Sequence[float]] = {}
        for position, item in enumerate(payload["data"]):
            found[item.get("index", position)] = _vector(item["embedding"])
        ordered = [found[index] for index in range(expected)]
        if not all(vector and jsontext.are_finite(vector) for vector in ordered):
            raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        raise UpstreamInvalidResponse("The provider's answer is not a list of embeddings.") from None
    reported = payload.get("usage")
    tokens = count(reported.get("prompt_tokens")) if isinstance(reported, Mapping) else None
    return EmbedResult(embeddings=ordered, usage=EmbeddingUsage(tokens=tokens), response=response_info(payload))


def _vector(sent: Any) -> list[float]:
    return vectors.unpacked(sent) if isinstance(sent, str) else list(map(float, sent))


def usage(reported: object) -> Usage:
    """Token counts; what is missing or no sensible number is unknown."""
    if not isinstance(reported, dict):
        return Usage()
    input_tokens, output_tokens = count(reported.get("prompt_tokens")), count(reported.get("completion_tokens"))
    prompt, completion = _UNKNOWN_INPUT, _UNKNOWN_OUTPUT
    if isinstance(details := reported.get("prompt_tokens_details"), dict):
        read, written = count(details.get("cached_tokens")), count(details.get("cache_creation_tokens"))
        prompt = InputTokenDetails(no_cache=_rest(input_tokens, read, written), cache_read=read, cache_write=written)
    if isinstance(details := reported.get("completion_tokens_details"), dict):
        reasoned = count(details.get("reasoning_tokens"))
        completion = OutputTokenDetails(text=_rest(output_tokens, reasoned), reasoning=reasoned)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=count(reported.get("total_tokens")),
        input_token_details=prompt,
        output_token_details=completion,
    )


def count(value: object) -> int | None:
    """A token count, ``None`` for what cannot be one."""
    return value if type(value) is int and 0 <= value <= _LARGEST_COUNT else None


def clean(text: object) -> str:
    """Text that can be encoded and stored: lone surrogates and NUL become U+FFFD.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(text, str):
        raise TypeError("not a text")
    return jsontext.clean(text)


def tool_call(identity: str, name: str, arguments: str) -> ToolCall:
    """A complete tool call; arguments that are not JSON are passed on as text."""
    try:
        return ToolCall(tool_call_id=identity, tool_name=name, input=jsontext.loads(arguments or "{}"))
    except ValueError:
        return ToolCall(tool_call_id=identity, tool_name=name, input=arguments, invalid=True)


def response_info(payload: Mapping[str, Any]) -> ResponseInfo:
    """The provider's id and model name, where they are texts."""
    return ResponseInfo(id=_name(payload.get("id")), model=_name(payload.get("model")))


def _name(value: object) -> str | None:
    """A name in an answer, where it is one."""
    return clean(value) if isinstance(value, str) else None


def _rest(total: int | None, *parts: int | None) -> int | None:
    if total is None or all(part is None for part in parts):
        return None
    rest = total - sum(part or 0 for part in parts)
    return rest if rest >= 0 else None


def _reasoning(message: Mapping[str, Any]) -> Any:
    return message.get("reasoning_content") or message.get("reasoning") or ""


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    function = call["function"]
    identity = _name(call.get("id")) or f"call_{uuid.uuid4().hex}"
    return tool_call(identity, clean(function["name"]), _arguments(function))


def _tool_delta(call: Mapping[str, Any], calls: Calls) -> ToolCallDelta:
    function = call.get("function") or {}
    name = _name(function.get("name"))
    return ToolCallDelta(index=calls.index(call, name), id=_name(call.get("id")), name=name, arguments=_arguments(function))


def _arguments(function: Mapping[str, Any]) -> str:
    """A call's arguments as JSON; some endpoints send the object itself."""
    given = function.get("arguments") or ""
    return clean(json.dumps(given) if isinstance(given, dict) else given)
