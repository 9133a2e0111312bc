"""The results as Markdown, and their place in the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from benchmarks.results import LABELS, LIBRARIES, OURS, SERVERS, Metric, Results, Series, Subject
from benchmarks.targets import COMPARISONS, TARGETS, Target

BEGIN = "<!-- What follows is written by: make bench -->"
END = "<!-- until here -->"
NOTHING = "-"

Column = tuple[str, Metric, Callable[[float], str]]

MILLISECONDS = 1e-3


def figure(value: float) -> str:
    """A number with as many digits as are worth reading."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def in_milliseconds(microseconds: float) -> str:
    """Microseconds, told in milliseconds."""
    return figure(microseconds * MILLISECONDS)


SERVER_COLUMNS: Sequence[Column] = (
    ("plain calls/s", Metric.PLAIN, figure),
    ("CPU of one, us", Metric.PLAIN_CPU, figure),
    ("streams/s", Metric.STREAM, figure),
    ("CPU of one, us", Metric.STREAM_CPU, figure),
    ("added p50, ms", Metric.ADDED_P50, figure),
    ("added p99, ms", Metric.ADDED_P99, figure),
)
EMBEDDING_COLUMNS: Sequence[Column] = (
    ("numbers: p50, ms", Metric.MANY_TIME, figure),
    ("CPU, ms", Metric.MANY_CPU, in_milliseconds),
    ("base64: p50, ms", Metric.MANY_BASE64_TIME, figure),
    ("CPU, ms", Metric.MANY_BASE64_CPU, in_milliseconds),
)
LIBRARY_COLUMNS: Sequence[Column] = (
    ("plain call, us", Metric.PLAIN_CPU, figure),
    ("64-token stream, us", Metric.STREAM_CPU, figure),
    ("embeddings, 4 inputs, us", Metric.FEW_CPU, figure),
    ("256 inputs, ms", Metric.MANY_CPU, in_milliseconds),
    ("memory, MB", Metric.MEMORY, figure),
)
PROCESS_COLUMNS: Sequence[Column] = (
    ("memory at rest, MB", Metric.MEMORY, figure),
    ("first answer, s", Metric.START, figure),
)
CONNECTION_COLUMNS: Sequence[Column] = (
    ("idle socket, KiB", Metric.IDLE_SOCKET, figure),
    ("open stream, KiB", Metric.OPEN_STREAM, figure),
)
PROCESSES = (Subject.ASGI, Subject.DJANGO, Subject.PORTKEY, Subject.LITELLM_PROXY, Subject.HOST)
CONNECTIONS = (Subject.WEBSOCKET, Subject.FACADE, Subject.REST)


def markdown(results: Results) -> str:
    """All tables."""
    return "\n".join(_lines(results)).strip() + "\n"


def _lines(results: Results) -> Iterator[str]:
    machine, settings = results.machine, results.settings
    yield f"Measured on {machine['date'][:10]} at commit `{machine['commit']}`, medians of {settings['rounds']} rounds."
    yield f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, Python {machine['python']};"
    yield f"{', '.join(f'{name} {version}' for name, version in settings['versions'].items())};"
    yield f"{machine['pinning']}. Load of the machine before the run: {machine['load_before']}."
    if results.disturbed:
        yield ""
        yield "**The machine was busy with something else: these numbers are provisional, and absolute ones mean nothing.**"
    yield ""
    yield "Servers, calls over the network:"
    yield ""
    yield from table(results, SERVERS, SERVER_COLUMNS)
    if told := results.median(Subject.WEBSOCKET, Metric.CLIENT_CPU):
        yield f"The websocket's client took {told:.0%} of its core."
        yield ""
    yield "Servers, one call that embeds 256 inputs (256 x 1,536 numbers):"
    yield ""
    yield from table(results, SERVERS, EMBEDDING_COLUMNS)
    yield "In process, CPU of one call:"
    yield ""
    yield from table(results, LIBRARIES, LIBRARY_COLUMNS)
    yield "Processes:"
    yield ""
    yield from table(results, PROCESSES, PROCESS_COLUMNS)
    yield "Connections of this project, 1,000 at once:"
    yield ""
    yield from table(results, CONNECTIONS, CONNECTION_COLUMNS)
    warm, check = results.median(Subject.HOST, Metric.WARM_MEMORY), results.median(Subject.HOST, Metric.CHECK_TIME)
    if warm is not None:
        yield f"With litellm warmed up the server takes {figure(warm)} MB."
    if check is not None:
        yield f"`manage.py check` takes {figure(check)} s of CPU."
    yield ""
    yield "Targets:"
    yield ""
    yield from rows(
        ["what", "target", "measured", "holds"],
        ([target.text, *told, verdict] for target, told, verdict in _targets(results)),
    )
    yield "Where others are ahead of us:"
    yield ""
    yield from _losses(results)
    yield ""
    if results.left_out:
        yield "Left out:"
        yield ""
        yield from (f"- {LABELS.get(name, name)}: {reason}" for name, reason in _known(results.left_out))  # type: ignore[call-overload]
        yield ""


def _losses(results: Results) -> list[str]:
    told = [
        f"- {comparison.text}: {LABELS[other]} {figure(value)}, we {figure(own)} {comparison.unit}"
        for comparison in COMPARISONS
        for other, value, own in comparison.ahead(results)
    ]
    return told or ["- nowhere in what was measured"]


def _known(left_out: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, reason in left_out.items():
        yield Subject(name) if name in set(Subject) else name, reason


def _targets(results: Results) -> Iterator[tuple[Target, tuple[str, str], str]]:
    for target in TARGETS:
        value = target.measured(results)
        limit = f"{'at least' if target.at_least else 'at most'} {target.limit:g} {target.unit}"
        yield target, (limit, NOTHING if value is None else f"{figure(value)} {target.unit}"), target.verdict(results)


def table(results: Results, subjects: Iterable[Subject], columns: Sequence[Column]) -> Iterator[str]:
    """The subjects that have at least one of the columns."""
    measured = [each for each in subjects if any(results.find(each, metric) for _, metric, _ in columns)]
    told = ([_name(each), *(_cell(results, each, column) for column in columns)] for each in measured)
    yield from rows(["", *(title for title, _, _ in columns)], told)


def rows(titles: Sequence[str], cells: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown, and an empty line."""
    yield f"| {' | '.join(titles)} |"
    yield f"| --- |{' ---: |' * (len(titles) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in cells)
    yield ""


def _name(subject: Subject) -> str:
    return f"**{LABELS[subject]}**" if subject in OURS else LABELS[subject]


def _cell(results: Results, subject: Subject, column: Column) -> str:
    _, metric, tell = column
    series = results.find(subject, metric)
    if series is None:
        return NOTHING
    value = results.median(subject, metric)
    return tell(value) if value is not None else _spoilt(series)


def _spoilt(series: Series) -> str:
    return f"{series.bad:,} of {series.answers:,} bad" if series.bad else NOTHING


def insert(page: str, told: str) -> str:
    """The page with the tables between its marks.

    Raises:
        ValueError: it has no marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page has no place for the results: {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{told}\n{END}{after}"
