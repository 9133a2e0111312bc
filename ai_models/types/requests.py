"""What callers ask for. Each class is the one declaration of its fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, with_config
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from ai_models import media
from ai_models.capabilities import Capability
from ai_models.types.messages import JSON_CONFIG, File, Message, NamedTool, Tool

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high"]


def _requiring(*names: str) -> ConfigDict:
    """The configuration of a request with fields that cannot be left out.

    They are not ``Required``: a method takes its first field by position too, which a type checker would then refuse.
    """
    return ConfigDict({**JSON_CONFIG, "json_schema_extra": {"required": list(names)}})


@cache
def required_fields(kind: Any) -> frozenset[str]:
    """Names of the fields that a request of this type cannot leave out; none of them has another name in JSON."""
    extra: Any = kind.__pydantic_config__.get("json_schema_extra", {})
    return frozenset(extra.get("required", ()))


@with_config(JSON_CONFIG)
class Timeout(TypedDict, total=False):
    """Limits in seconds."""

    total: Annotated[float, Field(gt=0, description="The whole call, retries included.")]
    first_chunk: Annotated[float, Field(gt=0, description="From the start of a stream to its first chunk.")]
    chunk: Annotated[float, Field(gt=0, description="Between two chunks of a stream.")]


ProviderName = Annotated[str, Field(min_length=1, max_length=64)]
ModelName = Annotated[str, Field(min_length=1, max_length=256)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63, description="For repeatable results, where the model has it.")]


@with_config(JSON_CONFIG)
class ModelRequest(TypedDict, total=False):
    """What every method takes: which provider and model, and how to call them."""

    provider: Annotated[ProviderName, Field(description="Instance name; the default provider when absent.")]
    model: Annotated[ModelName, Field(description="Model or alias; the default model when absent.")]
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
    seed: Seed
    reasoning: Annotated[ReasoningEffort, Field(description="How much the model may think before it answers.")]
    tools: Annotated[list[Tool], Field(max_length=256, description="Tools the model may ask for; nothing is executed here.")]
    tool_choice: Annotated[Literal["auto", "none", "required"] | NamedTool, Field(description="Whether tools are called.")]


@with_config(JSON_CONFIG)
class TextRequest(TextSettings, total=False):
    """Text generation. Exactly one of ``prompt`` and ``messages`` is given."""

    prompt: Annotated[str, Field(min_length=1, description="The user's text, for a single turn.")]
    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000, description="The conversation, oldest first.")]
    system: Annotated[str, Field(description="Instructions that stand before the conversation.")]


@with_config(_requiring("schema"))
class ObjectRequest(TextRequest, total=False):
    """Structured output: text generation whose answer satisfies a JSON Schema."""

    schema: Annotated[Any, Field(description="JSON Schema; in Python also a pydantic model or a dataclass.")]
    schema_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Some providers show it to the model.")]
    schema_description: Annotated[str, Field(description="Some providers show it to the model.")]


OnDisconnect = Literal["cancel", "finish"]

ON_DISCONNECT = Field(
    description="When the connection is lost: cancel the call, which is the default, or finish it all the same."
)


@with_config(JSON_CONFIG)
class TextStreamRequest(TextRequest, total=False):
    """Text generation, streamed over a connection."""

    on_disconnect: Annotated[OnDisconnect, ON_DISCONNECT]


@with_config(_requiring("schema"))
class ObjectStreamRequest(ObjectRequest, total=False):
    """Structured output, streamed over a connection."""

    on_disconnect: Annotated[OnDisconnect, ON_DISCONNECT]


@with_config(JSON_CONFIG)
class EmbeddingSettings(ModelRequest, total=False):
    """How texts are turned into vectors."""

    dimensions: Annotated[int, Field(gt=0, le=65_536, description="Length of each vector, where the model can shorten.")]


@with_config(JSON_CONFIG)
class EmbedRequest(EmbeddingSettings, total=False):
    """Embeddings. Exactly one of ``value`` and ``values`` is given."""

    value: Annotated[str, Field(min_length=1, description="One text.")]
    values: Annotated[
        list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=10_000, description="Several texts.")
    ]


def _pattern(pattern: str, hint: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise PydanticCustomError("pattern", "{hint}", {"hint": hint})
        return text

    return AfterValidator(check)


def _image(data: bytes) -> bytes:
    try:
        media.checked_type(data, None, media.IMAGE_TYPES)
    except media.NotAFile as error:
        raise PydanticCustomError("file", "{reason}", {"reason": str(error)}) from None
    return data


Image = Annotated[File, AfterValidator(_image)]
"""A PNG, JPEG, WebP or GIF image that a caller sends."""

_SIZE = _pattern(r"[1-9]\d{0,4}x[1-9]\d{0,4}", "give width and height in pixels, such as 1024x1024")
_RATIO = _pattern(r"[1-9]\d{0,3}:[1-9]\d{0,3}", "give width and height as a ratio, such as 16:9")
AspectRatio = Annotated[str, _RATIO, Field(description="Width to height, 16:9.", examples=["16:9"])]


@with_config(JSON_CONFIG)
class ImageSettings(ModelRequest, total=False):
    """What an image looks like. A model honours some of these; the others are reported as ``unsupported``."""

    size: Annotated[str, _SIZE, Field(description="Width and height in pixels, 1024x1024.", examples=["1024x1024"])]
    aspect_ratio: AspectRatio
    seed: Seed


@with_config(_requiring("prompt"))
class ImageRequest(ImageSettings, total=False):
    """Image generation; with ``images``, their editing."""

    prompt: Annotated[str, Field(min_length=1, description="What the images show, or how the given images are changed.")]
    n: Annotated[int, Field(gt=0, le=10, description="How many images; 1 when absent.")]
    images: Annotated[list[Image], Field(min_length=1, max_length=16, description="Images to edit or to work from.")]
    mask: Annotated[Image, Field(description="A PNG whose transparent parts are where the first image is changed.")]


@with_config(JSON_CONFIG)
class SpeechSettings(ModelRequest, total=False):
    """How a text is spoken. A model honours some of these; the others are reported as ``unsupported``."""

    voice: Annotated[str, Field(min_length=1, max_length=128, description="The provider's name of a voice.")]
    output_format: Annotated[
        str, _pattern(r"[a-z0-9_]{2,16}", "give a format's name, such as mp3 or wav"), Field(description="mp3, wav, ...")
    ]
    instructions: Annotated[str, Field(min_length=1, description="How to speak: tone, mood, accent.")]
    speed: Annotated[float, Field(ge=0.25, le=4, description="1 is the voice's own speed.")]
    language: Annotated[str, Field(min_length=2, max_length=35, description="The text's language, en or pt-BR.")]


@with_config(_requiring("text"))
class SpeechRequest(SpeechSettings, total=False):
    """Speech generation."""

    text: Annotated[str, Field(min_length=1, max_length=1_000_000, description="What is spoken.")]


@with_config(JSON_CONFIG)
class TranscriptionSettings(ModelRequest, total=False):
    """How speech is written down. A model honours some of these; the others are reported as ``unsupported``."""

    language: Annotated[str, Field(min_length=2, max_length=35, description="The spoken language, en or pt-BR.")]


@with_config(_requiring("audio"))
class TranscribeRequest(TranscriptionSettings, total=False):
    """Transcription."""

    audio: Annotated[File, Field(description="The recording; base64 in JSON, in a form the file itself.")]
    media_type: Annotated[
        str, Field(pattern=r"^[\w.+-]+/[\w.+-]+$", description="audio/wav, ...; what the bytes say wins, with a warning.")
    ]


@with_config(JSON_CONFIG)
class VideoSettings(ModelRequest, total=False):
    """What a video looks like. A model honours some of these; the others are reported as ``unsupported``."""

    n: Annotated[int, Field(gt=0, le=4, description="How many videos; 1 when absent.")]
    aspect_ratio: AspectRatio
    resolution: Annotated[str, _SIZE, Field(description="Width and height in pixels, 1280x720.", examples=["1280x720"])]
    duration: Annotated[float, Field(gt=0, le=3600, description="Seconds.")]
    fps: Annotated[int, Field(gt=0, le=240, description="Frames per second.")]
    seed: Seed


@with_config(_requiring("prompt"))
class VideoRequest(VideoSettings, total=False):
    """Video generation."""

    prompt: Annotated[str, Field(min_length=1, description="What happens in the video.")]
    image: Annotated[Image, Field(description="An image that the video begins with.")]


@with_config(_requiring("capability"))
class ResolveRequest(TypedDict, total=False):
    """Ask which provider and model a request would use, and whether it may."""

    capability: Annotated[str, Field(description="text-generation, embeddings, ...")]
    provider: Annotated[ProviderName, Field(description="As in a call.")]
    model: Annotated[ModelName, Field(description="As in a call.")]


def _settings(kind: Any) -> frozenset[str]:
    return frozenset(kind.__annotations__) - frozenset(ModelRequest.__annotations__)


TEXT_SETTINGS = _settings(TextSettings)
"""Names of the settings of text generation."""

SETTINGS: Mapping[Capability, frozenset[str]] = {
    Capability.TEXT_GENERATION: TEXT_SETTINGS,
    Capability.STRUCTURED_OUTPUT: TEXT_SETTINGS,
    Capability.EMBEDDINGS: _settings(EmbeddingSettings),
    Capability.IMAGE_GENERATION: _settings(ImageSettings),
    Capability.SPEECH_GENERATION: _settings(SpeechSettings),
    Capability.TRANSCRIPTION: _settings(TranscriptionSettings),
    Capability.VIDEO_GENERATION: _settings(VideoSettings),
}
"""By capability, names of the settings that a model may be unable to honour."""
