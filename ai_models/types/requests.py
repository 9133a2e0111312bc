"""What callers ask for. Each class is the one declaration of its fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, with_config
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from ai_models.types.messages import JSON_CONFIG, Message, NamedTool, Tool

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high"]


@with_config(JSON_CONFIG)
class Timeout(TypedDict, total=False):
    """Limits in seconds."""

    total: Annotated[float, Field(gt=0, description="The whole call, retries included.")]
    first_chunk: Annotated[float, Field(gt=0, description="From the start of a stream to its first chunk.")]
    chunk: Annotated[float, Field(gt=0, description="Between two chunks of a stream.")]


@with_config(JSON_CONFIG)
class ModelRequest(TypedDict, total=False):
    """What every method takes: which provider and model, and how to call them."""

    provider: Annotated[str, Field(min_length=1, max_length=64, description="Instance name; the default provider when absent.")]
    model: Annotated[str, Field(min_length=1, max_length=256, description="Model or alias; the default model when absent.")]
    provider_options: Annotated[
        dict[str, dict[str, JsonValue]],
        Field(description='Vendor settings by family: {"openai": {"service_tier": "flex"}}. Unknown settings are refused.'),
    ]
    timeout: Annotated[Annotated[float, Field(gt=0)] | Timeout, Field(description="Seconds for the whole call, or limits.")]
    max_retries: Annotated[int, Field(ge=0, le=10, description="Attempts after the first one.")]
    headers: SkipJsonSchema[dict[str, str]]
    """Further HTTP headers for the provider; in-process callers only."""


IN_PROCESS_FIELDS = frozenset({"headers"})
"""Request fields that Python callers have and edges refuse: a remote caller never writes to the upstream connection."""


@with_config(JSON_CONFIG)
class TextSettings(ModelRequest, total=False):
    """How text is generated. A model honours some of these; the others are reported as ``unsupported``."""

    max_output_tokens: Annotated[int, Field(gt=0, le=10_000_000, description="Upper limit of generated tokens.")]
    temperature: Annotated[float, Field(ge=0, le=2, description="Randomness; 0 always takes the likeliest token.")]
    top_p: Annotated[float, Field(ge=0, le=1, description="Sample from the likeliest tokens of this total probability.")]
    top_k: Annotated[int, Field(gt=0, le=1_000_000, description="Sample from this many likeliest tokens.")]
    presence_penalty: Annotated[float, Field(ge=-2, le=2, description="Above 0, tokens that occurred become less likely.")]
    frequency_penalty: Annotated[
        float, Field(ge=-2, le=2, description="Above 0, tokens become less likely each time they occur.")
    ]
    stop_sequences: Annotated[list[str], Field(max_length=64, description="Generation stops before any of these texts.")]
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63, description="For repeatable sampling, where the model has it.")]
    reasoning: Annotated[ReasoningEffort, Field(description="How much the model may think before it answers.")]
    tools: Annotated[list[Tool], Field(max_length=256, description="Tools the model may ask for; nothing is executed here.")]
    tool_choice: Annotated[Literal["auto", "none", "required"] | NamedTool, Field(description="Whether tools are called.")]


TEXT_SETTINGS = frozenset(TextSettings.__annotations__) - frozenset(ModelRequest.__annotations__)
"""Names of the settings that a model may be unable to honour."""


@with_config(JSON_CONFIG)
class TextRequest(TextSettings, total=False):
    """Text generation. Exactly one of ``prompt`` and ``messages`` is given."""

    prompt: Annotated[str, Field(min_length=1, description="The user's text, for a single turn.")]
    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000, description="The conversation, oldest first.")]
    system: Annotated[str, Field(description="Instructions that stand before the conversation.")]


@with_config(JSON_CONFIG)
class ObjectRequest(TextRequest, total=False):
    """Structured output: text generation whose answer satisfies a JSON Schema."""

    schema: Annotated[Any, Field(description="JSON Schema; in Python also a pydantic model or a dataclass.")]
    schema_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Some providers show it to the model.")]
    schema_description: Annotated[str, Field(description="Some providers show it to the model.")]


@with_config(JSON_CONFIG)
class EmbedRequest(ModelRequest, total=False):
    """Embeddings. Exactly one of ``value`` and ``values`` is given."""

    value: Annotated[str, Field(min_length=1, description="One text.")]
    values: Annotated[
        list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=10_000, description="Several texts.")
    ]
    dimensions: Annotated[int, Field(gt=0, le=65_536, description="Length of each vector, where the model can shorten.")]


@with_config(JSON_CONFIG)
class ResolveRequest(TypedDict, total=False):
    """Ask which provider and model a request would use, and whether it may."""

    capability: Annotated[str, Field(description="text-generation, embeddings, ...")]
    provider: Annotated[str, Field(min_length=1, max_length=64, description="As in a call.")]
    model: Annotated[str, Field(min_length=1, max_length=256, description="As in a call.")]
