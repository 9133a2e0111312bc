"""Between our types and OpenAI's chat format, which litellm speaks too. No input or output happens here."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ai_models import jsontext
from ai_models.exceptions import InvalidRequest, UpstreamInvalidResponse
from ai_models.types import (
    Chunk,
    EmbeddingUsage,
    EmbedResult,
    FinishReason,
    InputTokenDetails,
    Message,
    ObjectRequest,
    OutputTokenDetails,
    Part,
    ResponseInfo,
    TextRequest,
    TextResult,
    Tool,
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

# Where a setting has another name in OpenAI's format.
_WIRE_NAMES = {"max_output_tokens": "max_tokens", "stop_sequences": "stop", "reasoning": "reasoning_effort"}
_PLAIN_SETTINGS = (
    "max_output_tokens", "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty",
    "stop_sequences", "seed", "reasoning",
)  # fmt: skip
_LARGEST_COUNT = 10**12


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


def messages(request: TextRequest) -> list[dict[str, Any]]:
    """The conversation in OpenAI's format.

    Raises:
        InvalidRequest: a part stands in a message of the wrong role, or a file has neither bytes nor URL.
    """
    turns: list[dict[str, Any]] = []
    if "system" in request:
        turns.append({"role": "system", "content": request["system"]})
    if "prompt" in request:
        turns.append({"role": "user", "content": request["prompt"]})
    for message in request.get("messages", ()):
        turns.extend(_turns(message))
    return turns


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
        calls = tuple(_tool_call(call) for call in message.get("tool_calls") or ())
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


def chunk(payload: Mapping[str, Any]) -> Chunk:
    """One chunk of a streamed chat completion.

    Raises:
        UpstreamInvalidResponse: it does not have the format of a chunk.
    """
    try:
        choice: Mapping[str, Any] = (payload.get("choices") or ({},))[0]
        delta = choice.get("delta") or {}
        raw = _name(choice.get("finish_reason"))
        reported = payload.get("usage")
        return Chunk(
            text=clean(delta.get("content") or ""),
            reasoning=clean(_reasoning(delta)),
            tool_calls=tuple(_tool_delta(position, call) for position, call in enumerate(delta.get("tool_calls") or ())),
            finish_reason=FINISH_REASONS.get(raw, "other") if raw else None,
            raw_finish_reason=raw,
            usage=usage(reported) if reported else None,
            response=response_info(payload),
        )
    except (KeyError, IndexError, TypeError, AttributeError):
        raise UpstreamInvalidResponse("The provider's stream has a chunk that is not a chat completion chunk.") from None


def embeddings(payload: Mapping[str, Any], expected: int) -> EmbedResult:
    """A list of embeddings, put in the order of the inputs.

    Raises:
        UpstreamInvalidResponse: a vector is missing or is no list of numbers.
    """
    try:
        vectors: dict[int, Sequence[float]] = {}
        for position, item in enumerate(payload["data"]):
            vectors[item.get("index", position)] = [float(number) for number in item["embedding"]]
        ordered = [vectors[index] for index in range(expected)]
        if not all(vector and all(map(math.isfinite, vector)) for vector in ordered):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UpstreamInvalidResponse("The provider's answer is not a list of embeddings.") from None
    reported = payload.get("usage")
    tokens = count(reported.get("prompt_tokens")) if isinstance(reported, Mapping) else None
    return EmbedResult(embeddings=ordered, usage=EmbeddingUsage(tokens=tokens), response=response_info(payload))


def usage(reported: object) -> Usage:
    """Token counts; what is missing or no sensible number is unknown."""
    if not isinstance(reported, Mapping):
        return Usage()
    prompt = reported.get("prompt_tokens_details")
    completion = reported.get("completion_tokens_details")
    input_tokens, output_tokens = count(reported.get("prompt_tokens")), count(reported.get("completion_tokens"))
    read = count(prompt.get("cached_tokens")) if isinstance(prompt, Mapping) else None
    written = count(prompt.get("cache_creation_tokens")) if isinstance(prompt, Mapping) else None
    reasoned = count(completion.get("reasoning_tokens")) if isinstance(completion, Mapping) else None
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=count(reported.get("total_tokens")),
        input_token_details=InputTokenDetails(
            no_cache=_rest(input_tokens, read, written), cache_read=read, cache_write=written
        ),
        output_token_details=OutputTokenDetails(text=_rest(output_tokens, reasoned), reasoning=reasoned),
    )


def count(value: object) -> int | None:
    """A token count, ``None`` for what cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_COUNT else None


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


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool["name"], "parameters": tool.get("input_schema", {"type": "object", "properties": {}})}
    if "description" in tool:
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    function = call["function"]
    return tool_call(_name(call.get("id")) or "", clean(function["name"]), clean(function.get("arguments") or ""))


def _tool_delta(position: int, call: Mapping[str, Any]) -> ToolCallDelta:
    function = call.get("function") or {}
    index = call.get("index")
    return ToolCallDelta(
        index=index if isinstance(index, int) else position,
        id=_name(call.get("id")),
        name=_name(function.get("name")),
        arguments=clean(function.get("arguments") or ""),
    )


def _turns(message: Message) -> list[dict[str, Any]]:
    role, body = message["role"], message["content"]
    if isinstance(body, str):
        return [{"role": role, "content": body}]
    if role == "tool":
        return [_tool_result(part) for part in body]
    if role == "assistant":
        return [_assistant(body)]
    if role == "system":
        return [{"role": role, "content": "".join(_text(part) for part in body)}]
    return [{"role": role, "content": [_user_part(part) for part in body]}]


def _assistant(parts: Sequence[Part]) -> dict[str, Any]:
    if any(part["type"] not in {"text", "reasoning", "tool-call"} for part in parts):
        raise InvalidRequest("messages: an assistant message holds parts of type text, reasoning and tool-call only")
    turn: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(_text(part) for part in parts if part["type"] == "text") or None,
    }
    calls = [
        {
            "id": part["tool_call_id"],
            "type": "function",
            "function": {"name": part["tool_name"], "arguments": json.dumps(part["input"])},
        }
        for part in parts
        if part["type"] == "tool-call"
    ]
    if calls:
        turn["tool_calls"] = calls
    return turn


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


def _user_part(part: Part) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    if part["type"] != "file":
        raise InvalidRequest("messages: a user message holds parts of type text and file only")
    if ("data" in part) == ("url" in part):
        raise InvalidRequest("messages: a file part has exactly one of data and url")
    media_type = part.get("media_type", "application/octet-stream")
    address = part["url"] if "url" in part else f"data:{media_type};base64,{_base64(part['data'])}"
    if media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": address}}
    if "url" in part:
        raise InvalidRequest("messages: only images can be given by url; send the file's data")
    return {"type": "file", "file": {"filename": part.get("filename", "file"), "file_data": address}}


def _base64(data: bytes | str) -> str:
    if isinstance(data, bytes):
        return base64.b64encode(data).decode()
    try:
        base64.b64decode(data, validate=True)
    except ValueError:
        raise InvalidRequest("messages: the data of a file part is not base64") from None
    return data
