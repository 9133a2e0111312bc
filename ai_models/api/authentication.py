"""Who opens a websocket: whatever the host's REST framework authenticates on the handshake's headers, or a ticket.

A browser sends along what it has for a site, whichever page opens the websocket. So ``Origin`` has to be exactly this site's or
one of ``CSRF_TRUSTED_ORIGINS``, and may be missing only where no cookie comes along, or a token beside it. A ticket is sent
on purpose.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from ai_models import directory, tickets
from ai_models.api import errors
from ai_models.api.directrequest import unused
from ai_models.api.identities import in_lookup_thread
from ai_models.api.views import View
from ai_models.capabilities import Capability
from ai_models.exceptions import PermissionDenied, Unauthenticated
from ai_models.tickets import Headers

_SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
_UNKNOWN = "Authentication is needed: a valid token in Authorization, a session cookie, or a ticket."

TICKET_PREFIX = "ticket."
"""Begins the subprotocol that carries a ticket."""


class ForeignOrigin(PermissionDenied):
    """The handshake comes from a page of another site, or does not say from which."""

    remedy = "caller"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a socket belongs to, and the headers that prove it, to be asked again later.

    Attributes:
        user: with its permissions looked up.
        proof: a scope with the headers that authenticated it.
    """

    user: Any
    proof: Mapping[str, Any] = field(repr=False)


async def identify(scope: Mapping[str, Any]) -> Identity:
    """Who opens this websocket.

    Raises:
        ForeignOrigin: it is a page of another site without a ticket, or a cookie came along from nowhere.
        Unauthenticated: nobody is authenticated.
        NotReady: the database or the cache does not answer.
    """
    ticket = next((name for name in scope.get("subprotocols", ()) if name.startswith(TICKET_PREFIX)), None)
    if ticket is None:
        _require_origin(scope)
        return await confirm(scope)
    headers = await tickets.redeem(ticket.removeprefix(TICKET_PREFIX))
    if headers is None:
        raise Unauthenticated("The ticket is unknown, older than a minute, or was used before.")
    identity = await confirm({**scope, "headers": _encoded(headers)})
    await _require_same_user(identity, scope)
    return identity


async def confirm(proof: Mapping[str, Any]) -> Identity:
    """Who these headers authenticate now.

    Raises:
        Unauthenticated: nobody, or nobody any more.
        NotReady: the database does not answer.
    """
    return Identity(await in_lookup_thread(_authenticate)(proof), proof)


async def admit(identity: Identity) -> None:
    """Count a call against the host's throttles, as a request to the REST API is.

    Raises:
        RateLimitExceeded: it is one too many.
    """
    if View.throttle_classes:
        await in_lookup_thread(_throttle)(identity)


async def _require_same_user(identity: Identity, scope: Mapping[str, Any]) -> None:
    """A ticket is of no use to another user, who somehow got it."""
    try:
        sender = await confirm(scope)
    except Unauthenticated:
        return
    if directory.owner_of(sender.user) != directory.owner_of(identity.user):
        raise Unauthenticated("The ticket is another user's.")


def _authenticate(proof: Mapping[str, Any]) -> Any:
    try:
        request = _request(proof)
        View().perform_authentication(request)
        user = request.user
        if not getattr(user, "is_authenticated", False) or not getattr(user, "is_active", True):
            raise NotAuthenticated
        # Cached on the user; the service's permission checks then need no query.
        user.has_perm(Capability.TEXT_GENERATION.permission)
    except (AuthenticationFailed, NotAuthenticated, UnicodeError):
        raise Unauthenticated(_UNKNOWN) from None
    except Exception as error:  # the host's authentication classes may call whatever they like
        raise errors.understood(error)[0] from None
    finally:
        close_old_connections()
    return user


def _throttle(identity: Identity) -> None:
    request = _request(identity.proof)
    request.user = identity.user
    view = View()
    view.request = request
    try:
        view.check_throttles(request)
    except Exception as error:  # the cache that counts may be gone
        raise errors.understood(error)[0] from None
    finally:
        close_old_connections()


def _request(proof: Mapping[str, Any]) -> Request:
    """The handshake as the REST framework sees a request."""
    request = _django_request(proof)
    if _SESSIONS in settings.MIDDLEWARE or apps.is_installed("django.contrib.sessions"):
        SessionMiddleware(unused).process_request(request)
        AuthenticationMiddleware(unused).process_request(request)
    return Request(request, authenticators=View().get_authenticators())


def _django_request(proof: Mapping[str, Any]) -> ASGIRequest:
    scheme = "https" if proof.get("scheme") in {"wss", "https"} else "http"
    return ASGIRequest({**proof, "type": "http", "method": "GET", "scheme": scheme}, io.BytesIO())


def _require_origin(scope: Mapping[str, Any]) -> None:
    """Browsers send along what they have for this site, cookies or other, whichever page asks for it."""
    headers = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin and (b"cookie" not in headers or b"authorization" in headers):
        return
    if origin.lower() not in _trusted_origins(scope):
        raise ForeignOrigin("Pages of other sites need a ticket, and so does a cookie without an origin.")


def _trusted_origins(scope: Mapping[str, Any]) -> set[str]:
    """Exact origins; entries with a wildcard are Django's alone."""
    trusted = {origin.lower() for origin in settings.CSRF_TRUSTED_ORIGINS if "*" not in origin}
    request = _django_request(scope)
    try:
        return trusted | {f"{request.scheme}://{request.get_host()}".lower()}
    except DisallowedHost:
        return trusted


def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
