"""Which of eSpeak NG's voices a request means.

A voice is named by its language (``en-us``), by its file (``gmw/en-US``) or by what people call it (``English (America)``);
after ``+`` follows a variant, which is who speaks (``en-us+f3``). A name is looked up in the library's own lists and never
handed through: the library would take a path to any file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ai_models.exceptions import InvalidRequest

DEFAULT_VOICE = "en-us"
DEFAULT_VARIANT = "edward"
"""The clearest of the variants: the one that PocketSphinx understands best."""

_EXAMPLES = ("en-us", "en-gb", "de", "es", "fr-fr", "pt-br", "cmn")
_LIST = "https://github.com/espeak-ng/espeak-ng/blob/master/docs/languages.md"


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice as the library lists it.

    Attributes:
        name: as people call it, ``English (America)``.
        identifier: its file, ``gmw/en-US``.
        languages: tags in lower case, each with a priority; the lowest is the most fitting.
    """

    name: str
    identifier: str
    languages: tuple[tuple[int, str], ...]

    @property
    def short(self) -> str:
        """The identifier without its folder."""
        return self.identifier.rpartition("/")[2]

    def priority(self, tag: str) -> int | None:
        """How well the voice fits a language; ``None`` when it does not speak it."""
        return min((priority for priority, spoken in self.languages if spoken == tag), default=None)


class Voices:
    """The voices there are.

    Args:
        voices: all of them.
        variants: short names of the variants.
    """

    def __init__(self, voices: Sequence[Voice], variants: Iterable[str]) -> None:
        self._voices = voices
        self._variants = {variant.lower(): variant for variant in variants}

    def choose(self, wanted: str | None, language: str | None) -> tuple[str, tuple[str, ...]]:
        """The identifier of the voice to speak with, and the settings that it does not follow.

        A named voice speaks the language it has, whatever ``language`` says. A variant alone (``+f3``) leaves the voice to the
        language.

        Raises:
            InvalidRequest: there is no such voice or language.
        """
        name, plus, variant = (wanted or "").partition("+")
        voice = self._named(name) if name else self._speaking(language or DEFAULT_VOICE)
        ending = self._variant(variant) if plus else "" if name else self._variants.get(DEFAULT_VARIANT, "")
        follows = language is None or not name or any(voice.priority(tag) is not None for tag in _tags(language))
        return f"{voice.identifier}+{ending}" if ending else voice.identifier, () if follows else ("language",)

    def _named(self, name: str) -> Voice:
        key = name.lower()
        for voice in self._voices:
            if key in {voice.identifier.lower(), voice.short.lower(), voice.name.lower()}:
                return voice
        if fitting := self._fitting(key):
            return fitting
        raise InvalidRequest(f"voice: the local family has no voice of this name. {_known()}")

    def _variant(self, name: str) -> str:
        if found := self._variants.get(name.lower()):
            return found
        some = ", ".join(f"+{variant}" for variant in ("m1", "f1", "f2", "croak", "whisper") if variant in self._variants)
        raise InvalidRequest(f"voice: there is no variant of this name. Some that there are: {some}")

    def _speaking(self, language: str) -> Voice:
        for tag in _tags(language):
            if voice := self._fitting(tag):
                return voice
        raise InvalidRequest(f"language: the local family has no voice for it. {_known()}")

    def _fitting(self, tag: str) -> Voice | None:
        """The voice that fits a language best; the default voice where it speaks it at all."""
        fitting = [(priority, voice) for voice in self._voices if (priority := voice.priority(tag)) is not None]
        for _, voice in fitting:
            if voice.priority(DEFAULT_VOICE) is not None:
                return voice
        return min(fitting, key=lambda found: found[0])[1] if fitting else None


def _tags(language: str) -> list[str]:
    """A language from its exact form to its most general: ``zh-Hans-CN``, ``zh-hans``, ``zh``."""
    parts = language.lower().replace("_", "-").split("-")
    return ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _known() -> str:
    return f"It has {', '.join(_EXAMPLES)} and many more: {_LIST}"
