"""What stands for something else: ``${VAR}``, ``$env``, ``$file`` and ``$include``.

=====================  =================================================================================
``${VAR}``             the variable; several may stand in one text
``${VAR:-default}``    the default when the variable is unset or empty
``${VAR:-}``           nothing when it is unset or empty, and no mistake: a value that is all of it is then undefined,
                       which is how an optional credential is written
``$${VAR}``            the text ``${VAR}``
``{$env: VAR}``        the variable
``{$file: ./x}``       the file's text without trailing white space
``{$include: ./x#a}``  what stands at key ``a`` of a YAML or JSON file; all of it without ``#``
=====================  =================================================================================

A variable that is unset or empty makes the whole value undefined, never an empty text. Paths are relative to the
containing file. What a variable or ``$file`` gives is taken as it is; what ``$include`` gives is substituted in turn,
relative to its own file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ai_models.config.documents import FORMATS, Library, Unreadable
from ai_models.config.problems import KeyPath, Problem
from ai_models.config.tree import Budget, Gap, Node, Value

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{(?P<inside>[^{}]*)\}|\$\{")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Substitution:
    """Resolves one configuration file.

    Attributes:
        problems: the mistakes found so far, except variables that another file may make unnecessary.
    """

    def __init__(self, file: Path, env: Mapping[str, str], library: Library) -> None:
        self.problems: list[Problem] = []
        self._env = env
        self._library = library
        self._budget = Budget(str(file))
        self._including: list[tuple[Path, str]] = [(file.resolve(), "")]
        self._commands: dict[str, Callable[[Node, str, KeyPath], Node]] = {
            "$env": self._from_env,
            "$file": self._from_file,
            "$include": self._include,
        }

    def resolve(self, node: Node, path: KeyPath) -> Node:
        """The tree with everything substituted; what is undefined becomes a :class:`Gap`.

        Raises:
            Refused: the result is too large or too deep.
        """
        self._budget.spend()
        self._budget.check_depth(len(path) + len(self._including))
        value = node.value
        if isinstance(value, str):
            return Node(self._text(value, node, path), node.origin)
        if isinstance(value, list):
            return Node([self.resolve(item, (*path, str(index))) for index, item in enumerate(value)], node.origin)
        if not isinstance(value, dict):
            return node
        if any(key.startswith("$") for key in value):
            return self._command(value, node, path)
        return Node({key: self.resolve(item, (*path, key)) for key, item in value.items()}, node.origin)

    def _text(self, text: str, node: Node, path: KeyPath) -> str | Gap:
        if "${" not in text:
            return text
        self._budget.spend(text)
        parts: list[str] = []
        missing: list[str] = []
        position = 0
        for match in _PLACEHOLDER.finditer(text):
            parts.append(text[position : match.start()])
            position = match.end()
            if match[0] == "$${":
                parts.append("${")
                continue
            name, has_default, default = (match["inside"] or "").partition(":-")
            if not _VARIABLE.match(name := name.strip()):
                return self._mistake(node, path, "A ${...} is not closed, is nested, or does not name a variable.", _WRITE_IT)
            value = self._env.get(name) or default
            self._budget.spend(value)
            parts.append(value)
            if not value and not has_default:
                missing.append(name)
        if missing:
            return self._undefined(missing, node, path)
        return "".join(parts) + text[position:] or Gap()

    def _command(self, value: dict[str, Node], node: Node, path: KeyPath) -> Node:
        known = [key for key in value if key in self._commands]
        if not known:
            gap = self._mistake(node, path, "A key that begins with $ is not known.", "Known are $env, $file and $include.")
        elif len(value) > 1:
            gap = self._mistake(node, path, f"{known[0]} is not the only key of its object.", "Move the other keys elsewhere.")
        elif not isinstance(written := value[known[0]].value, str):
            gap = self._mistake(node, path, f"{known[0]} takes a text.", "Write a name or path after it.")
        else:
            argument = written if known[0] == "$env" else self._text(written, node, path)
            if isinstance(argument, str):
                return self._commands[known[0]](node, argument, path)
            gap = argument
        return Node(gap, node.origin)

    def _from_env(self, node: Node, name: str, path: KeyPath) -> Node:
        value: Value
        if not _VARIABLE.match(name):
            value = self._mistake(node, path, "$env does not name a variable.", "Write the variable's name alone.")
        else:
            value = self._env.get(name) or self._undefined([name], node, path)
        return Node(value, node.origin)

    def _from_file(self, node: Node, name: str, path: KeyPath) -> Node:
        value: Value
        try:
            value = self._library.text(_beside(node, name)).rstrip()
            self._budget.spend(value)
        except Unreadable as error:
            value = self._mistake(node, path, f"$file: {error.message}", error.remedy)
        return Node(value, node.origin)

    def _include(self, node: Node, target: str, path: KeyPath) -> Node:
        name, _, fragment = target.partition("#")
        try:
            with self._entered(_beside(node, name), fragment) as file:
                return self.resolve(self._included(file, fragment), path)
        except Unreadable as error:
            return Node(self._mistake(node, path, f"$include: {error.message}", error.remedy), node.origin)

    @contextmanager
    def _entered(self, file: Path, fragment: str) -> Iterator[Path]:
        if file.suffix not in FORMATS:
            raise Unreadable("The file is neither YAML nor JSON.", "Name a .yaml, .yml or .json file; $file takes any text.")
        step = (_resolved(file), fragment)
        if step in self._including:
            raise Unreadable("The file includes itself, directly or through others.", "Break the circle.")
        self._including.append(step)
        try:
            yield file
        finally:
            self._including.pop()

    def _included(self, file: Path, fragment: str) -> Node:
        document = self._library.document(file)
        self.problems.extend(document.problems)
        node = document.root
        if node is None and document.problems:
            raise Unreadable("The file has mistakes of its own.", "Correct them first.")
        for key in fragment.split(".") if fragment else ():
            node = node.value.get(key) if node is not None and isinstance(node.value, dict) else None
        if node is None:
            raise Unreadable("The file has no such key, or is empty.", "Correct the part after #.")
        return node

    def _undefined(self, names: list[str], node: Node, path: KeyPath) -> Gap:
        names = list(dict.fromkeys(names))
        variables = f"variable {names[0]} is" if len(names) == 1 else f"variables {', '.join(names)} are"
        remedy = "Set it in the environment or in .env, or write ${NAME:-default}, or ${NAME:-} where the value may be missing."
        return Gap(Problem.at(node.origin, path, f"The {variables} not set, or empty.", remedy))

    def _mistake(self, node: Node, path: KeyPath, message: str, remedy: str) -> Gap:
        self.problems.append(Problem.at(node.origin, path, message, remedy))
        return Gap(told=True)


_WRITE_IT = "Write ${NAME} or ${NAME:-default}; for the characters themselves write $${."


def _beside(node: Node, name: str) -> Path:
    return Path(node.origin.file).parent / name


def _resolved(file: Path) -> Path:
    try:
        return file.resolve()
    except (OSError, ValueError, RuntimeError):
        raise Unreadable("The file cannot be read.", "Check the path.") from None
