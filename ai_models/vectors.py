"""Vectors in base64, as OpenAI's API carries them: 32-bit floats, little-endian.

https://platform.openai.com/docs/api-reference/embeddings/create#embeddings_create-encoding_format
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Sequence


def packed(vector: Sequence[float]) -> str:
    """A vector in base64. Numbers are rounded to 32 bits, and those beyond become infinite."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers).decode()


def unpacked(text: str) -> list[float]:
    """The vector of such a text.

    Raises:
        ValueError: it is not base64, or its bytes are no whole number of 32-bit floats.
    """
    numbers = array("f", base64.b64decode(text, validate=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
