"""What calls teach about an instance: a refused credential is recorded on it, and taken back when a call succeeds."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

from ai_models import store
from ai_models.database import in_thread
from ai_models.exceptions import UpstreamAuthFailed
from ai_models.snapshot import CheckState, InstanceFacts
from ai_models.transports import faults

logger = logging.getLogger(__name__)

_Note = tuple[InstanceFacts, CheckState, str]
_deferred: ContextVar[list[_Note] | None] = ContextVar("ai_models_deferred", default=None)


class observed:  # noqa: N801, it reads as what it does
    """A context manager that watches one call to the instance."""

    __slots__ = ("_facts",)

    def __init__(self, facts: InstanceFacts) -> None:
        self._facts = facts

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        facts = self._facts
        if facts.check is CheckState.REJECTED:
            if error is None:
                await _note((facts, CheckState.HEALTHY, "A call succeeded."))
        # The vendor may know the credential, and not let it use this model or make this call.
        elif isinstance(error, UpstreamAuthFailed) and not isinstance(error, faults.NotPermitted):
            await _note((facts, CheckState.REJECTED, error.message))


@contextmanager
def deferred() -> Iterator[None]:
    """Write what the block teaches after it, in this thread: on the database connection of whoever waits for the call."""
    notes: list[_Note] = []
    token = _deferred.set(notes)
    try:
        yield
    finally:
        _deferred.reset(token)
        for note in notes:
            _write(note)


async def _note(note: _Note) -> None:
    waiting = _deferred.get()
    if waiting is not None:
        waiting.append(note)
    else:
        await in_thread(_write)(note)


def _write(note: _Note) -> None:
    try:
        store.record_check(*note)
    except Exception as error:  # the call itself is done; storing what it taught must not change its outcome
        logger.warning("The state of provider %s could not be stored: %s", note[0].name, type(error).__name__)
