"""Log lines as JSON, one object each, for those who collect them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from ai_models import correlation


class JSONFormatter(logging.Formatter):
    """One line of JSON for each record.

    It has ``time``, ``level``, ``logger``, ``message`` and ``request_id``; ``trace_id`` and ``span_id`` in a trace; the
    fields of a call; ``exception`` where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", None) or correlation.request_id.get(),
            **_trace(),
            **getattr(record, "call", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json.dumps(entry, default=str)


def _trace() -> dict[str, str]:
    """Where the record belongs. Whoever traces has imported the API."""
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from ai_models.telemetry import otel  # an optional package

    return otel.ids_of()
