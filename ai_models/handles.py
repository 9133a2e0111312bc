"""A model to hand to an agent runtime: resolved once, checked, and without any credential in it.

A runtime holds its model for long, so a handle is made of names only. Each call goes through the service anew: the gates
and the user's permission are judged again, and an operator's change of an alias or a default model takes effect.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack, overload

from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.db import Error as DatabaseError
from django.db.models import Model

from ai_models import resolution, service, store, sync
from ai_models.capabilities import Capability
from ai_models.database import in_thread
from ai_models.exceptions import InvalidRequest, NotReady
from ai_models.pipeline import admitted
from ai_models.serialization import validate
from ai_models.streams import ObjectStream, SyncObjectStream, SyncTextStream, TextStream
from ai_models.types import EmbedRequest, EmbedResult, ObjectRequest, ObjectResult, ResolveRequest, TextRequest, TextResult

P = ParamSpec("P")
T = TypeVar("T")
H = TypeVar("H", bound="ModelHandle")

_RESOLVABLE = (Capability.TEXT_GENERATION, Capability.EMBEDDINGS)
_SETTLED = frozenset({"provider", "model", "user"})


@dataclass(frozen=True, slots=True)
class Account:
    """A saved user by its key. It is read from the database for each call, so that what was revoked is noticed."""

    label: str
    key: Any

    @classmethod
    def of(cls, user: Any) -> Any:
        """The user's account, or the user itself when it is not a saved one."""
        if isinstance(user, Model) and user.pk is not None:
            return cls(user._meta.label, user.pk)
        return user

    def read(self) -> Any:
        """The user as it is now; an anonymous one when it is gone.

        Raises:
            NotReady: the database cannot be asked.
        """
        try:
            found = apps.get_model(self.label)._default_manager.filter(pk=self.key).first()
        except DatabaseError:
            raise NotReady("The user cannot be read from the database.") from None
        return found or AnonymousUser()

    async def ahas_perm(self, permission: str) -> bool:
        """Whether the user holds a permission now."""
        return bool(await in_thread(lambda: self.read().has_perm(permission))())


@dataclass(frozen=True, slots=True)
class ModelHandle:
    """Base of the handles.

    Attributes:
        capability: what was resolved.
        provider: the instance; every call goes to this one.
        model: by the provider's own name, as it was when the handle was made.
        named: what calls name: the model or alias that was asked for, ``None`` for the instance's default model.
    """

    capability: Capability
    provider: str
    model: str
    named: str | None = field(repr=False)
    _user: Any = field(repr=False)

    def using(self, model: str) -> Self:
        """The same handle for another model or alias of the same instance. It is judged when it is called."""
        return replace(self, model=model, named=model)

    def _checked(self) -> Self:
        """The handle with the user's permissions read in this thread, on the caller's database connection."""
        if self._user is None:
            return self
        user = self._user.read() if isinstance(self._user, Account) else self._user
        return replace(self, _user=sync.CheckedUser(user))

    def _request(self, request: Mapping[str, Any], named: str | None) -> dict[str, Any]:
        if settled := sorted(_SETTLED & request.keys()):
            raise InvalidRequest(f"{', '.join(settled)}: the handle was resolved for one; resolve another")
        return {**request, "provider": self.provider, "model": named, "user": self._user}


