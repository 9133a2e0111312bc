"""The part of ``docs/families.md`` that follows from the family classes. ``python -m tests.documented`` writes it anew."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ai_models.capabilities import Capability
from ai_models.families.base import Family
from ai_models.families.fields import ConfigField

PAGE = Path(__file__).parent.parent / "docs" / "families.md"
COMMAND = "python -m tests.documented"
BEGIN = f"<!-- What follows is written by: {COMMAND} -->"


def built_in() -> Mapping[str, type[Family]]:
    """The families of this project, also where those of others are installed."""
    from ai_models.registry import families

    return {name: family for name, family in families().items() if family.__module__.startswith("ai_models.")}


def page(text: str, families: Mapping[str, type[Family]]) -> str:
    """The page with its generated part made anew."""
    by_hand = text.partition(BEGIN)[0].rstrip()
    return "\n".join([by_hand, "", BEGIN, "", *_capabilities(families), *_sections(families)])


def _capabilities(families: Mapping[str, type[Family]]) -> Iterator[str]:
    offered = {capability for family in families.values() for capability in family.capabilities}
    columns = [capability for capability in Capability if capability in offered]
    yield "## Capabilities"
    yield ""
    yield from table(["family", *columns], ([f"`{name}`", *_verdicts(family, columns)] for name, family in families.items()))


def _verdicts(family: type[Family], capabilities: Iterable[Capability]) -> Iterator[str]:
    return ("yes" if capability in family.capabilities else "no" for capability in capabilities)


def _sections(families: Mapping[str, type[Family]]) -> Iterator[str]:
    for name, family in families.items():
        yield f"## `{name}`"
        yield ""
        yield " ".join((family.__doc__ or "").replace("``", "`").split())
        yield ""
        yield from table(["field", "kind", "", "default", "meaning"], (_field(field) for field in family.fields))
        yield f"`provider_options`: {_options(family)}."
        yield ""


def _field(field: ConfigField) -> list[str]:
    marks = [word for word, holds in (("required", field.required), ("secret", field.secret)) if holds]
    meaning = f"{field.help} One of {', '.join(f'`{choice}`' for choice in field.choices)}." if field.choices else field.help
    return [f"`{field.name}`", field.kind, ", ".join(marks), "" if field.default is None else f"`{field.default}`", meaning]


def _options(family: type[Family]) -> str:
    allowed: frozenset[str] | None = getattr(family, "provider_options", frozenset())
    if allowed is None:
        return "whatever the endpoint takes, but for what the request has fields of its own for"
    return ", ".join(f"`{option}`" for option in sorted(allowed)) or "none"


def table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """Lines of a Markdown table and an empty one after it."""
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    PAGE.write_text(page(PAGE.read_text(), built_in()))
