"""What stands between this process and a provider instance: places for calls, a circuit breaker, a budget for retries.

All of it belongs to the process. Calls of every event loop share it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar

from ai_models import calls
from ai_models.breaker import Breaker, Circuit
from ai_models.budget import Budget
from ai_models.bulkhead import Bulkhead, Full
from ai_models.conf import Conf, conf
from ai_models.exceptions import (
    AIModelsError,
    CircuitOpen,
    Internal,
    RateLimitExceeded,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from ai_models.facts import max_concurrency
from ai_models.snapshot import InstanceFacts
from ai_models.telemetry import gauges, instruments
from ai_models.transports import faults
from ai_models.transports.batched import Batched
from ai_models.types import Chunk

T = TypeVar("T")

LONGEST_ADVICE: Final = 60.0
"""Seconds: no caller is told to come back later than this."""

LATE_SECONDS: Final = 1.0
"""A time that ran out so much later than it should did so in a process that stood still, as in a machine that was paused."""

_FAILED: Final = "{} failed too often just now. Its calls are refused until it is known to answer again."
_SIGNS_OF_LIFE: Final = (UpstreamRateLimited, faults.Unsuitable)
_SMOOTHING: Final = 0.1  # weight of the newest call in the mean


@dataclass(frozen=True, slots=True)
class Load:
    """How busy an instance is, in this process.

    Attributes:
        provider: the instance's name.
        in_flight: calls that hold a place; ``waiting``: calls that wait for one.
        limit: how many can hold one; ``None`` is no bound.
        circuit: what the breaker does with calls.
        retry_after: seconds until a call has a chance, where the breaker refuses it now.
    """

    provider: str
    in_flight: int
    waiting: int
    limit: int | None
    circuit: Circuit
    retry_after: float | None

    @property
    def reason(self) -> str:
        """Why calls are refused; empty when they are made."""
        if self.circuit is Circuit.CLOSED:
            return ""
        return _FAILED.format(self.provider)


class Admission:
    """All of an instance, for its present settings. New ones begin with a closed breaker; places that are held stay held."""

    __slots__ = ("breaker", "budget", "bulkhead", "facts", "seconds", "settings", "slow", "wait")

    def __init__(self, facts: InstanceFacts, settings: Conf, bulkhead: Bulkhead | None) -> None:
        self.facts, self.settings = facts, settings
        places, queue = _places(facts, settings), settings.MAX_WAITING
        self.bulkhead = bulkhead or Bulkhead(places, queue)
        self.bulkhead.resize(places, queue)
        self.breaker = Breaker(settings.BREAKER_FAILURES, settings.BREAKER_SECONDS, settings.BREAKER_MAX_SECONDS)
        self.budget = Budget(settings.RETRY_BUDGET)
        self.wait, self.slow = settings.MAX_WAIT_SECONDS, settings.BREAKER_SLOW_SECONDS
        self.seconds = 0.0  # that a call holds its place, on the average

    def passage(self, limits: calls.Limits, *, streamed: bool = False) -> Passage:
        """The way of one call."""
        return Passage(self, limits, streamed=streamed)

    def leave(self, began: float) -> None:
        """Give back a place that was taken then."""
        self.seconds += (time.monotonic() - began - self.seconds) * _SMOOTHING
        self.bulkhead.leave()

    def load(self) -> Load:
        bulkhead, breaker = self.bulkhead, self.breaker
        name, places = self.facts.name, bulkhead.places
        return Load(name, bulkhead.held, bulkhead.waiting, places, breaker.circuit, breaker.refusal())

    def open(self, seconds: float) -> CircuitOpen:
        """Why a call is refused."""
        return CircuitOpen(
            _FAILED.format(self.facts.name),
            retry_after=min(max(1.0, seconds), LONGEST_ADVICE),
        )

    def full(self) -> RateLimitExceeded:
        """Why a call is refused, with the time after which those who wait now will have had their turn."""
        waiting = self.bulkhead.waiting + 1
        seconds = self.seconds * waiting / (self.bulkhead.places or waiting)
        return RateLimitExceeded(
            f"{self.facts.name} has as many calls under way as it takes, and others wait already.",
            retry_after=min(max(1.0, seconds), LONGEST_ADVICE),
        )


class Passage:
    """One call on its way to the instance. A context manager: nothing is held after it, and the breaker knows how it ended.

    Args:
        limits: the call's own. It waits for places half of its time at most, so that some is left for the answer.
        streamed: whether the first chunk has a time of its own.
    """

    __slots__ = ("_admission", "_began", "_delivered", "_has_failed", "_holds", "_limits", "_seconds", "_ticket")

    def __init__(self, admission: Admission, limits: calls.Limits, *, streamed: bool) -> None:
        self._admission, self._limits = admission, limits
        self._seconds = min(limits.total, limits.first_chunk) if streamed else limits.total
        self._holds = self._delivered = self._has_failed = False
        self._began = 0.0  # when the present attempt had its place
        self._ticket: int | None = None  # of the attempt whose end the breaker does not know yet

    def __enter__(self) -> Self:
        self._admission.budget.calls += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._failed(error)
        elif self._ticket is not None and not self._delivered:
            self._admission.breaker.succeeded(self._ticket)
        self.leave()

    def __del__(self) -> None:
        # An event loop that was closed under a stream closes no generator.
        if self._holds and self._ticket is not None:
            self._admission.breaker.abandoned(self._ticket)
        self.leave()

    async def attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        """An attempt at a call, with a place and the breaker's consent.

        Raises:
            RateLimitExceeded: there was no place in time.
            CircuitOpen: the instance failed too often.
        """
        await self.enter()
        try:
            return await call()
        finally:
            self.leave()

    def stream(self, start: Callable[[], AsyncGenerator[Chunk]]) -> Stream:
        """An attempt at a stream, which raises what :meth:`attempt` does. Its place is held until it is closed."""
        return Stream(self, start)

    def again(self, error: UpstreamError) -> bool:
        """Whether an attempt that failed may be followed by another one. It takes that from the budget."""
        self._failed(error)
        return self._admission.breaker.refusal() is None and self._admission.budget.spend()

    async def enter(self) -> None:
        """Take a place, wait for one if need be, and have the breaker's consent. It raises what :meth:`attempt` does."""
        admission = self._admission
        breaker = admission.breaker
        if (seconds := breaker.refusal()) is not None:
            raise admission.open(seconds)
        if not (admission.bulkhead.take() or await self._waited()):
            raise admission.open(breaker.refusal() or 0.0)
        self._holds, self._began, self._delivered = True, time.monotonic(), False
        self._ticket = breaker.enter()
        if self._ticket is None:  # it opened while this call waited, or another one is the probe
            self.leave()
            raise admission.open(breaker.refusal() or 0.0)

    async def _waited(self) -> bool:
        try:
            return await self._admission.bulkhead.wait(min(self._admission.wait, self._seconds / 2))
        except Full:
            raise self._admission.full() from None

    def leave(self) -> None:
        """Give the place back, if one is held."""
        if self._holds:
            self._holds = False
            self._admission.leave(self._began)

    def delivered(self) -> None:
        """A stream has begun. It may yet fail, and the provider is alive."""
        self._delivered = True
        if self._ticket is not None:
            self._admission.breaker.succeeded(self._ticket)

    def _failed(self, error: BaseException) -> None:
        """Tell the breaker what an error means: that nobody is there, that somebody is, or nothing."""
        ticket, self._ticket = self._ticket, None
        if ticket is None:
            return
        breaker = self._admission.breaker
        if self._tells_nothing(error):
            breaker.abandoned(ticket)
        elif isinstance(error, UpstreamError) and error.retryable and not isinstance(error, _SIGNS_OF_LIFE):
            if self._has_failed and breaker.circuit is Circuit.CLOSED:
                return  # one call is one failure, however often it is repeated
            self._has_failed = True
            breaker.failed(ticket, error.retry_after or 0.0)
            # Who waits may do so with newer settings, whose breaker knows nothing yet.
            if breaker.circuit is Circuit.OPEN and _entries.get(self._admission.facts.id) is self._admission:
                self._admission.bulkhead.dismiss()
        elif not self._delivered:
            breaker.succeeded(ticket)

    def _tells_nothing(self, error: BaseException) -> bool:
        if not isinstance(error, AIModelsError) or isinstance(error, Internal):
            return True  # its caller left, or its family has a fault
        # A timeout that is never repeated is that of the call itself.
        if not isinstance(error, UpstreamTimeout) or calls.repeatable(error):
            return False
        seconds = time.monotonic() - self._began
        if self._delivered or seconds < self._admission.slow:
            return True
        if seconds > self._seconds + LATE_SECONDS:
            return True  # this process did not run meanwhile, so it does not know
        # A time that is shorter than the settings say is its caller's choice, and nobody else is to pay for it.
        usual = self._admission.settings.TIMEOUT
        return self._limits.total < usual["total"] or self._limits.first_chunk < usual["first_chunk"]


