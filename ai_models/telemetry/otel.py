"""Spans and metrics for OpenTelemetry. The one module that imports its API; the SDK and its exporters are the host's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, MeterProvider, Observation
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from ai_models.telemetry import gauges
from ai_models.telemetry.instruments import ALL, ERROR, MODEL, OPERATION, Instrument

__all__ = ["OpenTelemetry", "Span", "current", "ended", "entered", "ids_of", "incoming", "outgoing"]

SCOPE = "ai_models"

# What the API has where no SDK is set up: it throws everything away.
_NOTHING = ("opentelemetry.trace", "opentelemetry.metrics")
_PROPAGATOR = TraceContextTextMapPropagator()


class OpenTelemetry:
    """What the host has set up: providers of spans and of metrics, or one of them."""

    def __init__(self, tracers: TracerProvider, meters: MeterProvider) -> None:
        released = version("django-ai-models")
        self._tracer = tracers.get_tracer(SCOPE, released)
        meter = meters.get_meter(SCOPE, released)
        self._recorded = {instrument: _made(meter, instrument) for instrument in ALL if instrument.kind != "gauge"}
        for instrument in ALL:
            if instrument.kind == "gauge":
                described = {"unit": instrument.unit, "description": instrument.description}
                meter.create_observable_gauge(instrument.name, [_reader(instrument)], **described)

    def recorder(self, instrument: Instrument, labels: Mapping[str, str]) -> Callable[[float], None]:
        """See :class:`~ai_models.telemetry.sinks.Sink`."""
        record, attributes = self._recorded[instrument], dict(labels)
        return lambda value: record(value, attributes)

    def span(self, attributes: Mapping[str, str]) -> Span:
        """Begin the span of a call. It is not the current one until :func:`entered` makes it so."""
        return self._tracer.start_span(
            f"{attributes[OPERATION]} {attributes[MODEL]}", kind=SpanKind.CLIENT, attributes=attributes
        )


def _made(meter: Meter, instrument: Instrument) -> Callable[[float, Mapping[str, AttributeValue]], None]:
    described = {"unit": instrument.unit, "description": instrument.description}
    if instrument.kind == "counter":
        counter: Counter = meter.create_counter(instrument.name, **described)
        return counter.add
    histogram: Histogram = meter.create_histogram(
        instrument.name, explicit_bucket_boundaries_advisory=instrument.buckets, **described
    )
    return histogram.record


def _reader(instrument: Instrument) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: [Observation(value, dict(labels)) for labels, value in gauges.readings(instrument)]


_seen: tuple[TracerProvider, MeterProvider] | None = None
_built: OpenTelemetry | None = None


def current() -> OpenTelemetry | None:
    """What the host has set up; ``None`` while that is nothing."""
    global _seen, _built
    tracers, meters = trace.get_tracer_provider(), metrics.get_meter_provider()
    if _seen is None or _seen[0] is not tracers or _seen[1] is not meters:
        idle = all(type(provider).__module__.startswith(_NOTHING) for provider in (tracers, meters))
        _built = None if idle else OpenTelemetry(tracers, meters)
        _seen = tracers, meters
    return _built


@contextmanager
def entered(span: Span) -> Iterator[None]:
    """Make a span the current one, so that what is done in it belongs to it."""
    token = context.attach(trace.set_span_in_context(span))
    try:
        yield
    finally:
        context.detach(token)


def ended(span: Span, attributes: Mapping[str, AttributeValue], error: str | None) -> None:
    """End a span.

    Args:
        error: its code. Nothing else of an error is told.
    """
    if span.is_recording():
        span.set_attributes(attributes)
        if error is not None:
            span.set_attribute(ERROR, error)
            span.set_status(Status(StatusCode.ERROR, error))
    span.end()


def ids_of(span: Span | None = None) -> dict[str, str]:
    """``trace_id`` and ``span_id`` of a span, or of the current one; empty when there is none."""
    told = (span or trace.get_current_span()).get_span_context()
    if not told.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(told.trace_id), "span_id": trace.format_span_id(told.span_id)}


def outgoing(span: Span) -> dict[str, str]:
    """The headers by which another service goes on with the trace: the trace alone, none of the host's baggage."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers, trace.set_span_in_context(span))
    return headers


Headers = Iterable[tuple[bytes, bytes]]


class _ASGIHeaders(Getter[Headers]):
    """Reads the headers of an ASGI scope."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        wanted = key.lower().encode()
        return [value.decode("latin-1") for name, value in carrier if name == wanted] or None

    def keys(self, carrier: Headers) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


@contextmanager
def incoming(headers: Headers) -> Iterator[None]:
    """Go on with the caller's trace, unless something else in this process, an instrumentation of the host's, already does.

    Args:
        headers: of an ASGI scope.
    """
    if trace.get_current_span().get_span_context().is_valid:
        yield
        return
    found: Context = _PROPAGATOR.extract(headers, getter=_ASGIHeaders())
    token = context.attach(found)
    try:
        yield
    finally:
        context.detach(token)
