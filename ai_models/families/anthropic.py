"""Anthropic. https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ai_models import types
from ai_models.capabilities import Capability
from ai_models.families import extended_thinking, fields
from ai_models.families.base import Connection, listed
from ai_models.families.translated import Translated
from ai_models.transports import chat_requests

if TYPE_CHECKING:
    from ai_models.types import FilePart, Health, ReasoningContent, TextContent, TextRequest

# https://platform.claude.com/docs/en/build-with-claude/vision, .../pdf-support
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_DOCUMENTS = frozenset({"application/pdf", "text/plain"})


class Anthropic(Translated):
    """Anthropic's Messages API, its own or one that fronts it."""

    type = "anthropic"
    label = "Anthropic"
    fields = (
        fields.API_KEY,
        fields.base_url("Where the API is; a closing /v1 may be left out.", default="https://api.anthropic.com/v1"),
        fields.HEADERS,
        fields.MAX_CONCURRENCY,
    )
    litellm_provider = "anthropic"
    provider_options = {
        Capability.TEXT_GENERATION: frozenset({"thinking", "service_tier", "parallel_tool_calls", "cache_control"}),
    }
    files = "JPEG, PNG, GIF and WebP images and PDF by data or url, and plain text by data"
    no_usage = {"input_tokens": 0, "output_tokens": 0}
    finish_reasons = {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "pause_turn": "other",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool-calls",
        "refusal": "content-filter",
    }

    def __init__(self, connection: Connection) -> None:
        from ai_models.transports.anthropic import AnthropicTransport

        super().__init__(connection)
        self.endpoint = AnthropicTransport(self._origin(), headers=self._headers(), destinations=connection.destinations)

    async def health_check(self) -> Health:
        return await listed(self.endpoint.models())

    def knows(self, model: str, names: frozenset[str]) -> bool | None:
        """Names go without their date, or with ``latest`` in its place; they are listed with it."""
        return model in names or any(name.startswith(f"{model.removesuffix('-latest')}-") for name in names)

    async def aclose(self) -> None:
        await super().aclose()
        await self.endpoint.aclose()

    def finish_reason(self, payload: Mapping[str, Any]) -> str | None:
        # In an answer at the top, in a stream in its message_delta event.
        delta = payload.get("delta")
        return payload.get("stop_reason") or (delta.get("stop_reason") if isinstance(delta, Mapping) else None)

    def content(self, payload: Mapping[str, Any]) -> Iterator[TextContent | ReasoningContent | None]:
        for block in payload["content"]:
            match block["type"]:
                case "text":
                    yield types.TextContent(text=block["text"])
                case "thinking":
                    yield self.thoughts(block["thinking"], "signature", block.get("signature"))
                case "redacted_thinking":
                    yield self.thoughts("", "redactedData", block["data"])
                case "tool_use":
                    yield None

    def file(self, part: FilePart) -> Mapping[str, Any] | None:
        kind = chat_requests.media_type(part)
        images = {*_IMAGES, "image/*"} if "url" in part else _IMAGES  # Anthropic looks for itself what is at a url
        block = "image" if kind in images else "document" if kind in _DOCUMENTS else None
        if block is None or ("url" in part and kind == "text/plain"):
            return None
        title = {"title": part["filename"]} if block == "document" and "filename" in part else {}
        return {"type": block, "source": _source(kind, part), **title}

    def reasoning(self, text: str, metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if "redactedData" in metadata:
            return {"type": "redacted_thinking", "data": metadata["redactedData"]}
        if "signature" in metadata:
            return {"type": "thinking", "thinking": text, "signature": metadata["signature"]}
        return None

    def outgoing(self, body: dict[str, Any]) -> dict[str, Any]:
        extended_thinking.require_room(body.get("thinking"), body.get("max_tokens"))
        return body

    def excluded(self, model: str, request: TextRequest) -> Mapping[str, str]:
        return extended_thinking.excluded(request)

    async def arguments(self, model: str, capability: Capability) -> dict[str, Any]:
        return {
            "model": model,
            "api_base": self._origin(),
            "api_key": self.connection.secrets["apiKey"].reveal(),
            # The key among them: litellm sends some kinds of key as a bearer token, which only Anthropic's own host takes.
            "extra_headers": self._headers(),
        }

    def _origin(self) -> str:
        base_url: str = self.connection.options["baseURL"]
        return base_url.rstrip("/").removesuffix("/v1")

    def _headers(self) -> dict[str, str]:
        key = self.connection.secrets.get("apiKey")
        return {**self.connection.headers(), **({"x-api-key": key.reveal()} if key else {})}


def _source(kind: str, part: FilePart) -> Mapping[str, Any]:
    if "url" in part:
        return {"type": "url", "url": part["url"]}
    if kind == "text/plain":
        return {"type": "text", "media_type": kind, "data": part["data"].decode("utf-8-sig", "replace")}
    return {"type": "base64", "media_type": kind, "data": chat_requests.encoded(part)}
