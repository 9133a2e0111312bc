"""YAML into a tree: PyYAML finds the structure, this module decides what it means and refuses what is ambiguous.

Scalars follow YAML 1.2's core schema, as Backstage reads them: ``on``, ``yes``, ``2024-01-01`` and ``12:30`` are text.
Duplicate keys and tags outside that schema are refused. Merge keys (``<<``) and aliases work within a budget.
No message repeats anything of the file's text: PyYAML's own messages do, and are not used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from yaml.reader import ReaderError

from ai_models.config.problems import KeyPath, Origin, Problem, Refused, dotted
from ai_models.config.tree import Budget, Gap, Node, Value

_PREFIX = "tag:yaml.org,2002:"
_MAP, _SEQ, _STR, _MERGE = (_PREFIX + name for name in ("map", "seq", "str", "merge"))

_SCALARS: dict[str, tuple[re.Pattern[str], Callable[[str], Value]]] = {
    _PREFIX + "null": (re.compile(r"(?:~|null|Null|NULL|)\Z"), lambda text: None),
    _PREFIX + "bool": (re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), lambda text: text.lower() == "true"),
    _PREFIX + "int": (re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), lambda text: _integer(text)),
    _PREFIX + "float": (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"), float),
    _STR: (re.compile(r"(?s:.*)\Z"), str),
    _MERGE: (re.compile(r"<<\Z"), str),
}


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)


def add_core_schema(holder: Any) -> None:
    """Teach a PyYAML loader or dumper class which plain scalars are not text."""
    for tag, (pattern, _) in _SCALARS.items():
        if tag != _STR:
            holder.add_implicit_resolver(tag, pattern, None)


class _Mistake(yaml.MarkedYAMLError):
    """A mistake whose words are ours."""

    def __init__(self, mark: Any, message: str, remedy: str) -> None:
        super().__init__(problem=message, problem_mark=mark, note=remedy)


class _Loader(yaml.SafeLoader):
    """Composes nodes within bounds. Nothing is constructed by PyYAML: no tag runs anything."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def __init__(self, text: str, budget: Budget) -> None:
        super().__init__(text)
        self._budget = budget
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) and event.anchor not in self.anchors:
            message = "An alias (*) refers to an anchor (&) that does not exist."
            raise _Mistake(event.start_mark, message, "Quote a value that begins with *.")
        self._budget.spend()
        self._budget.check_depth(self._depth, event.start_mark.line + 1)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


add_core_schema(_Loader)


def read_yaml(text: str, file: str) -> tuple[Node | None, tuple[Problem, ...]]:
    """Read one document.

    Args:
        text: the file's text.
        file: its name, for problems and origins.

    Returns:
        The tree, ``None`` for an empty file, and the mistakes that leave it readable: duplicate keys, tags, bad keys.

    Raises:
        Refused: it is not YAML, too large when expanded, or too deep.
    """
    root = _compose(text, file)
    if root is None:
        return None, ()
    builder = _Builder(file)
    tree = builder.build(root, ())
    return tree, tuple(builder.problems.values())


def _compose(text: str, file: str) -> yaml.Node | None:
    loader = None
    try:
        loader = _Loader(text, Budget(file))
        return loader.get_single_node()
    except ReaderError as error:
        message, remedy = "The file contains a control character.", "Remove it, or write it as an escape in double quotes."
        position = error.position
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message, remedy = _explained(error, text, mark.index if mark else 0)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    except (ValueError, OverflowError):
        # An escape of a code point that does not exist.
        mark = loader.get_mark() if loader else None
        message, remedy = "An escape in double quotes is not valid.", "Correct it, or use single quotes."
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    raise Refused(Problem(file, "", message, remedy, line, column))


def _explained(error: yaml.MarkedYAMLError, text: str, index: int) -> tuple[str, str]:
    if isinstance(error, _Mistake):
        return str(error.problem), str(error.note)
    if text[index : index + 1] == "\t":
        return "A tab stands where YAML allows only spaces.", "Indent with spaces."
    if "${" in text[text.rfind("\n", 0, index) + 1 : index + 1]:
        return "This is not valid YAML.", "Quote a value with ${...} that stands between { } or [ ]."
    return "This is not valid YAML.", "Check indentation, colons, brackets and quotes here and on the lines before."


class _Builder:
    """Turns PyYAML's nodes into a tree, following aliases; what an alias refers to is counted each time."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._budget = Budget(file)
        # By position, so that a mistake below an anchor is told once however often it is referred to.
        self.problems: dict[int, Problem] = {}

    def build(self, node: yaml.Node, path: KeyPath, line: int | None = None) -> Node:
        """The tree of a node; ``line`` is where its key stands."""
        line = line or node.start_mark.line + 1
        self._budget.spend(node.value if isinstance(node, yaml.ScalarNode) else "")
        self._budget.check_depth(len(path), line)
        return Node(self._value(node, path), Origin(self._file, line))

    def _value(self, node: yaml.Node, path: KeyPath) -> Value:
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQ:
            return [self.build(item, (*path, str(index))) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node, path)
        return self._mistake(
            node, path, "The value has a tag (!) that is not allowed.", "Remove it; quote a value that begins with !."
        )

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Value:
        pattern, convert = _SCALARS[node.tag]
        try:
            if pattern.match(node.value):
                return convert(node.value)
        except ValueError:
            pass
        kind = node.tag.removeprefix(_PREFIX)
        return self._mistake(node, path, f"The value is not a valid {kind}.", "Correct it, or remove the tag (!).")

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                for name, value in self._merged(value_node, path):
                    merged.setdefault(name, value)
            elif (key := self._key(key_node, path)) is not None:
                self._refuse_duplicate(key, own, key_node, path)
                own[key] = self.build(value_node, (*path, key), key_node.start_mark.line + 1)
        return {**merged, **own}

    def _key(self, node: yaml.Node, path: KeyPath) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return str(node.value)
        self._report(node, path, "A key is not plain text.", "Write the key as text; quote a value that begins with { or [.")
        return None

    def _refuse_duplicate(self, key: str, own: dict[str, Node], node: yaml.Node, path: KeyPath) -> None:
        if key in own:
            first = own[key].origin.line
            self._report(node, (*path, key), f"The key stands twice; it is also on line {first}.", "Keep one of them.")

    def _merged(self, node: yaml.Node, path: KeyPath) -> Iterator[tuple[str, Node]]:
        """Keys that ``<<`` brings in; the first of a list of mappings wins."""
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(source, yaml.MappingNode):
                built = self.build(source, (*path, "<<")).value
                yield from built.items() if isinstance(built, dict) else ()
            else:
                self._report(
                    source, path, "A merge key (<<) takes an object or a list of objects.", "Refer to an object's anchor."
                )

    def _mistake(self, node: yaml.Node, path: KeyPath, message: str, remedy: str) -> Gap:
        self._report(node, path, message, remedy)
        return Gap(told=True)

    def _report(self, node: yaml.Node, path: KeyPath, message: str, remedy: str) -> None:
        mark = node.start_mark
        problem = Problem(self._file, dotted(path), message, remedy, mark.line + 1, mark.column + 1)
        self.problems.setdefault(mark.index, problem)
