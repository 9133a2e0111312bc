"""What callers get: results, and the pieces that families make them of."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from ai_models.exceptions import AIModelsError


class _Base64:
    """Says to pydantic what the annotated bytes are in JSON."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, str]:
        return {"type": "string", "contentEncoding": "base64"}


BASE64 = _Base64()
"""What bytes are in JSON."""

FinishReason = Literal["stop", "length", "content-filter", "tool-calls", "error", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTokenDetails:
    """Where input tokens came from; ``None`` is unknown."""

    no_cache: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTokenDetails:
    """What output tokens were spent on; ``None`` is unknown."""

    text: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts as the provider reported them; an unknown figure is ``None``, never 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_token_details: InputTokenDetails = field(default_factory=InputTokenDetails)
    output_token_details: OutputTokenDetails = field(default_factory=OutputTokenDetails)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warning:
    """Something the caller asked for was not, or not exactly, done.

    Attributes:
        type: ``unsupported``: the setting was left out; ``compatibility``: it was done another way;
            ``deprecated``: it works and will go; ``other``.
        setting: the request field it is about, when it is about one.
        message: what happened, in one sentence.
    """

    type: Literal["unsupported", "compatibility", "deprecated", "other"]
    message: str
    setting: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextContent:
    """Text of an answer."""

    type: Literal["text"] = "text"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningContent:
    """What the model thought before it answered.

    Attributes:
        text: empty where the vendor keeps the thoughts to itself.
        provider_metadata: what the vendor wants back with it in the next turn, by family; ``None`` when it wants nothing.
    """

    type: Literal["reasoning"] = "reasoning"
    text: str
    provider_metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool the model asks the caller to run.

    Attributes:
        input: the arguments, decoded from JSON; the raw text when it is not valid JSON (then ``invalid`` is set).
    """

    type: Literal["tool-call"] = "tool-call"
    tool_call_id: str
    tool_name: str
    input: Any
    invalid: bool = False


ContentPart = TextContent | ReasoningContent | ToolCall
"""One part of an answer. The parts can be sent back as the ``content`` of an assistant's message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseInfo:
    """What the provider said about its own response.

    Attributes:
        id: the provider's response id.
        model: the model that answered, by the provider's name for it.
    """

    id: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """What every result tells about the call."""

    provider: str = ""
    model: str = ""
    warnings: tuple[Warning, ...] = ()
    response: ResponseInfo = field(default_factory=ResponseInfo)
    provider_metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextResult(ModelResult):
    """Generated text.

    Attributes:
        content: the parts of the answer in order; made of text, reasoning and tool calls when a family gives none.
        finish_reason: why the model stopped, in this service's words; ``raw_finish_reason`` in the provider's.
    """

    text: str = ""
    content: tuple[ContentPart, ...] = ()
    reasoning_text: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "other"
    raw_finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        if not self.content:
            parts: list[ContentPart] = [ReasoningContent(text=self.reasoning_text)] if self.reasoning_text else []
            parts += [TextContent(text=self.text)] if self.text else []
            object.__setattr__(self, "content", (*parts, *self.tool_calls))


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectResult(TextResult):
    """A validated object, and the text it was read from.

    Attributes:
        object: satisfies the schema; an instance of the class when the schema was one; ``None`` when the model asks for
            tools first.
    """

    object: Any = None

    @classmethod
    def of(cls, result: TextResult, value: Any) -> ObjectResult:
        """The result of a text that was read as an object."""
        return cls(**{part.name: getattr(result, part.name) for part in fields(result)}, object=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingUsage:
    """Token count of an embedding call; ``None`` is unknown."""

    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedResult(ModelResult):
    """Vectors, in the order of the values.

    Attributes:
        embedding: the vector, when one ``value`` was given.
        embeddings: the vectors, when ``values`` were given.
    """

    embedding: Sequence[float] | None = None
    embeddings: Sequence[Sequence[float]] | None = None
    usage: EmbeddingUsage = field(default_factory=EmbeddingUsage)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedFile:
    """A file that a model made.

    Attributes:
        bytes: the file itself; in JSON its base64, under that name.
        media_type: IANA media type, ``image/png``.
    """

    bytes: Annotated[builtins.bytes, BASE64] = field(repr=False, metadata={"serialization_alias": "base64"})
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult(ModelResult):
    """Generated images."""

    images: tuple[GeneratedFile, ...] = ()
    usage: Usage = field(default_factory=Usage)

    @property
    def image(self) -> GeneratedFile:
        """The first image."""
        return self.images[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechResult(ModelResult):
    """Generated speech."""

    audio: GeneratedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionSegment:
    """A stretch of a transcript, with its time in the recording."""

    text: str
    start_second: float
    end_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionResult(ModelResult):
    """A transcript.

    Attributes:
        segments: empty when the provider tells no times.
        language: as the provider names it; ``None`` when it does not.
        duration_in_seconds: of the recording; ``None`` when the provider does not tell it.
    """

    text: str
    segments: tuple[TranscriptionSegment, ...] = ()
    language: str | None = None
    duration_in_seconds: float | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOperation:
    """A video that a provider is making, as its family reports it.

    Attributes:
        reference: what the family needs to ask for it again; JSON, without secrets. It is stored.
        status: where the work stands. ``failed`` comes with ``error``.
        progress: percent, 0 to 100; ``None`` when the provider does not tell it.
        videos: media types of the videos that can be fetched, once it is completed.
    """

    reference: Mapping[str, Any]
    status: Literal["running", "completed", "failed"] = "running"
    progress: int | None = None
    videos: tuple[str, ...] = ()
    error: AIModelsError | None = None
    warnings: tuple[Warning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One step of a stream as a family yields it; the service turns chunks into events.

    Attributes:
        reasoning_metadata: set on the chunk that ends a block of reasoning, where the vendor wants it back in the next turn:
            the block's ``provider_metadata``.
        tool_calls: pieces of tool calls, to be put together by ``index``.
        finish_reason: set once, on the chunk that ends the generation.
        usage: set when the provider told it, on or after that chunk.
        warnings: what the family has to report about the call; on a chunk that carries something else too.
    """

    text: str = ""
    reasoning: str = ""
    reasoning_metadata: Mapping[str, Any] | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: FinishReason | None = None
    raw_finish_reason: str | None = None
    usage: Usage | None = None
    response: ResponseInfo | None = None
    warnings: tuple[Warning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A piece of a streamed tool call; ``id`` and ``name`` stand on its first piece."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a family's health check found.

    Attributes:
        latency: seconds that the provider took; ``None`` when nothing was called, or the answer told nothing.
        credential_rejected: whether the provider refused the credential.
        models: names of the models that the provider lists; ``None`` when it lists none.
    """

    healthy: bool
    message: str
    latency: float | None = None
    credential_rejected: bool = False
    models: frozenset[str] | None = None
