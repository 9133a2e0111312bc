"""The files that the stack is made of: what they name exists, and what they promise fits together."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class
from uvicorn.main import main as command_line

from ai_models.conf import Conf
from ai_models.draining import END_SECONDS, SERVER_SECONDS, STRAGGLERS_SECONDS
from ai_models.management.commands.ai_worker import STOP_SECONDS
from tests.javascript.node import unavailable

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == COMPOSE["name"]}
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
HAPROXY = ROOT / "deploy" / "haproxy.cfg"
SETTINGS = (ROOT / "project" / "settings.py").read_text()
FROM_ENVIRONMENT = {"AI_MODELS_ENCRYPTION_KEYS", *re.findall(r'env\.\w+\("(\w+)"', SETTINGS)}


def pinned(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def seconds(duration: str) -> float:
    assert duration.endswith("s")
    return float(duration[:-1])


def test_every_part_is_there() -> None:
    assert set(SERVICES) == {"postgres", "redis", "prepare", "web1", "web2", "worker", "proxy"}


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_the_environment_is_a_setting(name: str) -> None:
    assert set(OURS[name]["environment"]) <= FROM_ENVIRONMENT


def test_no_secret_is_written_down() -> None:
    values = {key: str(value) for service in SERVICES.values() for key, value in service.get("environment", {}).items()}
    for name in ("SECRET_KEY", "AI_MODELS_ENCRYPTION_KEYS", "POSTGRES_PASSWORD", "DATABASE_URL"):
        assert re.search(r"\$\{\w+:\?", values[name])
    copied = (ROOT / ".dockerignore").read_text()
    assert "\n*\n" in copied
    assert not re.search(r"^!.*\.env", copied, re.MULTILINE)
    assert not re.search(r"^(ARG|ENV) .*(KEY|SECRET|PASSWORD|TOKEN)", DOCKERFILE, re.MULTILINE)


def test_what_is_copied_into_the_image_exists_and_is_not_left_out() -> None:
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)]
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists()
        assert f"!{name}" in kept


def test_every_command_exists() -> None:
    commands = " ".join(str(word) for service in OURS.values() for word in service.get("command", []))
    named = re.findall(r"manage\.py (\w+)((?: --[\w-]+)*)", commands)
    assert {name for name, _ in named} == {"migrate", "ai_seed", "ai_worker"}
    for name, options in named:
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        parser.parse_args(options.split())


def test_the_server_of_the_image_takes_its_options() -> None:
    command = json.loads(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1])
    context = command_line.make_context("uvicorn", command[1:])
    assert context.params["app"] == "project.asgi:application"
    assert context.params["ws_max_size"] == Conf().WS_MAX_MESSAGE_BYTES
    assert f":{context.params['port']}" in HAPROXY.read_text()


def test_python_is_one_that_the_package_takes() -> None:
    version = re.search(r"^ARG PYTHON=(.*)$", DOCKERFILE, re.MULTILINE)
    assert version
    assert f'"Programming Language :: Python :: {version[1]}"' in (ROOT / "pyproject.toml").read_text()


def test_the_image_installs_what_is_tested() -> None:
    server, everything = pinned("requirements-server.lock"), pinned("requirements.lock")
    assert server.items() <= everything.items()
    assert {"django", "uvicorn", "psycopg", "redis", "channels", "django-tasks-db"} <= server.keys()
    assert not {"pytest", "mypy", "playwright"} & server.keys()


def test_nothing_is_killed_before_it_can_have_ended() -> None:
    drain = Conf().DRAIN_NOTICE_SECONDS + STRAGGLERS_SECONDS + Conf().DRAIN_SECONDS + 3 * END_SECONDS
    for name in ("web1", "web2"):
        assert seconds(SERVICES[name]["stop_grace_period"]) > drain
    assert SERVER_SECONDS < END_SECONDS * 3
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > STOP_SECONDS


def test_the_proxy_notices_in_time_and_repeats_no_call() -> None:
    text = HAPROXY.read_text()
    checks = re.search(r"check inter (\d+)s fall (\d+)", text)
    assert checks
    assert int(checks[1]) * (int(checks[2]) + 1) < Conf().DRAIN_NOTICE_SECONDS
    assert re.findall(r"^ +retry-on (.*)$", text, re.MULTILINE) == ["conn-failure"]
    assert "uri /readyz" in text
    assert set(re.findall(r"^ +server (\w+) \1:8000$", text, re.MULTILINE)) == {"web1", "web2"}


def test_the_proxy_takes_its_configuration() -> None:
    if shutil.which("haproxy") is None:
        unavailable("HAProxy is missing")
    checked = subprocess.run(["haproxy", "-c", "-f", str(HAPROXY)], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