class Stream:
    """An attempt at a stream. All chunks after the first come straight from the family's generator."""

    __slots__ = ("_chunks", "_passage", "_start")

    def __init__(self, passage: Passage, start: Callable[[], AsyncGenerator[Chunk]]) -> None:
        self._passage, self._start = passage, start
        self._chunks: AsyncGenerator[Chunk] | None = None

    def __anext__(self) -> Awaitable[Chunk]:
        return self._first() if self._chunks is None else self._chunks.__anext__()

    def take(self) -> list[Chunk]:
        """The chunks that are there already; they are not given again."""
        return self._chunks.take() if isinstance(self._chunks, Batched) else []

    async def _first(self) -> Chunk:
        await self._passage.enter()
        self._chunks = self._start()
        chunk = await anext(self._chunks)
        self._passage.delivered()
        return chunk

    async def aclose(self) -> None:
        """End the stream and give its place back."""
        try:
            if self._chunks is not None:
                await self._chunks.aclose()
        finally:
            self._passage.leave()


_lock = threading.Lock()
_entries: dict[str, Admission] = {}


def recovered(facts: InstanceFacts) -> None:
    """The instance is known to answer: its breaker closes."""
    of(facts).breaker.close()


def load(facts: InstanceFacts) -> Load:
    """How busy an instance is, in this process. To ask changes nothing."""
    found = _entries.get(facts.id)
    if found is None or found.facts.fingerprint != facts.fingerprint:
        return Load(facts.name, 0, 0, _places(facts, conf()), Circuit.CLOSED, None)
    return found.load()


