"""Bytes to and from vendors.

A family's class is loaded by each management command, and most of these modules by none of them; so those that families name
are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ai_models.transports import bedrock_media, google_media, multipart, openai_media

__all__ = ["bedrock_media", "google_media", "multipart", "openai_media"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
