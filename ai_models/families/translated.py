"""What the families share whose protocol litellm translates: from a request to litellm's arguments, and back to a result."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar

from ai_models.capabilities import Capability
from ai_models.exceptions import InvalidRequest
from ai_models.families.base import Connection, Family
from ai_models.transports import chat
from ai_models.transports.litellm import LiteLLMTransport
from ai_models.transports.wire import Vendor
from ai_models.types import (
    TEXT_SETTINGS,
    Chunk,
    EmbedRequest,
    EmbedResult,
    FinishReason,
    Message,
    ObjectRequest,
    Part,
    TextRequest,
    TextResult,
    Warning,
)

_FORCED_TOOL = "The model has no schema mode of its own; it was made to call a tool whose input is the schema."


class Translated(Family):
    """Base of those families. A subclass names litellm's provider, the connection, and the vendor's finish reasons."""

    capabilities = frozenset({Capability.TEXT_GENERATION, Capability.STRUCTURED_OUTPUT})

    litellm_provider: ClassVar[str]
    """litellm's name of the protocol."""

    finish_reasons: ClassVar[Mapping[str, FinishReason]]
    """The vendor's finish reasons in our words; a reason that is not listed is ``other``."""

    usage_key: ClassVar[str] = "usage"
    """Where usage stands in the vendor's answers and events."""

    no_usage: ClassVar[Mapping[str, int]]
    """Usage of nothing, in the vendor's words."""

    model_name: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]*")
    """What a model's name looks like."""

    top_k: ClassVar[bool] = True
    """Whether models of this vendor sample with ``top_k``, which OpenAI's format does not have."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.transport = LiteLLMTransport(
            self.litellm_provider,
            destinations=connection.destinations,
            vendor=Vendor(
                finish_reason=self.finish_reason,
                finish_reasons=self.finish_reasons,
                usage_key=self.usage_key,
                no_usage=self.no_usage,
                authorize=self.authorize,
            ),
        )

    def finish_reason(self, payload: Mapping[str, Any]) -> str | None:
        """The vendor's finish reason in one of its answers or stream events, ``None`` while it has none."""
        raise NotImplementedError

    async def authorize(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        """Headers that authenticate a request, for vendors whose credential litellm does not put on it."""
        return {}

    async def arguments(self, model: str, capability: Capability) -> dict[str, Any]:
        """litellm's arguments for model, address and credential. All are explicit: it must not look for others itself."""
        raise NotImplementedError

    async def supported_settings(self, model: str) -> frozenset[str]:
        known = await self.transport.supported_parameters(model)
        supported = frozenset(setting for setting in TEXT_SETTINGS if chat.wire_name(setting) in known)
        return supported | ({"top_k"} if self.top_k else set())

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        result, _ = await self.transport.generate_text(self._body(request), await self._call(model, request))
        return result

    async def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk]:
        connection = await self._call(model, request)
        async with aclosing(self.transport.stream_text(self._body(request), connection)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def do_generate_object(self, model: str, request: ObjectRequest) -> TextResult:
        body = {**self._body(request), "response_format": chat.response_format(request)}
        result, forced_tool = await self.transport.generate_text(body, await self._call(model, request))
        if not forced_tool:
            return result
        return replace(result, warnings=(Warning(type="compatibility", setting="schema", message=_FORCED_TOOL),))

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        body: dict[str, Any] = {"input": request["values"]}
        if "dimensions" in request:
            body["dimensions"] = request["dimensions"]
        self._check_model(model)
        arguments = await self.arguments(model, Capability.EMBEDDINGS)
        return await self.transport.embed(body, {**arguments, **_headers(arguments, request)})

    async def warm_up(self) -> None:
        await self.transport.warm_up()

    async def aclose(self) -> None:
        await self.transport.aclose()

    def _check_model(self, model: str) -> None:
        """litellm reads routes out of model names, and puts them into addresses; a name is only ever a name.

        Raises:
            InvalidRequest: it is not one.
        """
        if not self.model_name.fullmatch(model) or ".." in model:
            raise InvalidRequest(f"model: this is not the name of a model of {self.label}")

    def _body(self, request: TextRequest) -> dict[str, Any]:
        if any("url" in part for message in request.get("messages", ()) for part in _parts(message)):
            raise InvalidRequest(f"messages: {self.label} is given files by their data only; this server fetches no url")
        return {"messages": chat.messages(request), **chat.settings(request), **self._options(request)}

    async def _call(self, model: str, request: TextRequest) -> dict[str, Any]:
        self._check_model(model)
        arguments = await self.arguments(model, Capability.TEXT_GENERATION)
        return {**arguments, **_headers(arguments, request)}

    def _options(self, request: TextRequest) -> Mapping[str, Any]:
        return self.allowed_options(request.get("provider_options", {}).get(self.type, {}))


def _parts(message: Message) -> list[Part]:
    content = message["content"]
    return content if isinstance(content, list) else []


def _headers(arguments: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The call's own headers; those of the instance win."""
    own = {name.lower(): value for name, value in request.get("headers", {}).items()}
    merged = {**own, **arguments.get("extra_headers", {})}
    return {"extra_headers": merged} if merged else {}