def loads() -> tuple[Load, ...]:
    """How busy each instance is that was called in this process."""
    return tuple(admission.load() for admission in list(_entries.values()))


_CIRCUITS: Final = (Circuit.CLOSED, Circuit.HALF_OPEN, Circuit.OPEN)


def _readings(read: Callable[[Load], float]) -> Callable[[], list[gauges.Reading]]:
    return lambda: [({instruments.PROVIDER: known.provider}, read(known)) for known in loads()]


gauges.watch(instruments.WAITING, _readings(lambda known: known.waiting))
gauges.watch(instruments.CIRCUIT, _readings(lambda known: _CIRCUITS.index(known.circuit)))


def keep(present: Collection[str]) -> None:
    """Forget the instances that are not present, by id, as soon as nothing of theirs is under way."""
    with _lock:
        for identity in _entries.keys() - present:
            bulkhead = _entries[identity].bulkhead
            if not bulkhead.held and not bulkhead.waiting:
                del _entries[identity]


def _places(facts: InstanceFacts, settings: Conf) -> int | None:
    return max_concurrency(facts) or settings.MAX_CONCURRENT or None


def of(facts: InstanceFacts) -> Admission:
    """What stands before an instance. A call asks once: the settings may change while it is under way."""
    found = _entries.get(facts.id)
    if found is not None and found.facts.fingerprint == facts.fingerprint and found.settings is conf():
        return found
    with _lock:
        before = _entries.get(facts.id)
        made = _entries[facts.id] = Admission(facts, conf(), before.bulkhead if before is not None else None)
        return made


def _start_over() -> None:
    """Nothing that the parent has under way is under way in a forked process."""
    global _entries, _lock
    _entries, _lock = {}, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
