"""What an operation of the API is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ai_models import exceptions, service
from ai_models.exceptions import AIModelsError
from ai_models.types import GeneratedFile

Errors = tuple[type[AIModelsError], ...]

ALWAYS: Errors = (
    exceptions.InvalidRequest,
    exceptions.Unauthenticated,
    exceptions.PermissionDenied,
    exceptions.RateLimitExceeded,
    exceptions.Internal,
    exceptions.NotReady,
)
"""What can go wrong with every operation."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files in a result.

    Attributes:
        kind: what their media types begin with, ``image``.
        of: takes a result and gives its files.
    """

    kind: str
    of: Callable[[Any], tuple[GeneratedFile, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the API.

    Attributes:
        name: operation id; of calls and streams also the address below ``/api/ai/v1/``.
        summary: what it does, a few words.
        description: what else a caller must know.
        result: type of the JSON answer; ``None`` when the answer is something else.
        request: type of the body; ``None`` when there is none. A type with files in it is also taken as a form.
        errors: what can go wrong.
        example: a body to begin with.
        form: the same as a form, as curl's ``-F`` takes it.
        aliases: other names that a form's fields may have.
        files: the kind of files in the result, and where they are; their bytes can be the answer.
        download: the media types of an answer that is bytes alone, ``video/*``.
        status: of a success.
    """

    name: str
    summary: str
    result: type[Any] | None
    description: str = ""
    request: type[Any] | None = None
    errors: Errors = ALWAYS
    example: dict[str, Any] | None = None
    form: Mapping[str, str] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    files: Files | None = None
    download: str | None = None
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Operation):
    """An operation that validates its body and hands it to the service.

    Attributes:
        run: the service's method; takes ``user=`` and the request's fields.
    """

    run: Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream(Operation):
    """An operation that answers with server-sent events.

    Attributes:
        run: the service's method; takes ``user=`` and the request's fields, and gives the stream at once.
    """

    run: Callable[..., service.TextStream]
