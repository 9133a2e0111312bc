"""Provider families for tests of the state floor: every kind of field, and no upstream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ai_models.capabilities import Capability
from ai_models.families.base import Family, SettingProblem
from ai_models.families.fields import ConfigField

CAPABILITIES = frozenset({Capability.TEXT_GENERATION, Capability.EMBEDDINGS})
PATHS = tuple(f"tests.state.vendor.{name}" for name in ("Vendor", "Keyless", "Ambient", "Fragile"))


class Vendor(Family):
    """Needs a key, takes headers, has an address and a region."""

    type = "vendor"
    label = "Vendor"
    capabilities = CAPABILITIES
    fields = (
        ConfigField(name="apiKey", help="The key.", secret=True, required=True),
        ConfigField(name="headers", help="Headers.", kind="mapping", secret=True),
        ConfigField(name="baseURL", help="The address.", kind="url", default="https://vendor.example/v1"),
        ConfigField(name="region", help="The region.", choices=("north", "south")),
        ConfigField(name="slots", help="How many at once.", kind="integer"),
    )


class Keyless(Family):
    """Has no secret at all."""

    type = "keyless"
    label = "Keyless"
    capabilities = CAPABILITIES
    fields = (ConfigField(name="modelPath", help="The file.", kind="path", required=True),)


class Ambient(Family):
    """Uses the machine's credentials when it has none of its own, and says so."""

    type = "ambient"
    label = "Ambient"
    capabilities = CAPABILITIES
    ambient_credentials = True
    fields = (ConfigField(name="apiKey", help="The key.", secret=True),)

    @classmethod
    def check(cls, options: Mapping[str, Any], secrets: Iterable[str]) -> list[SettingProblem]:
        if "apiKey" in set(secrets):
            return []
        return [
            SettingProblem(
                field="", message="It uses the machine's credentials.", remedy="Set apiKey to use others.", level="info"
            )
        ]


class Fragile(Family):
    """Fails where a family must not."""

    type = "fragile"
    label = "Fragile"
    capabilities = CAPABILITIES

    @classmethod
    def check(cls, options: Mapping[str, Any], secrets: Iterable[str]) -> list[SettingProblem]:
        raise RuntimeError("a bug of this family")
