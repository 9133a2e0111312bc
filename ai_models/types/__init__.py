"""Requests and results of the service.

Every field is declared once, in this package: the Python signature, validation, the JSON name (camelCase) and the OpenAPI
description all come from that declaration. Requests are typed dictionaries, so that a method takes them as keyword
arguments and a type checker knows each one; results are frozen dataclasses.

Requests need pydantic, which a process that makes no call has no use for; so each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ai_models.types.messages import (
        JSON_CONFIG,
        File,
        FilePart,
        Message,
        NamedTool,
        Part,
        ReasoningPart,
        TextPart,
        Tool,
        ToolCallPart,
        ToolResultPart,
    )
    from ai_models.types.requests import (
        IN_PROCESS_FIELDS,
        SETTINGS,
        TEXT_SETTINGS,
        EmbedRequest,
        ImageRequest,
        ModelRequest,
        ObjectRequest,
        ObjectStreamRequest,
        OnDisconnect,
        ReasoningEffort,
        ResolveRequest,
        SpeechRequest,
        TextRequest,
        TextSettings,
        TextStreamRequest,
        Timeout,
        TranscribeRequest,
        VideoRequest,
        required_fields,
    )
    from ai_models.types.results import (
        Chunk,
        ContentPart,
        EmbeddingUsage,
        EmbedResult,
        FinishReason,
        GeneratedFile,
        Health,
        ImageResult,
        InputTokenDetails,
        ModelResult,
        ObjectResult,
        OutputTokenDetails,
        ReasoningContent,
        ResponseInfo,
        SpeechResult,
        TextContent,
        TextResult,
        ToolCall,
        ToolCallDelta,
        TranscriptionResult,
        TranscriptionSegment,
        Usage,
        VideoOperation,
        Warning,
    )
    from ai_models.types.statuses import VideoStatus
    from ai_models.types.videos import Video, VideoError, VideoJob

__all__ = [
    "IN_PROCESS_FIELDS",
    "JSON_CONFIG",
    "SETTINGS",
    "TEXT_SETTINGS",
    "Chunk",
    "ContentPart",
    "EmbedRequest",
    "EmbedResult",
    "EmbeddingUsage",
    "File",
    "FilePart",
    "FinishReason",
    "GeneratedFile",
    "Health",
    "ImageRequest",
    "ImageResult",
    "InputTokenDetails",
    "Message",
    "ModelRequest",
    "ModelResult",
    "NamedTool",
    "ObjectRequest",
    "ObjectResult",
    "ObjectStreamRequest",
    "OnDisconnect",
    "OutputTokenDetails",
    "Part",
    "ReasoningContent",
    "ReasoningEffort",
    "ReasoningPart",
    "ResolveRequest",
    "ResponseInfo",
    "SpeechRequest",
    "SpeechResult",
    "TextContent",
    "TextPart",
    "TextRequest",
    "TextResult",
    "TextSettings",
    "TextStreamRequest",
    "Timeout",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallPart",
    "ToolResultPart",
    "TranscribeRequest",
    "TranscriptionResult",
    "TranscriptionSegment",
    "Usage",
    "Video",
    "VideoError",
    "VideoJob",
    "VideoOperation",
    "VideoRequest",
    "VideoStatus",
    "Warning",
    "required_fields",
]

_MODULES = ("statuses", "results", "videos", "messages", "requests")  # the last two need pydantic


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in map(import_module, (f"{__name__}.{module}" for module in _MODULES)):
            if name in vars(module):
                return globals().setdefault(name, vars(module)[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
