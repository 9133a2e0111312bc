"""The host project as it is served: its own process, its own database, real requests."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from ai_models.encryption import generate_key

pytest.importorskip("xllamacpp", reason="the host's only provider is the local family")

ROOT = Path(__file__).parent.parent.parent
PASSWORD = "a password for tests"
SERVE = ["-m", "uvicorn", "project.asgi:application", "--port", "0"]


@dataclass(frozen=True, slots=True)
class Host:
    """The project with a database of its own."""

    database: Path
    environment: Mapping[str, str]

    def manage(self, *arguments: str) -> str:
        """What the command prints."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout

    @contextlib.contextmanager
    def serving(self) -> Iterator[httpx.Client]:
        """A client of the running server."""
        command = [sys.executable, *SERVE]
        with subprocess.Popen(command, cwd=ROOT, env=self.environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                address = next(found[1] for line in process.stderr if (found := re.search(r"running on (http://\S+)", line)))
                with httpx.Client(base_url=address, timeout=10) as client:
                    yield client
            finally:
                process.terminate()
                process.stderr.read()


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    """The environment, the database's address apart."""
    settings = {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "SECRET_KEY": "a key for tests that protects nothing",
        "AI_MODELS_ENCRYPTION_KEYS": generate_key(),
    }
    return {**os.environ, **settings}


def host_with(database: Path, keys: Mapping[str, str]) -> Host:
    return Host(database, {**keys, "DATABASE_URL": f"sqlite:///{database}"})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, str]) -> Path:
    """A database with tables, the declared provider and an administrator; copied for each test."""
    database = tmp_path_factory.mktemp("prepared") / "db.sqlite3"
    host = host_with(database, {**keys, "DJANGO_SUPERUSER_PASSWORD": PASSWORD})
    host.manage("migrate")
    host.manage("ai_seed")
    host.manage("createsuperuser", "--noinput", "--username", "root", "--email", "root@example.org")
    return database


@pytest.fixture
def empty(tmp_path: Path, keys: dict[str, str]) -> Host:
    """The project with a database that has no tables."""
    return host_with(tmp_path / "db.sqlite3", keys)


@pytest.fixture
def host(prepared: Path, empty: Host) -> Host:
    """The project, ready to be served."""
    shutil.copy(prepared, empty.database)
    return empty


def test_a_wrong_configuration_ends_the_server_with_the_reason(host: Host) -> None:
    wrong = {**host.environment, "APP_CONFIG_ai_defaultProvider": "nobody"}
    ended = subprocess.run(
        [sys.executable, *SERVE], cwd=ROOT, env=wrong, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "ai.defaultProvider" in ended.stderr
    assert "ai_models.E004" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_pages_of_the_host_are_served_with_their_style(host: Host) -> None:
    with host.serving() as client:
        landing = client.get("/")
        assert landing.status_code == 200
        assert "Sign in" in landing.text
        assert "SmolLM2" not in landing.text
        targets = re.findall(r'(?:href|src)="(/[^"]*)"', landing.text)
        assert targets
        for target in targets:
            assert client.get(target, follow_redirects=True).status_code == 200
        assert client.get("/static/admin/css/base.css").status_code == 200
        assert client.get("/static/../project/settings.py").status_code == 404


def test_the_landing_page_shows_the_providers_to_who_may_see_them(host: Host) -> None:
    with host.serving() as client:
        form = client.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)
        assert token is not None
        fields = {"csrfmiddlewaretoken": token[1], "username": "root", "password": PASSWORD, "next": "/"}
        landing = client.post("/admin/login/", data=fields, follow_redirects=True)
        assert landing.url.path == "/"
        assert "SmolLM2-135M-Instruct" in landing.text
        # The service, and at least this provider: the repository's own configuration may have more.
        assert landing.text.count('class="state good">ready') >= 2
        assert client.get("/api/ai/v1/providers").json()["providers"][0]["name"] == "local"


def test_what_is_spoken_is_understood_again(host: Host) -> None:
    for package in ("espeakng_loader", "pocketsphinx"):
        pytest.importorskip(package)
    headers = {"Authorization": f"Bearer {host.manage('ai_token', 'ada').splitlines()[-1]}"}
    with host.serving() as client:
        text = {"text": "Good morning, this is a test."}
        spoken = client.post("/api/ai/v1/generate-speech", json=text, headers={**headers, "Accept": "audio/*"}, timeout=60)
        assert (spoken.status_code, spoken.headers["content-type"]) == (200, "audio/wav")
        heard = client.post("/api/ai/v1/transcribe", files={"audio": spoken.content}, headers=headers, timeout=60)
        assert heard.status_code == 200
        assert "this is a test" in heard.json()["text"]


def test_a_database_that_is_not_migrated_is_not_ready_and_no_crash(empty: Host) -> None:
    with empty.serving() as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["migrations"]) == (503, "not applied; run manage.py migrate")
        assert client.get("/healthz").status_code == 200
        refused = client.get("/api/ai/v1/providers", headers={"Authorization": "Bearer x"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")


def test_a_database_that_goes_away_is_told_at_once_and_authentication_is_not_skipped(host: Host) -> None:
    with host.serving() as client:
        assert client.get("/readyz").status_code == 200
        for file in host.database.parent.glob("db.sqlite3*"):
            file.unlink()
        host.database.mkdir()
        refused = client.post("/api/ai/v1/generate-text", json={"prompt": "a"}, headers={"Authorization": "Bearer x"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert refused.headers["retry-after"] == "5"
        assert refused.elapsed.total_seconds() < 2
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
