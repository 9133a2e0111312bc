"""The documentation against the code: what it lists is what there is, and what it shows is valid."""

from __future__ import annotations

import ast
import json
import re
from argparse import ArgumentParser
from collections import defaultdict
from dataclasses import fields
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

import ai_models
from ai_models import checks, config, registry
from ai_models.api.operations import OPERATIONS
from ai_models.conf import Conf
from ai_models.exceptions import AIModelsError
from ai_models.snapshot import InstanceState
from ai_models.types import (
    EmbedRequest,
    ImageRequest,
    ModelRequest,
    ObjectRequest,
    SpeechRequest,
    TextRequest,
    TranscribeRequest,
    VideoRequest,
)
from tests import documented
from tests.browser import gallery

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "README.md", *sorted(DOCS.glob("**/*.md")))}
OPERATOR, PYTHON, REST = PAGES["docs/operator.md"], PAGES["docs/python.md"], PAGES["docs/rest.md"]

DOCUMENTED = [
    ("## Text", TextRequest),
    ("## Structured output", ObjectRequest),
    ("## Embeddings", EmbedRequest),
    ("## Images", ImageRequest),
    ("## Speech", SpeechRequest),
    ("## Transcription", TranscribeRequest),
    ("## Videos", VideoRequest),
]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_VARIABLE = re.compile(r"\$\{(\w+)")


def blocks(language: str) -> list[object]:
    """The code blocks of a language, each named by its page and position there."""
    return [
        pytest.param(code, id=f"{page}-{number}")
        for page, text in PAGES.items()
        for number, (marked, code) in enumerate(_FENCE.findall(text))
        if marked == language
    ]


