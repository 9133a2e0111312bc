"""The methods that everything else is built on: validate, resolve, pass the gates, call the family, give the result.

All are async; :mod:`ai_models` also has a sync twin of each. Every error is an :class:`~ai_models.exceptions.AIModelsError`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, Unpack, cast

from ai_models import calls, connections, gates, objects, store
from ai_models.access import may, supported_by
from ai_models.capabilities import Capability
from ai_models.catalog import (
    CapabilityInfo,
    ModelInfo,
    ProviderInfo,
    Resolution,
    acheck,
    amodels,
    aprovider,
    aproviders,
    aresolve,
)
from ai_models.conf import conf
from ai_models.exceptions import AIModelsError, InvalidRequest, ModelNotFound, UnsupportedFunctionality
from ai_models.families.base import Family
from ai_models.observation import observed
from ai_models.readiness import Readiness, areadiness
from ai_models.resolution import Target, resolve
from ai_models.serialization import validate
from ai_models.snapshot import InstanceFacts
from ai_models.streams import TextStream
from ai_models.types import (
    TEXT_SETTINGS,
    Chunk,
    EmbedRequest,
    EmbedResult,
    ModelResult,
    ObjectRequest,
    ObjectResult,
    TextRequest,
    TextResult,
    Warning,
)

__all__ = [
    "CapabilityInfo",
    "ModelInfo",
    "ProviderInfo",
    "Readiness",
    "Resolution",
    "TextStream",
    "acheck",
    "aclose",
    "aembed",
    "agenerate_object",
    "agenerate_text",
    "amodels",
    "aprovider",
    "aproviders",
    "areadiness",
    "aresolve",
    "astream_text",
    "awarm_up",
]

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Mapping[str, Any])
T = TypeVar("T", bound=ModelResult)

# What authenticates the instance, or frames the request. Callers' headers never touch these.
_REFUSED_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie", "host", "connection",
     "content-length", "content-type", "content-encoding", "transfer-encoding", "accept-encoding", "te", "upgrade"}
)  # fmt: skip


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """A request that may go out: validated, resolved, and through every gate.

    Attributes:
        model: by the provider's own name.
        named: whether the caller named the model.
    """

    facts: InstanceFacts
    model: str
    named: bool
    request: R
    limits: calls.Limits


async def agenerate_text(prompt: str | None = None, /, *, user: Any = None, **request: Unpack[TextRequest]) -> TextResult:
    """Generate text.

    Args:
        prompt: the user's text, for a single turn; or give ``messages``.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.TextRequest`.
    """
    call = await _prepare(Capability.TEXT_GENERATION, TextRequest, _prompted(prompt, request), user)
    async with _connected(call) as family:
        call, warnings = await _supported(call, family)
        return await _answer(call, warnings, lambda: family.do_generate_text(call.model, call.request))


def astream_text(prompt: str | None = None, /, *, user: Any = None, **request: Unpack[TextRequest]) -> TextStream:
    """Generate text and read it while it is generated. Returns at once; the call is made with the first read.

    Args:
        prompt: the user's text, for a single turn; or give ``messages``.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.TextRequest`.
    """
    return TextStream(lambda: _stream(_prompted(prompt, request), user))


async def agenerate_object(prompt: str | None = None, /, *, user: Any = None, **request: Unpack[ObjectRequest]) -> ObjectResult:
    """Generate an object that satisfies a schema.

    Args:
        prompt: the user's text, for a single turn; or give ``messages``.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.ObjectRequest`; ``schema`` is required.

    Raises:
        NoObjectGenerated: the model's answer does not satisfy the schema.
    """
    call = await _prepare(Capability.STRUCTURED_OUTPUT, ObjectRequest, _prompted(prompt, request), user)
    schema = objects.Schema.of(call.request.get("schema"))
    call = replace(call, request={**call.request, "schema": schema.json})
    async with _connected(call) as family:
        call, warnings = await _supported(call, family)
        result = await _answer(call, warnings, lambda: family.do_generate_object(call.model, call.request))
        return schema.read(result)


async def aembed(value: str | None = None, /, *, user: Any = None, **request: Unpack[EmbedRequest]) -> EmbedResult:
    """Turn texts into vectors.

    Args:
        value: one text; or give ``values``.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.EmbedRequest`.
    """
    given = _one_of(_with(request, "value", value), "value", "values")
    call = await _prepare(Capability.EMBEDDINGS, EmbedRequest, given, user)
    values = call.request.get("values") or [call.request["value"]]
    call = replace(call, request={**call.request, "values": values})
    async with _connected(call) as family:
        result = await _answer(call, (), lambda: family.do_embed(call.model, call.request))
    vectors = list(result.embeddings or ())
    return result if "value" not in call.request else replace(result, embedding=vectors[0], embeddings=None)


async def awarm_up() -> None:
    """Load what the first calls would wait for, for every instance that can be called. Run it after the server is up."""
    snapshot = await store.acurrent()
    for facts in snapshot.instances.values():
        if any(gates.available(facts, supported_by(facts))):
            await _warm_up(facts)


async def _warm_up(facts: InstanceFacts) -> None:
    try:
        async with connections.connected(facts) as family:
            await calls.attempts(family.warm_up, calls.Limits.of({"max_retries": 0}))
    except AIModelsError as error:
        logger.warning("Provider %s could not be warmed up: %s", facts.name, error.message)


async def aclose() -> None:
    """Close every connection and stop local models. Calls made afterwards connect anew."""
    await connections.aclose()


@asynccontextmanager
async def _stream(request: dict[str, Any], user: Any) -> AsyncIterator[tuple[TextResult, AsyncGenerator[Chunk]]]:
    call = await _prepare(Capability.TEXT_GENERATION, TextRequest, request, user)
    async with _connected(call) as family:
        call, warnings = await _supported(call, family)
        base = TextResult(provider=call.facts.name, model=call.model, warnings=warnings)
        async with observed(call.facts):
            yield base, _named_model(call, calls.chunks(lambda: family.do_stream_text(call.model, call.request), call.limits))


async def _prepare(capability: Capability, kind: type[R], request: Mapping[str, Any], user: Any) -> Call[R]:
    """From what a caller gave to a call that may go out. The caller's permission is judged first."""
    validated = validate(kind, request)
    _check_headers(validated.get("headers", {}))
    if user is not None:
        gates.require((gates.permission(capability, await may(user, capability.permission)),))
    snapshot = await store.acurrent()
    await connections.follow(snapshot)
    target = resolve(snapshot, capability, validated.get("provider"), validated.get("model"))
    gates.require(gates.verdicts(target.facts, capability, supported_by(target.facts)))
    return Call(target.facts, target.require_model(), _is_named(target), validated, calls.Limits.of(validated))


def _connected(call: Call[Any]) -> AbstractAsyncContextManager[Family]:
    return connections.connected(call.facts)


async def _supported(call: Call[R], family: Family) -> tuple[Call[R], tuple[Warning, ...]]:
    """The call without the settings that its model cannot honour, and a warning for each."""
    supported = await calls.attempts(lambda: family.supported_settings(call.model), replace(call.limits, max_retries=0))
    given = TEXT_SETTINGS & call.request.keys()
    unsupported = tuple(sorted(given - supported)) if supported is not None else ()
    _refuse_unsupported(unsupported)
    request = cast(R, {name: value for name, value in call.request.items() if name not in unsupported})
    warnings = tuple(
        Warning(type="unsupported", setting=name, message=f"The model does not support {name}; it was left out.")
        for name in unsupported
    )
    return replace(call, request=request), warnings


def _refuse_unsupported(settings: tuple[str, ...]) -> None:
    if settings and conf().ON_UNSUPPORTED == "error":
        raise UnsupportedFunctionality(f"The model does not support {', '.join(settings)}.")


async def _answer(call: Call[Any], warnings: tuple[Warning, ...], attempt: Callable[[], Awaitable[T]]) -> T:
    """The result of the call, with what the service knows about it."""
    async with observed(call.facts):
        try:
            result = await calls.attempts(attempt, call.limits)
        except ModelNotFound as error:
            raise _model_not_found(call, error) from None
    _refuse_unsupported(tuple(warning.setting or "" for warning in result.warnings if warning.type == "unsupported"))
    return replace(result, provider=call.facts.name, model=call.model, warnings=(*warnings, *result.warnings))


async def _named_model(call: Call[Any], chunks: AsyncGenerator[Chunk]) -> AsyncGenerator[Chunk]:
    async with aclosing(chunks):
        try:
            async for chunk in chunks:
                yield chunk
        except ModelNotFound as error:
            raise _model_not_found(call, error) from None


def _model_not_found(call: Call[Any], error: ModelNotFound) -> ModelNotFound:
    """When nobody named the model, the configuration did, and only an administrator can mend it."""
    if call.named:
        return error
    return ModelNotFound(
        f"The provider does not know the model that is configured on {call.facts.name}.",
        config_path=f"ai.providers.{call.facts.name}.defaultModels",
        remedy="admin",
    )


def _is_named(target: Target) -> bool:
    return target.rule in {"provider-and-model", "model-only"} and target.alias is None


def _prompted(prompt: str | None, request: Mapping[str, Any]) -> dict[str, Any]:
    return _one_of(_with(request, "prompt", prompt), "prompt", "messages")


def _with(request: Mapping[str, Any], name: str, positional: Any) -> dict[str, Any]:
    """The request with its positional argument under its name."""
    if positional is None:
        return dict(request)
    if request.get(name) is not None:
        raise InvalidRequest(f"{name}: it is given twice, by position and by name")
    return {**request, name: positional}


def _one_of(request: dict[str, Any], first: str, second: str) -> dict[str, Any]:
    if (request.get(first) is None) == (request.get(second) is None):
        raise InvalidRequest(f"{first}: give exactly one of {first} and {second}")
    return request


def _check_headers(headers: Mapping[str, str]) -> None:
    if not all(_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value) for name, value in headers.items()):
        raise InvalidRequest("headers: a name or a value has characters that HTTP headers cannot have")
    refused = sorted(name for name in headers if name.lower() in _REFUSED_HEADERS or name.lower().startswith("x-amz-"))
    if refused:
        raise InvalidRequest(f"headers: {', '.join(refused)} cannot be set; they belong to the instance")
