"""What the families that speak OpenAI's protocol share: from a request to a body, and from an answer to a result."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ai_models.capabilities import Capability
from ai_models.families.base import Connection, Family, listed
from ai_models.transports import chat_requests

if TYPE_CHECKING:
    from ai_models.transports.openai import OpenAITransport
    from ai_models.types import Chunk, EmbedRequest, EmbedResult, Health, ObjectRequest, TextRequest, TextResult, Warning


class OpenAIProtocol(Family):
    """Base of the OpenAI protocol's families. A subclass says where the endpoint is and what differs there."""

    capabilities = frozenset({Capability.TEXT_GENERATION, Capability.STRUCTURED_OUTPUT, Capability.EMBEDDINGS})

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.transport = self.connect()

    def connect(self) -> OpenAITransport:
        """The transport to the endpoint; opens nothing."""
        from ai_models.transports.openai import OpenAITransport  # an HTTP client, of which a class alone has no need

        query = {name: value.reveal() for name, value in self.connection.mappings.get("queryParams", {}).items()}
        return OpenAITransport(
            self.connection.options["baseURL"],
            headers=self.headers(),
            query=urlencode(query),
            destinations=self.connection.destinations,
        )

    def headers(self) -> dict[str, str]:
        """Headers of every request; an instance without a key sends no authorization."""
        headers = self.connection.headers()
        if key := self.connection.secrets.get("apiKey"):
            headers["authorization"] = f"Bearer {key.reveal()}"
        return headers

    def settings(self, model: str, request: TextRequest) -> dict[str, Any]:
        """The request's settings by the endpoint's names."""
        return chat_requests.settings(request)

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        return await self.transport.generate_text(self._body(model, request), headers=request.get("headers"))

    def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk]:
        return self.transport.stream_text(self._body(model, request), headers=request.get("headers"))

    async def do_generate_object(self, model: str, request: ObjectRequest) -> TextResult:
        body, warnings = self.structured(self._body(model, request), request)
        result = await self.transport.generate_text(body, headers=request.get("headers"))
        return replace(result, warnings=warnings)

    async def do_stream_object(self, model: str, request: ObjectRequest) -> AsyncGenerator[Chunk]:
        body, warnings = self.structured(self._body(model, request), request)
        async with aclosing(self.transport.stream_text(body, headers=request.get("headers"))) as chunks:
            async for chunk in chunks:
                yield replace(chunk, warnings=warnings) if chunk.finish_reason else chunk

    def structured(self, body: dict[str, Any], request: ObjectRequest) -> tuple[dict[str, Any], tuple[Warning, ...]]:
        """The body that makes the model answer with JSON of the request's schema, and what the caller is told about it."""
        return {**body, "response_format": chat_requests.response_format(request)}, ()

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        encoding_format = self.connection.options.get("encodingFormat", "float")  # which every endpoint has
        body: dict[str, Any] = {"model": model, "input": request["values"], "encoding_format": encoding_format}
        if "dimensions" in request:
            body["dimensions"] = request["dimensions"]
        return await self.transport.embed({**body, **self.options(request)}, headers=request.get("headers"))

    async def health_check(self) -> Health:
        return await listed(self.transport.models())

    async def aclose(self) -> None:
        await self.transport.aclose()

    def _body(self, model: str, request: TextRequest) -> dict[str, Any]:
        settings = self.settings(model, request)
        return {"model": model, "messages": chat_requests.messages(request), **settings, **self.options(request)}
