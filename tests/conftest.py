"""What every test can use: a clean process afterwards, and configuration written as an operator writes it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import SyncToAsync
from django import db
from django.core.cache import caches
from pytest_django import Settings

from ai_models import asgi, config, connections, correlation, registry, store, sync
from ai_models.seeding import Plan
from ai_models.seeding import seed as seed_rows

pytest_plugins = ["tests.upstreams.fixtures"]

WriteConfig = Callable[[str], Path]
Seed = Callable[..., Plan]
Set = Callable[..., None]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """The thread that watches the revision ends before the test's database does."""
    store.stop_polling()


@pytest.fixture(autouse=True, scope="session")
def _unsettled() -> Iterator[None]:
    """Hundreds of servers start here, and this process outlives each of them."""
    with patch.object(asgi, "_settle"):
        yield


@pytest.fixture(autouse=True, scope="session")
def _installed_once() -> Iterator[None]:
    """Which families are installed is found out once: every test has settings of its own, and it takes a while."""
    with patch.object(registry, "entry_points", cache(registry.entry_points)):
        yield


@pytest.fixture(autouse=True)
def _clean_process() -> Iterator[None]:
    yield
    closing = asyncio.run_coroutine_threadsafe(connections.aclose(), sync.background_loop())
    closing.result(timeout=30)
    # Async code does its database work in this thread; its connection would outlive the test.
    SyncToAsync.single_thread_executor.submit(db.connections.close_all).result(timeout=30)
    store.stop_polling()
    store.invalidate()
    correlation.request_id.set("-")
    if "REDIS_URL" in os.environ:  # else it is memory, and each test has users of its own there
        caches["default"].clear()


@pytest.fixture
def write_config(tmp_path: Path, settings: Settings) -> WriteConfig:
    """Write ``app-config.yaml`` and make it the configuration in force."""

    def write(text: str) -> Path:
        path = tmp_path / "app-config.yaml"
        path.write_text(text)
        settings.AI_MODELS = {**settings.AI_MODELS, "CONFIG_FILES": (path,), "ENV_FILE": tmp_path / ".env"}
        return path

    return write


@pytest.fixture
def seed(write_config: WriteConfig) -> Seed:
    """Write a configuration and seed it: ``seed(text, prune=True)``. The test needs a database."""

    def run(text: str, **options: Any) -> Plan:
        write_config(text)
        return seed_rows(config.current(), **options)

    return run


@pytest.fixture
def set_ring(settings: Settings) -> Callable[..., None]:
    """Replace the key ring."""

    def replace(*keys: str) -> None:
        settings.AI_MODELS = {**settings.AI_MODELS, "ENCRYPTION_KEYS": keys}

    return replace


@pytest.fixture
def setting(settings: Settings) -> Set:
    """Change settings of the app: ``setting(PROMETHEUS=True)``."""

    def change(**changes: Any) -> None:
        settings.AI_MODELS = {**settings.AI_MODELS, **changes}

    return change
