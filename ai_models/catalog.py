"""What there is, whether it works, and why not: providers, models, an explained resolution."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Unpack

from django.db import Error as DatabaseError

from ai_models import admission, checking, gates, naming, registry, resolution, store
from ai_models.access import CHECK_PERMISSION, VIEW_PERMISSION, may, supported_by
from ai_models.capabilities import Capability
from ai_models.checking import Rung
from ai_models.database import in_thread
from ai_models.exceptions import AIModelsError, NotReady, PermissionDenied, ProviderNotFound
from ai_models.models import ProviderInstance
from ai_models.resolution import NO_PROVIDER
from ai_models.serialization import validate
from ai_models.snapshot import InstanceFacts, Snapshot
from ai_models.types import ResolveRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityInfo:
    """One capability on one instance.

    Attributes:
        supported: the family has it.
        configured: the instance has a default model or an alias for it.
        enabled: no administrator switched it off.
        available: a call would get through every gate.
    """

    capability: str
    supported: bool
    configured: bool
    enabled: bool
    available: bool
    default_model: str | None
    aliases: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInfo:
    """One provider instance.

    Attributes:
        state: ``ready``, ``disabled``, ``orphaned``, ``misconfigured``, ``credential-missing``,
            ``credential-undecryptable`` or ``credential-rejected``.
        message: why it is in that state, or why its circuit is not closed; where nothing is in the way of calls, what the last
            check found.
        circuit: whether calls from this process are made: ``closed``; ``open`` or ``half-open`` when it failed too often.
        check: the last check's result: ``unchecked``, ``healthy``, ``unhealthy`` or ``credential-rejected``.
        latency_ms: milliseconds that the provider took to answer it.
    """

    name: str
    family: str
    label: str
    enabled: bool
    default: bool
    managed: bool
    orphaned: bool
    state: str
    message: str
    circuit: str
    check: str
    checked_at: datetime | None
    latency_ms: int | None
    capabilities: tuple[CapabilityInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model that is configured somewhere: a default model or an alias.

    Attributes:
        id: ``instance/model-or-alias``.
        model: the provider's own name of it.
        alias: the operator's name, when it is an alias.
        default: whether it is the instance's default for the capability.
    """

    id: str
    provider: str
    model: str
    capability: str
    alias: str | None
    default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """One gate's verdict; the last three say why it is closed and what to change."""

    gate: str
    open: bool
    code: str | None = None
    message: str | None = None
    config_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a request would use, and whether it may.

    Attributes:
        rule: ``provider-and-model``, ``provider-only``, ``neither`` or ``model-only``.
        model: by the provider's own name; ``None`` when nothing names one.
        alias: the alias it came from.
        available: whether a call would get through.
        credential: ``ok``, ``missing``, ``undecryptable``, ``not-needed`` or ``ambient``.
        gates: every gate, the caller's permission among them.
        config_path: the configuration key to change, when the answer is no and one is known.
    """

    capability: str
    rule: str
    provider: str
    family: str
    model: str | None
    alias: str | None
    available: bool
    credential: str
    gates: tuple[GateReport, ...]
    config_path: str | None


async def aresolve(*, user: Any = None, **request: Unpack[ResolveRequest]) -> Resolution:
    """Explain which provider and model a request would use, without calling anything.

    Args:
        user: judge this user's permission too.
        request: see :class:`~ai_models.types.ResolveRequest`; ``capability`` is required.

    Raises:
        PermissionDenied: the user may neither use a capability nor view providers.
        ProviderNotFound: the named instance does not exist, or none is named and there is no default.
    """
    await _require_any(user)
    return await aexplain(user, **request)


async def aexplain(user: Any = None, **request: Unpack[ResolveRequest]) -> Resolution:
    """:func:`aresolve` about a user who may use nothing, too: for whoever may know that of them.

    Args:
        user: whose permission is judged; without one that of a trusted caller.
        request: see :class:`~ai_models.types.ResolveRequest`; ``capability`` is required.
    """
    validated = validate(ResolveRequest, request)
    capability = resolution.parse_capability(validated["capability"])
    target = resolution.resolve(await store.acurrent(), capability, validated.get("provider"), validated.get("model"))
    allowed = user is None or await may(user, capability.permission)
    found = (
        gates.permission(capability, allowed),
        *gates.verdicts(target.facts, capability, supported_by(target.facts)),
        _model(target),
    )
    return Resolution(
        capability=capability,
        rule=target.rule,
        provider=target.facts.name,
        family=target.facts.family,
        model=target.model,
        alias=target.alias,
        available=all(verdict.open for verdict in found),
        credential=target.facts.credential,
        gates=tuple(_report(verdict) for verdict in found),
        config_path=next((v.error.config_path for v in found if v.error and v.error.config_path), None),
    )


async def aproviders(user: Any = None) -> tuple[ProviderInfo, ...]:
    """Every provider instance, in order of names.

    Raises:
        PermissionDenied: the user may neither use a capability nor view providers.
    """
    await _require_any(user)
    snapshot = await store.acurrent()
    checks = await in_thread(_last_checks)()
    return tuple(_provider(snapshot, facts, checks.get(facts.id)) for facts in snapshot.instances.values())


async def aprovider(name: str, user: Any = None) -> ProviderInfo:
    """One provider instance.

    Raises:
        ProviderNotFound: there is none of this name.
    """
    await _require_any(user)
    snapshot = await store.acurrent()
    facts = _facts(snapshot, name)
    checks = await in_thread(_last_checks)(facts.id)
    return _provider(snapshot, facts, checks.get(facts.id))


async def amodels(capability: str | None = None, user: Any = None) -> tuple[ModelInfo, ...]:
    """The models and aliases that calls can name, of every available capability or of one.

    Raises:
        InvalidRequest: there is no such capability.
    """
    await _require_any(user)
    wanted = tuple(Capability) if capability is None else (resolution.parse_capability(capability),)
    allowed = [one for one in wanted if user is None or await may(user, one.permission)]
    snapshot = await store.acurrent()
    return tuple(
        model
        for facts in snapshot.instances.values()
        for one in gates.available(facts, supported_by(facts))
        if one in allowed
        for model in _models(facts, one)
    )


async def acheck(name: str, user: Any = None, capabilities: Sequence[str] = ()) -> ProviderInfo:
    """Check an instance and store what is found. It costs nothing, unless capabilities are given.

    Args:
        capabilities: those for which one small call is made, which is paid for.

    Raises:
        PermissionDenied: the user may not change providers.
        ProviderNotFound: there is none of this name.
    """
    async for _ in aclimb(name, user, capabilities):
        pass
    return await aprovider(name)


async def aclimb(name: str, user: Any = None, capabilities: Sequence[str] = ()) -> AsyncGenerator[Rung]:
    """:func:`acheck`, told while it goes on. What is found is stored after the last rung, if the reader stays so long."""
    if user is not None and not await may(user, CHECK_PERMISSION):
        raise PermissionDenied(f"You may not check providers. It needs the permission {CHECK_PERMISSION}.")
    asked = [resolution.parse_capability(capability) for capability in capabilities]
    facts = _facts(await store.acurrent(), name)
    rungs: list[Rung] = []
    async with aclosing(checking.climb(facts, asked)) as climbing:
        async for rung in climbing:
            rungs.append(rung)
            yield rung
    await in_thread(checking.record)(facts, rungs)


async def _require_any(user: Any) -> None:
    """Whoever may use anything, or look at providers, may know which there are."""
    if user is None:
        return
    for permission in (*(capability.permission for capability in Capability), VIEW_PERMISSION):
        if await may(user, permission):
            return
    raise PermissionDenied("You may not use any capability, nor view providers.")


def _facts(snapshot: Snapshot, name: str) -> InstanceFacts:
    if name not in snapshot.instances:
        raise ProviderNotFound(NO_PROVIDER)
    return snapshot.instances[name]


def _last_checks(identity: str | None = None) -> dict[str, dict[str, Any]]:
    rows = ProviderInstance.objects.all() if identity is None else ProviderInstance.objects.filter(pk=identity)
    try:
        return {str(row["id"]): dict(row) for row in rows.values("id", "state_message", "checked_at", "latency_ms")}
    except DatabaseError:
        raise NotReady("The database cannot be read.") from None


def _provider(snapshot: Snapshot, facts: InstanceFacts, check: Mapping[str, Any] | None) -> ProviderInfo:
    family = registry.families().get(facts.family)
    supported = supported_by(facts)
    available = frozenset(gates.available(facts, supported))
    check = check or {}
    load = admission.load(facts)
    return ProviderInfo(
        name=facts.name,
        family=facts.family,
        label=family.label if family else facts.family,
        enabled=facts.enabled,
        default=snapshot.default == facts.name,
        managed=facts.managed,
        orphaned=facts.orphaned,
        state=facts.state,
        message=_obstacle(facts, supported) or load.reason or check.get("state_message") or "",
        circuit=load.circuit,
        check=facts.check,
        checked_at=check.get("checked_at"),
        latency_ms=check.get("latency_ms"),
        capabilities=tuple(_capability(facts, one, one in supported, one in available) for one in Capability),
    )


def _obstacle(facts: InstanceFacts, supported: frozenset[Capability]) -> str | None:
    """What is in the way of every call to the instance, whatever it is for."""
    found = {verdict.gate: verdict.error for verdict in gates.verdicts(facts, Capability.TEXT_GENERATION, supported)}
    error = found["instance-enabled"] or found["credential"]
    return error.message if error else None


def _capability(facts: InstanceFacts, capability: Capability, supported: bool, available: bool) -> CapabilityInfo:
    known = facts.capabilities.get(capability)
    return CapabilityInfo(
        capability=capability,
        supported=supported,
        configured=gates.configured(facts, capability),
        enabled=known.enabled if known else True,
        available=available,
        default_model=known.default_model if known else None,
        aliases=known.aliases if known else {},
    )


def _models(facts: InstanceFacts, capability: Capability) -> list[ModelInfo]:
    known = facts.capabilities[capability]
    names: list[tuple[str, str | None]] = [(known.default_model, None)] if known.default_model else []
    names += [(model, alias) for alias, model in known.aliases.items()]
    return [
        ModelInfo(
            id=naming.join(facts.name, alias or model),
            provider=facts.name,
            model=model,
            capability=capability,
            alias=alias,
            default=alias is None,
        )
        for model, alias in names
    ]


def _model(target: resolution.Target) -> gates.Verdict:
    try:
        target.require_model()
    except AIModelsError as error:
        return gates.Verdict("model", error)
    return gates.Verdict("model")


def _report(verdict: gates.Verdict) -> GateReport:
    if verdict.error is None:
        return GateReport(gate=verdict.gate, open=True)
    error = verdict.error
    return GateReport(gate=verdict.gate, open=False, code=error.code, message=error.message, config_path=error.config_path)
