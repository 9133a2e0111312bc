"""The OpenAI protocol, spoken directly on pooled connections: chat completions, their streams, and embeddings."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import aiohttp

from ai_models.destinations import DestinationPolicy
from ai_models.transports import chat, http, streaming
from ai_models.types import Chunk, EmbedResult, TextResult


class OpenAITransport:
    """Calls one endpoint that speaks OpenAI's protocol.

    Args:
        base_url: ends where ``/chat/completions`` begins, as OpenAI's own clients take it (``.../v1``).
        headers: sent with every request, the authorization among them.
        query: appended to every address, already encoded, without the question mark.
    """

    def __init__(self, base_url: str, *, headers: Mapping[str, str], query: str = "", destinations: DestinationPolicy) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"content-type": http.JSON, **headers}
        self._query = f"?{query}" if query else ""
        self._client = http.Client(destinations)

    async def generate_text(self, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> TextResult:
        """``POST chat/completions``.

        Args:
            body: the whole request but for ``stream``.
            headers: of this call alone; they come after those of the instance and cannot replace them.
        """
        return chat.text_result(await self._post("/chat/completions", body, headers))

    async def stream_text(self, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> AsyncGenerator[Chunk]:
        """``POST chat/completions``, streamed, usage included."""
        body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        async with (
            self._open("/chat/completions", body, headers, streaming.EVENT_STREAM) as response,
            aclosing(streaming.server_sent_events(response, _is_last)) as events,
        ):
            async for _, payload in events:
                yield chat.chunk(payload)

    async def embed(self, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> EmbedResult:
        """``POST embeddings``; ``body["input"]`` is a list."""
        return chat.embeddings(await self._post("/embeddings", body, headers), len(body["input"]))

    async def models(self) -> tuple[str, ...]:
        """``GET models``: the ids that the endpoint lists; costs nothing at every vendor."""
        async with self._client.open(
            "GET", self._url("/models"), headers=self._headers, body=None, accept=(http.JSON,)
        ) as response:
            listed = http.parse_object(await http.read(response)).get("data")
        return tuple(item["id"] for item in listed or () if isinstance(item, dict) and isinstance(item.get("id"), str))

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await self._client.aclose()

    async def _post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None) -> dict[str, Any]:
        async with self._open(path, body, headers, http.JSON) as response:
            return http.parse_object(await http.read(response))

    def _open(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None, accept: str
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        # The instance's headers win: a caller cannot replace the credential.
        merged = {**{name.lower(): value for name, value in (headers or {}).items()}, **self._headers}
        return self._client.open("POST", self._url(path), headers=merged, body=_encode(body), accept=(accept,))

    def _url(self, path: str) -> str:
        return f"{self._base_url}{path}{self._query}"


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _is_last(payload: dict[str, Any]) -> bool:
    choices = payload.get("choices")
    return bool(choices and isinstance(choices, list) and isinstance(choices[0], dict) and choices[0].get("finish_reason"))
