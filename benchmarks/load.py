"""Load over HTTP, by wrk."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import Unavailable
from benchmarks.machine import Cores
from benchmarks.workloads import Request

SCRIPT = Path(__file__).with_name("load.lua")
TIMEOUT_SECONDS = 30
INSTALL_SECONDS = 300

_RESULT = re.compile(r"^RESULT (\{.*\})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of wrk saw.

    Attributes:
        answers: good and bad ones.
        seconds: how long it took.
        p50_ms, p99_ms: latency in milliseconds.
        bad: answers that were errors or incomplete, and connections that failed.
    """

    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float
    bad: int

    @property
    def rate(self) -> float:
        """Good answers in a second."""
        return max(self.answers - self.bad, 0) / self.seconds


def parse(output: str) -> Load:
    """The load from what wrk printed with our script.

    Raises:
        ValueError: there is no result in it.
    """
    found = _RESULT.search(output)
    if found is None:
        raise ValueError(f"wrk printed no result: {output.strip()[-300:]}")
    told = json.loads(found[1])
    # Not one answer in all the time is no good result either.
    return Load(**told) if told["answers"] else Load(**{**told, "answers": 1, "bad": max(told["bad"], 1)})


def find_wrk() -> str:
    """The path of wrk; root on Debian gets it installed.

    Raises:
        Unavailable: it is not there.
    """
    if not shutil.which("wrk") and shutil.which("apt-get") and os.geteuid() == 0:
        install = "apt-get update -qq && apt-get install -qq --yes --no-install-recommends wrk"
        subprocess.run(["sh", "-c", install], capture_output=True, timeout=INSTALL_SECONDS, check=False)  # noqa: S607
    found = shutil.which("wrk")
    if found is None:
        raise Unavailable("wrk is not installed (apt-get install wrk)")
    return found


def run(wrk: str, cores: Cores, request: Request, *, seconds: float, connections: int | None = None) -> Load:
    """Send the request again and again for so long."""
    command = [wrk, "--threads", "1", "--connections", str(connections or request.connections)]
    command += ["--duration", f"{max(round(seconds), 1)}s", "--timeout", f"{TIMEOUT_SECONDS}s", "--script", str(SCRIPT)]
    environment = {
        **os.environ,
        "BENCH_BODY": request.encoded,
        "BENCH_MARKER": request.marker,
        "BENCH_HEADERS": "\n".join(f"{name}: {value}" for name, value in request.headers.items()),
    }
    done = subprocess.run(
        cores.load([*command, request.url]),
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds + 2 * TIMEOUT_SECONDS,
        check=False,
    )
    return parse(done.stdout + done.stderr)
