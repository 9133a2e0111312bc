"""What a conversation consists of."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, Required

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, with_config
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

JSON_CONFIG = ConfigDict(
    extra="forbid", alias_generator=to_camel, strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
)
"""How every request type is validated, and what its fields are called in JSON."""


@with_config(JSON_CONFIG)
class TextPart(TypedDict):
    """Text in a message."""

    type: Literal["text"]
    text: str


@with_config(JSON_CONFIG)
class FilePart(TypedDict, total=False):
    """A file in a message: its bytes (base64 in JSON) or an address that only the provider fetches."""

    type: Required[Literal["file"]]
    media_type: Annotated[str, Field(pattern=r"^[\w.+-]+/[\w.+*-]+$", description="IANA media type, image/png.")]
    data: Annotated[bytes | str, Field(description="The bytes; base64 in JSON.")]
    url: Annotated[str, Field(pattern=r"^https?://", description="Fetched by the provider, never by this server.")]
    filename: str


@with_config(JSON_CONFIG)
class ReasoningPart(TypedDict):
    """What a model reasoned in an earlier turn."""

    type: Literal["reasoning"]
    text: str


@with_config(JSON_CONFIG)
class ToolCallPart(TypedDict):
    """A tool call a model made in an earlier turn."""

    type: Literal["tool-call"]
    tool_call_id: str
    tool_name: str
    input: JsonValue


@with_config(JSON_CONFIG)
class ToolResultPart(TypedDict):
    """What the caller's tool returned for a call."""

    type: Literal["tool-result"]
    tool_call_id: str
    tool_name: str
    output: JsonValue


def _as_part(value: Any) -> Any:
    """Parts of an answer are dataclasses; as parts of a message they are read like typed dictionaries."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: given for name, given in fields if name != "invalid"}
    return value


def _as_list(value: Any) -> Any:
    """The parts of an answer are a tuple."""
    return list(value) if isinstance(value, tuple) else value


Part = Annotated[
    Annotated[TextPart | FilePart | ReasoningPart | ToolCallPart | ToolResultPart, Field(discriminator="type")],
    BeforeValidator(_as_part),
]


@with_config(JSON_CONFIG)
class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | Annotated[list[Part], BeforeValidator(_as_list)]


@with_config(JSON_CONFIG)
class Tool(TypedDict, total=False):
    """A tool the model may ask for. It is passed through; nothing is executed here."""

    name: Required[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]]
    description: str
    input_schema: Annotated[dict[str, JsonValue], Field(description="JSON Schema of the tool's input.")]


@with_config(JSON_CONFIG)
class NamedTool(TypedDict):
    """Force one tool."""

    type: Literal["tool"]
    tool_name: str
