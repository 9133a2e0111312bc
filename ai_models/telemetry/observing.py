"""Watches calls: a span, metrics and a log line of each, for whoever wants them. When nobody does, it costs a look.

A call that is split goes out in parts, and each part is a call here. What was refused before it could go out is none.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, aclosing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Protocol, TypeVar

from ai_models import correlation
from ai_models.capabilities import Capability
from ai_models.conf import conf
from ai_models.exceptions import AIModelsError, Internal
from ai_models.snapshot import InstanceFacts
from ai_models.telemetry import attributes, gauges, instruments, sinks
from ai_models.telemetry.sinks import Sink
from ai_models.types import Chunk

if TYPE_CHECKING:
    from ai_models.telemetry.otel import OpenTelemetry, Span

logger = logging.getLogger(__name__)

calls_log = logging.getLogger("ai_models.calls")
"""One line for each call, at INFO."""

CANCELLED = "cancelled"
"""How a call ended whose caller did not wait for its end. It is no error of ours, so it is in no list of errors."""

_UNTRACED = nullcontext()

T = TypeVar("T")
S = TypeVar("S", bound="Subject")


class Subject(Protocol):
    """A call that goes out."""

    @property
    def capability(self) -> Capability: ...
    @property
    def facts(self) -> InstanceFacts: ...
    @property
    def model(self) -> str: ...
    @property
    def request(self) -> Mapping[str, Any]: ...


@dataclass(slots=True)
class _Watchers:
    """Who wants to know about a call."""

    tracing: OpenTelemetry | None
    sinks: tuple[Sink, ...]
    logged: bool


def _watchers() -> _Watchers | None:
    """``None`` when nobody does, which is the case to be quick about."""
    tracing, prometheus = sinks.opentelemetry(), sinks.prometheus()
    logged = calls_log.isEnabledFor(logging.INFO)
    if tracing is None and prometheus is None and not logged:
        return None
    return _Watchers(tracing, tuple(sink for sink in (tracing, prometheus) if sink is not None), logged)


def answered(
    method: Callable[[S, Callable[[], Awaitable[T]]], Awaitable[T]],
) -> Callable[[S, Callable[[], Awaitable[T]]], Awaitable[T]]:
    """Watch a method that gives the result of a call, of the attempt that it takes."""

    @wraps(method)
    def observed(call: S, attempt: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        watchers = _watchers()
        if watchers is None:
            return method(call, attempt)
        seen = _Observation(watchers, call, streamed=False)
        return seen.answer(lambda: method(call, seen.counted(attempt)))

    return observed


def streamed(
    method: Callable[[S, Callable[[], AsyncGenerator[Chunk]]], AsyncGenerator[list[Chunk]]],
) -> Callable[[S, Callable[[], AsyncGenerator[Chunk]]], AsyncGenerator[list[Chunk]]]:
    """Watch a method that gives the chunks of a call, of the stream that it takes."""

    @wraps(method)
    def observed(call: S, start: Callable[[], AsyncGenerator[Chunk]]) -> AsyncGenerator[list[Chunk]]:
        watchers = _watchers()
        if watchers is None:
            return method(call, start)
        seen = _Observation(watchers, call, streamed=True)
        return seen.stream(lambda: method(call, seen.counted(start)))

    return observed


def submitted(
    method: Callable[Concatenate[Any, InstanceFacts, ...], Awaitable[T]],
) -> Callable[Concatenate[Any, InstanceFacts, ...], Awaitable[T]]:
    """Watch the step of a video job that asks for the video; the looks after it are no calls of a model."""

    @wraps(method)
    def observed(claim: Any, facts: InstanceFacts, *args: Any) -> Awaitable[T]:
        watchers = _watchers() if claim.row.reference is None else None
        if watchers is None:
            return method(claim, facts, *args)
        call = _Submission(facts, claim.row.model, claim.row.request)
        return _Observation(watchers, call, streamed=False).answer(lambda: method(claim, facts, *args))

    return observed


@dataclass(frozen=True, slots=True)
class _Submission:
    facts: InstanceFacts
    model: str
    request: Mapping[str, Any]
    capability: Capability = Capability.VIDEO_GENERATION


_lock = threading.RLock()  # the garbage collector may end another call while this thread has it
_active: Counter[tuple[str, str]] = Counter()


def _count(call: Subject, change: int) -> None:
    with _lock:
        _active[call.facts.name, call.capability] += change


def _under_way() -> list[gauges.Reading]:
    with _lock:
        counted = dict(_active)
    return [
        ({instruments.PROVIDER: provider, instruments.CAPABILITY: capability}, number)
        for (provider, capability), number in counted.items()
    ]


gauges.watch(instruments.ACTIVE, _under_way)


def _start_over() -> None:
    """Nothing that the parent has under way is under way in a forked process."""
    global _lock
    _lock = threading.RLock()
    _active.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)


class _Observation:
    """One call, from its beginning to its end."""

    __slots__ = (
        "_attempts", "_began", "_call", "_chunk_recorders", "_first", "_is_counted", "_labels", "_last", "_outcome", "_span",
        "_streamed", "_watchers",
    )  # fmt: skip

    def __init__(self, watchers: _Watchers, call: Subject, *, streamed: bool) -> None:
        self._watchers = watchers
        self._call = call
        self._streamed = streamed
        self._attempts = 0
        self._first: float | None = None
        self._last = 0.0
        self._span: Span | None = None
        self._labels: dict[str, str] = {}
        self._chunk_recorders: list[Callable[[float], None]] = []
        self._outcome = attributes.Outcome()
        self._began = 0.0
        self._is_counted = False

    def counted(self, start: Callable[[], T]) -> Callable[[], T]:
        """``start``, which counts how often it is called."""

        def counting() -> T:
            self._attempts += 1
            return start()

        return counting

    async def answer(self, call: Callable[[], Awaitable[T]]) -> T:
        self._begin()
        error: BaseException | None = None
        try:
            with self._current():
                result = await call()
            self._outcome.take_result(result)
            return result
        except BaseException as failure:
            error = failure
            raise
        finally:
            self._end(error)

    async def stream(self, call: Callable[[], AsyncGenerator[list[Chunk]]]) -> AsyncGenerator[list[Chunk]]:
        self._begin()
        error: BaseException | None = None
        try:
            async with aclosing(call()) as chunks:
                # The request goes out here. What a generator sets must not stay set while its reader is at work.
                with self._current():
                    batch = await anext(chunks, None)
                while batch is not None:
                    try:
                        for chunk in batch:
                            self._take(chunk)
                    except Exception as failure:  # as in _begin
                        _warn(failure)
                    yield batch
                    batch = await anext(chunks, None)
        except BaseException as failure:
            error = failure
            raise
        finally:
            self._end(error)

    def _begin(self) -> None:
        try:
            self._prepare()
        except Exception as failure:  # what watches a call must not change its outcome
            _warn(failure)
        self._began = self._last = time.perf_counter()

    def _prepare(self) -> None:
        watchers, call = self._watchers, self._call
        if watchers.tracing is not None:
            self._span = watchers.tracing.span(attributes.identifying(call.facts, call.capability, call.model))
            if self._span.is_recording():
                self._span.set_attributes(attributes.of_request(call.capability, call.request, streamed=self._streamed))
                self._outcome.capture()
        if watchers.sinks:
            self._labels = attributes.labels(call.facts, call.capability, call.model)
            _count(call, 1)
            self._is_counted = True

    def _current(self) -> AbstractContextManager[None]:
        """What is done in the block belongs to the call's span."""
        return _UNTRACED if self._span is None else _traced(self._span)

    def _take(self, chunk: Chunk) -> None:
        now = time.perf_counter()
        if self._first is None:
            self._first = now - self._began
            self._chunk_recorders = self._recorders(instruments.OUTPUT_CHUNK)
        else:
            for record in self._chunk_recorders:
                record(now - self._last)
        self._last = now
        self._outcome.take_chunk(chunk)

    def _recorders(self, instrument: instruments.Instrument, **more: str) -> list[Callable[[float], None]]:
        labels = {name: value for name, value in {**self._labels, **more}.items() if name in instrument.labels}
        return [sink.recorder(instrument, labels) for sink in self._watchers.sinks]

    def _end(self, error: BaseException | None) -> None:
        seconds = time.perf_counter() - self._began
        if self._is_counted:
            _count(self._call, -1)
        try:
            self._tell(seconds, _code(error))
        except Exception as failure:  # as in _begin
            _warn(failure)

    def _tell(self, seconds: float, code: str | None) -> None:
        outcome = self._outcome
        if self._watchers.sinks:
            self._measure(seconds, code)
        ids: dict[str, str] = {}
        if self._span is not None:
            from ai_models.telemetry import otel  # there is a span, so it is imported already

            ids = otel.ids_of(self._span)
            otel.ended(self._span, outcome.attributes(self._first), code)
        if self._watchers.logged:
            line = attributes.Line(
                provider=self._call.facts.name,
                family=self._call.facts.family,
                capability=self._call.capability.value,
                model=attributes.harmless(self._call.model),
                streamed=self._streamed,
                outcome=code or "ok",
                seconds=round(seconds, 6),
                first_chunk_seconds=None if self._first is None else round(self._first, 6),
                input_tokens=outcome.input_tokens,
                output_tokens=outcome.output_tokens,
                retries=max(0, self._attempts - 1),
                **ids,
            )
            # Not by the logger's own method, for which finding out who calls it is a third of the work.
            record = calls_log.makeRecord(calls_log.name, logging.INFO, __file__, 0, "%s", (line,), None, extra={"call": line})
            calls_log.handle(record)

    def _measure(self, seconds: float, code: str | None) -> None:
        for record in self._recorders(instruments.DURATION, **({instruments.ERROR: code} if code else {})):
            record(seconds)
        for kind, tokens in (("input", self._outcome.input_tokens), ("output", self._outcome.output_tokens)):
            if tokens is not None:
                for record in self._recorders(instruments.TOKENS, **{instruments.TOKEN_TYPE: kind}):
                    record(tokens)
        if self._first is not None:
            for record in self._recorders(instruments.FIRST_CHUNK):
                record(self._first)
        if self._attempts > 1:
            for record in self._recorders(instruments.RETRIES):
                record(self._attempts - 1)


@contextmanager
def _traced(span: Span) -> Iterator[None]:
    from ai_models.telemetry import otel  # there is a span, so it is imported already

    with ExitStack() as stack:
        stack.enter_context(otel.entered(span))
        if conf().PROPAGATE_TRACE:
            token = correlation.trace_headers.set(otel.outgoing(span))
            stack.callback(correlation.trace_headers.reset, token)
        yield


def _warn(failure: Exception) -> None:
    logger.warning("A call could not be recorded: %s", type(failure).__name__)


def _code(error: BaseException | None) -> str | None:
    """The one word for how a call ended; ``None`` when it ended well."""
    if error is None:
        return None
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return CANCELLED
    return error.code if isinstance(error, AIModelsError) else Internal.code
