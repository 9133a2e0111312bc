"""Files of the configuration: read within a size, decoded, parsed once each."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from ai_models.config.problems import Origin, Problem, Refused, shown
from ai_models.config.tree import Budget, Node, from_data
from ai_models.config.yaml_reader import read_yaml

MAX_BYTES = 1024 * 1024
"""The largest file that is read."""

FORMATS = (".yaml", ".yml", ".json")


class Unreadable(Exception):
    """A file gives no text.

    Attributes:
        message: why, a sentence that does not repeat the file's name or content.
        remedy: what to do.
        line: where, for text that is not UTF-8.
    """

    def __init__(self, message: str, remedy: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.line = line


class DuplicateKey(Exception):
    """A JSON object has a key twice.

    Attributes:
        key: the key, safe to print.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file.

    Attributes:
        root: its tree, ``None`` when it is empty or cannot be read.
        problems: its mistakes.
    """

    root: Node | None
    problems: tuple[Problem, ...] = ()


class Library:
    """The files of one load; each is read once, however often it is included."""

    def __init__(self) -> None:
        self.text = cache(read_text)
        self.document = cache(self._document)

    def _document(self, path: Path) -> Document:
        """Parse a YAML or JSON file; its name decides which.

        Raises:
            Unreadable: the file gives no text.
        """
        text, file = self.text(path), str(path)
        try:
            root, problems = _read_json(text, file) if path.suffix == ".json" else read_yaml(text, file)
        except Refused as refused:
            return Document(None, (refused.problem,))
        return Document(root, problems)


def read_text(path: Path) -> str:
    """The text of a regular file.

    Raises:
        Unreadable: it is missing, no regular file, not readable, too large or not UTF-8.
    """
    try:
        # A pipe or device could block for ever or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unreadable("The file is a directory or a device.", "Name a regular file.")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise Unreadable("The file does not exist.", "Create it, or correct the path.") from None
    except (OSError, ValueError):
        raise Unreadable("The file cannot be read.", "Check the path and the file's permissions.") from None
    if len(content) > MAX_BYTES:
        raise Unreadable("The file is larger than 1 MiB.", "Make it smaller.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable("The file is not UTF-8 text.", "Save it as UTF-8.", line) from None


def parse_json(text: str) -> Any:
    """Decode JSON as its standard has it: no duplicate keys, no ``NaN``.

    Raises:
        ValueError: it is not JSON.
        DuplicateKey: an object has a key twice.
        RecursionError: it is nested too deep.
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for key, value in pairs:
        if key in unique:
            raise DuplicateKey(shown(key))
        unique[key] = value
    return unique


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _read_json(text: str, file: str) -> tuple[Node, tuple[Problem, ...]]:
    budget = Budget(file)
    try:
        return from_data(parse_json(text), Origin(file), budget), ()
    except json.JSONDecodeError as error:
        problem = Problem(file, "", "This is not valid JSON.", "Correct it here or just before.", error.lineno, error.colno)
    except ValueError:
        problem = Problem(file, "", "A number in the file is not valid JSON.", "Correct it, or put it in quotes.")
    except DuplicateKey as error:
        problem = Problem(file, "", f"The key {error.key} stands twice in one object.", "Keep one of them.")
    except RecursionError:
        problem = Problem(file, "", "Values are nested too deep.", "Make the structure flatter.")
    raise Refused(problem)
