"""How log lines are written: as text, or as JSON for those who collect them; and many at once where there are many."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any, TextIO
from weakref import WeakSet

from ai_models import correlation


class BatchingHandler(logging.StreamHandler[TextIO]):
    """Writes the lines of calls that end in one turn of an event loop in one piece, at the end of that turn.

    A busy server ends several calls in each turn, and to write the line of each by itself is a twentieth of all that it does.
    Every other line is written at once, after those that came before it, and so is what is logged outside of an event loop.
    """

    _MOST_LINES = 1000

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # in whose turn they are written
        self._last: logging.LogRecord | None = None
        _batching.add(self)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record) + self.terminator)
        except Exception:
            self.handleError(record)
            return
        self._last = record
        if not hasattr(record, "call") or len(self._lines) >= self._MOST_LINES:
            self.flush()
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if self._loop is None:
            loop.call_soon(self.flush)
            self._loop = loop
        elif self._loop is not loop:  # which may never have another turn
            self.flush()

    def flush(self) -> None:
        self.acquire()
        try:
            lines, self._lines, self._loop = self._lines, [], None
            if lines:
                self.stream.write("".join(lines))
            super().flush()
        except Exception:
            if self._last is not None:
                self.handleError(self._last)
        finally:
            self._last = None
            self.release()


def _flush_all() -> None:
    """A forked process would write its parent's lines once more."""
    for handler in list(_batching):
        handler.flush()


_batching: WeakSet[BatchingHandler] = WeakSet()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_flush_all)


class LineFormatter(logging.Formatter):
    """One line of text for each record: time, level, logger, request id, message. What it tells of an exception comes below.

    The base class makes lines of any format, in twice the time.
    """

    _second: tuple[int, str] = (-1, "")

    def format(self, record: logging.LogRecord) -> str:
        told = [f"{self._time(record)} {record.levelname} {record.name} [{_request_id(record)}] {record.getMessage()}"]
        if record.exc_info:
            told.append(self.formatException(record.exc_info))
        elif record.exc_text:
            told.append(record.exc_text)
        if record.stack_info:
            told.append(self.formatStack(record.stack_info))
        return "\n".join(told)

    def _time(self, record: logging.LogRecord) -> str:
        """Local time; the seconds are written anew only when they are others."""
        second, text = self._second
        if second != int(record.created):
            second = int(record.created)
            text = time.strftime(self.default_time_format, time.localtime(second))
            self._second = second, text
        return f"{text},{int(record.msecs):03d}"


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
            "request_id": _request_id(record),
            **_trace(),
            **getattr(record, "call", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json.dumps(entry, default=str)


def _request_id(record: logging.LogRecord) -> str:
    """The id of the request that the record is about: its own, or that of the request in which it is written."""
    return getattr(record, "request_id", None) or correlation.request_id.get()


def _trace() -> dict[str, str]:
    """Where the record belongs. Whoever traces has imported the API."""
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from ai_models.telemetry import otel  # an optional package

    return otel.ids_of()
