"""The rounds: each measures every subject once, one after the other, so that a disturbance meets them all."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks import environments, inprocess, load
from benchmarks.environments import Unavailable
from benchmarks.processes import Process
from benchmarks.results import Metric, Results, Subject
from benchmarks.servers import LAUNCHERS, Place, Server
from benchmarks.workloads import PROMPT, STREAM_CONNECTIONS, STREAM_MARKER, Request

WARM_UP_SECONDS = 1
EMBEDDINGS_SECONDS = 4
MICROSECONDS = 1e6

_LOADS = {
    "plain": (Metric.PLAIN, Metric.PLAIN_CPU),
    "stream": (Metric.STREAM, Metric.STREAM_CPU),
}
_EMBEDDINGS = {
    "embeddings": (Metric.MANY_TIME, Metric.MANY_CPU),
    "embeddings_base64": (Metric.MANY_BASE64_TIME, Metric.MANY_BASE64_CPU),
}
_CALLS = {
    "plain": Metric.PLAIN_CPU,
    "stream": Metric.STREAM_CPU,
    "few": Metric.FEW_CPU,
    "many": Metric.MANY_CPU,
}
_ENVIRONMENTS = {Subject.OPENAI: "libraries", Subject.LITELLM: "libraries", Subject.TENSORZERO: "tensorzero"}


@dataclass
class Rounds:
    """Servers and libraries, started once and measured in turn. Those that wait sleep.

    Attributes:
        place: where they are started.
        results: where it is written down.
        wanted: the subjects to measure.
        seconds: how long each is measured.
        wrk: the load generator, once it is found.
        servers, libraries: what runs.
        direct: the latest load on the upstream itself, over one connection.
    """

    place: Place
    results: Results
    wanted: Set[Subject]
    seconds: float
    wrk: str | None = None
    servers: list[Server] = field(default_factory=list)
    libraries: dict[Subject, tuple[Process, list[str]]] = field(default_factory=dict)
    direct: load.Load | None = None

    def start(self) -> None:
        """Start what is wanted; what cannot be had is left out, with its reason."""
        try:
            self.wrk = load.find_wrk()
        except Unavailable as error:
            self.results.left_out["calls over HTTP"] = str(error)
        for subjects, launch in LAUNCHERS.items():
            if not self._wants(*subjects):
                continue
            try:
                server = launch(self.place)
            except Unavailable as error:
                self.results.left_out |= {subject: str(error) for subject in subjects if subject in self.wanted}
                continue
            self.servers.append(server)
            if server.process is not None:
                server.process.sleep()
                owner = Subject.HOST if Subject.FACADE in subjects else subjects[0]
                self.results.add(owner, Metric.START, server.start_seconds)
                self.results.add(owner, Metric.MEMORY, server.memory_mb)
        for library in inprocess.LIBRARIES:
            if library in self.wanted:
                self._start_library(library)

    def _wants(self, *subjects: Subject) -> bool:
        # What is added to a call can only be told beside the direct one.
        served = {subject for known in LAUNCHERS for subject in known}
        return bool(self.wanted & {*subjects}) or (subjects == (Subject.DIRECT,) and bool(self.wanted & served))

    def _start_library(self, library: Subject) -> None:
        try:
            python = environments.python_of(_ENVIRONMENTS[library]) if library in _ENVIRONMENTS else sys.executable
            process = Process(
                self.place.cores.measured([python, "-m", "benchmarks.inprocess", library, self.place.upstream]),
                env=self.place.host.copy(library).environment if library is Subject.PYTHON else None,
                log=self.place.folder / f"{library}.log",
                talks=True,
            )
            try:
                self.libraries[library] = process, process.hear()["workloads"]
            except Unavailable:
                process.stop()
                raise
        except Unavailable as error:
            self.results.left_out[library] = str(error)
        else:
            process.sleep()

    def stop(self) -> None:
        """End all of them."""
        for server in self.servers:
            if server.process is not None:
                server.process.stop()
        for process, _ in self.libraries.values():
            process.stop()

    def run(self) -> None:
        """One round."""
        for server in self.servers:
            if server.process is not None:
                server.process.wake()
            for subject, requests in server.roads.items():
                if self.wrk is not None and (subject in self.wanted or subject is Subject.DIRECT):
                    self._load(self.wrk, server, subject, requests)
            if Subject.FACADE in server.roads and Subject.WEBSOCKET in self.wanted:
                self._sockets(server)
            if server.process is not None:
                server.process.sleep()
        for library, (process, workloads) in self.libraries.items():
            process.wake()
            for workload in workloads:
                self._call(library, process, workload)
            process.sleep()

    def _load(self, wrk: str, server: Server, subject: Subject, requests: Mapping[str, Request]) -> None:
        for workload in ("plain", "stream"):
            if workload in requests:
                load.run(wrk, self.place.cores, requests[workload], seconds=WARM_UP_SECONDS)
        alone = load.run(wrk, self.place.cores, requests["plain"], seconds=self.seconds, connections=1)
        if self.direct is None or subject is Subject.DIRECT:
            self.direct = alone
        else:
            told = {"answers": alone.answers, "bad": alone.bad}
            self.results.add(subject, Metric.ADDED_P50, alone.p50_ms - self.direct.p50_ms, **told)
            self.results.add(subject, Metric.ADDED_P99, alone.p99_ms - self.direct.p99_ms, **told)
        for workload, (rate, cpu) in _LOADS.items():
            if workload in requests:
                done, spent = self._measured(wrk, server, requests[workload])
                self.results.add(subject, rate, done.rate, answers=done.answers, bad=done.bad)
                self.results.add(subject, cpu, spent, answers=done.answers, bad=done.bad)
        for workload, (time, cpu) in _EMBEDDINGS.items():
            if workload in requests and subject is not Subject.DIRECT:
                done, spent = self._measured(wrk, server, requests[workload], EMBEDDINGS_SECONDS)
                self.results.add(subject, time, done.p50_ms or None, answers=done.answers, bad=done.bad)
                self.results.add(subject, cpu, spent, answers=done.answers, bad=done.bad)

    def _measured(self, wrk: str, server: Server, request: Request, least: float = 0) -> tuple[load.Load, float | None]:
        """A load, and the processor time that the server took for an answer, in microseconds."""
        if server.process is not None:
            server.process.rest()
        before = server.process.cpu_seconds() if server.process is not None else 0.0
        done = load.run(wrk, self.place.cores, request, seconds=max(self.seconds, least))
        if server.process is None or not done.answers:
            return done, None
        return done, MICROSECONDS * (server.process.cpu_seconds() - before) / done.answers

    def _sockets(self, server: Server) -> None:
        address = urlsplit(server.roads[Subject.FACADE]["plain"].url)
        assert server.process is not None  # noqa: S101
        command = self.place.cores.load([sys.executable, "-m", "benchmarks.sockets"])
        with Process(command, log=self.place.folder / "sockets.log", talks=True) as client:
            server.process.rest()
            before = server.process.cpu_seconds()
            told = client.order(
                do="load",
                host=address.hostname,
                port=address.port,
                token=self.place.host.tokens[0],
                connections=STREAM_CONNECTIONS,
                seconds=self.seconds,
                warm_up=WARM_UP_SECONDS,
                request=json.dumps({"prompt": PROMPT}),
                marker=STREAM_MARKER,
            )
            spent = server.process.cpu_seconds() - before
        if told["bad"]:
            self.results.left_out["some streams over the websocket"] = told["first_bad"][0]
        counted = {"answers": told["good"] + told["bad"], "bad": told["bad"]}
        self.results.add(Subject.WEBSOCKET, Metric.STREAM, told["good"] / told["seconds"], **counted)
        self.results.add(Subject.WEBSOCKET, Metric.CLIENT_CPU, told["client_cpu"])
        if told["all"]:
            self.results.add(Subject.WEBSOCKET, Metric.STREAM_CPU, MICROSECONDS * spent / told["all"], **counted)

    def _call(self, library: Subject, process: Process, workload: str) -> None:
        try:
            told = process.order(workload=workload, seconds=self.seconds / 2)
        except Unavailable as error:
            self.results.left_out[library] = str(error)
            return
        counted = {"answers": told["calls"], "bad": told["bad"]}
        self.results.add(library, _CALLS[workload], told["cpu_us"], **counted)
        if workload == "stream":
            self.results.add(library, Metric.MEMORY, told["largest_rss_kib"] / 1024)
