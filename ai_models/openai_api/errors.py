"""Failures and warnings as OpenAI's clients read them.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse

from ai_models.api import errors, requestid
from ai_models.encoding import dumps
from ai_models.exceptions import AIModelsError, NotFound
from ai_models.types import ModelResult, Warning

NO_NAMES: Mapping[str, str] = {}

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_FIELD = re.compile(r"[a-z]\w*(?:\.[\w-]+)*(?=: )")
_INDEX = re.compile(r"\.(\d+)")


def body(error: AIModelsError, request_id: str, names: Mapping[str, str] = NO_NAMES) -> dict[str, Any]:
    """The error as OpenAI's API tells it, with what this service tells beside.

    Args:
        names: OpenAI's names of fields that are called otherwise here.
    """
    told = error.envelope(request_id)["error"]
    message, param = _renamed(error.message, names)
    if isinstance(error, NotFound):
        param = param or "model"
    status = error.http_status
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    return {"error": {**told, "message": message, "type": kind, "param": param}}


def headers(error: AIModelsError) -> dict[str, str]:
    """What OpenAI's own clients go by when they decide whether to try again. They would repeat each 409 and 5xx."""
    return {"x-should-retry": "true" if error.retryable else "false", **errors.retry_headers(error)}


def handle(exception: Exception, context: dict[str, Any]) -> HttpResponse:
    """The exception handler of this edge's views: a response for every exception."""
    error, extra = errors.understood(exception)
    content = dumps(body(error, requestid.current(), context["view"].names))
    return HttpResponse(content, status=error.http_status, content_type="application/json", headers={**extra, **headers(error)})


@dataclass(slots=True)
class Told:
    """What an answer tells beside the result.

    Attributes:
        warnings: beside those of the result.
        names: OpenAI's names of fields that are called otherwise here.
    """

    warnings: tuple[Warning, ...] = ()
    names: Mapping[str, str] = field(default_factory=lambda: NO_NAMES)

    def about(self, result: ModelResult, *more: Warning) -> list[dict[str, Any]]:
        """Every warning, as JSON data."""
        return [self._warning(warning) for warning in (*self.warnings, *result.warnings, *more)]

    def _warning(self, warning: Warning) -> dict[str, Any]:
        setting = self.names.get(warning.setting or "", warning.setting)
        return {"type": warning.type, "setting": setting, "message": _renamed(warning.message, self.names)[0]}


def _renamed(message: str, names: Mapping[str, str]) -> tuple[str, str | None]:
    """A message about fields by OpenAI's names, and the field that it is about first."""
    for ours, theirs in names.items():
        if "_" in ours:  # else it is also a word, which may stand for something else
            message = re.sub(rf"\b{ours}\b", theirs, message)
    if (found := _FIELD.match(message)) is None:
        return message, None
    first, *rest = found[0].split(".")
    param = _INDEX.sub(r"[\1]", ".".join([names.get(first, first), *rest]))
    return param + message[found.end() :], param
