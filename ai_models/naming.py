"""Models by one name, ``instance/model-or-alias``, for callers who have no other, and who do not know whose model it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai_models import registry, resolution, store
from ai_models.capabilities import Capability
from ai_models.pipeline import admitted
from ai_models.snapshot import Snapshot

_SEPARATOR = "/"


def join(provider: str, model: str) -> str:
    """The one name of a model."""
    return f"{provider}{_SEPARATOR}{model}"


async def split(name: str, capability: Capability) -> tuple[str | None, str]:
    """Provider and model. Where no instance is called as the name begins, all of it is a model of the default provider."""
    snapshot = await store.acurrent()
    provider, model = _parts(snapshot, name)
    if model and capability is Capability.STRUCTURED_OUTPUT:
        model = resolution.name_for_objects(snapshot, provider, model)
    return provider, model


async def full_name(name: str) -> str:
    """The name with the default provider's in it, where it has none."""
    snapshot = await store.acurrent()
    provider, model = _parts(snapshot, name)
    return name if provider or snapshot.default is None else join(snapshot.default, model)


def _parts(snapshot: Snapshot, name: str) -> tuple[str | None, str]:
    first, separator, rest = name.partition(_SEPARATOR)
    return (first, rest) if separator and first in snapshot.instances else (None, name)


async def vendor_settings(
    capability: Capability, provider: str | None, model: str, settings: Mapping[str, Any], user: Any
) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """Settings as ``provider_options`` of the family that the call goes to, and the names of those that it does not take.

    Raises:
        AIModelsError: what the call itself would fail with: the caller may not make it, or it cannot be made.
    """
    family = (await admitted(capability, provider, model, user)).facts.family
    taken = registry.families()[family].options_of(capability)
    return {family: {name: value for name, value in settings.items() if name in taken}}, settings.keys() - taken
