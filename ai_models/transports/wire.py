"""What litellm takes for the network: one call's bytes, on their way through our own door and back.

On the way out, what authenticates the call is put on; on the way back, everything is noted that litellm would hide or invent:
faults, the vendor's finish reason, who answered, and whether it told its usage.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import httpx

from ai_models.exceptions import AIModelsError
from ai_models.transports import chat, http, streaming
from ai_models.transports.eventstream import AWS_EVENT_STREAM, messages
from ai_models.types import FinishReason, OutputTokenDetails, ResponseInfo, Usage

_OWN_HEADERS = frozenset({"host", "content-length", "connection", "transfer-encoding", "accept-encoding", "user-agent"})
_FIGURE = re.compile(r"tokens?$|TokenCount$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """How to read the answers of one vendor, and how to authenticate its requests.

    Attributes:
        finish_reason: the vendor's finish reason in one of its answers or stream events, ``None`` while it has none.
        finish_reasons: the vendor's finish reasons in our words; a reason that is not listed is ``other``.
        usage_key: where usage stands in an answer or event.
        no_usage: stands in for usage that was not told or cannot be; litellm fails without it.
        authorize: further headers for a request, from its method, address and body. They replace litellm's.
    """

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
    """

    def __init__(self, client: http.Client, accept: tuple[str, ...], vendor: Vendor) -> None:
        self._client = client
        self._accept = accept
        self._vendor = vendor
        self._open = AsyncExitStack()
        self.answered = False
        self.fault: AIModelsError | None = None
        self.sent = b""
        self.raw_finish_reason: str | None = None
        self.response = ResponseInfo()
        self.told_usage = False
        self._told_reasoning = False
        self._spoiled_usage = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent = await request.aread()
        try:
            response = await self._open.enter_async_context(await self._request(request))
            self.answered = True
            if response.content_type == http.JSON:
                payload = http.parse_object(await http.read(response))
                self._note(payload)
                payload.setdefault(self._vendor.usage_key, self._vendor.no_usage)
                return _response(request, http.JSON, httpx.ByteStream(json.dumps(payload).encode()))
        except AIModelsError as fault:
            self.fault = fault
            raise
        events = self._frames(response) if response.content_type == AWS_EVENT_STREAM else self._events(response)
        return _response(request, response.content_type, _Body(self._kept(events)))

    def finish_reason(self, *, called_tools: bool) -> FinishReason:
        """Why the generation ended, in our words."""
        reason = self._vendor.finish_reasons.get(self.raw_finish_reason or "", "other")
        # Gemini stops in the same way whether it calls tools or not.
        return "tool-calls" if called_tools and reason == "stop" else reason

    def told(self, usage: Usage | None) -> Usage | None:
        """The part of litellm's figures that the provider told; it counts the rest by itself."""
        if usage is None or not self.told_usage or self._spoiled_usage:
            return None
        return usage if self._told_reasoning else replace(usage, output_token_details=OutputTokenDetails())

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
        async for event, payload in streaming.server_sent_events(response, self._note):
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
        if any(_FIGURE.search(name) and chat.count(value) is None for name, value in figures.items()):
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


def _response(request: httpx.Request, content_type: str, body: httpx.AsyncByteStream) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": content_type}, stream=body, request=request)


def _text(payload: Mapping[str, Any], *names: str) -> str | None:
    return next((value for name in names if isinstance(value := payload.get(name), str)), None)
