"""The request that views get on the direct road."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse

from ai_models.api.identities import Identities

_USERS = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in (SessionMiddleware, AuthenticationMiddleware)}


class DirectRequest(ASGIRequest):
    """A request as Django's handler makes it, whose body arrives later.

    Attributes:
        identities: remember who the headers authenticate.
    """

    def __init__(self, scope: Mapping[str, Any], identities: Identities) -> None:
        super().__init__(scope, BytesIO())
        self.identities = identities

    def arrived(self, body: bytes) -> None:
        """The body is complete."""
        self._stream = BytesIO(body)

    @property
    def is_read(self) -> bool:
        """Whether the body was looked at."""
        return self._read_started

    def prepare(self) -> None:
        """Give the request what the host's authenticators may ask it for: a session and its user. It has no cookie, so that both
        are empty."""
        for path, middleware in _USERS.items():
            if path in settings.MIDDLEWARE:
                middleware(unused).process_request(self)


def unused(request: HttpRequest) -> HttpResponse:
    """Middleware wants what comes next; here it is not asked for it."""
    raise NotImplementedError
