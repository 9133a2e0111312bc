"""OpenAI. https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

import re
from typing import Any

from ai_models.families import fields
from ai_models.families.openai_protocol import ALL_BUT_TOP_K, OpenAIProtocol
from ai_models.transports import chat
from ai_models.types import TextRequest

# Models that think before they answer: https://platform.openai.com/docs/guides/reasoning
_REASONING_MODEL = re.compile(r"(?:ft:)?(?:o\d|gpt-(?:[5-9]|\d\d)(?!.*chat)|codex)")
_SAMPLING = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty", "stop_sequences"})


class OpenAI(OpenAIProtocol):
    """OpenAI's own endpoint, or one that fronts it."""

    type = "openai"
    label = "OpenAI"
    fields = (
        fields.API_KEY,
        fields.base_url("Where the API is, up to and with /v1.", default="https://api.openai.com/v1"),
        fields.ConfigField(name="organization", help="Organization id that usage is counted for."),
        fields.ConfigField(name="project", help="Project id that usage is counted for."),
        fields.HEADERS,
    )
    provider_options = frozenset(
        {"logit_bias", "logprobs", "top_logprobs", "metadata", "parallel_tool_calls", "prediction", "prompt_cache_key",
         "prompt_cache_retention", "safety_identifier", "service_tier", "store", "user", "verbosity"}
    )  # fmt: skip

    def headers(self) -> dict[str, str]:
        named = {"openai-organization": "organization", "openai-project": "project"}
        own = {
            header: self.connection.options[option] for header, option in named.items() if self.connection.options.get(option)
        }
        return {**super().headers(), **own}

    async def supported_settings(self, model: str) -> frozenset[str]:
        return ALL_BUT_TOP_K - (_SAMPLING if _REASONING_MODEL.match(model) else {"reasoning"})

    def settings(self, model: str, request: TextRequest) -> dict[str, Any]:
        settings = chat.settings(request)
        if "max_tokens" in settings:  # deprecated by OpenAI, and refused by its reasoning models
            settings["max_completion_tokens"] = settings.pop("max_tokens")
        return settings
