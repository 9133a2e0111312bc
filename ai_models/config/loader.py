"""Several files and the environment into one configuration, with every mistake of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ai_models.config.documents import Library, Unreadable
from ai_models.config.environment import ROOT, overrides
from ai_models.config.problems import KeyPath, Origin, Problem, Refused
from ai_models.config.substitution import Substitution
from ai_models.config.tree import Flat, Gap, Node, flatten, overlay


@dataclass(frozen=True, slots=True)
class Loaded:
    """The effective configuration.

    Attributes:
        data: ``{"ai": {...}}``, or empty when no file has the key. It holds secrets in plain text.
        problems: every mistake found on the way.
        files: the configuration files, in their order; what they include is not listed.
        origins: where each value and object of ``data`` stands, by key path; undefined ones too.
        undefined: key paths that stand in a file and have no value, and whether that is a mistake among ``problems``.
    """

    data: dict[str, Any] = field(repr=False)
    problems: tuple[Problem, ...] = ()
    files: tuple[Path, ...] = ()
    origins: Mapping[KeyPath, Origin] = field(default_factory=dict, repr=False)
    undefined: Mapping[KeyPath, bool] = field(default_factory=dict)

    def problem(self, path: KeyPath, message: str, remedy: str) -> Problem:
        """A mistake at ``path``, with the place of the value there or of the nearest object around it."""
        around = path
        while around and around not in self.origins:
            around = around[:-1]
        origin = self.origins.get(around) or Origin(", ".join(str(file) for file in self.files))
        return Problem.at(origin, path, message, remedy)

    def is_broken(self, path: KeyPath) -> bool:
        """Whether the value at ``path``, or something around it, is absent because of a mistake told already."""
        return any(self.undefined.get(path[:length]) for length in range(len(path) + 1))

    def undefined_keys(self, path: KeyPath) -> list[str]:
        """Keys of the object at ``path`` that are written there and have no value."""
        return [key for *above, key in self.undefined if tuple(above) == path]


def load(paths: Sequence[Path], env: Mapping[str, str]) -> Loaded:
    """Read and merge configuration files. Mistakes are collected, not raised.

    Args:
        paths: the files, each of which must exist; later ones win: objects merge, everything else is replaced,
            ``null`` removes. Only their root key ``ai`` is evaluated.
        env: variables for substitution; those named ``APP_CONFIG_ai_...`` override all files.
    """
    library = Library()
    problems: list[Problem] = []
    trees = [_read(Path(path), env, library, problems) for path in paths]
    override, mistakes = overrides(env)
    problems.extend(mistakes)
    flat = _merged([*trees, override])
    unread = any(isinstance(tree.value, Gap) for tree in trees if tree is not None)
    return Loaded(
        data={} if flat.data is None else {ROOT: flat.data},
        # A file that two files include has its mistakes told once.
        problems=tuple(dict.fromkeys([*problems, *flat.problems])),
        files=tuple(Path(path) for path in paths),
        origins=flat.origins,
        undefined={**flat.undefined, (ROOT,): True} if unread else flat.undefined,
    )


def _read(path: Path, env: Mapping[str, str], library: Library, problems: list[Problem]) -> Node | None:
    """What a file says below ``ai``; a told gap when that cannot be found out."""
    unread = Node(Gap(told=True), Origin(str(path)))
    try:
        document = library.document(path)
    except Unreadable as error:
        problems.append(Problem(str(path), "", error.message, error.remedy, error.line))
        return unread
    problems.extend(document.problems)
    if document.root is None:
        return unread if document.problems else None
    ours = _ours(document.root, problems)
    if ours is None:
        return None
    substitution = Substitution(path, env, library)
    try:
        return substitution.resolve(ours, (ROOT,))
    except Refused as refused:
        problems.append(refused.problem)
        return unread
    finally:
        problems.extend(substitution.problems)


def _ours(root: Node, problems: list[Problem]) -> Node | None:
    if root.value is None or isinstance(root.value, Gap):
        return None if root.value is None else root
    if not isinstance(root.value, dict):
        problems.append(
            Problem.at(root.origin, (), "The file is not an object of keys and values.", f"Begin it with `{ROOT}:`.")
        )
        return Node(Gap(told=True), root.origin)
    for key, node in root.value.items():
        if key in {"$env", "$file", "$include"}:
            problems.append(Problem.at(node.origin, (key,), "It cannot stand for a whole file.", f"Write it below `{ROOT}:`."))
    return root.value.get(ROOT)


def _merged(trees: list[Node | None]) -> Flat:
    merged: Node | None = None
    for tree in trees:
        if tree is not None:
            merged = tree if merged is None else overlay(merged, tree)
    return flatten(merged, (ROOT,)) if merged is not None else Flat(None, {}, {}, ())
