"""A configuration in a folder of its own, and two small families to check it against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ai_models.capabilities import Capability
from ai_models.config import Declared, Loaded, load, read
from ai_models.families.base import Family, SettingProblem
from ai_models.families.fields import ConfigField


class Cloud(Family):
    """Every kind of field, and a check that two keys come together."""

    type = "cloud"
    label = "Cloud"
    fields = (
        ConfigField(name="apiKey", help="The key.", secret=True),
        ConfigField(name="accountKey", help="Only with apiKey.", secret=True),
        ConfigField(name="baseURL", help="The address.", kind="url"),
        ConfigField(name="region", help="Where.", required=True),
        ConfigField(name="tier", help="How fast.", choices=("slow", "fast"), default="slow"),
        ConfigField(name="contextSize", help="Tokens.", kind="integer"),
        ConfigField(name="verbose", help="Tell more.", kind="boolean"),
        ConfigField(name="modelPath", help="A file.", kind="path"),
        ConfigField(name="labels", help="Shown in bills.", kind="mapping"),
        ConfigField(name="headers", help="Sent along.", kind="mapping", secret=True),
    )
    capabilities = frozenset({Capability.TEXT_GENERATION, Capability.EMBEDDINGS})

    @classmethod
    def check(cls, options: Mapping[str, Any], secrets: Iterable[str]) -> list[SettingProblem]:
        given = set(secrets)
        if "accountKey" in given and "apiKey" not in given:
            return [SettingProblem(field="apiKey", message="It is missing beside accountKey.", remedy="Set both.")]
        if "apiKey" not in given:
            return [SettingProblem(field="", message="It uses the machine's account.", remedy="Fine as it is.", level="info")]
        return []


class Plain(Family):
    """No fields at all."""

    type = "plain"
    label = "Plain"
    capabilities = frozenset({Capability.TEXT_GENERATION})


class Keyed(Plain):
    """Cannot be called without its key."""

    type = "keyed"
    fields = (ConfigField(name="apiKey", help="The key.", secret=True, required=True),)


class Fragile(Plain):
    """Fails where a family must not."""

    type = "fragile"

    @classmethod
    def check(cls, options: Mapping[str, Any], secrets: Iterable[str]) -> list[SettingProblem]:
        raise RuntimeError("sk-canary")


class Impostor(Plain):
    """Takes the other family's type."""

    type = "cloud"


FAMILIES: Mapping[str, type[Family]] = {"cloud": Cloud, "keyed": Keyed, "plain": Plain}


class Folder:
    """Writes files and reads the configuration that they make."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def load(self, *contents: str | bytes, **env: str) -> Loaded:
        """Load files with these contents, the later ones over the earlier ones."""
        return load([self.write(f"config-{number}.yaml", content) for number, content in enumerate(contents, 1)], env)

    def read(self, *contents: str | bytes, **env: str) -> Declared:
        """Load and check files with these contents."""
        return read(self.load(*contents, **env), FAMILIES)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def told(result: Loaded | Declared) -> list[str]:
    """The problems without the folder, ``config-1.yaml:3: ai.providers: ...``."""
    return [str(problem).replace(f"{Path(problem.file).parent}/", "") for problem in result.problems]
