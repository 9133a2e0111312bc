"""Every cell of the capability matrix is exercised: what a family lists, a test class of it proves."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from ai_models.capabilities import Capability
from ai_models.testing.conformance import FamilyConformance
from tests.documented import built_in
from tests.families import contract

PROVEN_BY = {
    Capability.TEXT_GENERATION: contract.FamilyContract,
    Capability.STRUCTURED_OUTPUT: contract.FamilyContract,
    Capability.EMBEDDINGS: contract.Embeddings,
    Capability.IMAGE_GENERATION: contract.Images,
    Capability.SPEECH_GENERATION: contract.Speech,
    Capability.TRANSCRIPTION: contract.Transcription,
    Capability.VIDEO_GENERATION: contract.Video,
}


def classes() -> Iterator[type]:
    """The test classes of families."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path != Path(__file__):
            yield from (
                value for value in vars(import_module(f"tests.families.{path.stem}")).values() if isinstance(value, type)
            )


def proven(family: str) -> set[Capability]:
    """What test classes prove of a family: by its contract on the wire; of one in this process, by the conformance kit."""
    found: set[Capability] = set()
    for kind in classes():
        if getattr(kind, "declaration", {}).get("type") == family:
            found |= {capability for capability, mixin in PROVEN_BY.items() if issubclass(kind, mixin)}
        if issubclass(kind, FamilyConformance) and getattr(getattr(kind, "family", None), "type", None) == family == "local":
            found |= kind.family.capabilities
    return found


@pytest.mark.parametrize(("name", "family"), built_in().items())
def test_every_cell_is_exercised(name: str, family: type) -> None:
    assert set(family.capabilities) == proven(name)
