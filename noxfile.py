"""The suite beyond ``make test``: on PostgreSQL, and with the Django that the lock gives another Python."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox
import psycopg

POSTGRES_URL = os.environ.get("DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")

# What speaks to providers has nothing to do with Django, and neither have other runtimes and the clients in JavaScript.
NOT_OF_DJANGO = ("benchmarks", "browser", "config", "families", "integrations", "javascript", "transports", "upstreams")
ELSEWHERE = tuple(f"--ignore=tests/{folder}" for folder in NOT_OF_DJANGO)
PARALLEL = ("--numprocesses", "auto", "--dist", "worksteal")
STORED = (
    "tests/state",
    "tests/commands",
    "tests/service",
    "tests/videos",
    "tests/api",
    "tests/websocket/test_handshake.py",
    "tests/websocket/test_streams.py",
    "tests/test_leaks.py",
)

nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"


def search_pyenv() -> None:
    """Put the interpreters that pyenv keeps apart on the path, before its shims: those fail where no version is chosen."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    os.environ["PATH"] = os.pathsep.join([*map(str, (root / "versions").glob("3.*/bin")), os.environ["PATH"]])


def other_python() -> str:
    """A Python on the other side of 3.12, the first one that Django 6 runs on; one that this machine has, if any."""
    others = ("3.11",) if sys.version_info >= (3, 12) else ("3.12", "3.13", "3.14")
    return next((version for version in others if shutil.which(f"python{version}")), others[0])


search_pyenv()


@nox.session(python=False)
def postgres(session: nox.Session) -> None:
    """What touches the database, on PostgreSQL, when a server answers at ``DATABASE_URL`` or on the standard port."""
    try:
        psycopg.connect(POSTGRES_URL, connect_timeout=2).close()
    except psycopg.OperationalError:
        session.skip("no PostgreSQL server answers")
    session.run(sys.executable, "-m", "pytest", *PARALLEL, *(session.posargs or STORED), env={"DATABASE_URL": POSTGRES_URL})


@nox.session(python=other_python())
def other_django(session: nox.Session) -> None:
    """The suite with the other supported line of Django: 5.2 below Python 3.12, 6.x from there on."""
    session.install("--require-hashes", "--no-build", "--no-deps", "--requirement", "requirements.lock")
    session.install("--no-deps", "--no-build-isolation", "--editable", ".")
    session.run("python", "-m", "pytest", *PARALLEL, *(session.posargs or ELSEWHERE))
