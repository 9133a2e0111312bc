"""JSON that others wrote, read so that it can be stored and written again: what no JSON or UTF-8 can carry does not get in."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

DEEPEST = 100


def loads(text: str | bytes, *, lenient: bool = False) -> Any:
    """Decode JSON.

    Lone surrogates and NUL in text become U+FFFD, since neither UTF-8 nor every database takes them. So do bytes that are
    not UTF-8.

    Args:
        lenient: NaN and Infinity, which JSON does not have, become ``None`` instead of an error.

    Raises:
        ValueError: it is not JSON, or nested deeper than :data:`DEEPEST`.
    """
    # The quick parser refuses what the other repairs, but for NUL in an escape and numbers beyond all bounds.
    try:
        value = _quick_parser()(text, allow_inf_nan=False, cache_strings="keys")
        if _needs_nothing(value, text):
            return value
    except (ValueError, TypeError):
        pass
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", "replace")
    try:
        return _plain(json.loads(text), DEEPEST, lenient)
    except RecursionError:
        raise ValueError("nested too deep") from None


def beginning(text: str) -> Any:
    """The value that a text which is not complete yet begins with; ``None`` while there is none. A cut string is kept."""
    try:
        value = _quick_parser()(text, allow_inf_nan=False, allow_partial="trailing-strings")
        return value if _needs_nothing(value, text) else _plain(value, DEEPEST, lenient=False)
    except ValueError:
        return None


def clean(text: str) -> str:
    """Text that can be encoded and stored."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def is_carriable(value: Any) -> bool:
    """Whether every text in a JSON value can be encoded: UTF-8 has nothing for half a surrogate pair."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            if not item.isascii() and not _encodes(item):
                return False
        elif isinstance(item, list | tuple):
            left += item
        elif isinstance(item, dict | Mapping):
            left += item
            left += item.values()
    return True


def are_finite(numbers: Sequence[float]) -> bool:
    """Whether there is neither NaN nor infinity among numbers."""
    # One of them makes the sum one; that large numbers do too is why it can only tell the good case.
    return math.isfinite(sum(numbers)) or all(map(math.isfinite, numbers))


@cache
def _quick_parser() -> Callable[..., Any]:
    """Pydantic's, which a process that reads no JSON, such as a check, need not load."""
    from pydantic_core import from_json

    return from_json


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _needs_nothing(value: Any, text: str | bytes) -> bool:
    """Whether a value that the quick parser read from a text can stay as it is."""
    return not _has_escaped_nul(text) and _is_plain(value)


def _has_escaped_nul(text: str | bytes) -> bool:
    # A single character is found much faster than a sequence.
    if isinstance(text, bytes):
        return b"\\" in text and b"\\u0000" in text
    return "\\" in text and "\\u0000" in text


def _is_plain(value: Any) -> bool:
    """Whether :func:`_plain` would change nothing in a value whose texts are clean."""
    containers: list[Any] = [(value,)]
    for _ in range(DEEPEST + 1):
        deeper = []
        for container in containers:
            if type(container) is dict:
                container = container.values()
            elif container and type(container[0]) is float and _is_vector(container):
                continue
            for item in container:
                kind = type(item)
                if kind is dict or kind is list:
                    deeper.append(item)
                elif kind is float and not math.isfinite(item):
                    return False
        if not deeper:
            return True
        containers = deeper
    return not any(containers)


def _is_vector(values: Sequence[Any]) -> bool:
    """Whether all are finite numbers."""
    try:
        return are_finite(values)
    except (TypeError, OverflowError):
        return False


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
