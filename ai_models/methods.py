"""The public methods, async and sync side by side. :mod:`ai_models` gives these names."""

from __future__ import annotations

from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError
from ai_models.service import aclose, aembed, agenerate_object, agenerate_text, aresolve, astream_text
from ai_models.sync import synchronous, synchronous_stream

__all__ = [
    "AIModelsError",
    "Capability",
    "aclose",
    "aembed",
    "agenerate_object",
    "agenerate_text",
    "aresolve",
    "astream_text",
    "close",
    "embed",
    "generate_object",
    "generate_text",
    "resolve",
    "stream_text",
]

generate_text = synchronous(agenerate_text)
stream_text = synchronous_stream(astream_text)
generate_object = synchronous(agenerate_object)
embed = synchronous(aembed)
resolve = synchronous(aresolve)
close = synchronous(aclose)