def _waiting(twin: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(twin)
    def wait(handle: ModelHandle, *args: Any, **kwargs: Any) -> Any:
        return twin(handle._checked(), *args, **kwargs)

    return wait


def _synchronous(call: Callable[Concatenate[H, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[H, P], T]:
    return _waiting(sync.synchronous(call))


def _synchronous_stream(call: Callable[Concatenate[H, P], TextStream]) -> Callable[Concatenate[H, P], SyncTextStream]:
    return _waiting(sync.synchronous_stream(call))


def _synchronous_objects(call: Callable[Concatenate[H, P], ObjectStream]) -> Callable[Concatenate[H, P], SyncObjectStream]:
    return _waiting(sync.synchronous_object_stream(call))


@dataclass(frozen=True, slots=True)
class TextModel(ModelHandle):
    """A model that writes text and objects. The methods are those of :mod:`ai_models`, without ``provider`` and ``model``.

    Attributes:
        named_for_objects: what calls for objects name. It differs from ``named`` for an alias that structured output does
            not have: that stands for the model it meant when the handle was made.
    """

    named_for_objects: str | None = field(repr=False)

    def using(self, model: str) -> Self:
        return replace(self, model=model, named=model, named_for_objects=model)

    async def agenerate_text(self, prompt: str | None = None, /, **request: Unpack[TextRequest]) -> TextResult:
        """As :func:`ai_models.agenerate_text`."""
        return await service.agenerate_text(prompt, **self._request(request, self.named))

    def astream_text(self, prompt: str | None = None, /, **request: Unpack[TextRequest]) -> TextStream:
        """As :func:`ai_models.astream_text`."""
        return service.astream_text(prompt, **self._request(request, self.named))

    async def agenerate_object(self, prompt: str | None = None, /, **request: Unpack[ObjectRequest]) -> ObjectResult:
        """As :func:`ai_models.agenerate_object`; it needs structured output on the instance, and its permission."""
        return await service.agenerate_object(prompt, **self._request(request, self.named_for_objects))

    def astream_object(self, prompt: str | None = None, /, **request: Unpack[ObjectRequest]) -> ObjectStream:
        """As :func:`ai_models.astream_object`; it needs structured output on the instance, and its permission."""
        return service.astream_object(prompt, **self._request(request, self.named_for_objects))

    generate_text = _synchronous(agenerate_text)
    stream_text = _synchronous_stream(astream_text)
    generate_object = _synchronous(agenerate_object)
    stream_object = _synchronous_objects(astream_object)


@dataclass(frozen=True, slots=True)
class EmbeddingModel(ModelHandle):
    """A model that turns texts into vectors."""

    async def aembed(self, value: str | None = None, /, **request: Unpack[EmbedRequest]) -> EmbedResult:
        """As :func:`ai_models.aembed`."""
        return await service.aembed(value, **self._request(request, self.named))

    embed = _synchronous(aembed)


@overload
async def aresolve_model(
    capability: Literal["text-generation"] = ...,
    provider: str | None = None,
    model: str | None = None,
    user: Any = None,
) -> TextModel: ...


@overload
async def aresolve_model(
    capability: Literal["embeddings"], provider: str | None = None, model: str | None = None, user: Any = None
) -> EmbeddingModel: ...


async def aresolve_model(
    capability: str = "text-generation", provider: str | None = None, model: str | None = None, user: Any = None
) -> TextModel | EmbeddingModel:
    """A handle of one model for an agent runtime. It fails now where a call would be refused.

    Args:
        capability: ``text-generation`` or ``embeddings``.
        provider: instance name; the default provider when absent. The handle keeps to the instance found.
        model: model or alias; the instance's default model when absent. An alias stays one: a handle follows it.
        user: enforce this user's permissions, now and in each call; without one the caller is trusted.

    Raises:
        InvalidRequest: runtimes do not use models of this capability.
    """
    return await _resolved(capability, provider, model, user, Account.of(user))


@overload
def resolve_model(
    capability: Literal["text-generation"] = ...,
    provider: str | None = None,
    model: str | None = None,
    user: Any = None,
) -> TextModel: ...


@overload
def resolve_model(
    capability: Literal["embeddings"], provider: str | None = None, model: str | None = None, user: Any = None
) -> EmbeddingModel: ...


def resolve_model(
    capability: str = "text-generation", provider: str | None = None, model: str | None = None, user: Any = None
) -> TextModel | EmbeddingModel:
    """The sync twin of :func:`aresolve_model`."""
    checked = None if user is None else sync.CheckedUser(user)
    return sync.run(_resolved(capability, provider, model, checked, Account.of(user)))


async def _resolved(
    capability: str, provider: str | None, model: str | None, judged: Any, kept: Any
) -> TextModel | EmbeddingModel:
    given = validate(ResolveRequest, {"capability": capability, "provider": provider, "model": model})
    wanted = resolution.parse_capability(given["capability"])
    if wanted not in _RESOLVABLE:
        raise InvalidRequest(f"capability: a model is resolved for {' or '.join(_RESOLVABLE)}; call the method for the others")
    target = await admitted(wanted, given.get("provider"), model, judged)
    found, name = target.require_model(), target.facts.name
    if wanted is Capability.EMBEDDINGS:
        return EmbeddingModel(wanted, name, found, model, kept)
    for_objects = None if model is None else resolution.name_for_objects(await store.acurrent(), name, model)
    return TextModel(wanted, name, found, model, kept, for_objects)
