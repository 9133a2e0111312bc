"""One id per request: taken from ``X-Request-ID`` or made here, sent back, in every error and in every log line."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from uuid import uuid4

HEADER = "X-Request-ID"

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}")
_current: ContextVar[str] = ContextVar("ai_models_request_id", default="-")


def current() -> str:
    """The id of the request being handled; ``-`` outside of one."""
    return _current.get()


def bind(sent: str | None) -> str:
    """Start a request: take the id the client sent if it is harmless, else a new one."""
    request_id = sent if sent and _ACCEPTED.fullmatch(sent) else uuid4().hex
    _current.set(request_id)
    return request_id


class RequestIdFilter(logging.Filter):
    """Gives every log record a ``request_id``."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current()
        return True
