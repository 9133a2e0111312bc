"""Google's Gemini API. https://ai.google.dev/api/generate-content"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ai_models import transports, types
from ai_models.capabilities import Capability
from ai_models.exceptions import UnsupportedFunctionality
from ai_models.families import fields
from ai_models.families.base import Connection, listed
from ai_models.families.translated import Translated
from ai_models.transports import chat_requests, google_words

if TYPE_CHECKING:
    from ai_models.types import (
        FilePart,
        Health,
        ImageRequest,
        ImageResult,
        ReasoningContent,
        SpeechRequest,
        SpeechResult,
        TextContent,
        VideoOperation,
        VideoRequest,
    )

_IMAGEN = re.compile(r"imagen")
_WITHOUT_SEED = re.compile(r"veo-[12]\b")
_FILES = re.compile(r"(?:image|audio|video|text)/|application/pdf\Z")
_SPEECH_FORMATS = ("wav", "pcm")
_OTHER_FORMAT = "The Gemini API makes wav and pcm; this is wav."


class Google(Translated):
    """The Gemini API with an API key. Only text and embeddings take the road through litellm."""

    type = "google"
    label = "Google"
    telemetry_name = "gcp.gemini"
    fields = (
        fields.API_KEY,
        fields.base_url(
            "Where the API is, up to and with its version.", default="https://generativelanguage.googleapis.com/v1beta"
        ),
        fields.HEADERS,
        fields.MAX_CONCURRENCY,
    )
    capabilities = Translated.capabilities | {
        Capability.EMBEDDINGS,
        Capability.IMAGE_GENERATION,
        Capability.SPEECH_GENERATION,
        Capability.VIDEO_GENERATION,
    }
    litellm_provider = "gemini"
    provider_options = {
        Capability.TEXT_GENERATION: frozenset({"thinking", "safety_settings", "service_tier"}),
        Capability.IMAGE_GENERATION: frozenset({"imageSize", "personGeneration", "sampleImageSize"}),
        Capability.SPEECH_GENERATION: frozenset({"multiSpeakerVoiceConfig"}),
        Capability.VIDEO_GENERATION: frozenset({"negativePrompt", "personGeneration"}),
    }
    files = "images, audio, video, PDF and text, by data or url"
    usage_key = "usageMetadata"
    no_usage = {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
    finish_reasons = {
        "STOP": "stop",
        "MAX_TOKENS": "length",
        "MALFORMED_FUNCTION_CALL": "error",
        "LANGUAGE": "content-filter",
        **dict.fromkeys(google_words.REFUSALS, "content-filter"),
    }

    def __init__(self, connection: Connection) -> None:
        from ai_models.transports.google import GoogleTransport

        super().__init__(connection)
        headers = connection.headers()
        if key := connection.secrets.get("apiKey"):
            headers["x-goog-api-key"] = key.reveal()
        base_url = connection.options["baseURL"]
        self.media = GoogleTransport(base_url, headers=headers, destinations=connection.destinations)

    async def supported_settings(self, capability: Capability, model: str) -> frozenset[str] | None:
        match capability:
            case Capability.IMAGE_GENERATION:
                return frozenset({"aspect_ratio"} if _IMAGEN.match(model) else {"aspect_ratio", "seed"})
            case Capability.SPEECH_GENERATION:
                return frozenset({"voice", "output_format", "instructions", "language"})
            case Capability.VIDEO_GENERATION:
                settings = frozenset({"n", "aspect_ratio", "resolution", "duration", "seed"})
                return settings - {"seed"} if _WITHOUT_SEED.match(model) else settings
            case _:
                return await super().supported_settings(capability, model)

    def embeddings_per_call(self, model: str) -> int | None:
        """100. https://ai.google.dev/api/embeddings#method:-models.batchembedcontents"""
        return 100

    def images_per_call(self, model: str) -> int | None:
        """4 with Imagen; a Gemini model draws one."""
        return 4 if _IMAGEN.match(model) else 1

    async def do_generate_image(self, model: str, request: ImageRequest) -> ImageResult:
        self._check_model(model)
        options = self.options(request)
        if "mask" in request:
            raise UnsupportedFunctionality("mask: Google's models take no mask; say in the prompt what is to change.")
        if not _IMAGEN.match(model):
            body = transports.google_media.generation_of_images(request, options)
            return await self.media.generate_images(model, body, request.get("headers"))
        if "images" in request:
            raise UnsupportedFunctionality("images: Imagen makes new images only; Gemini's image models edit.")
        body = transports.google_media.prediction_of_images(request, options)
        return await self.media.predict_images(model, body, request.get("headers"))

    async def do_generate_speech(self, model: str, request: SpeechRequest) -> SpeechResult:
        self._check_model(model)
        body = transports.google_media.generation_of_speech(request, self.options(request))
        wanted = request.get("output_format", "wav")
        result = await self.media.generate_speech(model, body, request.get("headers"), wav=wanted != "pcm")
        if wanted in _SPEECH_FORMATS:
            return result
        return replace(result, warnings=(types.Warning(type="unsupported", setting="output_format", message=_OTHER_FORMAT),))

    async def do_start_video(self, model: str, request: VideoRequest) -> VideoOperation:
        self._check_model(model)
        body = transports.google_media.prediction_of_videos(request, self.options(request))
        return await self.media.start_video(model, body, request.get("headers"))

    async def do_poll_video(self, model: str, reference: Mapping[str, Any]) -> VideoOperation:
        return await self.media.video(reference["name"])

    def do_fetch_video(self, model: str, reference: Mapping[str, Any], index: int) -> AsyncGenerator[bytes]:
        return self.media.video_content(reference["urls"][index])

    async def health_check(self) -> Health:
        return await listed(self.media.models())

    async def aclose(self) -> None:
        await super().aclose()
        await self.media.aclose()

    def finish_reason(self, payload: Mapping[str, Any]) -> str | None:
        candidates = payload.get("candidates")
        if isinstance(candidates, list) and candidates and isinstance(candidates[0], Mapping):
            return candidates[0].get("finishReason")
        feedback = payload.get("promptFeedback")  # a blocked prompt has no candidate
        return feedback.get("blockReason") if isinstance(feedback, Mapping) else None

    def content(self, payload: Mapping[str, Any]) -> Iterator[TextContent | ReasoningContent | None]:
        candidates = payload.get("candidates") or [{}]  # a blocked prompt has none
        for part in (candidates[0].get("content") or {}).get("parts") or ():
            if "functionCall" in part:
                yield None
            elif "text" in part:
                kind = types.ReasoningContent if part.get("thought") else types.TextContent
                yield kind(text=part["text"])

    def file(self, part: FilePart) -> Mapping[str, Any] | None:
        kind = chat_requests.media_type(part)
        if not _FILES.match(kind):
            return None
        if "url" in part:
            known = {} if kind.endswith("/*") else {"mimeType": kind}
            return {"fileData": {**known, "fileUri": part["url"]}}
        return {"inlineData": {"mimeType": kind, "data": chat_requests.encoded(part)}}

    async def arguments(self, model: str, capability: Capability) -> dict[str, Any]:
        return {
            "model": model,
            "api_base": self.connection.options["baseURL"].rstrip("/"),
            "api_key": self.connection.secrets["apiKey"].reveal(),
            "extra_headers": self.connection.headers(),
        }
