"""Models as OpenAI's API lists them.

https://platform.openai.com/docs/api-reference/models
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ai_models.catalog import ModelInfo


def listed(found: Iterable[ModelInfo]) -> dict[str, dict[str, Any]]:
    """Each model once, by its name, with all that it is configured for. When it was made is not known."""
    models: dict[str, dict[str, Any]] = {}
    for info in found:
        unlisted = {"id": info.id, "object": "model", "created": 0, "owned_by": info.provider, "capabilities": []}
        models.setdefault(info.id, unlisted)["capabilities"].append(info.capability)
    return models
