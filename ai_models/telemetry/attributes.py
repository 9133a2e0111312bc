"""What spans, metrics and log lines say of a call, by OpenTelemetry's conventions for generative AI. No user wrote it.

A prompt or an answer is told when ``AI_MODELS["CAPTURE_MESSAGE_CONTENT"]`` says so, and then in spans alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ai_models import correlation, registry
from ai_models.capabilities import Capability
from ai_models.conf import conf
from ai_models.snapshot import InstanceFacts
from ai_models.telemetry import content
from ai_models.telemetry.instruments import CAPABILITY, MODEL, OPERATION, PROVIDER, SYSTEM
from ai_models.types import Chunk, EmbeddingUsage, ResponseInfo, Usage

OTHER_MODEL = "other"
"""Stands in metrics for every model that is not configured on the instance: callers may name any."""

_CHAT = {Capability.TEXT_GENERATION, Capability.STRUCTURED_OUTPUT}
_OUTPUT_TYPES = {
    Capability.TEXT_GENERATION: "text",
    Capability.STRUCTURED_OUTPUT: "json",
    Capability.IMAGE_GENERATION: "image",
    Capability.SPEECH_GENERATION: "speech",
    Capability.TRANSCRIPTION: "text",
}
_SETTINGS = {
    "max_output_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "seed": "gen_ai.request.seed",
    "dimensions": "gen_ai.embeddings.dimension.count",
}
# Names of models and ids of answers; a provider or a caller could put anything in their place.
_HARMLESS = re.compile(r"[\w.:/@+-]{1,200}", re.ASCII)


def harmless(text: str | None) -> str | None:
    """A name that may be told; ``None`` for what looks like none."""
    return text if text and _HARMLESS.fullmatch(text) else None


def operation(capability: Capability, family: str) -> str:
    """``gen_ai.operation.name``."""
    if capability is Capability.EMBEDDINGS:
        return "embeddings"
    return "chat" if capability in _CHAT and family != "google" else "generate_content"


def identifying(facts: InstanceFacts, capability: Capability, model: str) -> dict[str, str]:
    """What a span has from its beginning, so that samplers see it."""
    family = registry.families().get(facts.family)
    return {
        OPERATION: operation(capability, facts.family),
        SYSTEM: (family and family.telemetry_name) or facts.family,
        MODEL: harmless(model) or OTHER_MODEL,
        PROVIDER: facts.name,
        CAPABILITY: capability.value,
    }


def labels(facts: InstanceFacts, capability: Capability, model: str) -> dict[str, str]:
    """What metrics have: as :func:`identifying`, with the names of configured models alone."""
    configured = facts.capabilities.get(capability)
    known = configured is not None and (model == configured.default_model or model in configured.aliases.values())
    return identifying(facts, capability, model if known else OTHER_MODEL)


def of_request(capability: Capability, request: Mapping[str, Any], *, streamed: bool) -> dict[str, Any]:
    """What a span says of the request."""
    found: dict[str, Any] = {name: request[field] for field, name in _SETTINGS.items() if field in request}
    if streamed:
        found["gen_ai.request.stream"] = True
    if request.get("n", 1) != 1:
        found["gen_ai.request.choice.count"] = request["n"]
    if output := _OUTPUT_TYPES.get(capability):
        found["gen_ai.output.type"] = output
    if (request_id := correlation.request_id.get()) != "-":
        found["ai_models.request_id"] = request_id
    if conf().CAPTURE_MESSAGE_CONTENT:
        found |= content.of_request(request)
    return found


class Line(dict[str, Any]):
    """A call as a log line: its fields, and as text those that are known."""

    def __str__(self) -> str:
        return " ".join([f"{name}={value}" for name, value in self.items() if value is not None])


class Outcome:
    """What a call brought, as far as it is told."""

    __slots__ = ("_content", "_finish_reason", "_response", "_usage", "input_tokens", "output_tokens")

    def __init__(self) -> None:
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self._usage: Usage | None = None
        self._response: ResponseInfo | None = None
        self._finish_reason: str | None = None
        self._content: content.Answer | None = None

    def capture(self) -> None:
        """Keep the answer too, where the settings say so."""
        if conf().CAPTURE_MESSAGE_CONTENT:
            self._content = content.Answer()

    def take_result(self, result: Any) -> None:
        """Learn from the result of a call, of whatever type."""
        self._take_usage(getattr(result, "usage", None))
        self._response = getattr(result, "response", None)
        self._finish_reason = getattr(result, "finish_reason", None)
        if self._content is not None:
            self._content.take_result(result)

    def take_chunk(self, chunk: Chunk) -> None:
        """Learn from a chunk of a stream."""
        if chunk.usage is not None:
            self._take_usage(chunk.usage)
        if chunk.response is not None:
            self._response = chunk.response
        if chunk.finish_reason is not None:
            self._finish_reason = chunk.finish_reason
        if self._content is not None:
            self._content.take_chunk(chunk)

    def _take_usage(self, usage: Usage | EmbeddingUsage | None) -> None:
        if isinstance(usage, EmbeddingUsage):
            self.input_tokens = usage.tokens
        elif usage is not None:
            self._usage, self.input_tokens, self.output_tokens = usage, usage.input_tokens, usage.output_tokens

    def attributes(self, first_chunk: float | None) -> dict[str, Any]:
        """What a span says of it.

        Args:
            first_chunk: seconds until a stream began.
        """
        found: dict[str, Any] = {
            "gen_ai.usage.input_tokens": self.input_tokens,
            "gen_ai.usage.output_tokens": self.output_tokens,
            "gen_ai.response.time_to_first_chunk": first_chunk,
            "gen_ai.response.finish_reasons": [self._finish_reason] if self._finish_reason else None,
        }
        if self._usage is not None:
            found["gen_ai.usage.cache_read.input_tokens"] = self._usage.input_token_details.cache_read
            found["gen_ai.usage.cache_creation.input_tokens"] = self._usage.input_token_details.cache_write
            found["gen_ai.usage.reasoning.output_tokens"] = self._usage.output_token_details.reasoning
        if self._response is not None:
            found["gen_ai.response.id"] = harmless(self._response.id)
            found["gen_ai.response.model"] = harmless(self._response.model)
        if self._content is not None:
            found |= self._content.attributes(self._finish_reason)
        return {name: value for name, value in found.items() if value is not None}
