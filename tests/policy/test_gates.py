from __future__ import annotations

from typing import Any

import pytest

from ai_models import gates
from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError
from ai_models.snapshot import CapabilityFacts, CredentialState
from tests.policy.facts import TEXT, instance

SUPPORTED = frozenset({TEXT, Capability.EMBEDDINGS})
OFF = CapabilityFacts("big-1", {}, enabled=False)
PATH = "ai.providers.main"


@pytest.mark.parametrize(
    ("changes", "supported", "code", "config_path"),
    [
        ({}, SUPPORTED, None, None),
        ({"capabilities": {TEXT: CapabilityFacts(None, {"fast": "small-1"}, True)}}, SUPPORTED, None, None),
        ({"credential": CredentialState.AMBIENT}, SUPPORTED, None, None),
        ({"credential": CredentialState.NOT_NEEDED}, SUPPORTED, None, None),
        ({"enabled": False}, SUPPORTED, "provider_disabled", None),
        ({"enabled": False, "orphaned": True}, SUPPORTED, "provider_disabled", PATH),
        ({}, frozenset(), "unsupported_functionality", None),
        ({"capabilities": {}}, SUPPORTED, "capability_not_enabled", f"{PATH}.defaultModels.text-generation"),
        (
            {"capabilities": {TEXT: CapabilityFacts(None, {}, True)}},
            SUPPORTED,
            "capability_not_enabled",
            f"{PATH}.defaultModels.text-generation",
        ),
        ({"capabilities": {TEXT: OFF}}, SUPPORTED, "capability_not_enabled", None),
        ({"credential": CredentialState.MISSING, "missing": "apiKey"}, SUPPORTED, "credential_unavailable", f"{PATH}.apiKey"),
        ({"credential": CredentialState.UNDECRYPTABLE}, SUPPORTED, "credential_unavailable", PATH),
        ({"problem": "its family is not installed."}, frozenset(), "credential_unavailable", PATH),
        # The first closed gate decides.
        (
            {"enabled": False, "capabilities": {}, "credential": CredentialState.MISSING, "missing": "apiKey"},
            frozenset(),
            "provider_disabled",
            None,
        ),
    ],
)
def test_a_call_passes_when_every_gate_is_open(
    changes: dict[str, Any], supported: frozenset[Capability], code: str | None, config_path: str | None
) -> None:
    found = gates.verdicts(instance(**changes), TEXT, supported)
    if code is None:
        gates.require(found)
        assert all(verdict.open for verdict in found)
        return
    with pytest.raises(AIModelsError) as caught:
        gates.require(found)
    assert (caught.value.code, caught.value.config_path) == (code, config_path)


def test_available_capabilities_are_those_whose_gates_are_open() -> None:
    facts = instance(
        capabilities={
            TEXT: CapabilityFacts("a", {}, True),
            Capability.EMBEDDINGS: OFF,
            Capability.TRANSCRIPTION: CapabilityFacts("b", {}, True),
        }
    )
    assert list(gates.available(facts, SUPPORTED)) == [TEXT]


def test_a_missing_permission_is_told_by_its_name() -> None:
    verdict = gates.permission(TEXT, allowed=False)
    assert verdict.error is not None
    assert verdict.error.code == "permission_denied"
    assert "ai_models.use_text_generation" in verdict.error.message
