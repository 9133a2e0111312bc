"""The rungs of a check as people are shown them: those that were stored, and those that are climbed now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ai_models.admin.listing import check_state
from ai_models.admin.words import CAPABILITIES, Word, ago, milliseconds, spoken
from ai_models.capabilities import Capability
from ai_models.checking import CALL, Rung
from ai_models.models import ProviderInstance
from ai_models.snapshot import CheckState

RUNGS: Mapping[str, Promise] = {
    "configuration": gettext_lazy("Configuration"),
    "credential": gettext_lazy("Credential"),
    "destination": gettext_lazy("Destination"),
    "authentication": gettext_lazy("Authentication"),
    "models": gettext_lazy("Models"),
}

RUNG_STATES: Mapping[str, Word] = {
    "passed": Word(gettext_lazy("passed"), "good"),
    "warning": Word(gettext_lazy("warning"), "warn"),
    "failed": Word(gettext_lazy("failed"), "bad"),
    "skipped": Word(gettext_lazy("skipped"), "idle"),
    "waiting": Word(gettext_lazy("waiting"), "idle"),
    "running": Word(gettext_lazy("checking…"), "idle"),
}
"""Those of a :class:`~ai_models.checking.Rung`, and before them ``waiting`` and ``running``."""

_CALL_STATES = {CheckState.HEALTHY: "passed", CheckState.UNHEALTHY: "failed", CheckState.REJECTED: "failed"}


@dataclass(frozen=True, slots=True)
class Line:
    """A rung as a page shows it.

    Attributes:
        rung: one of :data:`RUNGS`, or ``call``.
        state: one of :data:`RUNG_STATES`.
        latency_ms: milliseconds; ``None`` when nothing was called.
        capability: of a call.
        when: how long ago it was, where that is another time than the check's.
    """

    rung: str
    state: str
    message: str = ""
    latency_ms: int | None = None
    capability: str = ""
    when: str = ""

    @classmethod
    def of(cls, rung: Rung) -> Line:
        """A rung that was climbed just now."""
        return cls(rung.rung, rung.state, rung.message, rung.latency_ms, rung.capability or "")

    @property
    def key(self) -> str:
        """Tells it from the others of its ladder."""
        return f"{self.rung}:{self.capability}"

    @property
    def title(self) -> str:
        """What the rung is called."""
        if self.capability:
            return _("Call: %(capability)s") % {"capability": CAPABILITIES[Capability(self.capability)]}
        return str(RUNGS.get(self.rung, self.rung))

    @property
    def word(self) -> Word:
        """What its state is called."""
        return RUNG_STATES[self.state]

    @property
    def time(self) -> str:
        """How long it took, and when it was, where these are known."""
        return spoken(milliseconds(self.latency_ms), self.when)

    def told(self) -> dict[str, Any]:
        """As a script gets it."""
        return {
            "rung": self.rung,
            "capability": self.capability,
            "state": self.state,
            "message": self.message,
            "latencyMs": self.latency_ms,
            "key": self.key,
            "title": self.title,
            "time": self.time,
            **told(self.word),
        }


def told(word: Word) -> dict[str, str]:
    """What something is called, as a script gets it."""
    return {"word": str(word.label), "tone": word.tone}


def stored(row: ProviderInstance) -> list[Line]:
    """The rungs of the last check, and the last paid call of each capability.

    What is stored in another form than it should be is left out. It asks for ``capabilities``; prefetch them.
    """
    report = row.report if isinstance(row.report, list) else []
    climbed = [
        Line(item["rung"], item["state"], str(item.get("message", "")), _number(item.get("latency_ms")))
        for item in report
        if isinstance(item, dict) and item.get("rung") in RUNGS and item.get("state") in RUNG_STATES
    ]
    called = [
        Line(CALL, _CALL_STATES[state], item.check_message, item.latency_ms, item.capability, ago(item.checked_at))
        for item in row.capabilities.all()
        if (state := check_state(item.check_state)) in _CALL_STATES and item.capability in frozenset(Capability)
    ]
    return [*climbed, *called]


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None
