"""Every failure of an API view ends here and leaves as the one error envelope."""

from __future__ import annotations

import logging
import math
from typing import Any

from django.core.exceptions import (
    BadRequest,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import DataError, IntegrityError
from django.db import Error as DatabaseError
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions as drf
from rest_framework.response import Response

from ai_models import exceptions
from ai_models.api import requestid
from ai_models.exceptions import AIModelsError, Remedy

logger = logging.getLogger(__name__)

STORAGE_RETRY_SECONDS = 5
_FAULT = "The request failed because of a fault in this service. Its log has the details by requestId."


class UnknownPath(exceptions.InvalidRequest):
    """Nothing is at this address."""

    http_status = 404


class MethodNotAllowed(exceptions.InvalidRequest):
    """The address exists and does not take this method."""

    http_status = 405


class RequestTimeout(exceptions.InvalidRequest):
    """The body took too long to arrive."""

    http_status = 408


class UnsupportedMediaType(exceptions.InvalidRequest):
    """The body is of a kind that the address does not take."""

    http_status = 415


class RangeNotSatisfiable(exceptions.InvalidRequest):
    """A range of bytes begins beyond the end of the file."""

    http_status = 416


def handle(exception: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler of the API views: a response for every exception."""
    error, extra = understood(exception)
    return Response(error.envelope(requestid.current()), status=error.http_status, headers={**extra, **retry_headers(error)})


def understood(exception: Exception) -> tuple[AIModelsError, dict[str, str]]:
    """The exception in this service's words, and the headers that belong to it. What is a fault of ours is logged."""
    error = translate(exception)
    if isinstance(error, exceptions.Internal):
        logger.error("A request failed", exc_info=exception)
    elif isinstance(error, exceptions.NotReady):
        # Every request fails then: one line each, no traceback.
        logger.error("Not ready: %s (%s)", error.message, type(exception).__name__)
    auth_header = getattr(exception, "auth_header", None)
    return error, {"WWW-Authenticate": auth_header} if auth_header else {}


def retry_headers(error: AIModelsError) -> dict[str, str]:
    """``Retry-After`` in whole seconds, when the error tells when to come back."""
    return {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}


def translate(exception: Exception) -> AIModelsError:
    """The exception in this service's words. Nothing of an unexpected exception is repeated."""
    match exception:
        case AIModelsError():
            return exception
        case drf.APIException():
            return _translate_drf(exception)
        case RequestDataTooBig():
            return exceptions.PayloadTooLarge("The request body, or what it holds beside files, is too large.")
        case TooManyFieldsSent() | TooManyFilesSent():
            return exceptions.InvalidRequest("The form has too many fields or files.")
        case MultiPartParserError():
            return exceptions.InvalidRequest("The body is not valid multipart/form-data.")
        case DjangoPermissionDenied():
            return exceptions.PermissionDenied("You may not do this.")
        case Http404():
            return UnknownPath("Nothing is at this address.")
        case SuspiciousOperation() | BadRequest():
            return exceptions.InvalidRequest("The request is malformed.")
        case DatabaseError() if not isinstance(exception, DataError | IntegrityError):
            return exceptions.NotReady("The service's storage does not answer.", retry_after=STORAGE_RETRY_SECONDS)
    return exceptions.Internal(_FAULT)


def _translate_drf(exception: drf.APIException) -> AIModelsError:
    match exception:
        case drf.NotAuthenticated():
            return exceptions.Unauthenticated("Authentication is needed: sign in, or send a token in the Authorization header.")
        case drf.AuthenticationFailed():
            return exceptions.Unauthenticated("The credential sent with the request is not valid.")
        case drf.PermissionDenied():
            # DRF's session authentication refuses a write without its CSRF token in this way.
            remedy: Remedy = "caller" if str(exception.detail).startswith("CSRF") else "admin"
            return exceptions.PermissionDenied(str(exception.detail), remedy=remedy)
        case drf.Throttled():
            return exceptions.RateLimitExceeded("Too many requests.", retry_after=getattr(exception, "wait", None))
        case drf.MethodNotAllowed():
            return MethodNotAllowed("This address does not take this method; the Allow header lists those it takes.")
        case drf.NotFound():
            return UnknownPath("Nothing is at this address.")
        case _ if exception.status_code < 500:
            return exceptions.InvalidRequest("The request is malformed.")
    return exceptions.Internal(_FAULT)
