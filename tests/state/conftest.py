"""The families of :mod:`tests.state.vendor`, and rows as an administrator makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from ai_models.keyring import key_ring
from ai_models.models import ProviderInstance
from tests.state.vendor import PATHS

MakeInstance = Callable[..., ProviderInstance]


@pytest.fixture(autouse=True)
def vendor_families(settings: Settings) -> None:
    """Install the families."""
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": PATHS}


@pytest.fixture
def make_instance(db: None) -> MakeInstance:
    """Make a row: ``make_instance("one", secrets={"apiKey": "..."})``."""

    def make(name: str, family: str = "vendor", secrets: dict[str, str] | None = None, **fields: Any) -> ProviderInstance:
        row = ProviderInstance(name=name, family=family, **fields)
        row.credentials = {key: key_ring().encrypt(value, row=str(row.pk), name=key) for key, value in (secrets or {}).items()}
        row.save()
        return row

    return make
