"""One service for AI models, whichever provider they come from.

::

    import ai_models

    ai_models.generate_text("Summarise this", provider="openai", model="fast").text
    (await ai_models.agenerate_text("Summarise this")).text
    async for piece in ai_models.astream_text("Tell a story").text_stream: ...

Every method has an async form, which begins with ``a``, and a sync twin. Importing this package does nothing else; what a
method needs is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ai_models.methods import (
        AIModelsError,
        Capability,
        acancel_video,
        aclose,
        aembed,
        agenerate_image,
        agenerate_object,
        agenerate_speech,
        agenerate_text,
        agenerate_video,
        aget_video,
        aread_video,
        aresolve,
        aresolve_model,
        astream_object,
        astream_text,
        atranscribe,
        await_for_video,
        cancel_video,
        close,
        embed,
        generate_image,
        generate_object,
        generate_speech,
        generate_text,
        generate_video,
        get_video,
        read_video,
        resolve,
        resolve_model,
        stream_object,
        stream_text,
        transcribe,
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


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("ai_models.methods"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
