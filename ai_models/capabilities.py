"""The seven things a model can do. Gates, permissions, docs and admin columns iterate over this enum."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    """A capability by its public name, as it stands in ``app-config.yaml`` and in JSON."""

    TEXT_GENERATION = "text-generation"
    STRUCTURED_OUTPUT = "structured-output"
    EMBEDDINGS = "embeddings"
    IMAGE_GENERATION = "image-generation"
    SPEECH_GENERATION = "speech-generation"
    TRANSCRIPTION = "transcription"
    VIDEO_GENERATION = "video-generation"

    @property
    def label(self) -> str:
        """``Text generation``."""
        return self.value.replace("-", " ").capitalize()

    @property
    def codename(self) -> str:
        """The Django permission's codename, ``use_text_generation``."""
        return "use_" + self.value.replace("-", "_")

    @property
    def permission(self) -> str:
        """The Django permission a caller needs, ``ai_models.use_text_generation``."""
        return f"ai_models.{self.codename}"
