from __future__ import annotations

import pytest

from ai_models.capabilities import Capability
from ai_models.exceptions import CapabilityNotEnabled, InvalidRequest, ProviderNotFound
from ai_models.resolution import name_for_objects, parse_capability, resolve
from ai_models.snapshot import CapabilityFacts
from tests.policy.facts import TEXT, instance, snapshot

OTHER = instance("other", capabilities={TEXT: CapabilityFacts("other-1", {"fast": "other-small", "only": "other-only"}, True)})
BOTH = snapshot(instance("main"), OTHER)


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("other", "any-model", ("other", "any-model", None, "provider-and-model")),
        ("other", "fast", ("other", "other-small", "fast", "provider-and-model")),
        ("other", None, ("other", "other-1", None, "provider-only")),
        (None, None, ("main", "big-1", None, "neither")),
        (None, "any-model", ("main", "any-model", None, "model-only")),
        (None, "fast", ("main", "small-1", "fast", "model-only")),
        # An alias and a default model of another provider are that provider's alone.
        (None, "only", ("main", "only", None, "model-only")),
        (None, "other-1", ("main", "other-1", None, "model-only")),
    ],
)
def test_the_four_rules(provider: str | None, model: str | None, expected: tuple[str, str, str | None, str]) -> None:
    target = resolve(BOTH, TEXT, provider, model)
    assert (target.facts.name, target.model, target.alias, target.rule) == expected


def test_a_default_model_may_be_an_alias() -> None:
    capabilities = {TEXT: CapabilityFacts("fast", {"fast": "small-1"}, True)}
    target = resolve(snapshot(instance(capabilities=capabilities)), TEXT, None, None)
    assert (target.require_model(), target.alias) == ("small-1", "fast")


def test_an_alias_belongs_to_its_capability() -> None:
    capabilities = {
        TEXT: CapabilityFacts("a", {"fast": "small-1"}, True),
        Capability.EMBEDDINGS: CapabilityFacts("b", {}, True),
    }
    target = resolve(snapshot(instance(capabilities=capabilities)), Capability.EMBEDDINGS, None, "fast")
    assert target.model == "fast"


def test_a_provider_that_does_not_exist_is_not_replaced_by_another() -> None:
    with pytest.raises(ProviderNotFound):
        resolve(BOTH, TEXT, "MAIN", None)


def test_without_a_default_provider_the_request_must_name_one() -> None:
    without = snapshot(instance(), default=None)
    with pytest.raises(ProviderNotFound) as caught:
        resolve(without, TEXT, None, "big-1")
    assert caught.value.config_path == "ai.defaultProvider"
    assert resolve(without, TEXT, "main", None).model == "big-1"


def test_aliases_without_a_default_model_leave_the_choice_to_the_request() -> None:
    target = resolve(
        snapshot(instance(capabilities={TEXT: CapabilityFacts(None, {"fast": "small-1"}, True)})), TEXT, None, None
    )
    with pytest.raises(CapabilityNotEnabled) as caught:
        target.require_model()
    assert caught.value.config_path == "ai.providers.main.defaultModels.text-generation"


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("main", "fast", "small-1"),
        (None, "fast", "small-1"),
        ("main", "both", "both"),
        ("main", "big-1", "big-1"),
        ("main", "unknown", "unknown"),
        ("nobody", "fast", "fast"),
    ],
)
def test_an_alias_for_text_is_asked_for_objects_by_what_it_means(provider: str | None, model: str, expected: str) -> None:
    capabilities = {
        TEXT: CapabilityFacts("big-1", {"fast": "small-1", "both": "small-2"}, True),
        Capability.STRUCTURED_OUTPUT: CapabilityFacts("big-1", {"both": "small-3"}, True),
    }
    found = snapshot(instance("main", capabilities=capabilities))
    assert name_for_objects(found, provider, model) == expected
    assert name_for_objects(snapshot(found.instances["main"], default=None), None, model) == model


def test_a_capability_is_named_as_in_the_configuration() -> None:
    assert parse_capability("text-generation") is TEXT
    with pytest.raises(InvalidRequest, match="text-generation"):
        parse_capability("TEXT_GENERATION")
