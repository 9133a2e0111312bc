"""Which provider families there are. Built-ins and third parties come through the same door.

A distribution contributes a family by an entry point in the group ``ai_models.families``; a project names one by its dotted
path in ``AI_MODELS["FAMILIES"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from ai_models.conf import conf
from ai_models.exceptions import ConfigurationError
from ai_models.families.base import Family

ENTRY_POINT_GROUP = "ai_models.families"

Source = Callable[[], str]
"""Tells where a family comes from. It is asked only for messages, since a package's name stands in a file of its own."""


@cache
def families() -> Mapping[str, type[Family]]:
    """Family classes by type.

    Raises:
        ConfigurationError: lists every contribution that cannot be loaded or whose type another one has already.
    """
    found: dict[str, tuple[Source, type[Family]]] = {}
    problems: list[str] = []
    for source, load in _contributions():
        try:
            family = _family(load())
        except Exception as error:  # a third party's module can fail in any way when it is imported
            problems.append(f"The provider family from {source()} cannot be loaded: {type(error).__name__}: {error}")
            continue
        first, other = found.setdefault(family.type, (source, family))
        if other is not family:
            problems.append(
                f"Two provider families have the type {family.type!r}: one from {first()}, one from {source()}. Remove one."
            )
    if problems:
        raise ConfigurationError(problems)
    return MappingProxyType({name: family for name, (_, family) in sorted(found.items())})


def _contributions() -> Iterator[tuple[Source, Callable[[], Any]]]:
    for point in entry_points(group=ENTRY_POINT_GROUP):
        yield partial(_told, point), point.load
    for path in conf().FAMILIES:
        yield partial('AI_MODELS["FAMILIES"], {}'.format, path), partial(import_string, path)


def _told(point: EntryPoint) -> str:
    owner = f"package {point.dist.name}, " if point.dist else ""
    return f"{owner}entry point {point.name} = {point.value}"


def _family(candidate: Any) -> type[Family]:
    if not (isinstance(candidate, type) and issubclass(candidate, Family)):
        raise TypeError("it is not a subclass of ai_models.families.base.Family")
    if not isinstance(getattr(candidate, "type", None), str) or not isinstance(getattr(candidate, "label", None), str):
        raise TypeError("it declares no type or label")
    return candidate


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    if setting == "AI_MODELS":
        families.cache_clear()
