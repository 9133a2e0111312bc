"""Google's Gemini API. https://ai.google.dev/api/generate-content"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai_models.capabilities import Capability
from ai_models.families import fields
from ai_models.families.translated import Translated


class Google(Translated):
    """The Gemini API with an API key."""

    type = "google"
    label = "Google"
    fields = (
        fields.API_KEY,
        fields.base_url(
            "Where the API is, up to and with its version.", default="https://generativelanguage.googleapis.com/v1beta"
        ),
        fields.HEADERS,
    )
    capabilities = Translated.capabilities | {Capability.EMBEDDINGS}
    litellm_provider = "gemini"
    provider_options = frozenset({"thinking", "safety_settings", "service_tier"})
    usage_key = "usageMetadata"
    no_usage = {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
    finish_reasons = {
        "STOP": "stop",
        "MAX_TOKENS": "length",
        "SAFETY": "content-filter",
        "RECITATION": "content-filter",
        "LANGUAGE": "content-filter",
        "BLOCKLIST": "content-filter",
        "PROHIBITED_CONTENT": "content-filter",
        "SPII": "content-filter",
        "IMAGE_SAFETY": "content-filter",
        "MALFORMED_FUNCTION_CALL": "error",
    }

    def finish_reason(self, payload: Mapping[str, Any]) -> str | None:
        candidates = payload.get("candidates")
        if isinstance(candidates, list) and candidates and isinstance(candidates[0], Mapping):
            return candidates[0].get("finishReason")
        feedback = payload.get("promptFeedback")  # a blocked prompt has no candidate
        return feedback.get("blockReason") if isinstance(feedback, Mapping) else None

    async def arguments(self, model: str, capability: Capability) -> dict[str, Any]:
        headers = {name.lower(): value.reveal() for name, value in self.connection.mappings.get("headers", {}).items()}
        return {
            "model": model,
            "api_base": self.connection.options["baseURL"].rstrip("/"),
            "api_key": self.connection.secrets["apiKey"].reveal(),
            "extra_headers": headers,
        }
