"""Two instances that lead to a scripted upstream, users, and a search for credentials."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from pytest_django import Settings

from ai_models.models import ProviderCapability
from tests.conftest import Seed
from tests.upstreams.server import Upstream

CANARY = "canary-91b7f6aa"
CONFIG = """
ai:
  defaultProvider: {default}
  providers:
    main:
      type: openai-compatible
      baseURL: {url}/main/v1
      apiKey: key-{canary}
      defaultModels: {{text-generation: big-1, structured-output: {structured}, embeddings: vector-1}}
      modelAliases: {{text-generation: {{fast: {fast}}}}}
    other:
      type: openai-compatible
      baseURL: {url}/other/v1
      apiKey: key-{canary}
      defaultModels: {{text-generation: other-1}}
"""

Configure = Callable[..., None]
MakeUser = Callable[..., User]


@pytest.fixture
def configure(transactional_db: None, settings: Settings, seed: Seed, upstream: Upstream) -> Configure:
    """Seed the instances; ``configure(default="other")`` does it again with something changed."""
    settings.AI_MODELS = {**settings.AI_MODELS, "REVISION_POLL_SECONDS": 0}

    def run(default: str = "main", fast: str = "small-1", structured: str = "big-1") -> None:
        seed(CONFIG.format(url=upstream.url, canary=CANARY, default=default, fast=fast, structured=structured))

    return run


@pytest.fixture
def gateway(configure: Configure, upstream: Upstream) -> Upstream:
    """The upstream of the seeded instances."""
    configure()
    return upstream


@pytest.fixture
def make_user(transactional_db: None) -> MakeUser:
    """A user with these capabilities' permissions."""

    def make(*capabilities: str) -> User:
        user = User.objects.create_user("ada", password="a password")
        names = [f"use_{name.replace('-', '_')}" for name in capabilities]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        return user

    return make


def switch_off(capability: str) -> None:
    """What an administrator does to a capability of the default instance."""
    row = ProviderCapability.objects.get(instance__name="main", capability=capability)
    row.enabled = False
    row.save()


def reachable(start: Any) -> Iterator[Any]:
    """Everything that an object holds on to, but for code."""
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, type | ModuleType | FunctionType):
            continue
        seen.add(id(found))
        yield found
        waiting += gc.get_referents(found)


def assert_holds_no_credential(holder: Any, *, pickled: bool = True) -> None:
    """Neither the object, nor what it shows of itself, nor its pickle has the credential."""
    texts = [repr(holder), str(holder), *(found for found in reachable(holder) if isinstance(found, str))]
    texts += [found.decode("latin-1") for found in reachable(holder) if isinstance(found, bytes)]
    if pickled:
        texts.append(pickle.dumps(holder).decode("latin-1"))
    assert len(texts) > 3
    assert [text for text in texts if CANARY in text] == []
