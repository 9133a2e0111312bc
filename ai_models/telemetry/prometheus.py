"""Metrics for Prometheus. The one module that imports its client.

With ``PROMETHEUS_MULTIPROC_DIR`` set, the processes of a server share their metrics through files in that folder, and each of
them tells those of all. Without it a process tells its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ai_models.conf import MULTIPROCESS_VARIABLE
from ai_models.telemetry import gauges
from ai_models.telemetry.instruments import ALL, Instrument

SAMPLE_SECONDS = 2.0
"""How often a process writes its gauges, where processes share their metrics."""

_UNITS = {"s": "_seconds"}


def name_of(instrument: Instrument) -> str:
    """An instrument's name as Prometheus writes it; a counter ends in ``_total`` too."""
    return instrument.name.replace(".", "_") + _UNITS.get(instrument.unit, "")


class Prometheus:
    """The metrics of this process, and what a scrape of it shows."""

    def __init__(self) -> None:
        self._folder = os.environ.get(MULTIPROCESS_VARIABLE)
        self._registry = CollectorRegistry()
        self._recorded: dict[Instrument, Histogram | Counter] = {}
        for instrument in ALL:
            if instrument.kind == "histogram":
                options = {"buckets": instrument.buckets, "registry": self._registry}
                self._recorded[instrument] = Histogram(*_declared(instrument), **options)  # type: ignore[arg-type]
            elif instrument.kind == "counter":
                self._recorded[instrument] = Counter(*_declared(instrument), registry=self._registry)
        self._sampler = Sampler(self._registry) if self._folder else None
        if not self._folder:
            self._registry.register(_Gauges())

    def recorder(self, instrument: Instrument, labels: Mapping[str, str]) -> Callable[[float], None]:
        """See :class:`~ai_models.telemetry.sinks.Sink`."""
        metric = self._recorded[instrument].labels(*_values(instrument, labels))
        return metric.observe if isinstance(metric, Histogram) else metric.inc

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Every metric as text, and its media type.

        Args:
            accept: the header of the request.
        """
        encode, media_type = choose_encoder(accept)
        registry = self._registry
        if self._folder is not None and self._sampler is not None:
            self._sampler.sample()
            _forget_ended(Path(self._folder))
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry, path=self._folder)  # type: ignore[no-untyped-call]
        return encode(registry), media_type


class Sampler:
    """Writes the gauges of this process to the shared files, from time to time and before a scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauges = {
            instrument: Gauge(
                *_declared(instrument),
                registry=registry,
                multiprocess_mode="liveall" if instrument.each else "livesum",
            )
            for instrument in ALL
            if instrument.kind == "gauge"
        }
        self._told: dict[Instrument, set[tuple[str, ...]]] = {instrument: set() for instrument in self._gauges}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="ai_models-gauges", daemon=True).start()

    def sample(self) -> None:
        """Write what the gauges say now; one that says nothing any more is 0."""
        with self._lock:
            for instrument, gauge in self._gauges.items():
                now = {_values(instrument, labels): value for labels, value in gauges.readings(instrument)}
                for values in self._told[instrument] | now.keys():
                    (gauge.labels(*values) if values else gauge).set(now.get(values, 0.0))
                self._told[instrument] |= now.keys()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self.sample()


class _Gauges(Collector):
    """Reads the gauges when a scrape asks."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for instrument in ALL:
            if instrument.kind == "gauge":
                name, description, labels = _declared(instrument)
                family = GaugeMetricFamily(name, description, labels=labels)
                for found, value in gauges.readings(instrument):
                    family.add_metric(_values(instrument, found), value)
                yield family


def _declared(instrument: Instrument) -> tuple[str, str, list[str]]:
    return name_of(instrument), instrument.description, [label.replace(".", "_") for label in instrument.labels]


def _values(instrument: Instrument, labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(label, "") for label in instrument.labels)


def _forget_ended(folder: Path) -> None:
    """Gauges of processes that have ended say nothing any more; their histograms and counters still count."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:  # it is another user's, and there
            continue
