"""The suite beyond ``make test``: with the Django that the lock gives another Python, on PostgreSQL and Redis."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox
import psycopg
import redis

POSTGRES_URL = os.environ.get("DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")

# What speaks to providers has nothing to do with Django or where it stores, and neither have other runtimes and the clients in
# JavaScript.
NOT_OF_DJANGO = ("benchmarks", "browser", "config", "families", "integrations", "javascript", "transports", "upstreams")
ELSEWHERE = tuple(f"--ignore=tests/{folder}" for folder in NOT_OF_DJANGO)
PARALLEL = ("--numprocesses", "auto", "--dist", "worksteal")

nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"


def search_pyenv() -> None:
    """Put the interpreters that pyenv keeps apart on the path, before its shims: those fail where no version is chosen."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    os.environ["PATH"] = os.pathsep.join([*map(str, (root / "versions").glob("3.*/bin")), os.environ["PATH"]])


def other_python() -> str | None:
    """A Python on the other side of 3.12, the first one that Django 6 runs on; ``None`` where this machine has none."""
    others = ("3.11",) if sys.version_info >= (3, 12) else ("3.12", "3.13", "3.14")
    return next((version for version in others if shutil.which(f"python{version}")), None)


def servers() -> dict[str, str]:
    """PostgreSQL and Redis, those that answer at ``DATABASE_URL`` and ``REDIS_URL`` or on their standard ports."""
    found = {}
    try:
        psycopg.connect(POSTGRES_URL, connect_timeout=2).close()
        found["DATABASE_URL"] = POSTGRES_URL
    except psycopg.OperationalError:
        pass
    try:
        redis.Redis.from_url(REDIS_URL, socket_connect_timeout=2).ping()
        found["REDIS_URL"] = REDIS_URL
    except redis.RedisError:
        pass
    return found


search_pyenv()
OTHER_PYTHON = other_python()


@nox.session(python=OTHER_PYTHON or False)
def elsewhere(session: nox.Session) -> None:
    """Django 5.2 below Python 3.12 and 6.x from there on, whichever ``make test`` has not, on PostgreSQL and Redis.

    What this machine lacks of these is left as it is in ``make test``.
    """
    found = servers()
    if OTHER_PYTHON is None and not found:
        session.skip("there is no other Python and neither PostgreSQL nor Redis answers")
    python = sys.executable
    if OTHER_PYTHON is not None:
        session.install("--require-hashes", "--no-build", "--no-deps", "--requirement", "requirements.lock")
        session.install("--no-deps", "--no-build-isolation", "--editable", ".")
        python = "python"
    session.log(f"with {', '.join(found) or 'no server'}")
    session.run(python, "-m", "pytest", *PARALLEL, *(session.posargs or ELSEWHERE), env=found, external=OTHER_PYTHON is None)
