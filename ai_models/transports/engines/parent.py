"""The server's side: start an engine, hand it a request, take its answer, and stop it when nobody waits any more."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from ai_models.exceptions import InvalidRequest, NotReady, PayloadTooLarge, UnsupportedFunctionality, UpstreamError

PROCESSES = 2
"""Engines that run at once for one event loop; further calls wait."""

_START = "import json, runpy, sys; sys.path[:] = json.loads(sys.argv[2]); runpy.run_module(sys.argv[1], run_name='__main__')"
# All of the environment that an engine gets: what the system needs to start a program.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_ERRORS = {kind.code: kind for kind in (InvalidRequest, PayloadTooLarge, UnsupportedFunctionality, NotReady)}
_slots: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}


async def run(engine: str, request: Mapping[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
    """One call of an engine.

    Args:
        engine: name of a module of this package, which calls :func:`~ai_models.transports.engines.child.serve`.
        request: JSON.
        data: bytes that go with it.

    Returns:
        The engine's answer, and the bytes that came with it.

    Raises:
        AIModelsError: the engine refused the request.
        UpstreamError: it broke down.
    """
    async with _slot():
        process = await _start(engine)
        try:
            told, _ = await process.communicate(json.dumps(request).encode() + b"\n" + data)
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()  # reads what is left, so that the pipes close
            raise
    return _answer(told, process.returncode)


def _slot() -> asyncio.Semaphore:
    """What a call holds while its engine runs; a semaphore belongs to one event loop."""
    for ended in [loop for loop in list(_slots) if loop.is_closed()]:
        _slots.pop(ended, None)
    return _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(PROCESSES))


async def _start(engine: str) -> asyncio.subprocess.Process:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # The matrices here are small: threads would only take the processor from the rest.
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    arguments = ("-I", "-c", _START, f"{__package__}.{engine}", json.dumps([entry for entry in sys.path if entry]))
    try:
        return await asyncio.create_subprocess_exec(
            _python(), *arguments, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment
        )
    except OSError:
        message = "The engine's process cannot be started: there is no Python to run it, or no room for it."
        raise NotReady(message, remedy="admin") from None


def _python() -> str:
    """The interpreter. Servers that embed Python, such as uWSGI, put themselves into ``sys.executable``."""
    if Path(sys.executable or "").name.lower().startswith("python"):
        return sys.executable
    return str(Path(sys.exec_prefix, "bin", "python3"))


def _answer(told: bytes, status: int | None) -> tuple[dict[str, Any], bytes]:
    head, _, produced = told.partition(b"\n")
    try:
        answer = json.loads(head) if status == 0 else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise UpstreamError("The local engine broke down over this input.", retryable=False, remedy="caller")
    if code := answer.get("error"):
        raise _ERRORS[code](answer["message"])
    return answer, produced
