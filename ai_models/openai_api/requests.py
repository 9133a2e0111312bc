"""What callers send, by OpenAI's names. Each class is the one declaration of its fields, and of what becomes of them.

Limits of values are not declared again: the service has them, and its errors come back under OpenAI's names.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Required

from pydantic import BeforeValidator, JsonValue, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from ai_models.integrations import chat
from ai_models.openai_api.fields import CONFIG, GIVEN, Ignored, Option, Refused, Setting
from ai_models.openai_api.messages import Message, NamedFunction, ResponseFormat, StreamOptions, Tool
from ai_models.types import File

AUTO = ("auto",)
_ONE_ANSWER = Refused("one answer is given to a request; send several requests", neutral=(1,))
_NOT_STREAMED = Refused("this answer is not streamed", neutral=(False,))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _texts_only(value: Any) -> Any:
    if isinstance(value, list) and any(isinstance(item, int | list) for item in value):
        raise PydanticCustomError("tokens", "send text: tokens are those of one model, and which it is may be configured anew")
    return value


@with_config(CONFIG)
class ChatRequest(TypedDict, total=False):
    """``POST chat/completions``."""

    model: Required[str]
    messages: Required[Annotated[list[Message], Setting(convert=chat.messages)]]
    stream: bool
    stream_options: Annotated[StreamOptions, GIVEN]
    response_format: ResponseFormat
    tools: Annotated[list[Annotated[Tool, GIVEN]], Setting(convert=chat.tools, neutral=([],))]
    tool_choice: Annotated[Literal["auto", "none", "required"] | NamedFunction, Setting(convert=chat.tool_choice)]
    max_tokens: Annotated[int, Setting("max_output_tokens")]
    max_completion_tokens: Annotated[int, Setting("max_output_tokens")]
    temperature: Annotated[float, Setting()]
    top_p: Annotated[float, Setting()]
    top_k: Annotated[int, Setting()]
    presence_penalty: Annotated[float, Setting()]
    frequency_penalty: Annotated[float, Setting()]
    seed: Annotated[int, Setting()]
    stop: Annotated[str | list[str], Setting("stop_sequences", _listed, neutral=([],))]
    reasoning_effort: Annotated[
        Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"], Setting("reasoning", chat.effort)
    ]
    provider_options: Annotated[dict[str, dict[str, JsonValue]], Setting()]
    logit_bias: Annotated[dict[str, int | float], Option(neutral=({},))]
    parallel_tool_calls: Annotated[bool, Option(neutral=(True,))]
    service_tier: Annotated[str, Option(neutral=("auto", "default"))]
    verbosity: Annotated[str, Option(neutral=("medium",))]
    metadata: Annotated[Any, Ignored()]
    prompt_cache_key: Annotated[Any, Ignored()]
    prompt_cache_options: Annotated[Any, Ignored()]
    prompt_cache_retention: Annotated[Any, Ignored()]
    safety_identifier: Annotated[Any, Ignored()]
    user: Annotated[Any, Ignored()]
    audio: Annotated[Any, Refused("answers are text; speech is made at audio/speech")]
    function_call: Annotated[Any, Refused("functions are called as tools; send tool_choice")]
    functions: Annotated[Any, Refused("functions are called as tools; send tools")]
    logprobs: Annotated[bool, Refused("probabilities of tokens are not told", neutral=(False,))]
    modalities: Annotated[list[str], Refused("answers are text; speech is made at audio/speech", neutral=(["text"],))]
    moderation: Annotated[Any, Refused("nothing is moderated here")]
    n: Annotated[int, _ONE_ANSWER]
    prediction: Annotated[Any, Refused("a predicted answer is not passed on")]
    store: Annotated[bool, Refused("nothing is stored here", neutral=(False,))]
    top_logprobs: Annotated[int, Refused("probabilities of tokens are not told", neutral=(0,))]
    web_search_options: Annotated[Any, Refused("nothing is searched here; give the model a tool of your own")]


@with_config(CONFIG)
class EmbeddingsRequest(TypedDict, total=False):
    """``POST embeddings``."""

    model: Required[str]
    input: Required[Annotated[str | list[str], BeforeValidator(_texts_only), Setting("values", _listed)]]
    encoding_format: Literal["float", "base64"]
    dimensions: Annotated[int, Setting()]
    provider_options: Annotated[dict[str, dict[str, JsonValue]], Setting()]
    user: Annotated[Any, Ignored()]


@with_config(CONFIG)
class ImagesRequest(TypedDict, total=False):
    """``POST images/generations``."""

    model: Required[str]
    prompt: Required[Annotated[str, Setting()]]
    n: Annotated[int, Setting()]
    size: Annotated[str, Setting(neutral=AUTO)]
    seed: Annotated[int, Setting()]
    provider_options: Annotated[dict[str, dict[str, JsonValue]], Setting()]
    background: Annotated[str, Option(neutral=AUTO)]
    moderation: Annotated[str, Option(neutral=AUTO)]
    output_compression: Annotated[int, Option(neutral=(100,))]
    output_format: Annotated[str, Option()]
    quality: Annotated[str, Option(neutral=("auto", "standard"))]
    style: Annotated[str, Option()]
    safety_identifier: Annotated[Any, Ignored()]
    user: Annotated[Any, Ignored()]
    partial_images: Annotated[int, Refused("this answer is not streamed", neutral=(0,))]
    response_format: Annotated[str, Refused("no image has an address here; they are in the answer, as b64_json", ("b64_json",))]
    stream: Annotated[bool, _NOT_STREAMED]


@with_config(CONFIG)
class SpeechRequest(TypedDict, total=False):
    """``POST audio/speech``."""

    model: Required[str]
    input: Required[Annotated[str, Setting("text")]]
    voice: Annotated[str, Setting()]
    response_format: Annotated[str, Setting("output_format")]
    speed: Annotated[float, Setting()]
    instructions: Annotated[str, Setting(neutral=("",))]
    provider_options: Annotated[dict[str, dict[str, JsonValue]], Setting()]
    stream_format: Annotated[str, Refused("the answer is the sound itself", neutral=("audio",))]


@with_config(CONFIG)
class TranscriptionRequest(TypedDict, total=False):
    """``POST audio/transcriptions``."""

    model: Required[str]
    file: Required[Annotated[File, Setting("audio")]]
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"]
    language: Annotated[str, Setting(neutral=("",))]
    provider_options: Annotated[dict[str, dict[str, JsonValue]], Setting()]
    chunking_strategy: Annotated[str | dict[str, JsonValue], Option()]
    keywords: Annotated[list[str], Option(neutral=([],))]
    languages: Annotated[list[str], Option(neutral=([],))]
    prompt: Annotated[str, Option(neutral=("",))]
    temperature: Annotated[float, Option(neutral=(0,))]
    include: Annotated[list[str], Refused("probabilities of tokens are not told", neutral=([],))]
    known_speaker_names: Annotated[list[str], Refused("speakers are not told apart", neutral=([],))]
    known_speaker_references: Annotated[list[str], Refused("speakers are not told apart", neutral=([],))]
    stream: Annotated[bool, _NOT_STREAMED]
    timestamp_granularities: Annotated[list[str], Refused("times of segments are told, not those of words", (["segment"], []))]
