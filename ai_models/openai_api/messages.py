"""A conversation, tools and forms of an answer, as OpenAI's chat completions have them.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Required

from pydantic import Field, with_config
from typing_extensions import TypedDict

from ai_models.openai_api.fields import CONFIG, GIVEN, Refused


@with_config(CONFIG)
class TextPart(TypedDict, total=False):
    """Text in a message."""

    type: Required[Literal["text"]]
    text: Required[str]
    prompt_cache_breakpoint: Any


@with_config(CONFIG)
class RefusalPart(TypedDict):
    """What the model said when it refused."""

    type: Literal["refusal"]
    refusal: str


@with_config(CONFIG)
class ImageURL(TypedDict, total=False):
    """An image as a ``data:`` URL, or its address, which the provider fetches."""

    url: Required[str]
    detail: str


@with_config(CONFIG)
class ImagePart(TypedDict, total=False):
    """An image in a message."""

    type: Required[Literal["image_url"]]
    image_url: Required[Annotated[ImageURL, GIVEN]]
    prompt_cache_breakpoint: Any


@with_config(CONFIG)
class InputAudio(TypedDict):
    """Sound in base64."""

    data: str
    format: Annotated[str, Field(pattern=r"^[a-z0-9]{1,16}$")]


@with_config(CONFIG)
class AudioPart(TypedDict, total=False):
    """Sound in a message."""

    type: Required[Literal["input_audio"]]
    input_audio: Required[InputAudio]
    prompt_cache_breakpoint: Any


@with_config(CONFIG)
class FileData(TypedDict, total=False):
    """A file as a ``data:`` URL."""

    file_data: Required[Annotated[str, Field(pattern=r"^data:")]]
    filename: str
    file_id: Annotated[Any, Refused("no files are kept here; send file_data")]


@with_config(CONFIG)
class FilePart(TypedDict, total=False):
    """A file in a message."""

    type: Required[Literal["file"]]
    file: Required[Annotated[FileData, GIVEN]]
    prompt_cache_breakpoint: Any


Text = Annotated[TextPart, GIVEN]
UserPart = Annotated[Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")], GIVEN]
AssistantPart = Annotated[Annotated[TextPart | RefusalPart, Field(discriminator="type")], GIVEN]


@with_config(CONFIG)
class CalledFunction(TypedDict, total=False):
    """Which function the model called, and its arguments as JSON."""

    name: Required[str]
    arguments: Required[str]
    parsed_arguments: Any  # of OpenAI's own client, which sends back what it made of an answer


@with_config(CONFIG)
class ToolCall(TypedDict, total=False):
    """A call of a tool in an earlier turn."""

    id: Required[str]
    type: Literal["function"]
    function: Required[Annotated[CalledFunction, GIVEN]]
    index: int  # as above


@with_config(CONFIG)
class SystemMessage(TypedDict, total=False):
    """Instructions."""

    role: Required[Literal["system", "developer"]]
    content: Required[str | list[Text]]
    name: str


@with_config(CONFIG)
class UserMessage(TypedDict, total=False):
    """What the user said."""

    role: Required[Literal["user"]]
    content: Required[str | list[UserPart]]
    name: str


@with_config(CONFIG)
class AssistantMessage(TypedDict, total=False):
    """What the model said. It can be the message of an answer as it is."""

    role: Required[Literal["assistant"]]
    content: str | list[AssistantPart]
    refusal: str
    tool_calls: list[Annotated[ToolCall, GIVEN]]
    reasoning_content: str
    thinking_blocks: list[dict[str, Any]]
    name: str
    parsed: Any
    annotations: Any
    audio: Annotated[Any, Refused("no sound is kept here; send what was said as content")]
    function_call: Annotated[Any, Refused("functions are called as tools; send tool_calls")]


@with_config(CONFIG)
class ToolMessage(TypedDict, total=False):
    """What a tool gave back."""

    role: Required[Literal["tool"]]
    tool_call_id: Required[str]
    content: Required[str | list[Text]]
    name: str


Message = Annotated[Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")], GIVEN]


@with_config(CONFIG)
class Function(TypedDict, total=False):
    """A function that the model may call."""

    name: Required[str]
    description: str
    parameters: dict[str, Any]
    strict: bool


@with_config(CONFIG)
class Tool(TypedDict):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Annotated[Function, GIVEN]


@with_config(CONFIG)
class FunctionName(TypedDict):
    """Names a function."""

    name: str


@with_config(CONFIG)
class NamedFunction(TypedDict):
    """Makes the model call a function."""

    type: Literal["function"]
    function: FunctionName


@with_config(CONFIG)
class TextFormat(TypedDict):
    """Text."""

    type: Literal["text"]


@with_config(CONFIG)
class ObjectFormat(TypedDict):
    """Any JSON object."""

    type: Literal["json_object"]


@with_config(CONFIG)
class Schema(TypedDict, total=False):
    """JSON Schema with a name."""

    name: Required[str]
    schema: Required[dict[str, Any]]
    description: str
    strict: bool


@with_config(CONFIG)
class SchemaFormat(TypedDict):
    """JSON that satisfies a schema."""

    type: Literal["json_schema"]
    json_schema: Annotated[Schema, GIVEN]


ResponseFormat = Annotated[Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")], GIVEN]


@with_config(CONFIG)
class StreamOptions(TypedDict, total=False):
    """How an answer is streamed."""

    include_usage: bool
    include_obfuscation: bool
