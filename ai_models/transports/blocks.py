"""Parts of a conversation whose form on the wire is their family's: litellm carries a text that stands for each.

litellm never sees a file or an address, so it has nothing to fetch, to convert or to drop.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ai_models.exceptions import Internal


class Blocks:
    """The blocks of one call. The texts are random, so that no caller can write one."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(16)
        self._blocks: dict[str, Mapping[str, Any]] = {}

    def stand_in(self, block: Mapping[str, Any]) -> dict[str, Any]:
        """A part in OpenAI's format that stands for the block."""
        text = f"{self._mark}-{len(self._blocks)}"
        self._blocks[text] = block
        return {"type": "text", "text": text}

    def put_in(self, body: Any) -> Any:
        """The request that goes out, each block where its text stands.

        Raises:
            Internal: a text was lost or changed on its way; what the caller said would not be what the provider reads.
        """
        if not self._blocks:
            return body
        used: list[str] = []
        complete = self._replaced(body, used)
        if sorted(used) != sorted(self._blocks):
            raise Internal("A part of the conversation was lost on its way to the provider.")
        return complete

    def _replaced(self, node: Any, used: list[str]) -> Any:
        if isinstance(node, list):
            return [self._replaced(item, used) for item in node]
        if not isinstance(node, dict):
            return node
        text = node.get("text")
        if isinstance(text, str) and text in self._blocks:
            used.append(text)
            return self._blocks[text]
        return {name: self._replaced(value, used) for name, value in node.items()}
