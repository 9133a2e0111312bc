"""May it? The conditions that stand between a resolved request and a call, each judged on its own.

A capability is available on an instance when the instance is switched on, its family has the capability, somebody configured
it there (a default model or an alias), no administrator switched it off, and the credential can be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ai_models.capabilities import Capability
from ai_models.exceptions import (
    AIModelsError,
    CapabilityNotEnabled,
    CredentialUnavailable,
    PermissionDenied,
    ProviderDisabled,
    UnsupportedFunctionality,
)
from ai_models.snapshot import CapabilityFacts, CredentialState, InstanceFacts

_NOTHING = CapabilityFacts(default_model=None, aliases={}, enabled=True)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate says.

    Attributes:
        gate: its name.
        error: what a call would fail with; ``None`` when the gate is open.
    """

    gate: str
    error: AIModelsError | None = None

    @property
    def open(self) -> bool:
        """Whether a call gets through."""
        return self.error is None


def verdicts(facts: InstanceFacts, capability: Capability, supported: frozenset[Capability]) -> tuple[Verdict, ...]:
    """Every gate's verdict, in the order in which a call meets them.

    Args:
        supported: the capabilities that the instance's family has.
    """
    return tuple(Verdict(name, gate(facts, capability, supported)) for name, gate in _GATES)


def permission(capability: Capability, allowed: bool) -> Verdict:
    """The verdict on the caller's permission."""
    if allowed:
        return Verdict("permission")
    return Verdict(
        "permission", PermissionDenied(f"You may not use {capability}. It needs the permission {capability.permission}.")
    )


def require(found: tuple[Verdict, ...]) -> None:
    """Raise the first closed gate's error."""
    for verdict in found:
        if verdict.error is not None:
            raise verdict.error


def require_open(facts: InstanceFacts, capability: Capability, supported: frozenset[Capability]) -> None:
    """Raise the first closed gate's error, when there is one.

    Args:
        supported: the capabilities that the instance's family has.
    """
    for _, gate in _GATES:
        if (error := gate(facts, capability, supported)) is not None:
            raise error


def configured(facts: InstanceFacts, capability: Capability) -> bool:
    """Whether somebody set the capability up on the instance."""
    there = facts.capabilities.get(capability, _NOTHING)
    return bool(there.default_model or there.aliases)


def _enabled(facts: InstanceFacts, capability: Capability, supported: frozenset[Capability]) -> AIModelsError | None:
    if facts.orphaned:
        return ProviderDisabled(
            f"Provider {facts.name} is no longer in the configuration file.", config_path=f"ai.providers.{facts.name}"
        )
    return None if facts.enabled else ProviderDisabled(f"Provider {facts.name} is disabled. An administrator can enable it.")


def _supported(facts: InstanceFacts, capability: Capability, supported: frozenset[Capability]) -> AIModelsError | None:
    if capability in supported or facts.problem is not None:
        return None
    return UnsupportedFunctionality(f"Provider {facts.name} is of family {facts.family}, which does not have {capability}.")


def _configured(facts: InstanceFacts, capability: Capability, supported: frozenset[Capability]) -> AIModelsError | None:
    if configured(facts, capability):
        return None
    path = f"ai.providers.{facts.name}.defaultModels.{capability}"
    return CapabilityNotEnabled(
        f"{capability} is not configured on provider {facts.name}. Set {path} or an alias.", config_path=path
    )


def _switch(facts: InstanceFacts, capability: Capability, supported: frozenset[Capability]) -> AIModelsError | None:
    if facts.capabilities.get(capability, _NOTHING).enabled:
        return None
    return CapabilityNotEnabled(f"{capability} is switched off by an administrator on provider {facts.name}.")


def _credential(facts: InstanceFacts, capability: Capability, supported: frozenset[Capability]) -> AIModelsError | None:
    path = f"ai.providers.{facts.name}"
    if facts.problem is not None:
        return CredentialUnavailable(f"Provider {facts.name} is misconfigured: {facts.problem}", config_path=path)
    if facts.missing:
        return CredentialUnavailable(f"Provider {facts.name} has no {facts.missing}.", config_path=f"{path}.{facts.missing}")
    if facts.credential is CredentialState.UNDECRYPTABLE:
        return CredentialUnavailable(
            f"The credential of provider {facts.name} cannot be decrypted with the configured encryption keys.",
            config_path=path,
        )
    return None


Gate = Callable[[InstanceFacts, Capability, frozenset[Capability]], AIModelsError | None]
_GATES: tuple[tuple[str, Gate], ...] = (
    ("instance-enabled", _enabled),
    ("family-supports", _supported),
    ("capability-configured", _configured),
    ("capability-enabled", _switch),
    ("credential", _credential),
)


def available(facts: InstanceFacts, supported: frozenset[Capability]) -> Iterator[Capability]:
    """The capabilities whose every gate is open."""
    for capability in Capability:
        if all(verdict.open for verdict in verdicts(facts, capability, supported)):
            yield capability
