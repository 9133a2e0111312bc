"""Which files and variables are read is told by name, and nothing of what is in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ai_models import config
from tests.config.conftest import Folder


def test_files_are_told_in_their_order_with_size_and_time(folder: Folder, settings: Any) -> None:
    first, second, env = folder.write("a.yaml", "ai: {}\n"), folder.path / "b.yaml", folder.write(".env", "A=1\n")
    settings.AI_MODELS = {"CONFIG_FILES": (first, second), "ENV_FILE": env}
    found = config.sources()
    assert [(source.path, source.present, source.size) for source in found.files] == [(first, True, 7), (second, False, None)]
    changed = found.files[0].changed_at
    assert changed is not None
    assert datetime.now(UTC) - changed < timedelta(minutes=1)
    assert (found.files[1].changed_at, found.absent) == (None, ())
    assert (found.env_file.path, found.env_file.present) == (env, True)


def test_default_files_that_are_not_there_are_told(folder: Folder, settings: Any) -> None:
    settings.BASE_DIR = folder.path
    settings.AI_MODELS = {}
    local = folder.write("app-config.local.yaml", "ai: {}\n")
    found = config.sources()
    assert [source.path for source in found.files] == [local]
    assert found.absent == ("app-config.yaml",)
    assert not found.env_file.present


def test_overriding_variables_are_told_by_name(folder: Folder, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    env = folder.write(".env", "APP_CONFIG_ai_defaultProvider=canary\nAPP_CONFIG_other=1\nAPP_CONFIG_ai_empty=\n")
    settings.AI_MODELS = {"CONFIG_FILES": (), "ENV_FILE": env}
    monkeypatch.setenv("APP_CONFIG_ai_providers_one_apiKey", "canary")
    monkeypatch.setenv("APP_CONFIG_aim", "1")
    assert config.sources().overrides == ("APP_CONFIG_ai_defaultProvider", "APP_CONFIG_ai_providers_one_apiKey")
    assert "canary" not in repr(config.sources())
    env.write_bytes(b"\xff")
    assert config.sources().overrides == ("APP_CONFIG_ai_providers_one_apiKey",)
