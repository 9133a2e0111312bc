"""Snapshots for tables of cases: everything is fine unless a case says otherwise."""

from __future__ import annotations

from typing import Any

from ai_models.capabilities import Capability
from ai_models.snapshot import CapabilityFacts, CheckState, CredentialState, InstanceFacts, Snapshot

TEXT = Capability.TEXT_GENERATION
CONFIGURED = CapabilityFacts(default_model="big-1", aliases={"fast": "small-1"}, enabled=True)


def instance(name: str = "main", **changes: Any) -> InstanceFacts:
    facts: dict[str, Any] = {
        "id": f"id-of-{name}",
        "name": name,
        "family": "openai",
        "enabled": True,
        "managed": True,
        "orphaned": False,
        "options": {},
        "sealed": {},
        "capabilities": {TEXT: CONFIGURED},
        "credential": CredentialState.OK,
        "missing": None,
        "problem": None,
        "check": CheckState.UNCHECKED,
        "fingerprint": name,
    }
    return InstanceFacts(**{**facts, **changes})


def snapshot(*instances: InstanceFacts, default: str | None = "main") -> Snapshot:
    return Snapshot(revision=1, instances={facts.name: facts for facts in instances}, default=default)
