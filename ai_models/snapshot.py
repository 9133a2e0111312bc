"""The configuration as calls see it: immutable facts, built from the database, free of Django and of plaintext secrets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ai_models.capabilities import Capability


class CredentialState(StrEnum):
    """Whether an instance's credentials can be used."""

    OK = "ok"
    MISSING = "missing"
    UNDECRYPTABLE = "undecryptable"
    NOT_NEEDED = "not-needed"
    AMBIENT = "ambient"
    """The family takes them from the machine, because the instance has none of its own."""


class CheckState(StrEnum):
    """What the last health check of an instance found."""

    UNCHECKED = "unchecked"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    REJECTED = "credential-rejected"


class InstanceState(StrEnum):
    """The one state of an instance that people are shown."""

    ORPHANED = "orphaned"
    DISABLED = "disabled"
    MISCONFIGURED = "misconfigured"
    CREDENTIAL_MISSING = "credential-missing"
    CREDENTIAL_UNDECRYPTABLE = "credential-undecryptable"
    CREDENTIAL_REJECTED = "credential-rejected"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class CapabilityFacts:
    """One capability of one instance.

    Attributes:
        default_model: used when a request names no model; ``None`` when there is none.
        aliases: the operator's names for models.
        enabled: the administrator's switch.
    """

    default_model: str | None
    aliases: Mapping[str, str]
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """One provider instance.

    Attributes:
        id: the row's primary key; ciphertexts are bound to it.
        options: connection settings as configured, defaults not filled in.
        sealed: ciphertext by name of the secret setting.
        capabilities: what is configured, also where a switch is off.
        missing: the secret setting that the family needs and the instance has not; ``None`` when there is none.
        problem: why the instance cannot work as configured; ``None`` when it can.
        check: result of the last health check, as far as it was made with these settings.
        fingerprint: changes whenever a connection made before would be out of date.
    """

    id: str
    name: str
    family: str
    enabled: bool
    managed: bool
    orphaned: bool
    options: Mapping[str, Any] = field(repr=False)
    sealed: Mapping[str, str] = field(repr=False)
    capabilities: Mapping[Capability, CapabilityFacts]
    credential: CredentialState
    missing: str | None
    problem: str | None
    check: CheckState
    fingerprint: str

    @property
    def state(self) -> InstanceState:
        """The most decisive thing to know about the instance."""
        by_precedence = (
            (self.orphaned, InstanceState.ORPHANED),
            (not self.enabled, InstanceState.DISABLED),
            (self.problem is not None, InstanceState.MISCONFIGURED),
            (self.credential is CredentialState.MISSING, InstanceState.CREDENTIAL_MISSING),
            (self.credential is CredentialState.UNDECRYPTABLE, InstanceState.CREDENTIAL_UNDECRYPTABLE),
            (self.check is CheckState.REJECTED, InstanceState.CREDENTIAL_REJECTED),
        )
        return next((state for holds, state in by_precedence if holds), InstanceState.READY)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything configured, at one revision.

    Attributes:
        instances: by name, in order of their names.
        default: name of the default provider, ``None`` when there is none.
    """

    revision: int
    instances: Mapping[str, InstanceFacts]
    default: str | None


def fingerprint(**parts: Any) -> str:
    """A digest of what a connection depends on. It is taken over ciphertext, so it tells nothing about a secret."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
