"""Any endpoint that speaks OpenAI's protocol: Groq, Together, vLLM, Ollama, LM Studio, OpenRouter and many more.

A new vendor of this kind is an entry in the configuration file, not code.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ai_models import types
from ai_models.capabilities import Capability
from ai_models.families import fields
from ai_models.families.openai_endpoint import OpenAIEndpoint

if TYPE_CHECKING:
    from ai_models.types import ObjectRequest, Warning

_INSTRUCTION = "Answer with a JSON value only, no other text. It must satisfy this JSON Schema:\n"


class OpenAICompatible(OpenAIEndpoint):
    """One endpoint with an address of its own; key, headers and query parameters as it wants them.

    Every setting is passed on, since nothing is known about the models behind the address: the endpoint rejects what it
    does not take. So does one that lacks a capability.
    """

    type = "openai-compatible"
    label = "OpenAI-compatible"
    fields = (
        fields.base_url("Where the API is, up to and with /v1 or what stands in its place."),
        fields.ConfigField(name="apiKey", help="Sent as a bearer token; leave it out where none is needed.", secret=True),
        fields.HEADERS,
        fields.QUERY_PARAMS,
        fields.MAX_CONCURRENCY,
        fields.ConfigField(
            name="structuredOutput",
            help="How the endpoint is made to answer with JSON: by a schema, by its JSON mode, or by instructions only.",
            default="json_schema",
            choices=("json_schema", "json_object", "instructions"),
        ),
        fields.encoding_format(default="float"),
    )

    # What the common servers and gateways take beyond our own settings, and what no gateway reads an address from.
    provider_options = {
        Capability.TEXT_GENERATION: frozenset(
            {"logit_bias", "logprobs", "top_logprobs", "min_p", "typical_p", "repetition_penalty", "repeat_penalty", "top_a",
             "parallel_tool_calls", "service_tier", "user", "verbosity", "prompt_cache_key", "safety_identifier",
             "chat_template_kwargs", "include_reasoning", "reasoning_format", "thinking", "enable_thinking", "transforms",
             "min_tokens", "ignore_eos"}
        ),
        Capability.EMBEDDINGS: frozenset({"user", "input_type", "truncate"}),
        Capability.IMAGE_GENERATION: frozenset(
            {"quality", "background", "moderation", "output_format", "output_compression", "style", "input_fidelity", "user",
             "negative_prompt", "num_inference_steps", "steps", "guidance_scale", "width", "height"}
        ),
        Capability.SPEECH_GENERATION: frozenset({"sample_rate", "lang_code"}),
        Capability.TRANSCRIPTION: frozenset(
            {"prompt", "temperature", "response_format", "timestamp_granularities", "chunking_strategy", "hotwords",
             "vad_filter"}
        ),
    }  # fmt: skip

    def structured(self, body: dict[str, Any], request: ObjectRequest) -> tuple[dict[str, Any], tuple[Warning, ...]]:
        mode = self.connection.options["structuredOutput"]
        if mode == "json_schema":
            return super().structured(body, request)
        instruction = {"role": "system", "content": _INSTRUCTION + json.dumps(request["schema"])}
        body = {**body, "messages": [instruction, *body["messages"]]}
        if mode == "json_object":
            body["response_format"] = {"type": "json_object"}
        message = "The endpoint has no schema mode; the schema was given to the model as instructions and checked afterwards."
        return body, (types.Warning(type="compatibility", setting="schema", message=message),)

    def knows(self, model: str, names: frozenset[str]) -> bool | None:
        """Ollama lists every model with its tag, of which ``latest`` goes without saying."""
        return model in names or f"{model}:latest" in names
