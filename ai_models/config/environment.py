"""Where variables come from, and the ones that override the configuration files."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from environ import Env

from ai_models.config.documents import DuplicateKey, Unreadable, parse_json, read_text
from ai_models.config.problems import KeyPath, Origin, Problem, Refused
from ai_models.config.tree import Budget, Node, from_data, overlay

ROOT = "ai"
"""The only root key of the files that is ours."""

PREFIX = "APP_CONFIG_"

_ASSIGNMENT = re.compile(r"(?:export )?[A-Za-z_0-9]+=")

logger = logging.getLogger(__name__)


def environment(env_file: Path) -> Mapping[str, str]:
    """The process environment, and below it what ``.env`` adds. ``os.environ`` stays as it is.

    Args:
        env_file: need not exist.

    Raises:
        Refused: the file exists and is not readable text.
    """

    class Environment(Env):  # type: ignore[misc]
        ENVIRON: ClassVar[dict[str, str]] = dict(os.environ)

    if env_file.exists():
        try:
            text = read_text(env_file)
        except Unreadable as error:
            raise Refused(Problem(str(env_file), "", error.message, error.remedy, error.line)) from None
        Environment.read_env(io.StringIO(_assignments(text, env_file)))
    return MappingProxyType(Environment.ENVIRON)


def _assignments(text: str, env_file: Path) -> str:
    """The lines that assign; django-environ would write the others, which may hold a secret, to the log."""
    kept = []
    for number, line in enumerate(text.splitlines(), 1):
        if _ASSIGNMENT.match(line):
            kept.append(line)
        elif line.strip() and not line.lstrip().startswith("#"):
            logger.warning("%s:%d is neither NAME=value nor a comment and is ignored.", env_file, number)
    return "\n".join(kept)


def override_names(env: Mapping[str, str]) -> list[str]:
    """The variables that override the files: those named ``APP_CONFIG_ai_...`` that are not empty."""
    ours = f"{PREFIX}{ROOT}"
    return [name for name in sorted(env) if env[name] and (name == ours or name.startswith(f"{ours}_"))]


def overrides(env: Mapping[str, str]) -> tuple[Node | None, list[Problem]]:
    """What ``APP_CONFIG_ai_...`` variables set: the tree below ``ai``, ``None`` when there are none, and their mistakes.

    The name's parts are the keys of the path. The value is JSON where it is valid JSON, else text; empty counts as unset.
    """
    tree: Node | None = None
    problems: list[Problem] = []
    for name in override_names(env):
        path = tuple(name.removeprefix(PREFIX).split("_"))
        origin = Origin(f"environment variable {name}")
        try:
            node = _nested(_decoded(env[name], origin, path), path, tree)
        except Refused as refused:
            problems.append(refused.problem)
        else:
            tree = node if tree is None else overlay(tree, node)
    return tree, problems


def _decoded(value: str, origin: Origin, path: KeyPath) -> Node:
    try:
        return from_data(parse_json(value), origin, Budget(origin.file))
    except ValueError:
        return Node(value, origin)
    except DuplicateKey as error:
        message, remedy = f"The key {error.key} stands twice in one object.", "Keep one of them."
    except RecursionError:
        message, remedy = "Values are nested too deep.", "Make the structure flatter."
    raise Refused(Problem.at(origin, path, message, remedy))


def _nested(node: Node, path: KeyPath, tree: Node | None) -> Node:
    """``node`` at ``path``, as a tree below ``ai``."""
    if not all(path):
        message = "The name does not make a key path: a part of it is empty."
        raise Refused(Problem.at(node.origin, (), message, f"Separate keys by one underscore: {PREFIX}{ROOT}_defaultProvider."))
    above = tree
    for key in path[1:]:
        if above is not None and not isinstance(above.value, dict):
            message = f"Another variable sets a value at a key above: {above.origin.file.split()[-1]}."
            raise Refused(Problem.at(node.origin, path, message, "Unset one of them."))
        above = above.value.get(key) if above is not None and isinstance(above.value, dict) else None
    for key in reversed(path[1:]):
        node = Node({key: node}, node.origin)
    return node
