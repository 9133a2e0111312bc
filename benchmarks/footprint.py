"""What this project takes besides processor time: memory at rest, for a socket and for a stream; time to start and to check."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import host, sockets
from benchmarks.environments import Unavailable
from benchmarks.machine import ROOT
from benchmarks.processes import Process, ask
from benchmarks.results import Metric, Results, Subject
from benchmarks.servers import KIB_PER_MB, SETTLE_SECONDS, Place, Server, start
from benchmarks.servers import host as start_host
from benchmarks.workloads import MODEL, TOKENS, Request, pausing

CONNECTIONS = 1000
PAUSE_MILLISECONDS = 20_000
WARM_UP_CALLS = 20
WARM_LIMIT_SECONDS = 60
STEADY_KIB = 512
STEADY_LOOKS = 4


def measure(place: Place, results: Results, rounds: int, connections: int = CONNECTIONS) -> None:
    """Measure all of it; what fails is left out, with its reason."""
    steps: dict[str, Callable[[], None]] = {
        "start": lambda: measure_start(place, results, rounds),
        "check": lambda: measure_check(place, results, rounds),
        "memory with litellm": lambda: measure_warm(place, results),
        "idle sockets and their streams": lambda: measure_sockets(place, results, connections),
        "open streams of OpenAI's API": lambda: measure_streams(place, results, Subject.FACADE, connections),
        "open streams of REST": lambda: measure_streams(place, results, Subject.REST, connections),
    }
    for name, step in steps.items():
        try:
            step()
        except Unavailable as error:
            results.left_out[name] = str(error)


def measure_start(place: Place, results: Results, rounds: int) -> None:
    """From the start of a process to its first good answer, and its memory afterwards."""
    for _ in range(rounds):
        with fresh(place) as (server, _):
            results.add(Subject.HOST, Metric.START, server.start_seconds)
            results.add(Subject.HOST, Metric.MEMORY, server.memory_mb)


def measure_check(place: Place, results: Results, rounds: int) -> None:
    """``manage.py check`` beside that of a project that ``startproject`` just made."""
    empty = place.folder / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    empty.mkdir()
    run([sys.executable, "-m", "django", "startproject", "empty", str(empty)], place, empty, {})
    for _ in range(rounds + 1):
        ours = run([sys.executable, "manage.py", "check"], place, ROOT, place.host.environment)
        theirs = run([sys.executable, "manage.py", "check"], place, empty, {})
        results.add(Subject.HOST, Metric.CHECK, ours / theirs)
        results.add(Subject.HOST, Metric.CHECK_TIME, ours)


def run(command: Sequence[str], place: Place, cwd: Path, env: dict[str, str]) -> float:
    """The processor time of a command, in seconds.

    Raises:
        Unavailable: it failed.
    """
    unset = {name: value for name, value in os.environ.items() if name not in {"DJANGO_SETTINGS_MODULE", "PYTHONPATH"}}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        place.cores.measured(command), cwd=cwd, env={**unset, **env}, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Unavailable(f"{command[1]} failed: {done.stderr.strip()[-200:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_warm(place: Place, results: Results) -> None:
    """Memory when a family is configured that litellm translates: once litellm is imported and nothing grows any more."""
    translated = host.prepare(place.folder / "translated", place.upstream, translated=True)
    process, base = translated.start(place.cores)
    with process:
        start(process, {Subject.FACADE: translated.facade(base)})
        plain = translated.facade(base)["plain"]
        # The upstream does not speak this protocol. litellm is imported by then all the same, whatever becomes of the call.
        through = Request(plain.url, {**plain.body, "model": f"{host.TRANSLATED}/{MODEL}"}, "", 1, plain.headers)
        with suppress(OSError):
            ask(through)
        results.add(Subject.HOST, Metric.WARM_MEMORY, steady(process) / KIB_PER_MB)


def steady(process: Process) -> int:
    """Resident memory in KiB as soon as it has stayed the same for some seconds."""
    looks: list[int] = []
    deadline = time.monotonic() + WARM_LIMIT_SECONDS
    while time.monotonic() < deadline:
        looks.append(process.memory().rss)
        if len(looks) >= STEADY_LOOKS and max(looks[-STEADY_LOOKS:]) - min(looks[-STEADY_LOOKS:]) < STEADY_KIB:
            break
        time.sleep(SETTLE_SECONDS / 2)
    return looks[-1]


def measure_sockets(place: Place, results: Results, connections: int) -> None:
    """Memory of sockets on which nothing happens, and what a stream on each of them adds."""
    handshakes = [sockets.handshake("127.0.0.1", token).decode() for token in place.host.tokens]
    frame = sockets.asking("a", json.dumps({"prompt": pausing(PAUSE_MILLISECONDS)}))
    with fresh(place) as (server, process), client(place) as clients:
        # What the first sockets and streams bring along is not what each one takes.
        clients.order(**opening(server, WARM_UP_CALLS, handshakes, "\r\n\r\n"))
        clients.order(do="open", again=True, sends=[frame], awaited=TOKENS[0].strip())
        with client(place) as others:
            empty = settled(process)
            told = others.order(**opening(server, connections - WARM_UP_CALLS, handshakes, "\r\n\r\n"))
            idle = settled(process)
            add_share(results, Subject.WEBSOCKET, Metric.IDLE_SOCKET, idle - empty, told)
            told = others.order(do="open", again=True, sends=[frame], awaited=TOKENS[0].strip())
            add_share(results, Subject.WEBSOCKET, Metric.OPEN_STREAM, settled(process) - idle, told)


def measure_streams(place: Place, results: Results, subject: Subject, connections: int) -> None:
    """Memory of streams of server-sent events, each with its connection."""
    with fresh(place) as (server, process), client(place) as clients:
        asked = server.roads[subject]["stream"]
        prompt = pausing(PAUSE_MILLISECONDS)
        content = {"messages": [{"role": "user", "content": prompt}]} if "messages" in asked.body else {"prompt": prompt}
        sends = [raw(Request(asked.url, {**asked.body, **content}, "", 1, place.host.headers(n))) for n in range(host.ACCOUNTS)]
        clients.order(**opening(server, WARM_UP_CALLS, sends, TOKENS[0].strip()))
        with client(place) as others:
            empty = settled(process)
            told = others.order(**opening(server, connections - WARM_UP_CALLS, sends, TOKENS[0].strip()))
            add_share(results, subject, Metric.OPEN_STREAM, settled(process) - empty, told)


def add_share(results: Results, subject: Subject, metric: Metric, kib: int, told: dict[str, Any]) -> None:
    """Note the memory of one of those that are open."""
    if told["bad"]:
        results.left_out[f"{told['bad']} for {metric} of {subject}"] = told["first_bad"][0]
    results.add(
        subject, metric, kib / told["open"] if told["open"] else None, answers=told["open"] + told["bad"], bad=told["bad"]
    )


def raw(request: Request) -> str:
    """A request as it goes over the wire."""
    headers = {"host": urlsplit(request.url).netloc, "content-type": "application/json", **request.headers}
    headers["content-length"] = str(len(request.encoded.encode()))
    lines = [f"POST {urlsplit(request.url).path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", request.encoded])


def opening(server: Server, connections: int, sends: Sequence[str], awaited: str) -> dict[str, Any]:
    """The order to open connections to the server."""
    address = urlsplit(server.roads[Subject.FACADE]["plain"].url)
    told = {"host": address.hostname, "port": address.port, "connections": connections}
    return {"do": "open", "sends": list(sends), "awaited": awaited, **told}


def settled(process: Process) -> int:
    """Memory in KiB after a moment of rest, shared pages divided among their users."""
    time.sleep(SETTLE_SECONDS)
    return process.memory().pss


@contextmanager
def fresh(place: Place) -> Iterator[tuple[Server, Process]]:
    """A server that has answered one call."""
    server = start_host(place)
    assert server.process is not None  # noqa: S101
    with server.process as process:
        yield server, process


@contextmanager
def client(place: Place) -> Iterator[Process]:
    """A client that keeps connections open until the end of the block."""
    command = place.cores.load([sys.executable, "-m", "benchmarks.sockets"])
    with Process(command, log=place.folder / "sockets.log", talks=True) as process:
        yield process
