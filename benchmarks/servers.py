"""The servers that are measured: how each is started, and the ways to call it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import environments
from benchmarks.host import Host, openai_requests
from benchmarks.machine import Cores
from benchmarks.processes import Process, free_port
from benchmarks.results import Subject
from benchmarks.workloads import MODEL, Request

KEY = "sk-of-the-benchmark"
SETTLE_SECONDS = 2.0
KIB_PER_MB = 1024

Roads = Mapping[Subject, Mapping[str, Request]]
"""The requests of each way to call a server, by workload."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers.

    Attributes:
        process: what serves; ``None`` for the upstream, which is not what is measured.
        roads: the ways to call it.
        start_seconds: from the start of the process to its first good answer.
        memory_mb: resident memory at rest after the first answer.
    """

    process: Process | None
    roads: Roads
    start_seconds: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where servers are started: cores, a folder for their files, the upstream's address, and this project's database."""

    cores: Cores
    folder: Path
    upstream: str
    host: Host


def start(process: Process, roads: Roads) -> Server:
    """Wait for the first good answer, and for the rest after it.

    Raises:
        Unavailable: it does not answer.
    """
    try:
        seconds = process.answer(next(iter(roads.values()))["plain"])
        time.sleep(SETTLE_SECONDS)
        return Server(process, roads, seconds, process.memory().rss / KIB_PER_MB)
    except BaseException:
        process.stop()
        raise


def direct(place: Place) -> Server:
    """The upstream, without anything before it."""
    return Server(None, {Subject.DIRECT: openai_requests(place.upstream, MODEL, {})})


def _floor(place: Place, subject: Subject, module: str, *workloads: str) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"{module}:application", "--port", str(port)]
    process = Process(
        place.cores.measured([*command, "--log-level", "error", "--no-access-log", "--lifespan", "off"]),
        env={"BENCH_UPSTREAM": place.upstream},
        log=place.folder / f"{subject}.log",
    )
    requests = openai_requests(f"http://127.0.0.1:{port}", MODEL, {})
    return start(process, {subject: {workload: requests[workload] for workload in workloads}})


def asgi(place: Place) -> Server:
    """The bare ASGI application."""
    return _floor(place, Subject.ASGI, "benchmarks.floor_asgi", "plain", "stream")


def django(place: Place) -> Server:
    """The Django view."""
    return _floor(place, Subject.DJANGO, "benchmarks.floor_django", "plain")


def litellm_proxy(place: Place) -> Server:
    """LiteLLM's proxy with one worker, no database, and the settings that it recommends for production."""
    python = environments.python_of("litellm-proxy")
    port = free_port()
    config = place.folder / "litellm.json"
    parameters = {"model": f"openai/{MODEL}", "api_key": KEY, "api_base": place.upstream}
    told = {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
    }
    config.write_text(json.dumps(told))
    command = [str(Path(python).with_name("litellm")), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    production = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
    process = Process(
        place.cores.measured(command), env=production, cwd=place.folder, log=place.folder / f"{Subject.LITELLM_PROXY}.log"
    )
    requests = openai_requests(f"http://127.0.0.1:{port}/v1", MODEL, {"authorization": f"Bearer {KEY}"})
    return start(process, {Subject.LITELLM_PROXY: requests})


def portkey(place: Place) -> Server:
    """Portkey's gateway on Node.js."""
    node, folder = environments.portkey()
    port = free_port()
    script = "node_modules/@portkey-ai/gateway/build/start-server.js"
    process = Process(
        place.cores.measured([node, script, f"--port={port}", "--headless"]),
        cwd=folder,
        log=place.folder / f"{Subject.PORTKEY}.log",
    )
    headers = {
        "authorization": f"Bearer {KEY}",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": place.upstream,
    }
    return start(process, {Subject.PORTKEY: openai_requests(f"http://127.0.0.1:{port}/v1", MODEL, headers)})


def host(place: Place) -> Server:
    """This project."""
    process, base = place.host.start(place.cores)
    return start(process, {Subject.FACADE: place.host.facade(base), Subject.REST: place.host.rest(base)})


LAUNCHERS: Mapping[tuple[Subject, ...], Callable[[Place], Server]] = {
    (Subject.DIRECT,): direct,
    (Subject.ASGI,): asgi,
    (Subject.DJANGO,): django,
    (Subject.PORTKEY,): portkey,
    (Subject.LITELLM_PROXY,): litellm_proxy,
    (Subject.FACADE, Subject.REST, Subject.WEBSOCKET): host,
}
"""What starts a server, by the subjects that it serves."""
