"""JSON as a request body: bounded, strict, and refused with a position, never with what was sent."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from rest_framework.parsers import BaseParser

from ai_models.conf import conf
from ai_models.exceptions import InvalidRequest, PayloadTooLarge

MAX_DEPTH = 64

_LONG = r"\d{300}"  # a number that is no float of ordinary size, whatever its digits

# The tokens that matter below; numbers only when they have an exponent or are too long for a float.
_TOKEN = re.compile(
    rf"""
    (?P<string>"(?:[^"\\]++|\\.)*+"?)
    | (?P<open>[\[{{]) | (?P<close>[\]}}])
    | (?P<number>(?<![\d.])-?\d++(?:\.\d++)?[eE][+-]?\d++ | (?<![\d.])-?{_LONG}\d*+ | -?Infinity | NaN)
    """,
    re.VERBOSE | re.DOTALL,
)
_COLON = re.compile(r"\s*+:")

# Where there is none of these, and not much nesting, the parser itself sees all that is refused.
_SUSPICIOUS = re.compile(rf"\\u|\d[eE][+-]?\d|{_LONG}|Infinity|NaN")


class StrictJSONParser(BaseParser):
    """Parses ``application/json`` up to ``AI_MODELS["MAX_REQUEST_BYTES"]``, with or without a Content-Length.

    Refused although Python's parser takes it: nesting deeper than 64, a key named twice in one object, numbers that are no
    finite float (``NaN``, ``1e999``, thousands of digits), half a surrogate pair.

    Raises:
        PayloadTooLarge, InvalidRequest: with the character position.
    """

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return parse_object(read(stream, conf().MAX_REQUEST_BYTES))


def read(stream: IO[Any], limit: int) -> bytes:
    """The whole body; one byte more than the limit is enough to refuse it."""
    body: bytes = stream.read(limit + 1)
    if len(body) > limit:
        raise PayloadTooLarge(f"The request body is larger than {limit} bytes.")
    return body


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not valid UTF-8 at byte {error.start}.") from None
    value = parse_value(text, "The body")
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return value


def parse_value(text: str, subject: str) -> Any:
    """The JSON value that ``text`` is.

    Args:
        subject: what the text is, as a message about it begins.
    """
    if text.count("{") + text.count("[") <= MAX_DEPTH and not _SUSPICIOUS.search(text):
        try:
            return _ORDINARY.decode(text)
        except ValueError:
            pass  # where and why is found out below
    try:
        _inspect(text)
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"{subject} is not valid JSON at character {error.pos}.") from None
    except _RefusedJSON as refused:
        raise InvalidRequest(f"{subject} is refused at {refused}.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


_ORDINARY = json.JSONDecoder(object_pairs_hook=_object)


class _RefusedJSON(Exception):
    """JSON that Python would take; the message is where and why."""


def _inspect(text: str) -> None:
    """One pass over the tokens, without recursion. Syntax errors are left to the parser."""
    keys: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        position = token.start()
        match token.lastgroup:
            case "open":
                keys.append(set())
                if len(keys) > MAX_DEPTH:
                    _refuse(f"nesting is deeper than {MAX_DEPTH}", position)
            case "close" if keys:
                keys.pop()
            case "number" if not math.isfinite(float(token[0])):
                _refuse("a number is not a finite number of ordinary size", position)
            case "string":
                string = _unescape(token[0], position)
                if keys and _COLON.match(text, token.end()):
                    if string in keys[-1]:
                        _refuse("an object names a key twice", position)
                    keys[-1].add(string)


def _unescape(token: str, position: int) -> str:
    if "\\" not in token:
        return token[1:-1]
    try:
        string: str = json.loads(token, strict=False)
        string.encode()
    except UnicodeEncodeError:
        _refuse("a string holds half a surrogate pair", position)
    except ValueError:
        _refuse("a string has an invalid escape", position)
    return string


def _refuse(reason: str, position: int) -> NoReturn:
    raise _RefusedJSON(f"character {position}: {reason}")
