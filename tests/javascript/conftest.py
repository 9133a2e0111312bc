"""The server with one more provider, and Node.js to run clients of it in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from ai_models.models import ProviderCapability, ProviderInstance
from ai_models.testing import ScriptedModels, scripted_models
from tests.api.conftest import (  # noqa: F401  (fixtures)
    LiveServer,
    _scripted_family,
    bearer,
    make_user,
    media,
    provider,
    serving,
    storage,
    user,
)
from tests.javascript import node
from tests.javascript.faulty import Faulty
from tests.websocket.conftest import application


@pytest.fixture(scope="session")
def libraries() -> None:
    """The libraries of ``package-lock.json``."""
    node.install()


@pytest.fixture(autouse=True)
def _story_family(_scripted_family: None, settings: Settings) -> None:  # noqa: F811
    families = [*settings.AI_MODELS["FAMILIES"], "tests.javascript.story.Story"]
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": families}


@pytest.fixture
def story(provider: ProviderInstance) -> ProviderInstance:  # noqa: F811
    """The provider ``story``."""
    instance = ProviderInstance.objects.create(name="story", family="story")
    ProviderCapability.objects.create(instance=instance, capability="text-generation", default_model="any")
    return instance


@pytest.fixture
def models(settings: Settings, _story_family: None) -> Iterator[ScriptedModels]:
    """Models with scripted answers, in place of every provider."""
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": []}
    with scripted_models() as scripted:
        yield scripted


@pytest.fixture
def server(provider: ProviderInstance) -> Iterator[LiveServer]:  # noqa: F811
    """The server, with a faulty websocket beside the real one."""
    with serving(application(Faulty.route())) as running:
        yield running
