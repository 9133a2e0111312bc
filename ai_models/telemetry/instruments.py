"""Every metric, declared once: OpenTelemetry and Prometheus are both fed from here.

Names, units and buckets of ``gen_ai.*`` are those of OpenTelemetry's conventions for generative AI. Labels have few values:
names of instances, of families, of capabilities, of configured models, and codes of errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

OPERATION: Final = "gen_ai.operation.name"
SYSTEM: Final = "gen_ai.provider.name"
MODEL: Final = "gen_ai.request.model"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105, no password
ERROR: Final = "error.type"
PROVIDER: Final = "ai_models.provider"
CAPABILITY: Final = "ai_models.capability"

_CALL = (OPERATION, SYSTEM, MODEL, PROVIDER, CAPABILITY)
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(float(4**power) for power in range(14))


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """One metric.

    Attributes:
        kind: a ``gauge`` is read when somebody looks, from :mod:`ai_models.telemetry.gauges`; the others are recorded.
        unit: of UCUM; in curly braces what is counted.
        labels: names of its attributes. One that a value does not have is left out, or empty for Prometheus.
        buckets: upper bounds of a histogram.
        each: a gauge whose values in several processes have no meaning as a sum.
    """

    name: str
    kind: Literal["histogram", "counter", "gauge"]
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    each: bool = False


DURATION = Instrument(
    "gen_ai.client.operation.duration", "histogram", "s", "GenAI operation duration.", (*_CALL, ERROR), _SECONDS
)
TOKENS = Instrument(
    "gen_ai.client.token.usage",
    "histogram",
    "{token}",
    "Number of input and output tokens used.",
    (*_CALL, TOKEN_TYPE),
    _TOKENS,
)
FIRST_CHUNK = Instrument(
    "gen_ai.client.operation.time_to_first_chunk",
    "histogram",
    "s",
    "Time from the call to the first chunk of its stream.",
    _CALL,
    _SECONDS,
)
OUTPUT_CHUNK = Instrument(
    "gen_ai.client.operation.time_per_output_chunk",
    "histogram",
    "s",
    "Time from a chunk of a stream to the next one.",
    _CALL,
    _SECONDS,
)
RETRIES = Instrument(
    "ai_models.retries", "counter", "{retry}", "Attempts after the first one of a call.", (PROVIDER, CAPABILITY)
)
ACTIVE = Instrument("ai_models.calls.active", "gauge", "{call}", "Calls that are under way.", (PROVIDER, CAPABILITY))
WAITING = Instrument("ai_models.calls.waiting", "gauge", "{call}", "Calls that wait for a place.", (PROVIDER,))
CIRCUIT = Instrument(
    "ai_models.circuit",
    "gauge",
    "1",
    "What the circuit breaker does: 0 is closed, 1 half-open, 2 open.",
    (PROVIDER,),
    each=True,
)
STREAMS = Instrument("ai_models.streams.running", "gauge", "{stream}", "Streams that clients can come back to and that run.")
SOCKETS = Instrument("ai_models.sockets.open", "gauge", "{socket}", "Websockets that are open.")
REVISION = Instrument(
    "ai_models.config.revision", "gauge", "{revision}", "Revision of the configuration that calls get.", each=True
)

ALL = (DURATION, TOKENS, FIRST_CHUNK, OUTPUT_CHUNK, RETRIES, ACTIVE, WAITING, CIRCUIT, STREAMS, SOCKETS, REVISION)
"""Every metric there is."""
