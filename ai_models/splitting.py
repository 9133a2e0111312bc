"""One call as several: what is more than a provider takes at once goes out in parts, side by side, and comes back as one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from ai_models.conf import conf
from ai_models.pipeline import Call
from ai_models.types import EmbedResult, ImageResult, ModelResult, Warning

C = TypeVar("C", bound=Call[Any])
T = TypeVar("T", bound=ModelResult)
V = TypeVar("V")


def batches(values: Sequence[V], size: int | None) -> list[Sequence[V]]:
    """The values in order, in parts of at most ``size``; ``None`` keeps them together."""
    step = size or len(values)
    return [values[start : start + step] for start in range(0, len(values), step)]


async def answers(parts: Sequence[C], attempt: Callable[[C], Awaitable[T]]) -> list[T]:
    """The results of the parts, in their order. ``AI_MODELS["MAX_PARALLEL"]`` of them are under way at a time.

    The call's time is that of all of them together.

    Raises:
        AIModelsError: of the part that failed first; the others are cancelled.
    """
    if len(parts) == 1:
        return [await parts[0].answer(lambda: attempt(parts[0]))]
    end = time.monotonic() + parts[0].limits.total
    places = asyncio.Semaphore(conf().MAX_PARALLEL)

    async def one(part: C) -> T:
        async with places:
            limits = replace(part.limits, total=max(0.0, end - time.monotonic()))
            return await replace(part, limits=limits).answer(lambda: attempt(part))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(part)) for part in parts]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def joined_embeddings(results: Sequence[EmbedResult]) -> EmbedResult:
    """One result of several, in their order."""
    if len(results) == 1:
        return results[0]
    vectors = [vector for result in results for vector in result.embeddings or ()]
    return replace(results[0], embeddings=vectors, usage=_usage(results), warnings=_distinct(results))


def joined_images(results: Sequence[ImageResult]) -> ImageResult:
    """One result of several, in their order."""
    if len(results) == 1:
        return results[0]
    images = tuple(image for result in results for image in result.images)
    return replace(results[0], images=images, usage=_usage(results), warnings=_distinct(results))


def total(usages: Sequence[Any]) -> Any:
    """The sum of usages, figure by figure; a figure that is unknown once is unknown."""
    first = usages[0]
    if not is_dataclass(first):
        return _sum(usages)
    names = [field.name for field in fields(first)]
    return replace(first, **{name: total([getattr(usage, name) for usage in usages]) for name in names})  # type: ignore[type-var]


def _usage(results: Sequence[EmbedResult] | Sequence[ImageResult]) -> Any:
    return total([result.usage for result in results])


def _sum(figures: Iterable[int | None]) -> int | None:
    known = 0
    for figure in figures:
        if figure is None:
            return None
        known += figure
    return known


def _distinct(results: Sequence[ModelResult]) -> tuple[Warning, ...]:
    return tuple(dict.fromkeys(warning for result in results for warning in result.warnings))
