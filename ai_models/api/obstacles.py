"""What a host has around its views, and whether a request may go past it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from weakref import ReferenceType

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import got_request_exception, request_finished, request_started
from django.dispatch import Signal

CALLED = (
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)
"""Middleware of Django that looks at headers and sets headers, and waits for nothing."""

_IDLE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
)
"""Middleware of Django that does nothing for a POST without a cookie to a view that is exempt from it. What authenticators may
want of it, they are given when they are asked."""

_SIGNALS: Mapping[str, Signal] = {
    "request_started": request_started,
    "request_finished": request_finished,
    "got_request_exception": got_request_exception,
}
"""Signals that Django sends of each request."""


def of(app: Any) -> Iterator[str]:
    """Why requests have to go through the host's application: what it does around its views that would be left out."""
    for path in settings.MIDDLEWARE:
        if path not in CALLED and path not in _IDLE:
            yield f"MIDDLEWARE has {path}"
    if not _is_django(app):
        yield f"{type(app).__module__}.{type(app).__qualname__} stands around Django's application"
    for name, signal in _SIGNALS.items():
        for listener in _listeners(signal):
            if not str(getattr(listener, "__module__", "")).startswith("django."):
                yield f"{getattr(listener, '__module__', 'an object')} listens to {name}"


def _is_django(app: Any) -> bool:
    """Whether nothing but Django answers HTTP requests below the API's prefix."""
    if type(app) is ASGIStaticFilesHandler:
        return _is_django(app.application)
    if (type(app).__module__, type(app).__qualname__) == ("channels.routing", "ProtocolTypeRouter"):
        return _is_django(app.application_mapping.get("http"))
    return type(app) is ASGIHandler and ASGIHandler.__call__.__module__ == "django.core.handlers.asgi"


def _listeners(signal: Any) -> Iterator[Any]:
    for _, listener, *_ in signal.receivers:
        if (alive := listener() if isinstance(listener, ReferenceType) else listener) is not None:
            yield alive
