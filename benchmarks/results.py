"""What was measured: numbers of each round by subject and metric, how they are told, and their file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from statistics import median
from typing import Any, Self

QUIET_LOAD = 0.5


class Subject(StrEnum):
    """What is measured: ways to call a server, libraries in process, and this project's server itself."""

    DIRECT = "direct"
    ASGI = "asgi"
    DJANGO = "django"
    LITELLM_PROXY = "litellm-proxy"
    PORTKEY = "portkey"
    FACADE = "facade"
    REST = "rest"
    WEBSOCKET = "websocket"
    AIOHTTP = "aiohttp"
    PYTHON = "python"
    TENSORZERO = "tensorzero"
    OPENAI = "openai"
    LITELLM = "litellm"
    HOST = "host"


LABELS = {
    Subject.DIRECT: "the upstream itself",
    Subject.ASGI: "floor: bare ASGI + aiohttp",
    Subject.DJANGO: "floor: Django async view + aiohttp",
    Subject.LITELLM_PROXY: "LiteLLM proxy",
    Subject.PORTKEY: "Portkey gateway",
    Subject.FACADE: "django-ai-models, OpenAI's API",
    Subject.REST: "django-ai-models, REST",
    Subject.WEBSOCKET: "django-ai-models, websocket",
    Subject.AIOHTTP: "floor: aiohttp",
    Subject.PYTHON: "django-ai-models",
    Subject.TENSORZERO: "TensorZero embedded (Rust)",
    Subject.OPENAI: "OpenAI's SDK",
    Subject.LITELLM: "litellm",
    Subject.HOST: "django-ai-models, the server",
}
SERVERS = (
    Subject.DIRECT,
    Subject.ASGI,
    Subject.DJANGO,
    Subject.PORTKEY,
    Subject.LITELLM_PROXY,
    Subject.FACADE,
    Subject.REST,
    Subject.WEBSOCKET,
)
LIBRARIES = (Subject.AIOHTTP, Subject.TENSORZERO, Subject.OPENAI, Subject.LITELLM, Subject.PYTHON)
OURS = frozenset({Subject.FACADE, Subject.REST, Subject.WEBSOCKET, Subject.PYTHON, Subject.HOST})
FLOORS = frozenset({Subject.DIRECT, Subject.ASGI, Subject.DJANGO, Subject.AIOHTTP})


class Metric(StrEnum):
    """What is measured of a subject; the unit is the last word."""

    PLAIN = "plain_per_second"
    STREAM = "stream_per_second"
    PLAIN_CPU = "plain_cpu_us"
    STREAM_CPU = "stream_cpu_us"
    ADDED_P50 = "added_p50_ms"
    ADDED_P99 = "added_p99_ms"
    FEW_CPU = "few_embeddings_cpu_us"
    MANY_CPU = "many_embeddings_cpu_us"
    MANY_TIME = "many_embeddings_ms"
    MANY_BASE64_CPU = "many_embeddings_base64_cpu_us"
    MANY_BASE64_TIME = "many_embeddings_base64_ms"
    MEMORY = "memory_at_rest_mb"
    WARM_MEMORY = "memory_with_litellm_mb"
    IDLE_SOCKET = "idle_socket_kib"
    OPEN_STREAM = "open_stream_kib"
    START = "start_s"
    CHECK = "check_ratio"
    CHECK_TIME = "check_cpu_s"
    CLIENT_CPU = "client_cpu_ratio"


@dataclass(slots=True)
class Series:
    """One metric of one subject.

    Attributes:
        values: one of each round.
        bad: answers that were errors or incomplete, in all rounds.
        answers: all answers that were counted.
    """

    values: list[float] = field(default_factory=list)
    bad: int = 0
    answers: int = 0


@dataclass(slots=True)
class Results:
    """All of a run.

    Attributes:
        machine: facts about it.
        settings: how long and how often was measured, with which versions.
        series: by subject and metric.
        left_out: what could not be measured, and why.
    """

    machine: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    series: dict[str, dict[str, Series]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def disturbed(self) -> bool:
        """Whether the machine was busy with something else before the run."""
        return bool(self.machine["load_before"] > QUIET_LOAD)

    def add(self, subject: Subject, metric: Metric, value: float | None, *, answers: int = 0, bad: int = 0) -> None:
        """Note what a round gave; ``None`` when it gave nothing but bad answers."""
        series = self.series.setdefault(subject, {}).setdefault(metric, Series())
        if value is not None:
            series.values.append(value)
        series.answers += answers
        series.bad += bad

    def find(self, subject: Subject, metric: Metric) -> Series | None:
        """What was noted, if anything was."""
        return self.series.get(subject, {}).get(metric)

    def median(self, subject: Subject, metric: Metric) -> float | None:
        """The median of the rounds; ``None`` when there is none, or when some of the answers were bad."""
        series = self.find(subject, metric)
        return median(series.values) if series is not None and series.values and not series.bad else None

    def ratio(self, first: Subject, second: Subject, metric: Metric) -> float | None:
        """How many times the second's median the first's is; ``None`` when one is missing."""
        one, other = self.median(first, metric), self.median(second, metric)
        return one / other if one is not None and other else None

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def load(cls, text: str) -> Self:
        """From JSON."""
        data = json.loads(text)
        series = {
            subject: {metric: Series(**told) for metric, told in metrics.items()} for subject, metrics in data["series"].items()
        }
        return cls(**{**data, "series": series})
