"""The results as a picture: bars on linear scales from zero, text as text, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.results import FLOORS, LABELS, LIBRARIES, OURS, SERVERS, Metric, Results, Subject
from benchmarks.table import CONNECTIONS, PROCESSES, figure

WIDTH = 960
MARGIN = 24
COLUMN_WIDTH = (WIDTH - 3 * MARGIN) // 2
LABEL_WIDTH = 190
VALUE_WIDTH = 64
TITLE_HEIGHT = 46
ROW_HEIGHT = 24
BAR_HEIGHT = 14
PANEL_GAP = 22
LEGEND_HEIGHT = 58

STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 14px; }
  .note, .value { fill: #59636e; }
  .ours { fill: #0b6bcb; } .peer { fill: #b4690e; } .floor { fill: #a3acb5; }
  .paper { fill: #ffffff; } .axis { stroke: #d1d9e0; }
  text.own { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .note, .value { fill: #9198a1; }
    .ours { fill: #4ea1f7; } .peer { fill: #e0a050; } .floor { fill: #5b646e; }
    .paper { fill: #0d1117; } .axis { stroke: #3d444d; }
  }
"""

SHORT = {
    Subject.ASGI: "floor: ASGI + aiohttp",
    Subject.DJANGO: "floor: Django view",
    Subject.FACADE: "ours, OpenAI's API",
    Subject.REST: "ours, REST",
    Subject.WEBSOCKET: "ours, websocket",
    Subject.PYTHON: "ours",
    Subject.HOST: "ours",
    Subject.TENSORZERO: "TensorZero (Rust)",
}


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of one metric.

    Attributes:
        title: what is measured.
        note: its unit, and which way is better.
        subjects: of whom, if measured.
        metric: of the results.
        factor: from its unit to that of the note.
    """

    title: str
    note: str
    subjects: Sequence[Subject]
    metric: Metric
    factor: float = 1.0


# The upstream itself would leave no room for the others.
_SERVERS = tuple(subject for subject in SERVERS if subject is not Subject.DIRECT)

PANELS = (
    Panel("Plain calls, one core", "per second, more is better", _SERVERS, Metric.PLAIN),
    Panel("Streams of 64 tokens, one core", "per second, more is better", _SERVERS, Metric.STREAM),
    Panel("Added to a call at one connection, p50", "milliseconds, less is better", _SERVERS, Metric.ADDED_P50),
    Panel("Added to a call at one connection, p99", "milliseconds, less is better", _SERVERS, Metric.ADDED_P99),
    Panel("A plain call in process", "microseconds of CPU, less is better", LIBRARIES, Metric.PLAIN_CPU),
    Panel("A stream of 64 tokens in process", "milliseconds of CPU, less is better", LIBRARIES, Metric.STREAM_CPU, 1e-3),
    Panel("256 embeddings in process", "milliseconds of CPU, less is better", LIBRARIES, Metric.MANY_CPU, 1e-3),
    Panel("256 embeddings through a server, p50", "milliseconds, less is better", _SERVERS, Metric.MANY_TIME),
    Panel("Memory at rest", "MB, less is better", PROCESSES, Metric.MEMORY),
    Panel("From the start to the first answer", "seconds, less is better", PROCESSES, Metric.START),
    Panel("An open stream", "KiB, less is better", CONNECTIONS, Metric.OPEN_STREAM),
    Panel("An idle socket", "KiB, less is better", CONNECTIONS, Metric.IDLE_SOCKET),
)


def svg(results: Results, panels: Sequence[Panel] = PANELS) -> str:
    """The picture; panels of which nothing was measured are left out."""
    filled = [(panel, rows) for panel in panels if (rows := _rows(results, panel))]
    parts: list[str] = []
    top = MARGIN + LEGEND_HEIGHT
    for pair in (filled[start : start + 2] for start in range(0, len(filled), 2)):
        for column, (panel, rows) in enumerate(pair):
            parts += _panel(panel, rows, MARGIN + column * (COLUMN_WIDTH + MARGIN), top)
        top += TITLE_HEIGHT + max(len(rows) for _, rows in pair) * ROW_HEIGHT + PANEL_GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}" role="img">',
            "<title>django-ai-models beside other gateways and libraries</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{top}" rx="6"/>',
            *_legend(results),
            *parts,
            "</svg>\n",
        ]
    )


def _rows(results: Results, panel: Panel) -> list[tuple[Subject, float | None]]:
    """Subject and median; the latter is ``None`` where answers were bad."""
    found = []
    for subject in panel.subjects:
        if results.find(subject, panel.metric) is not None:
            value = results.median(subject, panel.metric)
            found.append((subject, None if value is None else value * panel.factor))
    return found


def _legend(results: Results) -> Iterator[str]:
    x = MARGIN
    for kind, text in (("ours", "django-ai-models"), ("peer", "others"), ("floor", "floors: the least it can cost")):
        yield f'<rect class="{kind}" x="{x}" y="{MARGIN}" width="12" height="12" rx="2"/>'
        yield f'<text x="{x + 18}" y="{MARGIN + 10}">{text}</text>'
        x += 40 + 7 * len(text)
    told = f"{results.machine['date'][:10]}, commit {results.machine['commit']}; medians; every scale is linear and begins at 0"
    if results.disturbed:
        told += "; provisional: the machine was busy with something else"
    yield f'<text class="note" x="{MARGIN}" y="{MARGIN + 32}">{escape(told)}</text>'


def _panel(panel: Panel, rows: Sequence[tuple[Subject, float | None]], left: int, top: int) -> Iterator[str]:
    yield f'<text class="title" x="{left}" y="{top + 14}">{escape(panel.title)}</text>'
    yield f'<text class="note" x="{left}" y="{top + 31}">{escape(panel.note)}</text>'
    largest = max((value for _, value in rows if value is not None), default=0.0) or 1.0
    start, room = left + LABEL_WIDTH, COLUMN_WIDTH - LABEL_WIDTH - VALUE_WIDTH
    bottom = top + TITLE_HEIGHT + len(rows) * ROW_HEIGHT
    yield f'<line class="axis" x1="{start}" y1="{top + TITLE_HEIGHT - 2}" x2="{start}" y2="{bottom - 4}"/>'
    for number, (subject, value) in enumerate(rows):
        y = top + TITLE_HEIGHT + number * ROW_HEIGHT
        own = ' class="own"' if subject in OURS else ""
        label = SHORT.get(subject, LABELS[subject])
        yield f'<text{own} x="{start - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>'
        width = max(room * max(value or 0.0, 0.0) / largest, 1.0)
        told = "bad answers" if value is None else figure(value)
        if value is not None:
            kind = "ours" if subject in OURS else "floor" if subject in FLOORS else "peer"
            yield f'<rect class="{kind}" x="{start}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT}" rx="2"/>'
        yield f'<text class="value" x="{start + (width if value is not None else 0) + 6:.1f}" y="{y + 12}">{told}</text>'
