"""Families come through entry points and settings, and two of one type stop the start."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from pytest_django import Settings

from ai_models import registry
from ai_models.exceptions import ConfigurationError
from ai_models.families.base import Family
from ai_models.families.openai import OpenAI


class Impostor(Family):
    type = "openai"
    label = "Not OpenAI"


class Own(Family):
    type = "own"
    label = "Own"


class Nameless(Family):
    pass


def listed(settings: Settings, *paths: str) -> Any:
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": paths}
    return registry.families()


def test_a_project_names_its_own_family_by_path(settings: Settings) -> None:
    assert listed(settings, f"{__name__}.Own")["own"] is Own


def test_one_class_may_be_contributed_twice(settings: Settings) -> None:
    assert listed(settings, "ai_models.families.openai.OpenAI")["openai"] is OpenAI


def test_two_families_of_one_type_are_refused_with_both_sources(settings: Settings) -> None:
    with pytest.raises(ConfigurationError) as caught:
        listed(settings, f"{__name__}.Impostor")
    (problem,) = caught.value.problems
    assert "'openai'" in str(problem)
    assert "entry point openai = ai_models.families.openai:OpenAI" in str(problem)
    assert f'AI_MODELS["FAMILIES"], {__name__}.Impostor' in str(problem)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no.such.module.Family", "ModuleNotFoundError"),
        (f"{__name__}.pytest", "TypeError"),
        (f"{__name__}.Nameless", "TypeError"),
    ],
)
def test_what_is_no_family_is_told_with_its_source(settings: Settings, path: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        listed(settings, path)
    (problem,) = caught.value.problems
    assert path in str(problem)
    assert reason in str(problem)


def test_every_mistake_is_told_at_once(settings: Settings) -> None:
    with pytest.raises(ConfigurationError) as caught:
        listed(settings, f"{__name__}.Impostor", "no.such.module.Family")
    assert len(caught.value.problems) == 2


def test_a_broken_entry_point_is_told_with_its_package(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("gone", "no_such_module:Family", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken])
    with pytest.raises(ConfigurationError, match=r"entry point gone = no_such_module:Family cannot be loaded"):
        listed(settings)
