"""The OpenAI protocol, spoken directly on pooled connections: from a request body to a result, for every capability."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any

from ai_models import encoding
from ai_models.destinations import DestinationPolicy
from ai_models.exceptions import ModelNotFound
from ai_models.transports import chat_answers, faults, http, listing, openai_media, streaming
from ai_models.transports.batched import Batched
from ai_models.transports.multipart import Form
from ai_models.types import (
    Chunk,
    EmbedResult,
    ImageResult,
    SpeechResult,
    TextResult,
    TranscriptionResult,
    VideoOperation,
)

_BYTES = ("application/octet-stream", "binary/octet-stream")


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
        self._outgoing = http.outgoing(self._headers)
        self._query = f"?{query}" if query else ""
        self._client = http.Client(destinations)

    async def generate_text(self, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> TextResult:
        """``POST chat/completions``.

        Args:
            body: the whole request but for ``stream``.
            headers: of this call alone; they come after those of the instance and cannot replace them.
        """
        return chat_answers.text_result(await self._post("/chat/completions", body, headers))

    def stream_text(self, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> AsyncGenerator[Chunk]:
        """``POST chat/completions``, streamed, usage included."""
        return Batched(self._chunks({**body, "stream": True, "stream_options": {"include_usage": True}}, headers))

    async def _chunks(self, body: Mapping[str, Any], headers: Mapping[str, str] | None) -> AsyncGenerator[list[Chunk]]:
        calls = chat_answers.Calls()
        async with (
            self._open("/chat/completions", body, headers, streaming.EVENT_STREAM) as response,
            aclosing(streaming.server_sent_events(response, _is_last)) as events,
        ):
            async for arrived in events:
                batch: list[Chunk] = []
                try:
                    for _, payload in arrived:
                        batch.append(chat_answers.chunk(payload, calls))
                finally:
                    if batch:
                        yield batch

    async def embed(self, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> EmbedResult:
        """``POST embeddings``; ``body["input"]`` is a list."""
        return chat_answers.embeddings(await self._post("/embeddings", body, headers), len(body["input"]))

    async def generate_image(self, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> ImageResult:
        """``POST images/generations``."""
        return openai_media.images(await self._post("/images/generations", body, headers))

    async def edit_image(self, form: Form, *, headers: Mapping[str, str] | None = None) -> ImageResult:
        """``POST images/edits``."""
        return openai_media.images(await self._post("/images/edits", form, headers))

    async def generate_speech(self, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> SpeechResult:
        """``POST audio/speech``, whose answer is the sound itself."""
        async with self._open("/audio/speech", body, headers, "audio/*", *_BYTES) as response:
            return openai_media.speech(await http.read(response), response.content_type, body.get("response_format"))

    async def transcribe(self, form: Form, *, headers: Mapping[str, str] | None = None) -> TranscriptionResult:
        """``POST audio/transcriptions``. An answer in plain text is the transcript."""
        async with self._open("/audio/transcriptions", form, headers, http.JSON, "text/plain") as response:
            answer = await http.read(response)
            if response.content_type == "text/plain":
                return TranscriptionResult(text=chat_answers.clean(answer.decode("utf-8-sig", "replace")).strip())
            return openai_media.transcript(http.parse_object(answer))

    async def start_video(self, form: Form, *, headers: Mapping[str, str] | None = None) -> VideoOperation:
        """``POST videos``: the work is begun, and goes on at the provider's."""
        async with self._open("/videos", form, headers, http.JSON) as response:
            return openai_media.video(_video(await http.read(response)))

    async def video(self, identity: str) -> VideoOperation:
        """``GET videos/ID``: where the work stands."""
        with faults.of_known_work():
            async with self._open(f"/videos/{identity}", None, None, http.JSON, method="GET") as response:
                return openai_media.video(_video(await http.read(response)), identity)

    async def video_content(self, identity: str) -> AsyncGenerator[bytes]:
        """``GET videos/ID/content``: the video, as it arrives."""
        url = self._url(f"/videos/{identity}/content")
        with faults.of_known_work():
            async with aclosing(self._client.download(url, headers=self._headers, accept=("video/*", *_BYTES))) as pieces:
                async for piece in pieces:
                    yield piece

    async def delete_video(self, identity: str) -> None:
        """``DELETE videos/ID``; one that is gone already is fine."""
        with suppress(ModelNotFound):
            async with self._open(f"/videos/{identity}", None, None, http.JSON, method="DELETE") as response:
                await http.read(response)

    async def models(self) -> tuple[str, ...]:
        """``GET models``: the ids that the endpoint lists; costs nothing at every vendor."""
        return listing.names(await self._client.get_object(self._url("/models"), headers=self._headers), "data", "id")

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await self._client.aclose()

    async def _post(self, path: str, body: Mapping[str, Any] | Form, headers: Mapping[str, str] | None) -> dict[str, Any]:
        async with self._open(path, body, headers, http.JSON) as response:
            return http.parse_object(await http.read(response))

    def _open(
        self,
        path: str,
        body: Mapping[str, Any] | Form | None,
        headers: Mapping[str, str] | None,
        *accept: str,
        method: str = "POST",
    ) -> http.Exchange:
        sent: Mapping[str, str] = http.merged(headers, self._headers) if headers else self._outgoing
        data: bytes | None = None
        if isinstance(body, Form):
            kind, data = body.encode()
            sent = {**sent, "content-type": kind}
        elif body is not None:
            data = encoding.dump_bytes(body)
        return self._client.open(method, self._url(path), headers=sent, body=data, accept=accept)

    def _url(self, path: str) -> str:
        return f"{self._base_url}{path}{self._query}"


def _video(data: bytes) -> dict[str, Any]:
    payload = http.json_object(data)
    if payload.get("error") and "status" not in payload:  # beside a status, the error is that of the video
        raise faults.from_error_object(payload)
    return payload


def _is_last(payload: dict[str, Any]) -> bool:
    choices = payload.get("choices")
    return bool(choices and isinstance(choices, list) and isinstance(choices[0], dict) and choices[0].get("finish_reason"))
