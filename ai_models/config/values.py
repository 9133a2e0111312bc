"""Values of single settings, by the kind their field declares.

Text that spells a number or a truth value counts as one, because variables only ever give text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ai_models.config.problems import KeyPath
from ai_models.destinations import DestinationBlocked, DestinationPolicy

if TYPE_CHECKING:
    from ai_models.families.fields import ConfigField, FieldKind

INTEGER_TEXT = r"^-?[0-9]{1,18}$"
BOOLEAN_TEXT = {"true": True, "false": False}
LONGEST_MODEL_NAME = 256

# What the file declares is the operator's word: addresses of private networks are fine.
_DESTINATIONS = DestinationPolicy(private=True)


class Wrong(Exception):
    """A value is not what its setting takes.

    Attributes:
        message: what is wrong, without the value.
        remedy: what to do.
        keys: keys below the setting, for a value inside a mapping.
    """

    def __init__(self, message: str, remedy: str, keys: KeyPath = ()) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.keys = keys


def read_value(field: ConfigField, value: Any) -> Any:
    """The value of a field as it is stored.

    Raises:
        Wrong: with what is wrong and the remedy.
    """
    read = _READERS[field.kind](value)
    if field.choices and read not in field.choices:
        raise Wrong("It is none of the allowed values.", f"Allowed are {', '.join(field.choices)}.")
    if field.least is not None and read < field.least:
        raise Wrong("It is too small.", f"It takes {field.least} or more.")
    return read


def model_name(value: Any) -> str:
    """A name that operators choose: of a model, an alias, an instance.

    Raises:
        Wrong: it is no text, empty or too long.
    """
    name = _string(value)
    if len(name) > LONGEST_MODEL_NAME:
        raise Wrong(f"It is longer than {LONGEST_MODEL_NAME} characters.", "Shorten it.")
    return name


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong("It is not text.", "Write one text; put it in quotes when it looks like a number or true or false.")
    return value


def _string(value: Any) -> str:
    text = _text(value)
    if not text.strip():
        raise Wrong("It is empty.", "Set it, or remove the key.")
    if text != text.strip():
        # A line break at the end of a variable is common, and breaks the header it is sent in.
        raise Wrong("It begins or ends with white space.", "Remove the white space.")
    return text


def _integer(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(INTEGER_TEXT, value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong("It is not a whole number.", "Write a whole number.")
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, str) and value in BOOLEAN_TEXT:
        return BOOLEAN_TEXT[value]
    if not isinstance(value, bool):
        raise Wrong("It is neither true nor false.", "Write true or false.")
    return value


def _url(value: Any) -> str:
    url = _string(value)
    try:
        _DESTINATIONS.check_url(url)
    except DestinationBlocked as blocked:
        raise Wrong(f"The address is refused: {blocked}.", "Correct the address.") from None
    return url


def _mapping(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Wrong("It is not an object of names and texts.", "Write names and texts below it.")
    for key, item in value.items():
        if not key:
            raise Wrong("A name in it is empty.", "Name every entry.")
        try:
            _text(item)
        except Wrong as wrong:
            raise Wrong(wrong.message, wrong.remedy, (key,)) from None
    return dict(value)


_READERS: dict[FieldKind, Callable[[Any], Any]] = {
    "string": _string,
    "integer": _integer,
    "boolean": _boolean,
    "url": _url,
    "path": _string,
    "mapping": _mapping,
}
