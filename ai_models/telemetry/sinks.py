"""Where metrics and spans go: to Prometheus, to the SDK that the host has set up for OpenTelemetry, to both, or nowhere."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from ai_models.conf import conf
from ai_models.telemetry.instruments import Instrument

if TYPE_CHECKING:
    from ai_models.telemetry.otel import OpenTelemetry
    from ai_models.telemetry.prometheus import Prometheus

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes what is measured."""

    def recorder(self, instrument: Instrument, labels: Mapping[str, str]) -> Callable[[float], None]:
        """What takes the values of one histogram or counter with these labels."""


_prometheus: Prometheus | None = None
_failed = False


def prometheus() -> Prometheus | None:
    """The metrics that Prometheus reads; ``None`` when that is not switched on, or cannot be."""
    global _prometheus, _failed
    if not conf().PROMETHEUS or _failed:
        return None
    if _prometheus is None:
        try:
            from ai_models.telemetry.prometheus import Prometheus  # an optional package

            _prometheus = Prometheus()
        except (ImportError, OSError) as error:
            # The start of a server has checked what it takes. Calls go on without what has gone since.
            _failed = True
            logger.error("There are no metrics for Prometheus in this process: %s: %s", type(error).__name__, error)
    return _prometheus


def opentelemetry() -> OpenTelemetry | None:
    """The host's SDK; ``None`` when there is none, or it is not wanted. Whoever sets one up has imported the API."""
    if "opentelemetry.trace" not in sys.modules or not conf().OPENTELEMETRY:
        return None
    from ai_models.telemetry import otel  # an optional package

    return otel.current()


def _start_over() -> None:
    """A forked process counts from nothing."""
    global _prometheus, _failed
    _prometheus, _failed = None, False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
