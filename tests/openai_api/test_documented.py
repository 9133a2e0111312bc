"""docs/openai.md: its lists are those of the code, and its examples run as they are."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from ai_models.models import ProviderCapability, ProviderInstance
from ai_models.openai_api.endpoints import CHAT, ENDPOINTS
from ai_models.openai_api.fields import Ignored, Option, Refused, roles
from tests import samples
from tests.api.conftest import LiveServer, token_of
from tests.openai_api.actor import Actor
from tests.openai_api.conftest import chunks
from tests.openai_api.test_sdk import ADA, OWN_WARNING
from tests.test_docs import codes, rows, section

PAGE = (Path(__file__).parents[2] / "docs" / "openai.md").read_text()
ADDRESS = "http://127.0.0.1:8000"
HEADINGS = {
    "chat/completions": "## Chat completions",
    "embeddings": "## Embeddings",
    "images/generations": "## Images",
    "audio/speech": "## Speech",
    "audio/transcriptions": "## Transcriptions",
}
LISTS = {Option: "vendors' settings", Ignored: "ignored", Refused: "refused"}


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("operation", [CHAT, *ENDPOINTS], ids=lambda operation: operation.name)
def test_every_field_is_listed_with_what_becomes_of_it(operation: Any) -> None:
    declared: dict[str, set[str]] = {}
    for name, role in roles(operation.request).items():
        declared.setdefault(LISTS.get(type(role), "taken"), set()).add(name)
    table = rows(section(PAGE, HEADINGS[operation.name]))
    assert {row[0]: set(codes(row[1])) for row in table if row[0] in {"taken", *LISTS.values()}} == declared


def test_every_address_is_listed() -> None:
    listed = {address for row in rows(PAGE.partition("\n## ")[0]) for address in codes(row[1])}
    assert listed == {*HEADINGS, "models", "models/NAME"}


@pytest.fixture
def local(stage: ProviderInstance) -> None:
    """The provider of the examples, played by the actor."""
    instance = ProviderInstance.objects.create(name="local", family="actor")
    for capability in Actor.capabilities:
        ProviderCapability.objects.create(instance=instance, capability=capability, default_model="any")
    Actor.script = ADA


@OWN_WARNING
@pytest.mark.parametrize("example", examples("python"))
async def test_a_python_example_runs(
    local: None, server: LiveServer, user: User, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", await sync_to_async(token_of)(user))
    code = compile(example.replace(ADDRESS, server.url), "docs/openai.md", "exec")
    await sync_to_async(exec, thread_sensitive=False)(code, {"__name__": "example"})
    assert capsys.readouterr().out.strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are commands of curl")
def test_the_examples_of_curl_run(local: None, server: LiveServer, user: User, tmp_path: Path) -> None:
    (tmp_path / "speech.wav").write_bytes(samples.WAV)
    told = []
    for example in examples("sh"):
        command = example.replace("\\\n", " ").replace("$TOKEN", token_of(user)).replace(ADDRESS, server.url)
        done = subprocess.run(
            [*shlex.split(command), "--fail-with-body"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        told.append(done.stdout)
    assert chunks(told[0])[-1] == "[DONE]"
    assert told[1].startswith("1\n00:00:00,000 --> ")
