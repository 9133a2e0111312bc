"""JSON that others wrote, read so that it can be stored and written again: what no JSON or UTF-8 can carry does not get in."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

DEEPEST = 100


def loads(text: str, *, lenient: bool = False) -> Any:
    """Decode JSON.

    Lone surrogates and NUL in text become U+FFFD, since neither UTF-8 nor every database takes them.

    Args:
        lenient: NaN and Infinity, which JSON does not have, become ``None`` instead of an error.

    Raises:
        ValueError: it is not JSON, or nested deeper than :data:`DEEPEST`.
    """
    try:
        return _plain(json.loads(text), DEEPEST, lenient)
    except RecursionError:
        raise ValueError("nested too deep") from None


def beginning(text: str) -> Any:
    """The value that a text which is not complete yet begins with; ``None`` while there is none. A cut string is kept."""
    try:
        return _plain(from_json(text, allow_inf_nan=False, allow_partial="trailing-strings"), DEEPEST, lenient=False)
    except ValueError:
        return None


def clean(text: str) -> str:
    """Text that can be encoded and stored."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def is_carriable(value: Any) -> bool:
    """Whether every text in a JSON value can be encoded: UTF-8 has nothing for half a surrogate pair."""
    if isinstance(value, str):
        return value.isascii() or _encodes(value)
    if isinstance(value, Mapping):
        return all(is_carriable(key) and is_carriable(item) for key, item in value.items())
    return not isinstance(value, list | tuple) or all(map(is_carriable, value))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(value: Any, depth: int, lenient: bool) -> Any:
    if depth < 0:
        raise ValueError("nested too deep")
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_plain(item, depth - 1, lenient) for item in value]
    if isinstance(value, dict):
        return {clean(key): _plain(item, depth - 1, lenient) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        if lenient:
            return None
        raise ValueError("a number that JSON does not have")
    return value
