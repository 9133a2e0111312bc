"""The road through litellm, for protocols that are not OpenAI's. The only module that imports litellm, and only in functions.

litellm translates; it never touches the network, and never holds a credential that it could mix with others. Each call gets
an HTTP client whose transport is :class:`~ai_models.transports.wire.Wire`, which sends through our own door. Errors, the end
of a stream and the vendor's own finish reason are therefore known from the bytes, and what litellm says about them (it invents
a finish reason, and counts tokens itself where a provider does not tell them) is not needed.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

from ai_models.destinations import DestinationPolicy
from ai_models.exceptions import AIModelsError, InvalidRequest, UpstreamInvalidResponse
from ai_models.transports import chat, http, streaming
from ai_models.transports.eventstream import AWS_EVENT_STREAM
from ai_models.transports.wire import Vendor, Wire
from ai_models.types import Chunk, EmbeddingUsage, EmbedResult, TextResult, Usage

_T = TypeVar("_T")
_in_call: ContextVar[bool] = ContextVar("ai_models_litellm_call", default=False)

# These print requests, addresses and signatures at DEBUG and INFO.
_TALKATIVE = (
    "LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx",
    "botocore.auth", "botocore.credentials", "botocore.hooks", "botocore.parsers",
)  # fmt: skip
# Else litellm imports its proxy when a call has tools, to look for ones that the proxy serves.
_NO_MCP = {"_skip_mcp_handler": True}
_SCHEMA_TOOL = b"json_tool_call"  # the tool litellm makes the model call where there is no native schema mode


class LiteLLMTransport:
    """Calls one vendor through litellm.

    Args:
        provider: litellm's name of the vendor's protocol.
        vendor: how to read its answers and authenticate its requests.
    """

    def __init__(self, provider: str, *, destinations: DestinationPolicy, vendor: Vendor) -> None:
        self._provider = provider
        self._client = http.Client(destinations)
        self._vendor = vendor
        self._supported: dict[str, frozenset[str]] = {}

    async def warm_up(self) -> None:
        """Import litellm, which takes seconds, without holding up the event loop."""
        await asyncio.to_thread(_litellm_handler)

    async def supported_parameters(self, model: str) -> frozenset[str]:
        """Names of OpenAI's parameters that litellm can translate for the model."""
        if model not in self._supported:
            await self.warm_up()
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
        wire = Wire(self._client, (http.JSON,), self._vendor)
        payload = await self._call(wire, _litellm().acompletion, {**body, **connection, **_NO_MCP})
        result = chat.text_result(payload.model_dump())
        told = replace(
            result,
            finish_reason=wire.finish_reason(called_tools=bool(result.tool_calls)),
            raw_finish_reason=wire.raw_finish_reason,
            usage=wire.told(result.usage) or Usage(),
            response=wire.response,
        )
        return told, _SCHEMA_TOOL in wire.sent

    async def stream_text(self, body: Mapping[str, Any], connection: Mapping[str, Any]) -> AsyncGenerator[Chunk]:
        """One chat completion, streamed."""
        wire = Wire(self._client, (streaming.EVENT_STREAM, AWS_EVENT_STREAM), self._vendor)
        arguments = {**body, **connection, **_NO_MCP, "stream": True, "stream_options": {"include_usage": True}}
        called_tools = False
        try:
            stream = await self._call(wire, _litellm().acompletion, arguments, close=False)
            while (payload := await self._next(wire, stream)) is not None:
                piece = chat.chunk(payload.model_dump())
                called_tools = called_tools or bool(piece.tool_calls)
                usage = wire.told(piece.usage)
                yield replace(piece, finish_reason=None, raw_finish_reason=None, usage=usage, response=wire.response)
            if wire.raw_finish_reason is None:
                raise streaming.incomplete()
            reason = wire.finish_reason(called_tools=called_tools)
            yield Chunk(finish_reason=reason, raw_finish_reason=wire.raw_finish_reason)
        finally:
            await wire.aclose()

    async def embed(self, body: Mapping[str, Any], connection: Mapping[str, Any]) -> EmbedResult:
        """Embeddings of ``body["input"]``, a list."""
        wire = Wire(self._client, (http.JSON,), self._vendor)
        payload = await self._call(wire, _litellm().aembedding, {**body, **connection})
        result = chat.embeddings(payload.model_dump(), len(body["input"]))
        return result if wire.told_usage else replace(result, usage=EmbeddingUsage())

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await self._client.aclose()

    async def _call(
        self, wire: Wire, method: Callable[..., Awaitable[Any]], arguments: Mapping[str, Any], *, close: bool = True
    ) -> Any:
        handler = _litellm_handler()(transport=wire, follow_redirects=False)
        try:
            return await _quietly(
                method(**arguments, custom_llm_provider=self._provider, client=handler, num_retries=0, max_retries=0)
            )
        except Exception as error:
            raise _explain(wire, error) from None
        finally:
            if close:
                await wire.aclose()

    async def _next(self, wire: Wire, stream: Any) -> Any:
        """The next chunk, ``None`` after the last."""
        try:
            payload = await _quietly(anext(stream, None))
        except Exception as error:
            raise _explain(wire, error) from None
        if payload is None and wire.fault is not None:
            raise wire.fault
        return payload


def _explain(wire: Wire, error: Exception) -> AIModelsError:
    """The reason why litellm failed: what the wire saw, else what litellm itself could not do."""
    if isinstance(error, AIModelsError):
        return error
    if wire.fault is not None:
        return wire.fault
    logging.getLogger(__name__).info("litellm failed: %s", type(error).__name__)
    if not wire.answered and getattr(error, "status_code", None) in {400, 422}:
        return InvalidRequest("The request cannot be expressed in the provider's protocol. Check messages, tools and settings.")
    return UpstreamInvalidResponse("The provider's answer does not have the provider's format.")


class _Silence(logging.Filter):
    """Drops what talkative libraries log while they work for us, and what litellm logs afterwards in its own thread."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _in_call.get() and not (record.threadName or "").startswith("litellm-logging")


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
