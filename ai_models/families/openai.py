"""OpenAI. https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ai_models import types
from ai_models.capabilities import Capability
from ai_models.exceptions import InvalidRequest
from ai_models.families import fields
from ai_models.families.openai_endpoint import OpenAIEndpoint
from ai_models.transports import chat_requests

if TYPE_CHECKING:
    from ai_models.types import ImageRequest, SpeechRequest, TextRequest, TranscribeRequest, TranscriptionResult, VideoRequest

# Models that think before they answer: https://platform.openai.com/docs/guides/reasoning
_REASONING_MODEL = re.compile(r"(?:ft:)?(?:o\d|gpt-(?:[5-9]|\d\d)(?!.*chat)|codex)")
_SAMPLING = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty", "stop_sequences"})
# Speech models of the first generation: https://platform.openai.com/docs/api-reference/audio/createSpeech
_FIRST_SPEECH_MODEL = re.compile(r"tts-1")
_VOICE = "alloy"
_VIDEO_SECONDS = (4, 8, 12)


class OpenAI(OpenAIEndpoint):
    """OpenAI's own endpoint, or one that fronts it."""

    type = "openai"
    label = "OpenAI"
    fields = (
        fields.API_KEY,
        fields.base_url("Where the API is, up to and with /v1.", default="https://api.openai.com/v1"),
        fields.ConfigField(name="organization", help="Organization id that usage is counted for."),
        fields.ConfigField(name="project", help="Project id that usage is counted for."),
        fields.HEADERS,
        fields.MAX_CONCURRENCY,
        fields.encoding_format(default="base64"),  # OpenAI's own clients ask for it too
    )
    provider_options = {
        Capability.TEXT_GENERATION: frozenset(
            {"logit_bias", "logprobs", "top_logprobs", "metadata", "parallel_tool_calls", "prediction", "prompt_cache_key",
             "prompt_cache_retention", "safety_identifier", "service_tier", "store", "user", "verbosity"}
        ),
        Capability.EMBEDDINGS: frozenset({"user"}),
        Capability.IMAGE_GENERATION: frozenset(
            {"quality", "background", "moderation", "output_format", "output_compression", "style", "input_fidelity", "user"}
        ),
        Capability.TRANSCRIPTION: frozenset({"prompt", "temperature", "chunking_strategy", "keywords", "languages"}),
    }  # fmt: skip

    def headers(self) -> dict[str, str]:
        named = {"openai-organization": "organization", "openai-project": "project"}
        own = {
            header: self.connection.options[option] for header, option in named.items() if self.connection.options.get(option)
        }
        return {**super().headers(), **own}

    async def supported_settings(self, capability: Capability, model: str) -> frozenset[str] | None:
        if types.SETTINGS[capability] is types.TEXT_SETTINGS:
            return types.TEXT_SETTINGS - {"top_k"} - (_SAMPLING if _REASONING_MODEL.match(model) else {"reasoning"})
        if capability is Capability.IMAGE_GENERATION:
            return frozenset({"size"})
        if capability is Capability.SPEECH_GENERATION:
            return frozenset({"voice", "output_format", "speed" if _FIRST_SPEECH_MODEL.match(model) else "instructions"})
        if capability is Capability.VIDEO_GENERATION:
            return frozenset({"resolution", "duration"})
        return await super().supported_settings(capability, model)

    def images_per_call(self, model: str) -> int | None:
        """1 for dall-e-3. The others make up to 10; 4 large ones fit into an answer of ``AI_MODELS["MAX_RESPONSE_BYTES"]``.

        https://platform.openai.com/docs/api-reference/images/create#images-create-n
        """
        return 1 if model == "dall-e-3" else 4

    def settings(self, model: str, request: TextRequest) -> dict[str, Any]:
        settings = chat_requests.settings(request)
        if "max_tokens" in settings:  # deprecated by OpenAI, and refused by its reasoning models
            settings["max_completion_tokens"] = settings.pop("max_tokens")
        return settings

    def image_settings(self, model: str, request: ImageRequest) -> dict[str, Any]:
        settings = super().image_settings(model, request)
        if not model.startswith("dall-e"):  # the others always answer with the image itself, and refuse to be asked
            del settings["response_format"]
        return settings

    def speech_settings(self, model: str, request: SpeechRequest) -> dict[str, Any]:
        return {"voice": _VOICE, **super().speech_settings(model, request)}

    def transcription_settings(self, model: str, request: TranscribeRequest) -> dict[str, Any]:
        settings = super().transcription_settings(model, request)
        if "whisper" in model:
            return {**settings, "timestamp_granularities": ["segment"]}
        if "diarize" in model:  # without chunking, it takes no more than 30 seconds
            return {**settings, "response_format": "diarized_json", "chunking_strategy": "auto"}
        return {**settings, "response_format": "json"}

    async def do_transcribe(self, model: str, request: TranscribeRequest) -> TranscriptionResult:
        language = request.get("language", "")
        primary = language.partition("-")[0]
        if primary == language:
            return await super().do_transcribe(model, request)
        result = await super().do_transcribe(model, {**request, "language": primary})
        message = f"The model takes languages without a region; it was told {primary}."
        return replace(result, warnings=(types.Warning(type="compatibility", setting="language", message=message),))

    def video_settings(self, model: str, request: VideoRequest) -> dict[str, Any]:
        if request.get("duration", _VIDEO_SECONDS[0]) not in _VIDEO_SECONDS:
            raise InvalidRequest(f"duration: the model makes videos of {', '.join(map(str, _VIDEO_SECONDS))} seconds")
        return super().video_settings(model, request)
