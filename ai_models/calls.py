"""How an upstream call is made to end: by its answer, by its deadline, or after its last attempt."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from traceback import format_tb
from typing import Any, Protocol, TypeVar

from ai_models.conf import Conf, conf
from ai_models.deadlines import limited
from ai_models.exceptions import (
    AIModelsError,
    Internal,
    InvalidRequest,
    NoObjectGenerated,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamTimeout,
)
from ai_models.types import Chunk

logger = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_WAIT = 60.0
"""A provider that asks for more seconds than this between attempts gets no further attempt."""

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 8.0


class Chunks(Protocol):
    """A stream that a family began."""

    def __anext__(self) -> Awaitable[Chunk]: ...

    def take(self) -> list[Chunk]:
        """What it gives after that without waiting."""

    async def aclose(self) -> None: ...


class _OutOfTime(UpstreamTimeout):
    """A limit of the call itself ran out."""


# The provider did the work and would be paid for it again, or the call's time is over.
_NOT_REPEATED = (UpstreamInvalidResponse, NoObjectGenerated, _OutOfTime)


@dataclass(frozen=True, slots=True)
class Limits:
    """When to give up.

    Attributes:
        total, first_chunk, chunk: seconds, as in :class:`~ai_models.types.Timeout`.
        max_retries: attempts after the first one.
    """

    total: float
    first_chunk: float
    chunk: float
    max_retries: int

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Limits:
        """The limits of a request; what it does not say comes from the settings.

        Raises:
            InvalidRequest: it asks for more than it may have.
        """
        if "timeout" not in request and "max_retries" not in request:
            return _usual(conf())
        given = request.get("timeout", {})
        asked = given if isinstance(given, Mapping) else {"total": given}
        if any(seconds > conf().MAX_TIMEOUT for seconds in asked.values()):
            raise InvalidRequest(f"timeout: at most {conf().MAX_TIMEOUT:g} seconds may be asked for")
        limits = {**conf().TIMEOUT, **asked}
        return cls(limits["total"], limits["first_chunk"], limits["chunk"], request.get("max_retries", conf().MAX_RETRIES))


_known: tuple[Conf, Limits] | None = None


def _usual(settings: Conf) -> Limits:
    """The limits of a request that says nothing about them."""
    global _known
    if (known := _known) is None or known[0] is not settings:
        usual = settings.TIMEOUT
        known = _known = settings, Limits(usual["total"], usual["first_chunk"], usual["chunk"], settings.MAX_RETRIES)
    return known[1]


async def attempts(
    attempt: Callable[[], Awaitable[T]], limits: Limits, again: Callable[[UpstreamError], bool] | None = None
) -> T:
    """The first attempt that succeeds within the limits.

    Args:
        again: asked before each further attempt, about the error that the last one ended with; a no ends the call.

    Raises:
        AIModelsError: the last attempt's error.
    """
    end = time.monotonic() + limits.total
    for number in range(limits.max_retries + 1):
        try:
            return await _within(end, attempt)
        except UpstreamError as error:
            wait = _backoff(number, error)
            if number == limits.max_retries or not repeatable(error) or wait > LONGEST_WAIT or time.monotonic() + wait >= end:
                raise
            if again is not None and not again(error):
                raise
            await asyncio.sleep(wait)
    raise AssertionError("unreachable: the last attempt returns or raises")


async def chunks(
    start: Callable[[], Chunks], limits: Limits, again: Callable[[UpstreamError], bool] | None = None
) -> AsyncGenerator[list[Chunk]]:
    """The chunks of a stream, together those that are there together. Attempts are repeated until the first one is there, and
    never after it.

    Args:
        again: as in :func:`attempts`.

    Raises:
        AIModelsError: nothing came in time, or the stream failed.
    """
    end = time.monotonic() + limits.total

    async def open_stream() -> tuple[Chunks, list[Chunk], float]:
        stream = start()
        try:
            until = min(end, time.monotonic() + limits.first_chunk)
            return stream, await _next(stream, until), until
        except BaseException:
            await stream.aclose()
            raise

    stream, batch, until = await attempts(open_stream, limits, again)
    async with aclosing(stream):
        while batch:
            yield batch
            # Counted from here: how long a reader takes is not the provider's fault.
            if any(map(_is_progress, batch)):
                until = min(end, time.monotonic() + limits.chunk)
            batch = await _next(stream, until)


async def pieces(start: Callable[[], AsyncGenerator[bytes]], limits: Limits) -> AsyncGenerator[bytes]:
    """The bytes of a file, in one attempt.

    Raises:
        AIModelsError: no piece came in time, or the download failed.
    """
    end = time.monotonic() + limits.total
    async with aclosing(start()) as stream:
        while True:
            piece = await _within(min(end, time.monotonic() + limits.chunk), lambda: anext(stream, None))
            if piece is None:
                return
            yield piece


async def _next(stream: Chunks, until: float) -> list[Chunk]:
    """The next chunks that carry something, none after the last."""
    while (piece := await _within(until, lambda: anext(stream, None))) is not None:
        if carrying := [piece for piece in (piece, *stream.take()) if _is_progress(piece) or piece.usage]:
            return carrying
    return []


def _is_progress(piece: Chunk) -> bool:
    """Whether the answer came further; signs of life and figures alone do not extend the time."""
    return bool(piece.text or piece.reasoning or piece.reasoning_metadata or piece.tool_calls or piece.finish_reason)


async def _within(end: float, call: Callable[[], Awaitable[T]]) -> T:
    """The call's result before ``end`` (monotonic seconds), with foreign exceptions turned into ours.

    Errors leave here without the frames below: those hold credentials, and error pages show the variables of every frame.
    """
    try:
        with limited(max(0.0, end - time.monotonic())):
            return await call()
    except AIModelsError as error:
        raise error.with_traceback(None) from None
    except TimeoutError:
        raise _OutOfTime("The provider did not answer in time.") from None
    except Exception as error:
        # Where it happened, without its text, which could hold anything.
        logger.error("A provider family failed with %s:\n%s", type(error).__name__, "".join(format_tb(error.__traceback__)))
        raise Internal(f"The provider family failed with {type(error).__name__}.") from None


def repeatable(error: UpstreamError) -> bool:
    """Whether another attempt may help and costs nothing that was already paid for."""
    return error.retryable and not isinstance(error, _NOT_REPEATED)


def _backoff(number: int, error: UpstreamError) -> float:
    """Seconds until the next attempt: as the provider asks, else doubling with jitter."""
    if error.retry_after is not None:
        return error.retry_after
    doubled: float = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2**number)
    return doubled * random.uniform(0.5, 1.0)  # noqa: S311
