"""Words of the Gemini API that text and media share."""

from __future__ import annotations

REFUSALS = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
     "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)  # fmt: skip
"""Why the model stopped, where it was for what it was to say. https://ai.google.dev/api/generate-content#FinishReason"""
