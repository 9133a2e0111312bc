"""An instance that behaves as a test says, and one that speaks to a scripted upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from ai_models import admission, store
from tests.conftest import Seed
from tests.service.conftest import puppet  # noqa: F401  (a fixture)

CONFIG = """
ai:
  defaultProvider: main
  providers:
    main:
      type: openai-compatible
      baseURL: {url}/v1
      {more}
      defaultModels: {{text-generation: big-1}}
"""


@pytest.fixture
def reach(transactional_db: None, seed: Seed) -> Callable[..., Any]:
    """Seeds an instance at an address."""

    async def seeded(url: str, more: str = "") -> None:
        await sync_to_async(seed)(CONFIG.format(url=url, more=more))

    return seeded


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    admission.keep(())
    yield
    assert [load for load in admission.loads() if load.in_flight or load.waiting] == []


async def load() -> admission.Load:
    """How busy the instance is."""
    return admission.load((await store.acurrent()).instances["main"])
