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

from ai_models.api.identities import Identities, Known

_USERS = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in (SessionMiddleware, AuthenticationMiddleware)}


class DirectRequest(ASGIRequest):
    """A request as Django's handler makes it, whose body arrives later.

    Attributes:
        identities: remember who the headers authenticate.
        key: by which they do.
        known: who that is, once it is found.
        fields: the body's, where it was read before.
        is_empty: whether it has no body.
        is_session_read: whether an authenticator looked for a session.
    """

    _read_started: bool

    def __init__(self, scope: Mapping[str, Any], identities: Identities, key: bytes | None) -> None:
        super().__init__(scope, BytesIO())
        self.identities = identities
        self.key = key
        self.known: Known | None = None
        self.fields: dict[str, Any] | None = None
        self.is_empty = True
        self.is_session_read = False

    def arrived(self, body: bytes) -> None:
        """The body is complete."""
        self._stream = BytesIO(body)
        self.is_empty = not body

    @property
    def is_read(self) -> bool:
        """Whether the body was looked at, or was not since there is none."""
        return self._read_started or self.is_empty

    @property
    def is_session_accessed(self) -> bool:
        """Whether the session that it was given has been looked at."""
        session = getattr(self, "session", None)
        return session is not None and session.accessed

    def prepare(self) -> None:
        """Give the request what the host's authenticators may ask it for: a session and its user, both of nobody."""
        for path, middleware in _USERS.items():
            if path in settings.MIDDLEWARE:
                middleware(unused).process_request(self)


def unused(request: HttpRequest) -> HttpResponse:
    """Middleware wants what comes next; here it is not asked for it."""
    raise NotImplementedError
