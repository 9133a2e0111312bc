"""Anthropic. https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai_models.capabilities import Capability
from ai_models.families import fields
from ai_models.families.translated import Translated


class Anthropic(Translated):
    """Anthropic's Messages API, its own or one that fronts it."""

    type = "anthropic"
    label = "Anthropic"
    fields = (
        fields.API_KEY,
        fields.base_url("Where the API is; a closing /v1 may be left out.", default="https://api.anthropic.com/v1"),
        fields.HEADERS,
    )
    litellm_provider = "anthropic"
    provider_options = frozenset({"thinking", "service_tier", "parallel_tool_calls"})
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

    def finish_reason(self, payload: Mapping[str, Any]) -> str | None:
        # In an answer at the top, in a stream in its message_delta event.
        delta = payload.get("delta")
        return payload.get("stop_reason") or (delta.get("stop_reason") if isinstance(delta, Mapping) else None)

    async def arguments(self, model: str, capability: Capability) -> dict[str, Any]:
        key = self.connection.secrets["apiKey"].reveal()
        headers = {name.lower(): value.reveal() for name, value in self.connection.mappings.get("headers", {}).items()}
        # The key also as a header: litellm sends some kinds of key as a bearer token, which only Anthropic's own host takes.
        return {
            "model": model,
            "api_base": self.connection.options["baseURL"].rstrip("/").removesuffix("/v1"),
            "api_key": key,
            "extra_headers": {**headers, "x-api-key": key},
        }
