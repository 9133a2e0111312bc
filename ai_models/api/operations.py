"""What the API offers, one row per operation. Routes, validation, the OpenAPI document and the docs page read these rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ai_models import exceptions, service
from ai_models.exceptions import AIModelsError
from ai_models.types import EmbedRequest, EmbedResult, ObjectRequest, ObjectResult, ResolveRequest, TextRequest, TextResult

Errors = tuple[type[AIModelsError], ...]

_ALWAYS: Errors = (
    exceptions.InvalidRequest,
    exceptions.Unauthenticated,
    exceptions.PermissionDenied,
    exceptions.RateLimitExceeded,
    exceptions.Internal,
    exceptions.NotReady,
)
_WITH_BODY: Errors = (*_ALWAYS, exceptions.PayloadTooLarge)
_PROVIDER: Errors = (exceptions.ProviderNotFound,)
_MODEL_CALL: Errors = (
    *_WITH_BODY,
    exceptions.ContextWindowExceeded,
    exceptions.ContentPolicyViolation,
    exceptions.ProviderNotFound,
    exceptions.ModelNotFound,
    exceptions.ProviderDisabled,
    exceptions.CapabilityNotEnabled,
    exceptions.UnsupportedFunctionality,
    exceptions.UpstreamRateLimited,
    exceptions.UpstreamError,
    exceptions.UpstreamAuthFailed,
    exceptions.UpstreamInvalidResponse,
    exceptions.CredentialUnavailable,
    exceptions.CircuitOpen,
    exceptions.UpstreamTimeout,
)


@dataclass(frozen=True, slots=True)
class ProviderList:
    """The provider instances the caller may see."""

    providers: tuple[service.ProviderInfo, ...]


@dataclass(frozen=True, slots=True)
class ModelList:
    """The configured models and aliases."""

    models: tuple[service.ModelInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the API.

    Attributes:
        name: operation id; with ``path`` absent also the address below ``/api/ai/v1/``.
        summary: what it does, a few words.
        description: what else a caller must know.
        result: type of the answer; ``None`` for server-sent events.
        request: type of the JSON body; ``None`` when there is none.
        errors: what can go wrong.
        example: a body to begin with.
    """

    name: str
    summary: str
    result: type[Any] | None
    description: str = ""
    request: type[Any] | None = None
    errors: Errors = _ALWAYS
    example: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Operation):
    """An operation that validates its body and hands it to the service.

    Attributes:
        run: the service's method; takes ``user=`` and the request's fields.
    """

    run: Callable[..., Awaitable[Any]]


CALLS = (
    Call(
        name="generate-text",
        summary="Generate text",
        request=TextRequest,
        result=TextResult,
        errors=_MODEL_CALL,
        example={"prompt": "Name three colours."},
        run=service.agenerate_text,
    ),
    Call(
        name="generate-object",
        summary="Generate an object that satisfies a JSON Schema",
        request=ObjectRequest,
        result=ObjectResult,
        errors=(*_MODEL_CALL, exceptions.NoObjectGenerated),
        example={
            "prompt": "A person named Ada, 36 years old.",
            "schema": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
                "required": ["name", "age"],
            },
        },
        run=service.agenerate_object,
    ),
    Call(
        name="embed",
        summary="Turn texts into vectors",
        request=EmbedRequest,
        result=EmbedResult,
        errors=_MODEL_CALL,
        example={"values": ["a cat on a mat", "a kitten on a rug"]},
        run=service.aembed,
    ),
    Call(
        name="resolve",
        summary="Explain which provider and model a request would use",
        description="Nothing is called. The answer tells the rule, the alias, every gate's verdict and what to change.",
        request=ResolveRequest,
        result=service.Resolution,
        errors=_WITH_BODY,
        example={"capability": "text-generation"},
        run=service.aresolve,
    ),
)

STREAM_TEXT = Operation(
    name="stream-text",
    summary="Generate text as a stream of server-sent events",
    description=(
        "The AI SDK's UI message stream protocol: one JSON object per data line, [DONE] as the last. Exactly one of the events "
        "finish, error and abort ends a stream. The bodies of the useChat and useCompletion hooks are taken as they are. "
        "A failure before the first event is an ordinary error response."
    ),
    request=TextRequest,
    result=None,
    errors=_MODEL_CALL,
    example={"prompt": "Tell a short story."},
)
LIST_PROVIDERS = Operation(name="list-providers", summary="List provider instances and what each can do", result=ProviderList)
GET_PROVIDER = Operation(
    name="get-provider", summary="Show one provider instance", result=service.ProviderInfo, errors=(*_ALWAYS, *_PROVIDER)
)
CHECK_PROVIDER = Operation(
    name="check-provider",
    summary="Check a provider instance now",
    description="Runs the family's health check and stores its result. Needs the permission ai_models.change_providerinstance.",
    result=service.ProviderInfo,
    errors=(*_ALWAYS, *_PROVIDER),
)
LIST_MODELS = Operation(
    name="list-models", summary="List configured models and aliases", description="Narrow with ?capability=.", result=ModelList
)

OPERATIONS = (CALLS[0], STREAM_TEXT, *CALLS[1:], LIST_PROVIDERS, GET_PROVIDER, CHECK_PROVIDER, LIST_MODELS)
"""All of them, in the order in which the docs show them."""
