"""The examples of docs/runtimes.md run as they are, against the model that runs on this machine."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from tests.conftest import Seed
from tests.integrations.test_local_model import CONFIG

PAGE = Path(__file__).parents[2] / "docs" / "runtimes.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_page_has_examples_of_each_runtime() -> None:
    assert {name for name in ("langgraph", "pydantic_ai", "agents") if any(f"from {name}" in text for text in EXAMPLES)} == {
        "langgraph", "pydantic_ai", "agents",
    }  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES)
async def test_an_example_runs(example: str, transactional_db: None, seed: Seed, capsys: pytest.CaptureFixture[str]) -> None:
    await sync_to_async(seed)(CONFIG)
    code = compile(example, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, Any] = {"__name__": "example"}
    if code.co_flags & inspect.CO_COROUTINE:
        await eval(code, names)
    else:
        await sync_to_async(exec, thread_sensitive=False)(code, names)
    if "print(" in example:
        assert capsys.readouterr().out.strip()
    if person := names.get("person"):
        assert isinstance(person.age, int)
