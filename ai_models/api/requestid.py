"""One id per request: taken from ``X-Request-ID`` or made here, sent back, in every error and in every log line."""

from __future__ import annotations

import logging
import re

from ai_models import correlation

HEADER = "X-Request-ID"

_LONGEST = 128
_ACCEPTED = re.compile(rf"[A-Za-z0-9._-]{{1,{_LONGEST}}}")
_PART = 8  # letters


def current() -> str:
    """The id of the request being handled; ``-`` outside of one."""
    return correlation.request_id.get()


def bind(sent: str | None) -> str:
    """Start a request: take the id the client sent if it is harmless, else a new one."""
    request_id = sent if sent and _ACCEPTED.fullmatch(sent) else correlation.new_id()
    correlation.request_id.set(request_id)
    return request_id


def bind_part() -> str:
    """Start one of several requests on a connection: the connection's id, a dot, and letters of its own."""
    part = correlation.new_id()[:_PART]
    request_id = f"{current()[: _LONGEST - _PART - 1]}.{part}"
    correlation.request_id.set(request_id)
    return request_id


class RequestIdFilter(logging.Filter):
    """Gives every log record a ``request_id``."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current()
        return True