def section(text: str, heading: str) -> str:
    """What stands between a heading and the next one of its level or above."""
    level, _, _ = heading.partition(" ")
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no {heading}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without their heads."""
    lines = [line.strip("| ") for line in text.splitlines() if line.startswith("|")]
    heads = {number for mark, line in enumerate(lines) if line.startswith("---") for number in (mark - 1, mark)}
    return [line.split(" | ") for number, line in enumerate(lines) if number not in heads]


def codes(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def named_in(text: str) -> list[str]:
    """What stands in backticks in the first column of the tables."""
    return [name for row in rows(text) for name in codes(row[0])]


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


# --- links and examples ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in _LINK.findall(_FENCE.sub("", PAGES[page])):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        found = (ROOT / page).parent / file if file else ROOT / page
        assert found.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(found.read_text()), f"{page}: {target}"


def test_every_page_stands_in_the_index() -> None:
    pages = {str(path.relative_to(DOCS)) for path in DOCS.glob("**/*.md")} - {"index.md"}
    # The pages of single families stand in the page of all families.
    listed = set(_LINK.findall(PAGES["docs/index.md"] + PAGES["docs/families.md"]))
    assert pages - listed == set()


@pytest.mark.parametrize("code", blocks("python"))
def test_python_examples_compile(code: str) -> None:
    compile(code, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_examples_use_names_and_arguments_that_exist(code: str) -> None:
    known = {name for _, kind in DOCUMENTED for name in kind.__annotations__}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ai_models":
            assert node.attr in ai_models.__all__
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("ai_models."):
            assert {keyword.arg for keyword in node.keywords} <= {*known, "user", "capability", "index", "start", "stop"}


@pytest.mark.parametrize("code", blocks("json"))
def test_json_examples_are_json(code: str) -> None:
    json.loads(code)


@pytest.mark.parametrize("code", blocks("yaml"))
def test_configuration_examples_are_valid(code: str, tmp_path: Path) -> None:
    file, local = ROOT / "app-config.yaml", tmp_path / "app-config.local.yaml"
    local.write_text(code)
    loaded = config.load([file, local], dict.fromkeys(_VARIABLE.findall(code), "x"))
    declared = config.read(loaded, registry.families())
    assert declared.problems == ()
    assert declared.providers


def test_the_worked_example_is_the_one_that_is_tested() -> None:
    module = (ROOT / "tests" / "echo_family" / "src" / "ai_models_echo.py").read_text()
    shown = re.search(r"```python\n(.*?)```", PAGES["docs/families-contributing.md"], re.DOTALL)
    assert shown is not None
    assert module.endswith(shown[1])


# --- lists ----------------------------------------------------------------------------------------------------------------


def test_what_follows_from_the_families_is_current() -> None:
    for path, text in documented.pages(documented.built_in()):
        assert path.read_text() == text, f"{path.name}: write it anew with: make docs, or {documented.COMMAND}"


def test_every_system_check_is_listed() -> None:
    declared = re.findall(r"^(ai_models\.[EWI]\d+)", checks.__doc__ or "", re.MULTILINE)
    used = set(re.findall(r"ai_models\.[EWI]\d+", (ROOT / "ai_models" / "validation.py").read_text()))
    assert named_in(section(OPERATOR, "## System checks")) == declared
    assert used == set(declared)


def test_every_setting_is_listed_with_its_default() -> None:
    table = rows(section(OPERATOR, "## Settings"))
    assert {codes(row[0])[0]: codes(row[1])[0] for row in table} == {
        field.name: repr(getattr(Conf(), field.name)) for field in fields(Conf)
    }


def test_every_state_is_listed_in_order_of_precedence() -> None:
    assert named_in(section(OPERATOR, "## States of an instance")) == list(InstanceState)


def options(parser: ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings if option.startswith("--")}


def test_every_command_and_option_is_listed() -> None:
    text = section(OPERATOR, "## Commands")
    commands = {name for name, app in get_commands().items() if app == "ai_models"}
    of_every_command = options(BaseCommand().create_parser("manage.py", "any"))
    declared = {
        option
        for name in commands
        for option in options(load_command_class("ai_models", name).create_parser("manage.py", name)) - of_every_command
    }
    assert set(re.findall(r"^`(ai_\w+)", text, re.MULTILINE)) == commands
    assert set(named_in(text)) == declared


def test_every_error_is_listed_with_its_code_and_status() -> None:
    raised = defaultdict(set)
    for error in documented.subclasses(AIModelsError):
        if error.__module__ == "ai_models.exceptions":
            raised[error.code].add((error.__name__, error.http_status))
    listed = {codes(row[1])[0]: (codes(row[0])[0], int(row[2])) for row in rows(section(PYTHON, "## Errors"))}
    assert listed.keys() == raised.keys()
    assert all(found in raised[code] for code, found in listed.items())


def test_every_public_name_is_listed() -> None:
    assert set(ai_models.__all__) - set(re.findall(r"\w+", PYTHON)) == set()


@pytest.mark.parametrize(("heading", "kind"), DOCUMENTED)
def test_every_argument_is_listed(heading: str, kind: type) -> None:
    elsewhere = TextRequest if kind is ObjectRequest else ModelRequest if kind is not TextRequest else object
    assert kind.__annotations__.keys() - getattr(elsewhere, "__annotations__", {}).keys() <= set(
        re.findall(r"`(\w+)`", section(PYTHON, heading))
    )


def test_every_operation_is_listed() -> None:
    addresses = {"list-providers": "providers", "get-provider": "providers/NAME", "list-models": "models?capability="}
    addresses["check-provider"] = "providers/NAME/check"
    addresses |= {"get-video": "videos/ID", "get-video-content": "videos/ID/content", "cancel-video": "videos/ID/cancel"}
    addresses |= {"resume-stream": "stream-text/ID/stream", "cancel-stream": "stream-text/ID/cancel"}
    listed = {address for row in rows(REST.partition("\n## ")[0]) for address in codes(row[1])}
    assert listed == {addresses.get(operation.name, operation.name) for operation in OPERATIONS} | {"schema", "docs"}


def test_the_pictures_are_those_of_the_gallery() -> None:
    names = [name for name, _ in gallery.PICTURES]
    taken = {f"{name}-{size}-{theme}.png" for name in names for size in gallery.WIDTHS for theme in gallery.THEMES}
    assert {path.name for path in gallery.FOLDER.iterdir()} == taken
    shown = {name for text in PAGES.values() for name in re.findall(r'(?:srcset|src)="(?:docs/)?screenshots/([^"]+)"', text)}
    assert shown
    assert shown <= taken
