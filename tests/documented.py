"""The parts of the documentation that follow from the code. ``python -m tests.documented`` writes them anew."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import django

from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError
from ai_models.families.base import Family
from ai_models.families.fields import ConfigField

DOCS = Path(__file__).parent.parent / "docs"
COMMAND = "python -m tests.documented"
BEGIN = f"<!-- What follows is written by: {COMMAND} -->"


def built_in() -> Mapping[str, type[Family]]:
    """The families of this project, also where those of others are installed."""
    from ai_models.registry import families

    return {name: family for name, family in families().items() if family.__module__.startswith("ai_models.")}


def subclasses(kind: type[AIModelsError]) -> Iterator[type[AIModelsError]]:
    """The errors below one, at every depth: what lists of errors have to have."""
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def pages(families: Mapping[str, type[Family]]) -> Iterator[tuple[Path, str]]:
    """Each page with a generated part, and what it should say."""
    from tests import streamed  # needs Django's apps

    yield _page(DOCS / "families.md", _matrix(families))
    for name, family in families.items():
        yield _page(DOCS / "families" / f"{name}.md", _family(family))
    yield _page(DOCS / "observability.md", _metrics())
    for name, text in streamed.pages():
        yield DOCS / "streams" / name, text


def _page(path: Path, generated: Iterable[str]) -> tuple[Path, str]:
    by_hand = path.read_text().partition(BEGIN)[0].rstrip()
    return path, "\n".join([by_hand, "", BEGIN, "", *generated])


def _metrics() -> Iterator[str]:
    from ai_models.telemetry.instruments import ALL
    from ai_models.telemetry.prometheus import name_of

    yield "## All metrics"
    yield ""
    yield from table(
        ["metric", "for Prometheus", "kind", "unit", "labels", ""],
        (
            [
                f"`{item.name}`",
                f"`{name_of(item)}{'_total' if item.kind == 'counter' else ''}`",
                item.kind,
                f"`{item.unit}`",
                ", ".join(f"`{label}`" for label in item.labels),
                item.description,
            ]
            for item in ALL
        ),
    )


def _matrix(families: Mapping[str, type[Family]]) -> Iterator[str]:
    yield "## Capabilities"
    yield ""
    rows = ([f"[`{name}`](families/{name}.md)", *_verdicts(family, Capability)] for name, family in families.items())
    yield from table(["family", *Capability], rows)


def _verdicts(family: type[Family], capabilities: Iterable[Capability]) -> Iterator[str]:
    return ("yes" if capability in family.capabilities else "no" for capability in capabilities)


def _family(family: type[Family]) -> Iterator[str]:
    yield "## Fields"
    yield ""
    yield from table(["field", "kind", "", "default", "meaning"], (_field(field) for field in family.fields))
    yield "## Capabilities and provider options"
    yield ""
    capabilities = [capability for capability in Capability if capability in family.capabilities]
    yield from table(
        ["capability", "`provider_options`"], ([capability, _options(family, capability)] for capability in capabilities)
    )


def _field(field: ConfigField) -> list[str]:
    marks = [word for word, holds in (("required", field.required), ("secret", field.secret)) if holds]
    meaning = f"{field.help} One of {', '.join(f'`{choice}`' for choice in field.choices)}." if field.choices else field.help
    return [f"`{field.name}`", field.kind, ", ".join(marks), "" if field.default is None else f"`{field.default}`", meaning]


def _options(family: type[Family], capability: Capability) -> str:
    return ", ".join(f"`{option}`" for option in sorted(family.options_of(capability))) or "none"


def table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """Lines of a Markdown table and an empty one after it."""
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    for path, text in pages(built_in()):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
