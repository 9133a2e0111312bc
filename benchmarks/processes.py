"""Processes that are measured: started, stopped, put to sleep, and read from ``/proc``."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.environments import Unavailable
from benchmarks.machine import ROOT
from benchmarks.workloads import Request

STOP_SECONDS = 10
START_SECONDS = 120
ANSWER_SECONDS = 30
LOOK_SECONDS = 0.005
REST_SECONDS = 10
REST_LOOK_SECONDS = 0.25
REST_SHARE = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a process and those that it started, in KiB: resident, and with shared pages divided among their users."""

    rss: int
    pss: int


class Process:
    """A process in a session of its own, with all that it starts."""

    def __init__(
        self, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT, talks: bool = False
    ) -> None:
        """Start it.

        Args:
            command: what to run.
            log: where its output goes, what it says on standard error in any case.
            env: additions to the environment.
            cwd: its folder.
            talks: its standard input and output are pipes.
        """
        pipe = subprocess.PIPE if talks else None
        with log.open("ab") as file:
            self.started = time.monotonic()
            self.popen = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or file,
                stderr=file,
                text=True,
                start_new_session=True,
            )
        self.log = log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def order(self, **order: Any) -> dict[str, Any]:
        """Write an order as a JSON line to its standard input, and tell what it answers.

        Raises:
            Unavailable: it ended instead.
        """
        assert self.popen.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError):
            self.popen.stdin.write(json.dumps(order) + "\n")
            self.popen.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """The next JSON object on its standard output; what else it prints is not meant for us.

        Raises:
            Unavailable: it ended instead; with the last that it said.
        """
        assert self.popen.stdout is not None  # noqa: S101
        for line in self.popen.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        raise Unavailable(f"it ended: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of its log."""
        said = self.log.read_text(errors="replace").strip().splitlines()
        return said[-1][-200:] if said else "without a word"

    def answer(self, request: Request) -> float:
        """Ask until there is a good answer, and tell how many seconds after the start that was.

        Raises:
            Unavailable: it ended, or it took too long.
        """
        said = "no answer"
        while time.monotonic() < self.started + START_SECONDS:
            if self.popen.poll() is not None:
                raise Unavailable(f"it ended: {self.last_words()}")
            try:
                told = ask(request)
            except urllib.error.HTTPError as error:
                said = f"status {error.code}"
            except OSError as error:
                said = type(error).__name__
            else:
                if request.marker in told:
                    return time.monotonic() - self.started
                said = "an answer that is not the upstream's"
            time.sleep(LOOK_SECONDS)
        raise Unavailable(f"it did not answer within {START_SECONDS} s: {said}")

    def rest(self) -> None:
        """Wait until it is done with what its clients no longer wait for."""
        deadline = time.monotonic() + REST_SECONDS
        before, now = -1.0, self.cpu_seconds()
        while now - before > REST_SHARE * REST_LOOK_SECONDS and time.monotonic() < deadline:
            time.sleep(REST_LOOK_SECONDS)
            before, now = now, self.cpu_seconds()

    def sleep(self) -> None:
        """Take no processor time until ``wake``, so that others can be measured beside it. What is under way ends before."""
        self.rest()
        os.killpg(self.popen.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """Go on."""
        os.killpg(self.popen.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it and what it started."""
        with suppress(ProcessLookupError):
            self.wake()
            os.killpg(self.popen.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def cpu_seconds(self) -> float:
        """Processor time so far."""
        return sum(_cpu_seconds(pid) for pid in self._pids())

    def memory(self) -> Memory:
        """What it takes now."""
        found = [_memory(pid) for pid in self._pids()]
        return Memory(sum(each.rss for each in found), sum(each.pss for each in found))

    def _pids(self) -> list[int]:
        return [int(path.name) for path in Path("/proc").glob("[1-9]*") if _session(int(path.name)) == self.popen.pid]


def ask(request: Request) -> str:
    """The body of an answer.

    Raises:
        OSError: there is none, or it is an error.
    """
    headers = {"content-type": "application/json", **request.headers}
    call = urllib.request.Request(request.url, request.encoded.encode(), headers)  # noqa: S310
    with urllib.request.urlopen(call, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
        return str(answer.read().decode())


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _session(pid: int) -> int | None:
    with suppress(ProcessLookupError, PermissionError):
        return os.getsid(pid)
    return None


def _cpu_seconds(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


def _memory(pid: int) -> Memory:
    with suppress(OSError):
        lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        sizes = {line[0]: int(line[1]) for line in lines}
        return Memory(sizes["Rss:"], sizes["Pss:"])
    return Memory(0, 0)
