"""Configuration as a tree whose every value knows where it stands. Files are read into it, resolved in it and merged in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ai_models.config.problems import KeyPath, Origin, Problem, Refused

MAX_NODES = 10_000
"""Values in one file, and again after aliases, merge keys and includes are expanded."""

MAX_DEPTH = 64
"""Levels of nesting."""

_TEXT_PER_NODE = 1024


@dataclass(frozen=True, slots=True)
class Gap:
    """A value that turned out to be undefined: the key counts as absent, and an earlier file's value shows through.

    Attributes:
        problem: told when nothing else gives the key a value; ``None`` when an undefined value is no mistake.
        told: the mistake behind the gap has been reported already.
    """

    problem: Problem | None = None
    told: bool = False

    @property
    def is_mistake(self) -> bool:
        """Whether someone meant to set a value here."""
        return self.told or self.problem is not None


Value: TypeAlias = "dict[str, Node] | list[Node] | str | int | float | bool | Gap | None"


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands. Nodes are shared between trees and never changed."""

    value: Value = field(repr=False)
    origin: Origin


class Budget:
    """Bounds what one file may grow to, however it is written."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._left = MAX_NODES

    def spend(self, text: str = "") -> None:
        """Count one value, and more for long text.

        Raises:
            Refused: nothing is left.
        """
        self._left -= 1 + len(text) // _TEXT_PER_NODE
        if self._left < 0:
            message = f"The file holds, or expands to, more than {MAX_NODES:,} values."
            raise Refused(Problem(self._file, "", message, "Use fewer aliases, merge keys and includes."))

    def check_depth(self, depth: int, line: int | None = None) -> None:
        """Refuse what would exhaust the stack.

        Raises:
            Refused: ``depth`` is more than :data:`MAX_DEPTH`.
        """
        if depth > MAX_DEPTH:
            message = f"Values are nested more than {MAX_DEPTH} levels deep, or an alias contains itself."
            raise Refused(Problem(self._file, "", message, "Make the structure flatter.", line))


def from_data(data: Any, origin: Origin, budget: Budget, depth: int = 0) -> Node:
    """A tree of decoded JSON, all of it with one origin.

    Raises:
        Refused: too large or too deep.
    """
    budget.spend(data if isinstance(data, str) else "")
    budget.check_depth(depth)
    if isinstance(data, dict):
        return Node({key: from_data(item, origin, budget, depth + 1) for key, item in data.items()}, origin)
    if isinstance(data, list):
        return Node([from_data(item, origin, budget, depth + 1) for item in data], origin)
    return Node(data, origin)


def overlay(base: Node, over: Node) -> Node:
    """``over`` laid upon ``base``: objects merge, everything else is replaced, an undefined value replaces nothing."""
    if isinstance(over.value, Gap):
        nothing_below = base.value is None or (isinstance(base.value, Gap) and not base.value.is_mistake)
        return over if nothing_below else base
    if isinstance(base.value, dict) and isinstance(over.value, dict):
        merged = dict(base.value)
        for key, node in over.value.items():
            merged[key] = overlay(merged[key], node) if key in merged else node
        return Node(merged, base.origin)
    return over


@dataclass(frozen=True, slots=True)
class Flat:
    """A merged tree as plain data.

    Attributes:
        data: the values; removed and undefined keys are absent.
        origins: where each value and object stands, undefined ones too.
        undefined: paths of undefined values, and whether that is a mistake that has been told.
        problems: undefined values that nothing else defines, and text that no database or protocol takes.
    """

    data: Any = field(repr=False)
    origins: dict[KeyPath, Origin]
    undefined: dict[KeyPath, bool]
    problems: tuple[Problem, ...]


def flatten(root: Node, path: KeyPath) -> Flat:
    """Turn a merged tree into plain data, once no other file can change it."""
    flattening = _Flattening()
    data = flattening.plain(root, path)
    return Flat(None if data is _ABSENT else data, flattening.origins, flattening.undefined, tuple(flattening.problems))


_ABSENT = object()


class _Flattening:
    def __init__(self) -> None:
        self.origins: dict[KeyPath, Origin] = {}
        self.undefined: dict[KeyPath, bool] = {}
        self.problems: list[Problem] = []

    def plain(self, node: Node, path: KeyPath) -> Any:
        value = node.value
        if value is None:
            return _ABSENT
        self.origins[path] = node.origin
        if isinstance(value, Gap):
            return self._absent(value, path)
        if isinstance(value, dict):
            self._check_text(" ".join(value), node, path, "A key here")
            return dict(self._present((key, item, (*path, key)) for key, item in value.items()))
        if isinstance(value, list):
            items = ((index, item, (*path, str(index))) for index, item in enumerate(value))
            return [item for _, item in self._present(items)]
        if isinstance(value, str):
            self._check_text(value, node, path, "The text")
        return value

    def _present(self, items: Iterator[tuple[Any, Node, KeyPath]]) -> Iterator[tuple[Any, Any]]:
        for key, node, path in items:
            value = self.plain(node, path)
            if value is not _ABSENT:
                yield key, value

    def _absent(self, gap: Gap, path: KeyPath) -> object:
        self.undefined[path] = gap.is_mistake
        if gap.problem is not None:
            self.problems.append(gap.problem)
        return _ABSENT

    def _check_text(self, text: str, node: Node, path: KeyPath, what: str) -> None:
        # PostgreSQL stores no NUL, and a lone surrogate cannot be encoded at all.
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            message = f"{what} contains a NUL character or half of a surrogate pair."
            self.problems.append(Problem.at(node.origin, path, message, "Remove the character."))
