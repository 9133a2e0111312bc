"""Does an instance work, and if not, where does it break: a check as a ladder, whose rungs are climbed one after the other.

The free rungs cost nothing at any vendor. The calls after them are paid for, and each is made only when somebody asked for its
capability. They are made whatever the administrator's switches say: one looks before one switches on.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal, TypeVar

from django.db import Error as DatabaseError
from django.db import transaction

from ai_models import admission, calls, connections, gates, store, trials
from ai_models.access import supported_by
from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError, ModelNotFound, NotReady, UpstreamAuthFailed
from ai_models.families.base import Family
from ai_models.snapshot import CapabilityFacts, CheckState, CredentialState, InstanceFacts
from ai_models.transports import faults
from ai_models.types import Health

T = TypeVar("T")

RungState = Literal["passed", "warning", "failed", "skipped"]

FREE_SECONDS: Final = 30.0
"""How long each of the free rungs may take."""

RUNGS: Final = ("configuration", "credential", "destination", "authentication", "models")
"""The free rungs, from the lowest."""

PAID: Final = tuple(trials.CALLS)
"""The capabilities that a call can be made for."""

CALL: Final = "call"
"""What the rungs of these calls are named."""

_ANSWERED: Final = frozenset({"authentication", CALL})
"""Rungs that a provider answers to."""

_NEEDED: Final = frozenset({"family-supports", "capability-configured"})
"""Gates that a call does not get around."""

_OPENED: Final = "The credential can be decrypted."
_NONE_OF_ITS_OWN: Final = {
    CredentialState.NOT_NEEDED: "It has no credential, and needs none.",
    CredentialState.AMBIENT: "It uses the machine's credential.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What one rung of a check found.

    Attributes:
        rung: one of :data:`RUNGS`, or ``call``.
        state: ``skipped`` when nothing was found out, ``warning`` when calls may work all the same.
        message: what there is to know, in a sentence or two. It has no address and nothing that a provider said.
        latency_ms: milliseconds; ``None`` when nothing was called.
        capability: of a ``call``.
        credential_rejected: whether the provider refused the credential.
    """

    rung: str
    state: RungState
    message: str
    latency_ms: int | None = None
    capability: str | None = None
    credential_rejected: bool = False


async def climb(facts: InstanceFacts, capabilities: Sequence[Capability] = ()) -> AsyncGenerator[Rung]:
    """Check an instance. After a free rung that failed, the others are ``skipped``; failed calls do not hinder each other.

    Args:
        capabilities: those for which one small call is made, which is paid for; of :data:`PAID`.
    """
    asked = tuple(dict.fromkeys(capabilities))
    failed = False
    async with aclosing(_rungs(facts, asked)) as rungs:
        for name, capability in (*((name, None) for name in RUNGS), *((CALL, capability) for capability in asked)):
            if failed:
                yield Rung(rung=name, state="skipped", message="Not tried.", capability=capability)
            else:
                rung = await anext(rungs)
                if rung.state == "passed" and rung.rung in _ANSWERED:
                    admission.recovered(facts)
                failed = rung.state == "failed" and capability is None
                yield rung


def record(facts: InstanceFacts, rungs: Iterable[Rung]) -> None:
    """Store what a whole climb found: the free rungs with the instance, each call with its capability.

    Raises:
        NotReady: the database does not take it.
    """
    found = list(rungs)
    free = [rung for rung in found if rung.rung != CALL]
    latency = next((rung.latency_ms for rung in free if rung.rung == "authentication"), None)
    try:
        with transaction.atomic():
            store.record_check(facts, _verdict(free), _decisive(free), latency, report=[asdict(rung) for rung in free])
            for rung in found:
                if rung.capability and rung.state != "skipped":
                    state = CheckState.UNHEALTHY if rung.state == "failed" else CheckState.HEALTHY
                    capability = Capability(rung.capability)
                    store.record_check(facts, state, rung.message, rung.latency_ms, capability=capability)
    except DatabaseError:
        raise NotReady("The database did not take the result of the check.") from None


def _verdict(free: Sequence[Rung]) -> CheckState:
    if any(rung.credential_rejected for rung in free):
        return CheckState.REJECTED
    return CheckState.UNHEALTHY if any(rung.state == "failed" for rung in free) else CheckState.HEALTHY


def _decisive(free: Sequence[Rung]) -> str:
    """The message to show for the whole."""
    found = (rung.message for state in ("failed", "warning") for rung in free if rung.state == state)
    return next(found, None) or next(rung.message for rung in free if rung.rung == "authentication")


