"""``python -m benchmarks``: measure, print the tables, and write results, tables and picture into ``docs/``."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import environments, footprint, host, machine, picture, table
from benchmarks.environments import Unavailable
from benchmarks.machine import ROOT, Cores
from benchmarks.processes import Process
from benchmarks.results import OURS, Results, Subject
from benchmarks.rounds import Rounds
from benchmarks.servers import Place

DOCS = ROOT / "docs"
PAGE = DOCS / "benchmarks.md"
RESULTS = DOCS / "benchmarks" / "results.json"
PICTURE = DOCS / "benchmarks" / "results.svg"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    options = parser().parse_args(arguments)
    try:
        wanted = choose(options.only)
    except ValueError as error:
        sys.exit(str(error))
    if options.render:
        results = Results.load(RESULTS.read_text())
    else:
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            results = measure(folder, wanted, options.rounds, options.seconds)
        except Unavailable as error:
            sys.exit(f"{error}\nLogs are in {folder}")
        shutil.rmtree(folder)
    print(table.markdown(results))
    if not options.only and not options.dry:
        write(results)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and write what came out into docs/.")
    made.add_argument("--rounds", type=int, default=3, help="How often each is measured; the median counts. 3 unless given.")
    made.add_argument("--seconds", type=float, default=4, help="How long each is measured at a time. 4 unless given.")
    made.add_argument(
        "--only", default="", metavar="SUBJECTS", help=f"Comma separated: ours, {', '.join(Subject)}. Writes nothing."
    )
    made.add_argument("--dry", action="store_true", help="Write nothing.")
    made.add_argument("--render", action="store_true", help="Measure nothing: write tables and picture anew from the results.")
    return made


def choose(only: str) -> frozenset[Subject]:
    """The subjects that are meant; all without a word.

    Raises:
        ValueError: there is none of that name.
    """
    if not only:
        return frozenset(Subject)
    found: set[Subject] = set()
    for name in only.replace(",", " ").split():
        try:
            found |= OURS if name == "ours" else {Subject(name)}
        except ValueError:
            raise ValueError(f"There is no {name} to measure. Choose from: ours, {', '.join(Subject)}") from None
    return frozenset(found)


def measure(folder: Path, wanted: frozenset[Subject], rounds: int, seconds: float) -> Results:
    """Measure in so many rounds.

    Raises:
        Unavailable: the upstream or this project does not run.
    """
    cores = machine.find_cores()
    settings = {"rounds": rounds, "seconds": seconds, "versions": environments.versions()}
    results = Results(machine=machine.facts(cores), settings=settings)
    with start_upstream(cores, folder) as upstream:
        address = f"http://127.0.0.1:{upstream.hear()['port']}/v1"
        place = Place(cores, folder, address, host.prepare(folder / "host", address))
        measuring = Rounds(place, results, wanted, seconds)
        try:
            tell("starting what is measured")
            measuring.start()
            for number in range(rounds):
                tell(f"round {number + 1} of {rounds}")
                measuring.run()
        finally:
            measuring.stop()
        if Subject.HOST in wanted:
            tell("memory and start of this project")
            footprint.measure(place, results, rounds)
    return results


def start_upstream(cores: Cores, folder: Path) -> Process:
    """The upstream that all of them call."""
    return Process(cores.load([sys.executable, "-m", "benchmarks.upstream"]), log=folder / "upstream.log", talks=True)


def write(results: Results) -> None:
    """Write results, picture, and the tables of the page."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(results.dump())
    PICTURE.write_text(picture.svg(results))
    PAGE.write_text(table.insert(PAGE.read_text(), table.markdown(results)))
    tell(f"wrote {', '.join(str(path.relative_to(ROOT)) for path in (RESULTS, PICTURE, PAGE))}")


def tell(step: str) -> None:
    """Say on standard error how far it is."""
    print(f"[{time.strftime('%H:%M:%S')}] {step}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
