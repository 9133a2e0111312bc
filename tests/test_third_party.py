"""A family in a package of its own: installed, declared, seeded, and called, without a line of this project knowing it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CONFIG = """
ai:
  defaultProvider: parrot
  providers:
    parrot:
      type: echo
      greeting: "It says:"
      defaultModels: {text-generation: any}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed into a folder of its own."""
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation",
         "--python", sys.executable, "--target", str(target), str(HERE / "echo_family")],
        check=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return target


def manage(installed: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(installed), str(HERE.parent), str(folder)]),
        "DJANGO_SETTINGS_MODULE": "third_party_settings",
    }
    return subprocess.run([sys.executable, "-m", "django", *command], env=env, capture_output=True, text=True, timeout=120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app-config.yaml").write_text(CONFIG)
    (tmp_path / "third_party_settings.py").write_text(
        "from tests.settings import *\n"
        f"DATABASES = {{'default': {{'ENGINE': 'django.db.backends.sqlite3', 'NAME': {str(tmp_path / 'db.sqlite3')!r}}}}}\n"
        f"AI_MODELS = {{**AI_MODELS, 'CONFIG_FILES': [{str(tmp_path / 'app-config.yaml')!r}]}}\n"
    )
    return tmp_path


def test_an_installed_family_is_configured_and_called(installed: Path, folder: Path) -> None:
    for command in (("check",), ("migrate", "--verbosity=0"), ("ai_seed",)):
        done = manage(installed, folder, *command)
        assert done.returncode == 0, done.stderr
    answered = manage(installed, folder, "ai_generate", "hello")
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout.strip() == "It says: hello"
    assert "parrot/any" in answered.stderr


def test_without_its_package_the_start_names_what_is_missing(tmp_path: Path, folder: Path) -> None:
    checked = manage(tmp_path, folder, "check")
    assert checked.returncode != 0
    assert "ai.providers.parrot.type" in checked.stderr
    assert "not a known provider family" in checked.stderr
