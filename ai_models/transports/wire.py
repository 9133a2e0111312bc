"""What litellm takes for the network: one call's bytes, on their way through our own door and back.

On the way out, the blocks are put in that only the family can write, and what authenticates the call. On the way back,
everything is noted that litellm would hide or invent: faults, the vendor's finish reason, the order of an answer's parts, who
answered, and whether it told its usage.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import httpx

from ai_models.exceptions import AIModelsError, UpstreamInvalidResponse
from ai_models.transports import chat_answers, http, streaming
from ai_models.transports.blocks import Blocks
from ai_models.transports.eventstream import AWS_EVENT_STREAM, messages
from ai_models.types import (
    ContentPart,
    FinishReason,
    OutputTokenDetails,
    ReasoningContent,
    ResponseInfo,
    TextContent,
    TextResult,
    ToolCall,
    Usage,
)

_OWN_HEADERS = frozenset({"host", "content-length", "connection", "transfer-encoding", "accept-encoding", "user-agent"})
_FIGURE = re.compile(r"tokens?$|TokenCount$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """How to read the answers of one vendor, and how to complete and authenticate its requests.

    Attributes:
        family: the type of the family, under which its metadata stands.
        outgoing: a request as litellm wrote it, made into what the vendor is to get.
        content: the parts of a whole answer in their order, ``None`` where a tool call stands.
        finish_reason: the vendor's finish reason in one of its answers or stream events, ``None`` while it has none.
        finish_reasons: the vendor's finish reasons in our words; a reason that is not listed is ``other``.
        usage_key: where usage stands in an answer or event.
        no_usage: stands in for usage that was not told or cannot be; litellm fails without it.
        authorize: further headers for a request, from its method, address and body. They replace litellm's.
    """

    family: str
    outgoing: Callable[[dict[str, Any]], dict[str, Any]]
    content: Callable[[Mapping[str, Any]], Iterable[TextContent | ReasoningContent | None]]
    finish_reason: Callable[[Mapping[str, Any]], str | None]
    finish_reasons: Mapping[str, FinishReason]
    usage_key: str
    no_usage: Mapping[str, int]
    authorize: Callable[[str, str, bytes], Awaitable[Mapping[str, str]]]


class Wire(httpx.AsyncBaseTransport):
    """The transport of one call.

    Attributes:
        answered: whether the provider answered at all.
        fault: why the call cannot succeed, once that is known.
        sent: the request's body.
        payload: the answer, when it came in one piece.
    """

    def __init__(self, client: http.Client, accept: tuple[str, ...], vendor: Vendor, blocks: Blocks) -> None:
        self._client = client
        self._accept = accept
        self._vendor = vendor
        self._blocks = blocks
        self._open = AsyncExitStack()
        self.answered = False
        self.fault: AIModelsError | None = None
        self.sent = b""
        self.payload: dict[str, Any] = {}
        self.raw_finish_reason: str | None = None
        self.response = ResponseInfo()
        self.told_usage = False
        self._told_reasoning = False
        self._spoiled_usage = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            body = self._vendor.outgoing(json.loads(await request.aread()))
            self.sent = json.dumps(self._blocks.put_in(body)).encode()
            response = await self._open.enter_async_context(await self._request(request))
            self.answered = True
            if response.content_type == http.JSON:
                payload = http.parse_object(await http.read(response))
                self._note(payload)
                self.payload = payload
                payload.setdefault(self._vendor.usage_key, self._vendor.no_usage)
                return _response(request, http.JSON, httpx.ByteStream(json.dumps(payload).encode()))
        except AIModelsError as fault:
            self.fault = fault
            raise
        events = self._frames(response) if response.content_type == AWS_EVENT_STREAM else self._events(response)
        return _response(request, response.content_type, _Body(self._kept(events)))

    def finish_reason(self, *, called_tools: bool, forced_tool: bool) -> FinishReason:
        """Why the generation ended, in our words. To call the tool that stands for a schema is to answer."""
        reason = self._vendor.finish_reasons.get(self.raw_finish_reason or "", "other")
        if reason == "tool-calls" and forced_tool and not called_tools:
            return "stop"
        # Gemini stops in the same way whether it calls tools or not.
        return "tool-calls" if called_tools and reason == "stop" else reason

    def told(self, usage: Usage | None) -> Usage | None:
        """The part of litellm's figures that the provider told; it counts the rest by itself."""
        if usage is None or not self.told_usage or self._spoiled_usage:
            return None
        return usage if self._told_reasoning else replace(usage, output_token_details=OutputTokenDetails())

    def in_order(self, result: TextResult) -> TextResult:
        """litellm's result with the parts in the vendor's order, and what the vendor wants back with its reasoning.

        Raises:
            UpstreamInvalidResponse: the answer does not have the vendor's format.
        """
        try:
            told = [_cleaned(part) for part in self._vendor.content(self.payload)]
        except (KeyError, IndexError, TypeError, AttributeError):
            raise UpstreamInvalidResponse("The provider's answer does not have the provider's format.") from None
        calls = iter(result.tool_calls)
        if told.count(None) == len(result.tool_calls):
            return replace(result, content=_joined(part or next(calls) for part in told))
        # A call that litellm asked for in place of a schema mode is text in its result.
        reasoning = [part for part in told if isinstance(part, ReasoningContent)]
        return replace(result, content=_joined([*reasoning, TextContent(text=result.text), *calls]))

    async def aclose(self) -> None:
        await self._open.aclose()

    async def _request(self, request: httpx.Request) -> Any:
        url = str(request.url)
        headers = {name: value for name, value in request.headers.items() if name not in _OWN_HEADERS}
        headers.update(await self._vendor.authorize(request.method, url, self.sent))
        return self._client.open(request.method, url, headers=headers, body=self.sent, accept=self._accept)

    async def _kept(self, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        try:
            async for event in events:
                yield event
        except AIModelsError as fault:
            self.fault = fault
            raise
        finally:
            await events.aclose()

    async def _events(self, response: Any) -> AsyncGenerator[bytes]:
        """The events again, each written the one way that every parser of litellm's reads."""
        async for arrived in streaming.server_sent_events(response, self._note):
            for event, payload in arrived:
                # Some of its parsers fail on an event line where the provider sent none.
                name = "" if event.event == "message" else f"event: {event.event}\n"
                yield f"{name}data: {json.dumps(payload)}\n\n".encode()

    async def _frames(self, response: Any) -> AsyncGenerator[bytes]:
        async for frame, payload in messages(response, self._note):
            # Usage has a frame of its own, which can be left out.
            if not (self._spoiled_usage and "metadata" in payload):
                yield frame

    def _note(self, payload: dict[str, Any]) -> bool:
        """Keep what an answer or event tells about itself; whether the generation is complete."""
        self.raw_finish_reason = self._vendor.finish_reason(payload) or self.raw_finish_reason
        message = payload.get("message")  # Anthropic's stream tells of its answer there
        answer = message if isinstance(message, dict) else payload
        self.response = ResponseInfo(
            id=_text(answer, "id", "responseId") or self.response.id,
            model=_text(answer, "model", "modelVersion") or self.response.model,
        )
        metadata = payload.get("metadata")
        self._note_usage(metadata if isinstance(metadata, dict) else answer)
        self.told_usage = self.told_usage or "inputTextTokenCount" in payload
        return self.raw_finish_reason is not None

    def _note_usage(self, holder: dict[str, Any]) -> None:
        """Take note of usage, and put something in its place where litellm would fail on it."""
        key = self._vendor.usage_key
        if key not in holder:
            return
        told = holder[key] if isinstance(holder[key], dict) else {"tokens": holder[key]}
        figures = {name: value for name, value in told.items() if value is not None or name in self._vendor.no_usage}
        if any(_FIGURE.search(name) and chat_answers.count(value) is None for name, value in figures.items()):
            self._spoiled_usage = True
            figures = dict(self._vendor.no_usage)
        holder[key] = figures
        self.told_usage = True
        self._told_reasoning = self._told_reasoning or "thoughtsTokenCount" in figures


class _Body(httpx.AsyncByteStream):
    def __init__(self, events: AsyncIterator[bytes]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._events


def _cleaned(part: TextContent | ReasoningContent | None) -> TextContent | ReasoningContent | None:
    return part and replace(part, text=chat_answers.clean(part.text))


def _joined(parts: Iterable[ContentPart]) -> tuple[ContentPart, ...]:
    """The parts as a stream of them would be put together: neighbours of a kind are one, and nothing is empty."""
    joined: list[ContentPart] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, TextContent) and isinstance(last, TextContent):
            joined[-1] = TextContent(text=last.text + part.text)
        elif isinstance(part, ReasoningContent) and isinstance(last, ReasoningContent) and last.provider_metadata is None:
            joined[-1] = replace(part, text=last.text + part.text)
        elif isinstance(part, ToolCall) or part.text or (isinstance(part, ReasoningContent) and part.provider_metadata):
            joined.append(part)
    return tuple(joined)


def _response(request: httpx.Request, content_type: str, body: httpx.AsyncByteStream) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": content_type}, stream=body, request=request)


def _text(payload: Mapping[str, Any], *names: str) -> str | None:
    return next((value for name in names if isinstance(value := payload.get(name), str)), None)
