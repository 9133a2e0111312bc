"""What is asked and what comes back: one declaration for the upstream, the clients and those who judge the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MODEL = "m"
PROMPT = "hello there, how are you?"
TEXT = "The quick brown fox jumps over the lazy dog. " * 8
STREAM_TOKENS = 64
TOKENS = tuple(f" tok{number}" for number in range(STREAM_TOKENS))
DIMENSIONS = 1536
FEW_INPUTS = 4
MANY_INPUTS = 256

PLAIN_CONNECTIONS = 32
STREAM_CONNECTIONS = 16
EMBEDDING_CONNECTIONS = 1

MESSAGES = [{"role": "user", "content": PROMPT}]

# An answer counts as good when it has its last words. Spaces are spelt differently by those who encode JSON anew.
PLAIN_MARKER = TEXT.strip()[-30:]
STREAM_MARKER = TOKENS[-1].strip()


@dataclass(frozen=True, slots=True)
class Request:
    """A request over HTTP, and what a good answer to it contains."""

    url: str
    body: Mapping[str, Any]
    marker: str
    connections: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def encoded(self) -> str:
        """The body as it goes over the wire."""
        return json.dumps(self.body, separators=(",", ":"))


def pausing(milliseconds: int) -> str:
    """A prompt that makes the upstream wait so long before each token but the first."""
    return f"{PROMPT} pause={milliseconds:05d}"


def inputs(count: int) -> list[str]:
    """Texts to embed."""
    return [f"the text number {number} of a batch" for number in range(count)]