async def _rungs(facts: InstanceFacts, capabilities: Sequence[Capability]) -> AsyncGenerator[Rung]:
    """The rungs, one after the other; to be left when a free one failed."""
    if facts.problem is not None:
        yield Rung(rung="configuration", state="failed", message=facts.problem)
        return
    yield Rung(rung="configuration", state="passed", message="Its settings are complete.")
    async with AsyncExitStack() as stack:
        try:
            family = await _once(lambda: stack.enter_async_context(connections.connected(facts)), FREE_SECONDS)
        except AIModelsError as error:
            yield Rung(rung="credential", state="failed", message=error.message)
            return
        yield Rung(rung="credential", state="passed", message=_NONE_OF_ITS_OWN.get(facts.credential, _OPENED))
        yield await _measured("destination", lambda: _destination(family), FREE_SECONDS)
        rung, listed = await _authentication(family)
        yield rung
        yield await _models(facts, family, listed)
        for capability in capabilities:
            yield await _call(facts, family, capability)


async def _once(attempt: Callable[[], Awaitable[T]], seconds: float) -> T:
    return await calls.attempts(attempt, calls.Limits.of({"timeout": seconds, "max_retries": 0}))


async def _measured(name: str, climbed: Callable[[], Awaitable[Rung]], seconds: float) -> Rung:
    """A rung with the time that it took, also when it failed."""
    started = time.monotonic()
    try:
        rung = await _once(climbed, seconds)
    except AIModelsError as error:
        rung = Rung(rung=name, state="failed", message=error.message)
    return rung if rung.state == "skipped" else replace(rung, latency_ms=_milliseconds(time.monotonic() - started))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


async def _destination(family: Family) -> Rung:
    address = family.destination()
    if address is None:
        return Rung(rung="destination", state="skipped", message="Its family names no address that it calls.")
    from ai_models.transports import connecting  # an HTTP client, which a page that shows checks has no use for

    await connecting.reach(address, family.connection.destinations)
    return Rung(rung="destination", state="passed", message="Its address can be reached.")


async def _authentication(family: Family) -> tuple[Rung, frozenset[str] | None]:
    """The rung, and the models that the provider lists."""
    started = time.monotonic()
    try:
        health = await _once(family.health_check, FREE_SECONDS)
    except AIModelsError as error:
        health = Health(
            healthy=isinstance(error, faults.NotPermitted),
            message=_explained(error),
            latency=time.monotonic() - started,
            credential_rejected=_is_rejection(error),
        )
        state: RungState = "warning" if health.healthy else "failed"
    else:
        state = ("skipped" if health.latency is None else "passed") if health.healthy else "failed"
    rung = Rung(
        rung="authentication",
        state=state,
        message=health.message,
        latency_ms=None if health.latency is None else _milliseconds(health.latency),
        credential_rejected=health.credential_rejected,
    )
    return rung, health.models


def _is_rejection(error: AIModelsError) -> bool:
    return isinstance(error, UpstreamAuthFailed) and not isinstance(error, faults.NotPermitted)


def _explained(error: AIModelsError) -> str:
    """What an error means that a call for the list of models met."""
    if isinstance(error, faults.NotPermitted):
        return "The provider accepts the credential, which may not list models. Whether it may make calls is not known."
    if isinstance(error, ModelNotFound):
        return "There is no list of models at the instance's address. Check baseURL."
    return error.message


async def _models(facts: InstanceFacts, family: Family, listed: frozenset[str] | None) -> Rung:
    """Whether the provider lists the models that are configured. Gateways list only some of theirs."""
    set_up = [(capability, facts.capabilities[capability]) for capability in Capability if capability in facts.capabilities]
    configured = [(capability, model) for capability, known in set_up for model in _named(known)]
    if not configured:
        return Rung(rung="models", state="skipped", message="No model is configured.")
    if listed is None:
        return Rung(rung="models", state="skipped", message="There is no list of the provider's models to look them up in.")

    async def judged() -> Sequence[bool | None]:
        return [family.knows(model, listed) for _, model in configured]

    try:
        verdicts = await _once(judged, FREE_SECONDS)
    except AIModelsError as error:
        return Rung(rung="models", state="warning", message=error.message)
    pairs = zip(configured, verdicts, strict=True)
    unlisted = ", ".join(f"{model} ({capability})" for (capability, model), known in pairs if known is False)
    if unlisted:
        return Rung(rung="models", state="warning", message=f"Not on the provider's list: {unlisted}.")
    if not any(verdicts):
        return Rung(rung="models", state="skipped", message="The provider's list does not tell of such models.")
    return Rung(rung="models", state="passed", message="The provider lists what is configured.")


def _named(known: CapabilityFacts) -> list[str]:
    """A capability's models by the provider's names, each once. The first is the one that a check calls."""
    default = [known.default_model] if known.default_model else []
    return list(dict.fromkeys([*default, *known.aliases.values()]))


async def _call(facts: InstanceFacts, family: Family, capability: Capability) -> Rung:
    async def climbed() -> Rung:
        for verdict in gates.verdicts(facts, capability, supported_by(facts)):
            if verdict.error and verdict.gate in _NEEDED:
                return Rung(rung=CALL, state="skipped", message=verdict.error.message)
        model = _named(facts.capabilities[capability])[0]
        return Rung(rung=CALL, state="passed", message=f"{model} {await trials.CALLS[capability](family, model)}")

    return replace(await _measured(CALL, climbed, trials.SECONDS), capability=capability)
