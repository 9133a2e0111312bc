"""The road through litellm, for protocols that are not OpenAI's. The only module that imports litellm, and only in functions.

litellm translates; it never touches the network. Each call gets an HTTP client whose transport is :class:`_Wire`, which sends
through our own door (:mod:`ai_models.transports.http`). Errors, the end of a stream and the vendor's own finish reason are
therefore known from the bytes, and what litellm says about them (it invents a finish reason, and counts tokens itself where
a provider does not tell them) is not needed.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

import httpx

from ai_models.destinations import DestinationPolicy
from ai_models.exceptions import AIModelsError, InvalidRequest, UpstreamInvalidResponse
from ai_models.transports import chat, http
from ai_models.transports.eventstream import AWS_EVENT_STREAM, messages
from ai_models.types import (
    Chunk,
    EmbeddingUsage,
    EmbedResult,
    FinishReason,
    OutputTokenDetails,
    ResponseInfo,
    TextResult,
    Usage,
)

_T = TypeVar("_T")
_in_call: ContextVar[bool] = ContextVar("ai_models_litellm_call", default=False)

# These print requests, addresses and signatures at DEBUG and INFO.
_TALKATIVE = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx", "botocore.auth", "botocore.credentials", "botocore.hooks")
_OWN_HEADERS = frozenset({"host", "content-length", "connection", "transfer-encoding", "accept-encoding", "user-agent"})
_USAGE_KEYS = ("usage", "usageMetadata", "metadata", "inputTextTokenCount")
# Else litellm imports its proxy when a call has tools, to look for ones that the proxy serves.
_NO_MCP = {"_skip_mcp_handler": True}
_SCHEMA_TOOL = b"json_tool_call"  # the tool litellm makes the model call where there is no native schema mode


class LiteLLMTransport:
    """Calls one vendor through litellm.

    Args:
        provider: litellm's name of the vendor's protocol.
        finish_reason: the vendor's finish reason in one of its answers or stream events, ``None`` while it has none.
        finish_reasons: the vendor's finish reasons in our words.
    """

    def __init__(
        self,
        provider: str,
        *,
        destinations: DestinationPolicy,
        finish_reason: Callable[[Mapping[str, Any]], str | None],
        finish_reasons: Mapping[str, FinishReason],
    ) -> None:
        self._provider = provider
        self._client = http.Client(destinations)
        self._finish_reason = finish_reason
        self._finish_reasons = finish_reasons
        self._supported: dict[str, frozenset[str]] = {}

    async def supported_parameters(self, model: str) -> frozenset[str]:
        """Names of OpenAI's parameters that litellm can translate for the model."""
        if model not in self._supported:
            await asyncio.to_thread(warm_up)  # the import takes seconds; the event loop does not wait for it
            known = _litellm().get_supported_openai_params(model=model, custom_llm_provider=self._provider)
            self._supported[model] = frozenset(known or ())
        return self._supported[model]

    async def generate_text(self, body: Mapping[str, Any], connection: Mapping[str, Any]) -> tuple[TextResult, bool]:
        """One chat completion.

        Args:
            body: OpenAI's chat format.
            connection: litellm's arguments for address and credential; all explicit, so that it looks for no others.

        Returns:
            The result, and whether litellm made the model call a tool in place of a native schema mode.
        """
        wire = _Wire(self._client, (http.JSON,), self._finish_reason)
        payload = await self._call(wire, _litellm().acompletion, {**body, **connection, **_NO_MCP})
        result = chat.text_result(payload.model_dump())
        told = replace(
            result,
            finish_reason=self._finish(wire, called_tools=bool(result.tool_calls)),
            raw_finish_reason=wire.finish_reason,
            usage=wire.told(result.usage) or Usage(),
            response=wire.response,
        )
        return told, wire.sent_schema_tool

    async def stream_text(self, body: Mapping[str, Any], connection: Mapping[str, Any]) -> AsyncGenerator[Chunk]:
        """One chat completion, streamed."""
        wire = _Wire(self._client, (http.EVENT_STREAM, AWS_EVENT_STREAM), self._finish_reason)
        arguments = {**body, **connection, **_NO_MCP, "stream": True, "stream_options": {"include_usage": True}}
        called_tools = False
        try:
            stream = await self._call(wire, _litellm().acompletion, arguments, close=False)
            while (payload := await self._next(wire, stream)) is not None:
                piece = chat.chunk(payload.model_dump())
                called_tools = called_tools or bool(piece.tool_calls)
                usage = wire.told(piece.usage)
                yield replace(piece, finish_reason=None, raw_finish_reason=None, usage=usage, response=wire.response)
            if wire.finish_reason is None:
                raise http.incomplete()
            yield Chunk(finish_reason=self._finish(wire, called_tools=called_tools), raw_finish_reason=wire.finish_reason)
        finally:
            await wire.aclose()

    async def embed(self, body: Mapping[str, Any], connection: Mapping[str, Any]) -> EmbedResult:
        """Embeddings of ``body["input"]``, a list."""
        wire = _Wire(self._client, (http.JSON,), self._finish_reason)
        payload = await self._call(wire, _litellm().aembedding, {**body, **connection})
        result = chat.embeddings(payload.model_dump(), len(body["input"]))
        return result if wire.told_usage else replace(result, usage=EmbeddingUsage())

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await self._client.aclose()

    def _finish(self, wire: _Wire, *, called_tools: bool) -> FinishReason:
        reason = self._finish_reasons.get(wire.finish_reason or "", "other")
        # Gemini stops in the same way whether it calls tools or not.
        return "tool-calls" if called_tools and reason == "stop" else reason

    async def _call(
        self, wire: _Wire, method: Callable[..., Awaitable[Any]], arguments: Mapping[str, Any], *, close: bool = True
    ) -> Any:
        handler = _litellm_handler()(transport=wire, follow_redirects=False)
        try:
            return await _quietly(
                method(**arguments, custom_llm_provider=self._provider, client=handler, num_retries=0, max_retries=0)
            )
        except Exception as error:
            raise wire.explain(error) from None
        finally:
            if close:
                await wire.aclose()

    async def _next(self, wire: _Wire, stream: Any) -> Any:
        """The next chunk, ``None`` after the last."""
        try:
            payload = await _quietly(anext(stream, None))
        except Exception as error:
            raise wire.explain(error) from None
        if payload is None and wire.fault is not None:
            raise wire.fault
        return payload


