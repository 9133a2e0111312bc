"""What was aimed for, and whether it holds, computed from the results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.results import Metric, Results, Subject


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that must not be passed.

    Attributes:
        text: what it is about.
        limit: the least or the most it may be.
        unit: of the limit and of what was measured.
        measured: reads it from the results; ``None`` when it is not in them.
        at_least: whether more is better.
    """

    text: str
    limit: float
    unit: str
    measured: Callable[[Results], float | None]
    at_least: bool = False

    def verdict(self, results: Results) -> str:
        """``yes``, ``no``, or ``not measured``."""
        value = self.measured(results)
        if value is None:
            return "not measured"
        return "yes" if (value >= self.limit if self.at_least else value <= self.limit) else "no"


def of(subject: Subject, metric: Metric, factor: float = 1.0) -> Callable[[Results], float | None]:
    """A median, in another unit."""

    def read(results: Results) -> float | None:
        value = results.median(subject, metric)
        return None if value is None else value * factor

    return read


def times(first: Subject, second: Subject, metric: Metric) -> Callable[[Results], float | None]:
    """How many times the second the first is."""
    return lambda results: results.ratio(first, second, metric)


def largest_stream(results: Results) -> float | None:
    """The memory of an open stream, on the way where it takes most."""
    found = [results.median(subject, Metric.OPEN_STREAM) for subject in (Subject.WEBSOCKET, Subject.FACADE, Subject.REST)]
    known = [value for value in found if value is not None]
    return max(known) if len(known) == len(found) else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A metric in which this project is compared with others.

    Attributes:
        text: what it is.
        unit: of the metric.
        metric: of the results.
        ours: this project's part in it.
        others: with whom.
        more_is_better: which way.
    """

    text: str
    unit: str
    metric: Metric
    ours: Subject
    others: tuple[Subject, ...]
    more_is_better: bool = False

    def ahead(self, results: Results) -> list[tuple[Subject, float, float]]:
        """Those that are better, with their median and ours."""
        own = results.median(self.ours, self.metric)
        found = [(other, results.median(other, self.metric)) for other in self.others]
        return [
            (other, value, own)
            for other, value in found
            if value is not None and own is not None and (value > own if self.more_is_better else value < own)
        ]


_GATEWAYS = (Subject.PORTKEY, Subject.LITELLM_PROXY)
_PEERS = (Subject.TENSORZERO, Subject.OPENAI, Subject.LITELLM)

COMPARISONS = (
    Comparison("plain calls over OpenAI's API", "per second", Metric.PLAIN, Subject.FACADE, _GATEWAYS, more_is_better=True),
    Comparison("streams over OpenAI's API", "per second", Metric.STREAM, Subject.FACADE, _GATEWAYS, more_is_better=True),
    Comparison("plain calls over REST", "per second", Metric.PLAIN, Subject.REST, _GATEWAYS, more_is_better=True),
    Comparison("streams over REST", "per second", Metric.STREAM, Subject.REST, _GATEWAYS, more_is_better=True),
    Comparison("streams over the websocket", "per second", Metric.STREAM, Subject.WEBSOCKET, _GATEWAYS, more_is_better=True),
    Comparison("added to a call, p50", "ms", Metric.ADDED_P50, Subject.FACADE, _GATEWAYS),
    Comparison("added to a call, p99", "ms", Metric.ADDED_P99, Subject.FACADE, _GATEWAYS),
    Comparison("256 embeddings over OpenAI's API, p50", "ms", Metric.MANY_TIME, Subject.FACADE, _GATEWAYS),
    Comparison("256 embeddings in base64, p50", "ms", Metric.MANY_BASE64_TIME, Subject.FACADE, _GATEWAYS),
    Comparison("a plain call in process", "us of CPU", Metric.PLAIN_CPU, Subject.PYTHON, _PEERS),
    Comparison("a stream in process", "us of CPU", Metric.STREAM_CPU, Subject.PYTHON, _PEERS),
    Comparison("4 embeddings in process", "us of CPU", Metric.FEW_CPU, Subject.PYTHON, _PEERS),
    Comparison("256 embeddings in process", "us of CPU", Metric.MANY_CPU, Subject.PYTHON, _PEERS),
    Comparison("memory in process", "MB", Metric.MEMORY, Subject.PYTHON, _PEERS),
    Comparison("memory of the server at rest", "MB", Metric.MEMORY, Subject.HOST, _GATEWAYS),
    Comparison("first answer of the server", "s", Metric.START, Subject.HOST, _GATEWAYS),
)

TARGETS = (
    Target("In process, a plain call", 250, "us of CPU", of(Subject.PYTHON, Metric.PLAIN_CPU)),
    Target("In process, a plain call beside TensorZero's", 1, "x", times(Subject.PYTHON, Subject.TENSORZERO, Metric.PLAIN_CPU)),
    Target("In process, a stream of 64 tokens", 1.5, "ms of CPU", of(Subject.PYTHON, Metric.STREAM_CPU, 1e-3)),
    Target("litellm's plain call beside it", 10, "x", times(Subject.LITELLM, Subject.PYTHON, Metric.PLAIN_CPU), at_least=True),
    Target("litellm's stream beside it", 10, "x", times(Subject.LITELLM, Subject.PYTHON, Metric.STREAM_CPU), at_least=True),
    Target(
        "OpenAI's API, plain, beside Portkey", 1.5, "x", times(Subject.FACADE, Subject.PORTKEY, Metric.PLAIN), at_least=True
    ),
    Target(
        "OpenAI's API, plain, beside LiteLLM proxy",
        30,
        "x",
        times(Subject.FACADE, Subject.LITELLM_PROXY, Metric.PLAIN),
        at_least=True,
    ),
    Target("OpenAI's API, streams", 300, "per second", of(Subject.FACADE, Metric.STREAM), at_least=True),
    Target(
        "REST, plain, beside LiteLLM proxy", 8, "x", times(Subject.REST, Subject.LITELLM_PROXY, Metric.PLAIN), at_least=True
    ),
    Target("Websocket, streams", 250, "per second", of(Subject.WEBSOCKET, Metric.STREAM), at_least=True),
    Target("OpenAI's API, added at one connection, p50", 1.5, "ms", of(Subject.FACADE, Metric.ADDED_P50)),
    Target("REST, added at one connection, p50", 3, "ms", of(Subject.REST, Metric.ADDED_P50)),
    Target("Memory at rest without litellm", 120, "MB", of(Subject.HOST, Metric.MEMORY)),
    Target("Memory with litellm warmed up", 300, "MB", of(Subject.HOST, Metric.WARM_MEMORY)),
    Target("An idle socket", 40, "KiB", of(Subject.WEBSOCKET, Metric.IDLE_SOCKET)),
    Target("An open stream, on the way where it takes most", 80, "KiB", largest_stream),
    Target("`manage.py check` beside an empty project's", 1.5, "x", of(Subject.HOST, Metric.CHECK)),
    Target("First answer after the start of the process", 3, "s", of(Subject.HOST, Metric.START)),
)
