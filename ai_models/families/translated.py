"""What the families share whose protocol litellm translates: from a request to litellm's arguments, and back to a result."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ai_models import types
from ai_models.capabilities import Capability
from ai_models.conf import conf
from ai_models.exceptions import InvalidRequest, UnsupportedFunctionality
from ai_models.families.base import Connection, Family
from ai_models.transports import chat_requests
from ai_models.transports.blocks import Blocks

if TYPE_CHECKING:
    from ai_models.types import (
        Chunk,
        EmbedRequest,
        EmbedResult,
        FilePart,
        FinishReason,
        ObjectRequest,
        Part,
        ReasoningContent,
        TextContent,
        TextRequest,
        TextResult,
        Warning,
    )


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

    files: ClassVar[str]
    """Which files the vendor takes in messages, in words."""

    def __init__(self, connection: Connection) -> None:
        # HTTP clients, of which a class alone has no need.
        from ai_models.transports.litellm import LiteLLMTransport
        from ai_models.transports.wire import Vendor

        super().__init__(connection)
        self.transport = LiteLLMTransport(
            self.litellm_provider,
            destinations=connection.destinations,
            vendor=Vendor(
                family=self.type,
                outgoing=self.outgoing,
                content=self.content,
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

    def content(self, payload: Mapping[str, Any]) -> Iterator[TextContent | ReasoningContent | None]:
        """The parts of a whole answer in their order, ``None`` where a tool call stands.

        May raise what looking into wrong JSON raises.
        """
        raise NotImplementedError

    def thoughts(self, text: str, name: str, wanted_back: Any) -> ReasoningContent:
        """Reasoning of an answer, with what the vendor wants back with it under this name, if anything."""
        return types.ReasoningContent(text=text, provider_metadata={self.type: {name: wanted_back}} if wanted_back else None)

    def file(self, part: FilePart) -> Mapping[str, Any] | None:
        """The vendor's block for a file; ``None`` for a file that the vendor does not take."""
        raise NotImplementedError

    def reasoning(self, text: str, metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The vendor's block for reasoning of its own in an earlier turn; ``None`` where it wants none back.

        Args:
            metadata: what it wanted back with it, empty for the reasoning of others.
        """
        return None

    def outgoing(self, body: dict[str, Any]) -> dict[str, Any]:
        """A request as litellm wrote it, made into what the vendor is to get.

        Raises:
            InvalidRequest: the vendor would refuse it.
        """
        return body

    def excluded(self, model: str, request: TextRequest) -> Mapping[str, str]:
        """Settings of the request that the model does not take together with the others, each with the reason."""
        return {}

    async def authorize(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        """Headers that authenticate a request, for vendors whose credential litellm does not put on it."""
        return {}

    async def arguments(self, model: str, capability: Capability) -> dict[str, Any]:
        """litellm's arguments for model, address and credential. All are explicit: it must not look for others itself."""
        raise NotImplementedError

    async def supported_settings(self, capability: Capability, model: str) -> frozenset[str] | None:
        if types.SETTINGS[capability] is not types.TEXT_SETTINGS:
            return None
        known = await self.transport.supported_parameters(model)
        supported = frozenset(setting for setting in types.TEXT_SETTINGS if chat_requests.wire_name(setting) in known)
        return supported | {"top_k"}  # which these vendors have, and OpenAI's format has not

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        return await self._generate(model, request)

    def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk]:
        return self._stream(model, request)

    async def do_generate_object(self, model: str, request: ObjectRequest) -> TextResult:
        return await self._generate(model, request, structured=True, response_format=chat_requests.response_format(request))

    def do_stream_object(self, model: str, request: ObjectRequest) -> AsyncGenerator[Chunk]:
        return self._stream(model, request, structured=True, response_format=chat_requests.response_format(request))

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

    async def _generate(self, model: str, request: TextRequest, *, structured: bool = False, **more: Any) -> TextResult:
        request, warnings = self._fitted(model, request)
        body, blocks = self._body(request)
        connection = await self._call(model, request)
        result = await self.transport.generate_text({**body, **more}, connection, blocks, structured=structured)
        return replace(result, warnings=(*warnings, *result.warnings))

    async def _stream(
        self, model: str, request: TextRequest, *, structured: bool = False, **more: Any
    ) -> AsyncGenerator[Chunk]:
        request, warnings = self._fitted(model, request)
        body, blocks = self._body(request)
        connection = await self._call(model, request)
        async with aclosing(self.transport.stream_text({**body, **more}, connection, blocks, structured=structured)) as chunks:
            async for chunk in chunks:
                yield replace(chunk, warnings=(*warnings, *chunk.warnings)) if chunk.finish_reason else chunk

    def _fitted(self, model: str, request: TextRequest) -> tuple[TextRequest, tuple[Warning, ...]]:
        """The request without the settings that exclude each other, and a warning for each.

        Raises:
            UnsupportedFunctionality: there are some, and the app's settings say that they are refused.
        """
        excluded = self.excluded(model, request)
        if excluded and conf().ON_UNSUPPORTED == "error":
            raise UnsupportedFunctionality(" ".join(f"{name}: {reason}" for name, reason in excluded.items()))
        warnings = tuple(
            types.Warning(type="unsupported", setting=name, message=f"It was left out. {reason}")
            for name, reason in excluded.items()
        )
        kept: Any = {name: value for name, value in request.items() if name not in excluded}
        return kept, warnings

    def _body(self, request: TextRequest) -> tuple[dict[str, Any], Blocks]:
        """The request in OpenAI's format, and the blocks of the parts that have none there."""
        blocks = Blocks()

        def own(part: Part) -> Mapping[str, Any] | None:
            block = self._block(part)
            return None if block is None else blocks.stand_in(block)

        messages = chat_requests.messages(request, own)
        return {"messages": messages, **chat_requests.settings(request), **self.options(request)}, blocks

    def _block(self, part: Part) -> Mapping[str, Any] | None:
        if part["type"] == "reasoning":
            return self.reasoning(part["text"], part.get("provider_metadata", {}).get(self.type, {}))
        if part["type"] == "tool-call":  # of two calls that are alike, litellm would send one to Google
            return part["input"] if isinstance(part["input"], dict) else None
        if part["type"] != "file":
            return None
        block = self.file(part)
        if block is None:
            given = f"{chat_requests.media_type(part)}{' by url' if 'url' in part else ''}"
            raise UnsupportedFunctionality(f"messages: a file is {given}. {self.label} takes {self.files}.")
        return block

    async def _call(self, model: str, request: TextRequest) -> dict[str, Any]:
        self._check_model(model)
        arguments = await self.arguments(model, Capability.TEXT_GENERATION)
        return {**arguments, **_headers(arguments, request)}


def _headers(arguments: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The call's own headers, and those of the instance."""
    from ai_models.transports import http

    merged = http.merged(request.get("headers"), arguments.get("extra_headers", {}))
    return {"extra_headers": merged} if merged else {}