class _Wire(httpx.AsyncBaseTransport):
    """What litellm takes for the network, for one call. It keeps what litellm would hide."""

    def __init__(
        self, client: http.Client, accept: tuple[str, ...], finish_reason: Callable[[Mapping[str, Any]], str | None]
    ) -> None:
        self._client = client
        self._accept = accept
        self._read_finish_reason = finish_reason
        self._open = AsyncExitStack()
        self.fault: AIModelsError | None = None
        self.finish_reason: str | None = None
        self.response = ResponseInfo()
        self.told_usage = False
        self.told_reasoning = False
        self.sent_schema_tool = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        self.sent_schema_tool = _SCHEMA_TOOL in body
        headers = {name: value for name, value in request.headers.items() if name not in _OWN_HEADERS}
        try:
            response = await self._open.enter_async_context(
                self._client.open(request.method, str(request.url), headers=headers, body=body, accept=self._accept)
            )
            if response.content_type == http.JSON:
                answer = await http.read(response)
                self._note(http.parse_object(answer))
                return httpx.Response(response.status, headers={"content-type": http.JSON}, content=answer, request=request)
        except AIModelsError as fault:
            self.fault = fault
            raise
        events = self._binary(response) if response.content_type == AWS_EVENT_STREAM else self._text(response)
        return httpx.Response(
            response.status, headers={"content-type": response.content_type}, stream=_Body(events), request=request
        )

    async def _text(self, response: Any) -> AsyncIterator[bytes]:
        """The events again, each written the one way that every parser reads."""
        try:
            async for event, _ in http.server_sent_events(response, self._note):
                # Some of litellm's parsers fail on an event line where the provider sent none.
                name = "" if event.event == "message" else f"event: {event.event}\n"
                yield f"{name}data: {event.data.replace(chr(10), ' ')}\n\n".encode()
        except AIModelsError as fault:
            self.fault = fault
            raise

    async def _binary(self, response: Any) -> AsyncIterator[bytes]:
        try:
            async for frame, _ in messages(response, self._note):
                yield frame
        except AIModelsError as fault:
            self.fault = fault
            raise

    def _note(self, payload: dict[str, Any]) -> bool:
        """Keep what an answer or event tells about itself; whether the generation is complete."""
        self.finish_reason = self._read_finish_reason(payload) or self.finish_reason
        message = payload.get("message")  # Anthropic's stream tells of its answer there
        answer = message if isinstance(message, dict) else payload
        self.response = ResponseInfo(
            id=_first_text(answer, "id", "responseId") or self.response.id,
            model=_first_text(answer, "model", "modelVersion") or self.response.model,
        )
        self.told_usage = self.told_usage or any(key in payload or key in answer for key in _USAGE_KEYS)
        usage = payload.get("usageMetadata")
        self.told_reasoning = self.told_reasoning or (isinstance(usage, dict) and "thoughtsTokenCount" in usage)
        return self.finish_reason is not None

    def told(self, usage: Usage | None) -> Usage | None:
        """The part of litellm's figures that the provider told; it counts the rest by itself."""
        if usage is None or not self.told_usage:
            return None
        return usage if self.told_reasoning else replace(usage, output_token_details=OutputTokenDetails())

    def explain(self, error: Exception) -> AIModelsError:
        """The reason why litellm failed: what the wire saw, else what litellm itself could not do."""
        if isinstance(error, AIModelsError):
            return error
        if self.fault is not None:
            return self.fault
        logging.getLogger(__name__).info("litellm failed: %s", type(error).__name__)
        if getattr(error, "status_code", None) in {400, 422}:
            return InvalidRequest(
                "The request cannot be expressed in the provider's protocol. Check messages, tools and settings."
            )
        return UpstreamInvalidResponse("The provider's answer does not have the provider's format.")

    async def aclose(self) -> None:
        await self._open.aclose()


def _first_text(payload: Mapping[str, Any], *names: str) -> str | None:
    return next((value for name in names if isinstance(value := payload.get(name), str)), None)


class _Body(httpx.AsyncByteStream):
    def __init__(self, events: AsyncIterator[bytes]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._events


class _Silence(logging.Filter):
    """Drops what talkative libraries log while they work for us."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _in_call.get()


async def _quietly(call: Awaitable[_T]) -> _T:
    token = _in_call.set(True)
    try:
        return await call
    finally:
        _in_call.reset(token)


@cache
def _litellm() -> ModuleType:
    """litellm, imported when first needed: it takes seconds. By itself it would read ``.env`` and fetch a price table."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    import litellm

    # The one global of litellm's that is written here: it would print advertisements to stdout with every error.
    litellm.suppress_debug_info = True
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_Silence())
    return litellm


@cache
def _litellm_handler() -> type[Any]:
    _litellm()
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    return AsyncHTTPHandler


def warm_up() -> None:
    """Import litellm now, from a background thread, so that no caller waits for it."""
    _litellm_handler()
