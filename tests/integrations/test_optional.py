"""Runtimes and Channels are optional: nothing but what is made for them imports them, and it says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
RUNTIMES = ("agents", "channels", "langchain_core", "langgraph", "openai", "pydantic_ai")

CHECK = """
import sys
from django.core.management import execute_from_command_line

execute_from_command_line(["manage.py", "check"])
import ai_models
import ai_models.asgi
import ai_models.testing
import ai_models.urls
ai_models.resolve_model
print([name for name in {runtimes} if name in sys.modules])
"""
MISSING = """
import sys

sys.modules[{module!r}] = None
import django
django.setup()
try:
    import ai_models.{adapter}
except ImportError as error:
    print(error)
"""


def last_line(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


def test_the_app_imports_no_runtime() -> None:
    assert last_line(CHECK.format(runtimes=RUNTIMES)) == "[]"


@pytest.mark.parametrize(
    ("adapter", "module", "extra"),
    [
        ("integrations.langchain", "langchain_core", "langchain"),
        ("integrations.pydantic_ai", "pydantic_ai", "pydantic-ai"),
        ("integrations.openai_agents", "agents", "openai-agents"),
        ("consumers", "channels", "websocket"),
        ("routing", "channels", "websocket"),
    ],
)
def test_an_adapter_says_what_to_install(adapter: str, module: str, extra: str) -> None:
    told = last_line(MISSING.format(adapter=adapter, module=module))
    assert told.endswith(f"Install django-ai-models[{extra}].")
