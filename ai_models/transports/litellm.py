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
from ai_models.transports import chat_answers, http, streaming, tokenizer
from ai_models.transports.blocks import Blocks
from ai_models.transports.eventstream import AWS_EVENT_STREAM
from ai_models.transports.wire import Vendor, Wire
from ai_models.types import Chunk, EmbeddingUsage, EmbedResult, TextResult, Usage, Warning

_T = TypeVar("_T")
_in_call: ContextVar[bool] = ContextVar("ai_models_litellm_call", default=False)

# These print requests, addresses and signatures at DEBUG and INFO.
_TALKATIVE = (
    "LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx",
    "botocore.auth", "botocore.credentials", "botocore.hooks", "botocore.parsers",
)  # fmt: skip
# Keeps litellm from looking around and from the network.
_ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_OFFLINE_MODE": "True",
}
# Else litellm imports its proxy when a call has tools, to look for ones that the proxy serves.
_NO_MCP = {"_skip_mcp_handler": True}
_WANTED_BACK = {"signature": "signature", "data": "redactedData"}  # in litellm's words, and in ours
SCHEMA_TOOL = "json_tool_call"
"""The tool that litellm makes the model call where there is no schema mode. Its input is the object."""

_SCHEMA_TOOL_SENT = f'"name": "{SCHEMA_TOOL}"'.encode()  # among the tools of a request; quotes of callers are escaped
_FORCED_TOOL = Warning(
    type="compatibility",
    setting="schema",
    message="The model has no schema mode of its own; it was made to call a tool whose input is the schema.",
)


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
        """Import litellm, which takes seconds, before the first call has to wait for it."""
        await _loaded()

    async def supported_parameters(self, model: str) -> frozenset[str]:
        """Names of OpenAI's parameters that litellm can translate for the model."""
        if model not in self._supported:
            litellm = await _loaded()
            known = litellm.get_supported_openai_params(model=model, custom_llm_provider=self._provider)
            self._supported[model] = frozenset(known or ())
        return self._supported[model]

    async def generate_text(
        self, body: Mapping[str, Any], connection: Mapping[str, Any], blocks: Blocks, *, structured: bool
    ) -> TextResult:
        """One chat completion.

        Args:
            body: OpenAI's chat format.
            connection: litellm's arguments for address and credential; all explicit, so that it looks for no others.
            blocks: what the body has texts for.
            structured: whether an object is asked for, so that a call of :data:`SCHEMA_TOOL` is the answer.
        """
        wire = Wire(self._client, (http.JSON,), self._vendor, blocks)
        payload = await self._call(wire, "acompletion", {**body, **connection, **_NO_MCP})
        result = chat_answers.text_result(payload.model_dump())
        forced = structured and _SCHEMA_TOOL_SENT in wire.sent
        return replace(
            wire.in_order(result),
            warnings=(_FORCED_TOOL,) if forced else (),
            finish_reason=wire.finish_reason(called_tools=bool(result.tool_calls), forced_tool=forced),
            raw_finish_reason=wire.raw_finish_reason,
            usage=wire.told(result.usage) or Usage(),
            response=wire.response,
        )

    async def stream_text(
        self, body: Mapping[str, Any], connection: Mapping[str, Any], blocks: Blocks, *, structured: bool
    ) -> AsyncGenerator[Chunk]:
        """One chat completion, streamed."""
        wire = Wire(self._client, (streaming.EVENT_STREAM, AWS_EVENT_STREAM), self._vendor, blocks)
        arguments = {**body, **connection, **_NO_MCP, "stream": True, "stream_options": {"include_usage": True}}
        calls, schema_call, called_tools = chat_answers.Calls(), _SchemaCall(), False
        try:
            stream = await self._call(wire, "acompletion", arguments, close=False)
            forced = structured and _SCHEMA_TOOL_SENT in wire.sent
            while (payload := await self._next(wire, stream)) is not None:
                answer = payload.model_dump()
                piece = chat_answers.chunk(answer, calls)
                piece = schema_call.as_text(piece) if forced else piece
                called_tools = called_tools or bool(piece.tool_calls)
                yield replace(
                    piece,
                    reasoning_metadata=self._metadata(answer),
                    finish_reason=None,
                    raw_finish_reason=None,
                    usage=wire.told(piece.usage),
                    response=wire.response,
                )
            if wire.raw_finish_reason is None:
                raise streaming.incomplete()
            reason = wire.finish_reason(called_tools=called_tools, forced_tool=forced)
            warnings = (_FORCED_TOOL,) if forced else ()
            yield Chunk(finish_reason=reason, raw_finish_reason=wire.raw_finish_reason, warnings=warnings)
        finally:
            await wire.aclose()

    async def embed(self, body: Mapping[str, Any], connection: Mapping[str, Any]) -> EmbedResult:
        """Embeddings of ``body["input"]``, a list."""
        wire = Wire(self._client, (http.JSON,), self._vendor, Blocks())
        payload = await self._call(wire, "aembedding", {**body, **connection})
        result = chat_answers.embeddings(payload.model_dump(), len(body["input"]))
        return result if wire.told_usage else replace(result, usage=EmbeddingUsage())

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await self._client.aclose()

    def _metadata(self, answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What the vendor wants back with the reasoning that this chunk ends."""
        for choice in answer.get("choices") or ():
            for block in choice["delta"].get("thinking_blocks") or ():
                for told, ours in _WANTED_BACK.items():
                    if isinstance(block.get(told), str) and block[told]:
                        return {self._vendor.family: {ours: block[told]}}
        return None

    async def _call(self, wire: Wire, name: str, arguments: Mapping[str, Any], *, close: bool = True) -> Any:
        method: Callable[..., Awaitable[Any]] = getattr(await _loaded(), name)
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


class _SchemaCall:
    """The call of :data:`SCHEMA_TOOL` in a stream."""

    def __init__(self) -> None:
        self._indexes: set[int] = set()

    def as_text(self, piece: Chunk) -> Chunk:
        """The chunk with the call's input as text, which litellm makes of it for some vendors only."""
        self._indexes |= {call.index for call in piece.tool_calls if call.name == SCHEMA_TOOL}
        text = "".join(call.arguments for call in piece.tool_calls if call.index in self._indexes)
        others = tuple(call for call in piece.tool_calls if call.index not in self._indexes)
        return replace(piece, text=piece.text + text, tool_calls=others)


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


async def _loaded() -> ModuleType:
    """litellm, imported in a thread: the event loop goes on meanwhile."""
    if not _litellm_handler.cache_info().currsize:
        await asyncio.to_thread(_litellm_handler)
    return _litellm()


@cache
def _litellm() -> ModuleType:
    """litellm, imported when first needed: it takes seconds. By itself it would read ``.env``, and fetch a price table and a
    list of Anthropic's beta headers.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import litellm

    # The one global of litellm's that is written here: it would print advertisements to stdout with every error.
    litellm.suppress_debug_info = True
    tokenizer.postpone()  # puts a module of litellm's off, and changes nothing that it does
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_Silence())
    return litellm


@cache
def _litellm_handler() -> type[Any]:
    _litellm()
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    return AsyncHTTPHandler
