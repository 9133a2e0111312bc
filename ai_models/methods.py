"""The public methods, async and sync side by side. :mod:`ai_models` gives these names."""

from __future__ import annotations

from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError
from ai_models.handles import aresolve_model, resolve_model
from ai_models.service import (
    aclose,
    aembed,
    agenerate_image,
    agenerate_object,
    agenerate_speech,
    agenerate_text,
    aresolve,
    astream_object,
    astream_text,
    atranscribe,
)
from ai_models.sync import synchronous, synchronous_object_stream, synchronous_stream
from ai_models.videos import (
    acancel_video,
    agenerate_video,
    aget_video,
    aread_video,
    await_for_video,
    cancel_video,
    generate_video,
    get_video,
    read_video,
    wait_for_video,
)

__all__ = [
    "AIModelsError",
    "Capability",
    "acancel_video",
    "aclose",
    "aembed",
    "agenerate_image",
    "agenerate_object",
    "agenerate_speech",
    "agenerate_text",
    "agenerate_video",
    "aget_video",
    "aread_video",
    "aresolve",
    "aresolve_model",
    "astream_object",
    "astream_text",
    "atranscribe",
    "await_for_video",
    "cancel_video",
    "close",
    "embed",
    "generate_image",
    "generate_object",
    "generate_speech",
    "generate_text",
    "generate_video",
    "get_video",
    "read_video",
    "resolve",
    "resolve_model",
    "stream_object",
    "stream_text",
    "transcribe",
    "wait_for_video",
]

generate_text = synchronous(agenerate_text)
stream_text = synchronous_stream(astream_text)
generate_object = synchronous(agenerate_object)
stream_object = synchronous_object_stream(astream_object)
embed = synchronous(aembed)
generate_image = synchronous(agenerate_image)
generate_speech = synchronous(agenerate_speech)
transcribe = synchronous(atranscribe)
resolve = synchronous(aresolve)
close = synchronous(aclose)
