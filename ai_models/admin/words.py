"""What the pages call things: the words of states and capabilities in the reader's language, and how they look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, npgettext_lazy

from ai_models.capabilities import Capability
from ai_models.models import ProviderCapability, ProviderInstance
from ai_models.snapshot import CheckState, CredentialState, InstanceState

Tone = Literal["good", "bad", "warn", "idle"]


@dataclass(frozen=True, slots=True)
class Word:
    """What something is called, and its tone."""

    label: Promise
    tone: Tone

    def chip(self) -> SafeString:
        """As a small mark."""
        return chip(str(self.label), self.tone)


STATES: Mapping[InstanceState, Word] = {
    InstanceState.READY: Word(gettext_lazy("ready"), "good"),
    InstanceState.DISABLED: Word(gettext_lazy("disabled"), "idle"),
    InstanceState.ORPHANED: Word(gettext_lazy("orphaned"), "idle"),
    InstanceState.MISCONFIGURED: Word(gettext_lazy("misconfigured"), "bad"),
    InstanceState.CREDENTIAL_MISSING: Word(gettext_lazy("credential missing"), "bad"),
    InstanceState.CREDENTIAL_UNDECRYPTABLE: Word(gettext_lazy("credential undecryptable"), "bad"),
    InstanceState.CREDENTIAL_REJECTED: Word(gettext_lazy("credential rejected"), "bad"),
}

CHECKS: Mapping[CheckState, Word] = {
    CheckState.UNCHECKED: Word(gettext_lazy("never checked"), "idle"),
    CheckState.HEALTHY: Word(gettext_lazy("passed"), "good"),
    CheckState.UNHEALTHY: Word(gettext_lazy("failed"), "bad"),
    CheckState.REJECTED: Word(gettext_lazy("credential rejected"), "bad"),
}

CREDENTIALS: Mapping[CredentialState, Word] = {
    CredentialState.OK: Word(gettext_lazy("stored"), "good"),
    CredentialState.MISSING: Word(gettext_lazy("missing"), "bad"),
    CredentialState.UNDECRYPTABLE: Word(gettext_lazy("cannot be decrypted"), "bad"),
    CredentialState.NOT_NEEDED: Word(gettext_lazy("not needed"), "idle"),
    CredentialState.AMBIENT: Word(gettext_lazy("the machine's"), "idle"),
}

CAPABILITIES: Mapping[Capability, Promise] = {
    Capability.TEXT_GENERATION: gettext_lazy("Text generation"),
    Capability.STRUCTURED_OUTPUT: gettext_lazy("Structured output"),
    Capability.EMBEDDINGS: gettext_lazy("Embeddings"),
    Capability.IMAGE_GENERATION: gettext_lazy("Image generation"),
    Capability.SPEECH_GENERATION: gettext_lazy("Speech generation"),
    Capability.TRANSCRIPTION: gettext_lazy("Transcription"),
    Capability.VIDEO_GENERATION: gettext_lazy("Video generation"),
}

_AGO: dict[str, Any] = {
    "year": npgettext_lazy("ago", "%(num)d year", "%(num)d years", "num"),
    "month": npgettext_lazy("ago", "%(num)d month", "%(num)d months", "num"),
    "week": npgettext_lazy("ago", "%(num)d week", "%(num)d weeks", "num"),
    "day": npgettext_lazy("ago", "%(num)d day", "%(num)d days", "num"),
    "hour": npgettext_lazy("ago", "%(num)d hour", "%(num)d hours", "num"),
    "minute": npgettext_lazy("ago", "%(num)d minute", "%(num)d minutes", "num"),
}
"""What stands in ``%(time)s ago``. Django's own words are not declined for it."""


def chip(text: str, tone: Tone, title: str = "") -> SafeString:
    """A small mark; ``title`` says more about it."""
    if title:
        return format_html('<span class="ai-chip ai-{}" title="{}">{}</span>', tone, title, text)
    return format_html('<span class="ai-chip ai-{}">{}</span>', tone, text)


def ago(moment: datetime | None) -> str:
    """``3 minutes ago``; nothing for never."""
    if moment is None:
        return ""
    if timezone.now() - moment < timedelta(minutes=1):
        return _("just now")
    # Django puts spaces that do not break into it.
    return _("%(time)s ago") % {"time": timesince(moment, time_strings=_AGO, depth=1)}


def milliseconds(latency: int | None) -> str:
    """``210 ms``; nothing when nothing was called."""
    return "" if latency is None else _("%(number)d ms") % {"number": latency}


def age_and_latency(row: ProviderInstance | ProviderCapability) -> str:
    """``3 minutes ago · 210 ms``, of the last check of a row."""
    return spoken(ago(row.checked_at), milliseconds(row.latency_ms))


def spoken(*parts: str) -> str:
    """Those of the parts that say something, in one line."""
    return " · ".join(part for part in parts if part)
