"""What can be read at any moment, and who reads it: whatever has a state registers one function for one gauge."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from ai_models import store
from ai_models.telemetry.instruments import REVISION, Instrument

logger = logging.getLogger(__name__)

Reading = tuple[Mapping[str, str], float]
"""Labels and value."""

_sources: dict[Instrument, Callable[[], Iterable[Reading]]] = {}


def watch(instrument: Instrument, read: Callable[[], Iterable[Reading]]) -> None:
    """Have a gauge read.

    Args:
        read: called in any thread, whenever somebody looks. It neither waits nor asks the database.
    """
    _sources[instrument] = read


def watch_number(instrument: Instrument, read: Callable[[], float]) -> None:
    """As :func:`watch`, for a gauge without labels."""
    watch(instrument, lambda: [({}, read())])


def readings(instrument: Instrument) -> list[Reading]:
    """What a gauge says now; nothing when nobody has it here."""
    read = _sources.get(instrument)
    try:
        return list(read()) if read is not None else []
    except Exception as error:  # one that fails must not take the others along
        logger.warning("%s cannot be read: %s", instrument.name, type(error).__name__)
        return []


def _revision() -> list[Reading]:
    snapshot = store.served()
    return [] if snapshot is None else [({}, snapshot.revision)]


watch(REVISION, _revision)
