"""What is wrong with the configuration, told so that it can be corrected, and never with a value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

KeyPath = tuple[str, ...]
"""Keys from the root of the file to a value: ``("ai", "providers", "openai", "apiKey")``."""

_LONGEST_KEY = 80


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: a file and a line of it, or the name of an environment variable."""

    file: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. ``str()`` gives one printable line.

    Attributes:
        file: the file, or what else the mistake is in; empty when it is in none.
        path: the dotted key path, ``ai.providers.openai.apiKey``; empty for a file as a whole.
        message: what is wrong, a sentence without any value.
        remedy: what to do, a sentence.
        line: line of the file, from 1.
        column: column of the line, from 1; known for syntax errors.
    """

    file: str
    path: str
    message: str
    remedy: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        said = " ".join(part for part in (self.message, self.remedy) if part)
        return ": ".join(part for part in (place, self.path, said) if part)

    @classmethod
    def at(cls, origin: Origin, path: KeyPath, message: str, remedy: str) -> Problem:
        """A problem of the value at ``path``, which stands at ``origin``."""
        return cls(origin.file, dotted(path), message, remedy, origin.line)


class Refused(Exception):
    """A file cannot be taken at all.

    Attributes:
        problem: why.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def dotted(path: KeyPath) -> str:
    """``ai.providers.openai``."""
    return ".".join(shown(key) for key in path)


def shown(key: str) -> str:
    """A key of the operator's, safe to print on one line."""
    text = key if key.isprintable() else ascii(key)[1:-1]
    return text if len(text) <= _LONGEST_KEY else text[:_LONGEST_KEY] + "..."


def choice(introduction: str, known: Iterable[str], given: Any) -> str:
    """A remedy that lists what would be right: ``Did you mean apiKey? Known are apiKey, baseURL.``"""
    names = [shown(name) for name in known]
    listed = f"{introduction} {', '.join(names)}." if names else f"{introduction} none."
    near = _nearest(given, names) if isinstance(given, str) else None
    return f"Did you mean {near}? {listed}" if near else listed


def _nearest(given: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, however it is capitalised and separated."""
    by_shape = {_shape(name): name for name in known}
    found = difflib.get_close_matches(_shape(given[:_LONGEST_KEY]), by_shape, n=1)
    return by_shape[found[0]] if found else None


def _shape(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).casefold()
