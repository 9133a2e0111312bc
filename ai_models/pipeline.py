"""What every method goes through: validate, permission, resolve, gates, family, and the errors and warnings on the way back."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from ai_models import admission, calls, connections, gates, jsontext, store
from ai_models.access import may, supported_by
from ai_models.admission import Admission
from ai_models.capabilities import Capability
from ai_models.conf import conf
from ai_models.exceptions import InvalidRequest, ModelNotFound, UnsupportedFunctionality
from ai_models.families.base import Family
from ai_models.observation import observed
from ai_models.resolution import Target, resolve
from ai_models.serialization import validate
from ai_models.snapshot import InstanceFacts
from ai_models.telemetry import observing
from ai_models.types import SETTINGS, Chunk, ModelRequest, ModelResult, Warning

R = TypeVar("R", bound=Mapping[str, Any])
T = TypeVar("T", bound=ModelResult)

# What authenticates the instance, or frames the request. Callers' headers never touch these.
_REFUSED_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie", "host", "connection",
     "content-length", "content-type", "content-encoding", "transfer-encoding", "accept-encoding", "expect", "te", "upgrade"}
)  # fmt: skip


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


@dataclass(slots=True)
class Call(Generic[R]):
    """A request on its way: validated, resolved, through every gate, with its family connected.

    Attributes:
        facts: the instance.
        model: by the provider's own name.
        named: whether the caller named the model.
        request: without the settings that the model cannot honour.
        warnings: about those.
    """

    capability: Capability
    facts: InstanceFacts
    admission: Admission
    family: Family
    model: str
    named: bool
    request: R
    limits: calls.Limits
    warnings: tuple[Warning, ...] = ()

    def having(self, **fields: Any) -> Call[R]:
        """The call with other fields in its request."""
        return replace(self, request=cast(R, {**self.request, **fields}))

    @observing.answered
    async def answer(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of the call, with what the service knows about it."""
        async with observed(self.facts):
            try:
                with self.admission.passage(self.limits) as passage:
                    result = await calls.attempts(lambda: passage.attempt(attempt), self.limits, passage.again)
            except ModelNotFound as error:
                raise self._explained(error) from None
        if result.warnings:
            _refuse_unsupported(tuple(warning.setting or "" for warning in result.warnings if warning.type == "unsupported"))
        return replace(result, provider=self.facts.name, model=self.model, warnings=(*self.warnings, *result.warnings))

    @observing.streamed
    async def chunks(self, start: Callable[[], AsyncGenerator[Chunk]]) -> AsyncGenerator[list[Chunk]]:
        """The chunks of the call's stream, as :func:`calls.chunks` gives them."""
        async with observed(self.facts):
            try:
                with self.admission.passage(self.limits, streamed=True) as passage:
                    async with aclosing(calls.chunks(lambda: passage.stream(start), self.limits, passage.again)) as chunks:
                        async for batch in chunks:
                            yield batch
            except ModelNotFound as error:
                raise self._explained(error) from None

    def _explained(self, error: ModelNotFound) -> ModelNotFound:
        """When nobody named the model, the configuration did, and only an administrator can mend it."""
        if self.named:
            return error
        return ModelNotFound(
            f"The provider does not know the model that is configured on {self.facts.name}.",
            config_path=f"ai.providers.{self.facts.name}.defaultModels",
            remedy="admin",
        )


async def admitted(capability: Capability, provider: str | None, model: str | None, user: Any) -> Target:
    """What a request names, when the caller may use it and every gate is open.

    The caller's permission is judged before anything about providers is told.
    """
    if user is not None and not await may(user, capability.permission):
        gates.require((gates.permission(capability, allowed=False),))
    snapshot = await store.acurrent()
    await connections.follow(snapshot)
    target = resolve(snapshot, capability, provider, model)
    gates.require_open(target.facts, capability, supported_by(target.facts))
    return target


class calling(Generic[R]):  # noqa: N801, it reads as what it does
    """A context manager that gives a call that may go out, from what a caller gave. The family stays connected as long as the
    context lasts."""

    __slots__ = ("_capability", "_connected", "_kind", "_request", "_user")

    def __init__(self, capability: Capability, kind: type[R], request: Mapping[str, Any], user: Any) -> None:
        self._capability, self._kind, self._request, self._user = capability, kind, request, user

    async def __aenter__(self) -> Call[R]:
        validated = validate(self._kind, self._request)
        if headers := validated.get("headers"):
            _check_headers(headers)
        if not jsontext.is_carriable(validated):
            uncarriable = [name for name, value in validated.items() if not jsontext.is_carriable(value)]
            raise InvalidRequest(f"{', '.join(uncarriable)}: a text has half a surrogate pair, which UTF-8 cannot carry")
        target = await admitted(self._capability, validated.get("provider"), validated.get("model"), self._user)
        model = target.require_model()
        self._connected = connections.connected(target.facts)
        family = await self._connected.__aenter__()
        try:
            family.check_options(self._capability, cast(ModelRequest, validated))
            limits = calls.Limits.of(validated)
            entry = admission.of(target.facts)
            call = Call(self._capability, target.facts, entry, family, model, _is_named(target), validated, limits)
            return await _with_supported_settings(call)
        except BaseException as error:
            await self._connected.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connected.__aexit__(kind, error, trace)


async def _with_supported_settings(call: Call[R]) -> Call[R]:
    """The call without the settings that its model cannot honour, and a warning for each."""
    named = SETTINGS[call.capability] & call.request.keys()
    given = named - {"n"} if call.request.get("n") == 1 else named  # one is what every model makes
    if not given:
        return call
    limits = replace(call.limits, max_retries=0)
    supported = await calls.attempts(lambda: call.family.supported_settings(call.capability, call.model), limits)
    unsupported = given - supported if supported is not None else frozenset[str]()
    request = cast(R, {name: value for name, value in call.request.items() if name not in unsupported})
    return replace(call, request=request, warnings=left_out(unsupported))


def left_out(settings: Iterable[str]) -> tuple[Warning, ...]:
    """A warning for each setting that the model cannot honour.

    Raises:
        UnsupportedFunctionality: there are some, and the app's settings say that they are refused.
    """
    names = tuple(sorted(settings))
    _refuse_unsupported(names)
    return tuple(
        Warning(type="unsupported", setting=name, message=f"The model does not support {name}; it was left out.")
        for name in names
    )


def _refuse_unsupported(settings: tuple[str, ...]) -> None:
    if settings and conf().ON_UNSUPPORTED == "error":
        raise UnsupportedFunctionality(f"The model does not support {', '.join(settings)}.")


def _is_named(target: Target) -> bool:
    return target.rule in {"provider-and-model", "model-only"} and target.alias is None


def _check_headers(headers: Mapping[str, str]) -> None:
    if not all(_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value) for name, value in headers.items()):
        raise InvalidRequest("headers: a name or a value has characters that HTTP headers cannot have")
    refused = sorted(name for name in headers if name.lower() in _REFUSED_HEADERS or name.lower().startswith("x-amz-"))
    if refused:
        raise InvalidRequest(f"headers: {', '.join(refused)} cannot be set; they belong to the instance")
