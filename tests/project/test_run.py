"""``make run``, without the virtual environment: prepare, serve, answer, stop, and start again."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.core.management import CommandError

from ai_models.encryption import generate_key
from project.run import reserve, write_keys

ROOT = Path(__file__).parent.parent.parent
KEYS = ("SECRET_KEY", "AI_MODELS_ENCRYPTION_KEYS")
RUN_SECONDS = 120


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine without a database, with keys of its own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PORT": "0",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "SECRET_KEY": "a key for tests that protects nothing",
        "AI_MODELS_ENCRYPTION_KEYS": generate_key(),
    }


@contextmanager
def running(environment: dict[str, str]) -> Iterator[list[str]]:
    """What the server printed up to its curl line. It is stopped by SIGTERM, and must end without complaint."""
    command = [sys.executable, "-m", "project.run"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = threading.Timer(RUN_SECONDS, server.kill)
    deadline.start()
    assert server.stdout is not None
    printed = []
    try:
        for line in server.stdout:
            printed.append(line.rstrip("\n"))
            if line.startswith("curl "):
                break
        else:
            pytest.fail("\n".join(printed))
        yield printed
    finally:
        server.send_signal(signal.SIGTERM)
        rest, _ = server.communicate()
        deadline.cancel()
    assert server.returncode == 0, rest


def follow(curl_line: str) -> dict[str, object]:
    """Do what the printed curl line says."""
    words = shlex.split(curl_line)
    url = next(word for word in words if word.startswith("http"))
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    request = urllib.request.Request(url, words[words.index("-d") + 1].encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, object] = json.load(response)
    return answer


def test_a_fresh_machine_serves_and_the_printed_call_is_answered_by_the_local_model(machine: dict[str, str]) -> None:
    with running(machine) as printed:
        answer = follow(printed[-1])
    assert answer["provider"] == "local"
    assert answer["text"]
    assert any("user admin, password " in line for line in printed)


def test_the_second_start_keeps_the_administrator_and_prints_a_call_that_works(machine: dict[str, str]) -> None:
    machine |= {"DJANGO_SUPERUSER_USERNAME": "boss", "DJANGO_SUPERUSER_PASSWORD": "correct horse battery"}
    with running(machine) as printed:
        assert any("user boss, password from DJANGO_SUPERUSER_PASSWORD" in line for line in printed)
        assert not any("correct horse" in line for line in printed)
    with running(machine) as printed:
        assert any("user boss (it was there already" in line for line in printed)
        assert follow(printed[-1])["text"]


def children(parent: int, word: str) -> list[int]:
    """The processes that a process started, and that have a word in their command."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            started_by = int(status.read_text().rpartition(")")[2].split()[1])
            if started_by == parent and word in (status.parent / "cmdline").read_text():
                found.append(int(status.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")
def test_a_worker_runs_beside_the_server_is_started_again_and_ends_with_it(machine: dict[str, str]) -> None:
    with running(machine):
        (server,) = children(os.getpid(), "project.run")
        first = one_child(server)
        os.kill(first, signal.SIGKILL)
        second = one_child(server, other_than=first)
    assert not Path(f"/proc/{second}").exists()


def one_child(server: int, other_than: int | None = None) -> int:
    """The server's worker, once there is one."""
    deadline = time.monotonic() + RUN_SECONDS
    while not (found := [worker for worker in children(server, "ai_worker") if worker != other_than]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (worker,) = found
    return worker


def test_keys_are_written_once_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    write_keys(path, {})
    written = path.read_text()
    assert [line.split("=")[0] for line in written.splitlines()] == list(KEYS)
    assert path.stat().st_mode & 0o777 == 0o600
    write_keys(path, {})
    assert path.read_text() == written


def test_a_file_of_the_operators_keeps_its_lines_and_gets_only_the_missing_keys(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("export SECRET_KEY=mine\nOTHER=1")
    write_keys(path, {})
    first, second, third = path.read_text().splitlines()
    assert (first, second) == ("export SECRET_KEY=mine", "OTHER=1")
    assert third.startswith("AI_MODELS_ENCRYPTION_KEYS=")


def test_keys_of_the_environment_are_not_written(tmp_path: Path) -> None:
    write_keys(tmp_path / ".env", dict.fromkeys(KEYS, "x"))
    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize("port", ["words", "99999"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(CommandError, match=f"Cannot serve on port {port}"):
        reserve(port)


def test_a_port_in_use_is_refused_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CommandError, match=rf"Cannot serve on port {port} .* make run PORT="):
            reserve(str(port))
