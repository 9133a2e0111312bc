"""What values the settings of the app may have."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from typing import Any

from ai_models.conf import Conf

Expectation = tuple[Callable[[Any], bool], str]
"""Whether a value is one of those, and what they are, in words."""


def _texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _path(value: Any) -> bool:
    return value is None or isinstance(value, str | os.PathLike)


def _paths(value: Any) -> bool:
    return value is None or (isinstance(value, list | tuple) and all(item is not None and _path(item) for item in value))


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _timeouts(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= Conf().TIMEOUT.keys()
        and all(_seconds(item) and item > 0 for item in value.values())
    )


def _hosts(value: Any) -> bool:
    return _texts(value) and all(_network(entry) for entry in value if "/" in entry)


def _network(entry: str) -> bool:
    try:
        ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
    return True


_BYTES: Expectation = (lambda value: _whole(value, 1), "a whole number of bytes, at least 1")
_COUNT: Expectation = (lambda value: _whole(value, 0), "a whole number, 0 or more")
_SECONDS: Expectation = (_seconds, "a number of seconds, 0 or more")
_POSITIVE: Expectation = (
    lambda value: _seconds(value) and value > 0,
    "a number of seconds, more than 0",
)
_SWITCH: Expectation = (lambda value: isinstance(value, bool), "True or False")
_AT_LEAST_ONE: Expectation = (lambda value: _whole(value, 1), "a whole number, 1 or more")
EXPECTED: Mapping[str, Expectation] = {
    "CONFIG_FILES": (_paths, "a list of paths, or None"),
    "ENV_FILE": (_path, "a path, or None"),
    "FAMILIES": (_texts, "a list of dotted paths"),
    "ENCRYPTION_KEYS": (lambda value: value is None or _texts(value), "a list of keys, or None"),
    "ALLOWED_HOSTS": (_hosts, "a list of host, host:port or CIDR"),
    "ON_UNSUPPORTED": (lambda value: value in ("warn", "error"), '"warn" or "error"'),
    "TIMEOUT": (_timeouts, "a dictionary of seconds with any of total, first_chunk and chunk"),
    "MAX_TIMEOUT": _POSITIVE,
    "MAX_RETRIES": _COUNT,
    "MAX_PARALLEL": _AT_LEAST_ONE,
    "MAX_CONCURRENT": _COUNT,
    "MAX_WAITING": _COUNT,
    "MAX_WAIT_SECONDS": _SECONDS,
    "RETRY_BUDGET": (lambda value: value is None or _seconds(value), "a share of the calls, 0 or more, or None"),
    "BREAKER_FAILURES": _COUNT,
    "BREAKER_SECONDS": _POSITIVE,
    "BREAKER_MAX_SECONDS": _POSITIVE,
    "BREAKER_SLOW_SECONDS": _SECONDS,
    "MAX_REQUEST_BYTES": _BYTES,
    "MAX_FILE_BYTES": _BYTES,
    "MAX_UPLOAD_BYTES": _BYTES,
    "MAX_RESPONSE_BYTES": _BYTES,
    "MAX_EVENT_BYTES": _BYTES,
    "MAX_VIDEO_BYTES": _BYTES,
    "VIDEO_TIMEOUT": _POSITIVE,
    "VIDEO_POLL_SECONDS": _POSITIVE,
    "VIDEO_EXPIRY_HOURS": (_seconds, "a number of hours, 0 or more"),
    "VIDEO_RETENTION_DAYS": (_seconds, "a number of days, 0 or more"),
    "RESUME_SECONDS": _SECONDS,
    "RESUME_BYTES": _COUNT,
    "WS_MAX_MESSAGE_BYTES": _BYTES,
    "WS_MESSAGES_PER_SECOND": _AT_LEAST_ONE,
    "WS_MAX_STREAMS": _AT_LEAST_ONE,
    "WS_MAX_SOCKETS_PER_USER": _AT_LEAST_ONE,
    "WS_MAX_SOCKETS": _AT_LEAST_ONE,
    "WS_IDLE_SECONDS": _POSITIVE,
    "DIRECT": (lambda value: value == "auto" or isinstance(value, bool), '"auto", True or False'),
    "AUTH_CACHE_SECONDS": (
        lambda value: value is None or (_seconds(value) and value <= 1),
        "a number of seconds, from 0 to 1, or None",
    ),
    "DRAIN_NOTICE_SECONDS": _SECONDS,
    "DRAIN_SECONDS": _SECONDS,
    "OPENTELEMETRY": _SWITCH,
    "CAPTURE_MESSAGE_CONTENT": _SWITCH,
    "PROPAGATE_TRACE": _SWITCH,
    "PROMETHEUS": _SWITCH,
    "METRICS_TOKEN": (lambda value: value is None or isinstance(value, str), "a text, or None"),
    "REVISION_POLL_SECONDS": _SECONDS,
}
"""By the names of the settings."""
