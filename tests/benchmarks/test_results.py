"""Medians, bad answers, targets, and how they are shown."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as command
from benchmarks import picture, table, workloads
from benchmarks.load import parse
from benchmarks.results import LABELS, OURS, Metric, Results, Subject
from benchmarks.targets import COMPARISONS, TARGETS, Target, of

MACHINE = {
    "date": "2026-11-28T20:00:00+00:00",
    "commit": "abc",
    "cpu": "a processor",
    "cores": 2,
    "kernel": "6",
    "python": "3.11.7",
    "pinning": "not pinned",
    "load_before": 0.1,
}
BAR = "{http://www.w3.org/2000/svg}rect"


@pytest.fixture
def results() -> Results:
    """Two gateways, one of which failed in a round."""
    made = Results(machine=dict(MACHINE), settings={"rounds": 3, "seconds": 4, "versions": {"openai": "3", "litellm": "1"}})
    for value in (900.0, 100.0, 1000.0):
        made.add(Subject.FACADE, Metric.PLAIN, value, answers=4000)
    made.add(Subject.LITELLM_PROXY, Metric.PLAIN, 30.0, answers=120)
    made.add(Subject.PORTKEY, Metric.PLAIN, 5000.0, answers=20_000)
    made.add(Subject.PORTKEY, Metric.PLAIN, 5000.0, answers=20_000, bad=7)
    made.left_out["tensorzero"] = "tensorzero cannot be installed: no such release"
    return made


def test_the_median_of_the_rounds_counts(results: Results) -> None:
    assert results.median(Subject.FACADE, Metric.PLAIN) == 900
    assert results.ratio(Subject.FACADE, Subject.LITELLM_PROXY, Metric.PLAIN) == 30
    assert results.median(Subject.FACADE, Metric.STREAM) is None
    assert results.ratio(Subject.FACADE, Subject.DIRECT, Metric.PLAIN) is None


def test_a_busy_machine_is_told(results: Results) -> None:
    assert "provisional" not in table.markdown(results) + picture.svg(results)
    results.machine["load_before"] = 3.0
    assert "these numbers are provisional" in table.markdown(results)
    assert "provisional: the machine was busy" in picture.svg(results)


def test_one_bad_answer_spoils_a_number(results: Results) -> None:
    assert results.median(Subject.PORTKEY, Metric.PLAIN) is None
    told = table.markdown(results)
    assert "| Portkey gateway | 7 of 40,000 bad |" in told
    assert "5,000" not in told
    assert "bad answers" in picture.svg(results)


def test_results_come_back_from_their_file(results: Results) -> None:
    assert Results.load(results.dump()) == results
    assert table.markdown(Results.load(results.dump())) == table.markdown(results)


def test_tables_have_what_was_measured_and_nothing_else(results: Results) -> None:
    told = table.markdown(results)
    assert "| **django-ai-models, OpenAI's API** | 900 |" in told
    assert "django-ai-models, websocket" not in told
    assert "- TensorZero embedded (Rust): tensorzero cannot be installed: no such release" in told
    assert "at commit `abc`, medians of 3 rounds" in told


@pytest.mark.parametrize(
    ("value", "told"), [(12345.6, "12,346"), (99.94, "99.9"), (9.876, "9.88"), (0.0, "0.00"), (-0.5, "-0.50"), (-120.0, "-120")]
)
def test_numbers_have_three_digits_worth_reading(value: float, told: str) -> None:
    assert table.figure(value) == told


def test_targets_are_judged_from_the_results(results: Results) -> None:
    told = {target.text: target.verdict(results) for target in TARGETS}
    assert told["OpenAI's API, plain, beside LiteLLM proxy"] == "yes"
    assert told["OpenAI's API, plain, beside Portkey"] == "not measured"
    results.add(Subject.WEBSOCKET, Metric.STREAM, 249.0)
    results.add(Subject.HOST, Metric.MEMORY, 120.1)
    assert {"Websocket, streams": "no", "Memory at rest without litellm": "no"}.items() <= {
        target.text: target.verdict(results) for target in TARGETS
    }.items()


@pytest.mark.parametrize(("at_least", "verdict"), [(True, "yes"), (False, "yes")])
def test_a_limit_that_is_just_reached_holds(results: Results, at_least: bool, verdict: str) -> None:
    target = Target("x", 900, "per second", of(Subject.FACADE, Metric.PLAIN), at_least=at_least)
    assert target.verdict(results) == verdict


def test_a_stream_is_judged_by_the_way_where_it_takes_most(results: Results) -> None:
    target = next(target for target in TARGETS if target.text.startswith("An open stream"))
    results.add(Subject.WEBSOCKET, Metric.OPEN_STREAM, 10.0)
    results.add(Subject.FACADE, Metric.OPEN_STREAM, 81.0)
    assert target.verdict(results) == "not measured"
    results.add(Subject.REST, Metric.OPEN_STREAM, 60.0)
    assert target.verdict(results) == "no"


def test_it_says_where_others_are_ahead(results: Results) -> None:
    assert "- nowhere in what was measured" in table.markdown(results)
    results.add(Subject.LITELLM_PROXY, Metric.STREAM, 300.0)
    results.add(Subject.FACADE, Metric.STREAM, 200.0)
    assert "- streams over OpenAI's API: LiteLLM proxy 300, we 200 per second" in table.markdown(results)


def test_comparisons_are_with_others() -> None:
    assert all(comparison.ours in OURS and not OURS & {*comparison.others} for comparison in COMPARISONS)


def test_the_picture_is_to_scale(results: Results) -> None:
    tree = ElementTree.fromstring(picture.svg(results))
    bars = {bar.attrib["class"]: float(bar.attrib["width"]) for bar in tree.iter(BAR) if "height" in bar.attrib}
    drawn = [float(bar.attrib["width"]) for bar in tree.iter(BAR) if bar.attrib.get("height") == str(picture.BAR_HEIGHT)]
    assert {"ours", "peer", "floor", "paper"} >= bars.keys()
    assert min(drawn) / max(drawn) == pytest.approx(30 / 900, rel=0.05)
    assert "prefers-color-scheme: dark" in picture.svg(results)


def test_every_subject_has_a_name() -> None:
    assert LABELS.keys() == set(Subject)


def test_tables_go_between_the_marks_of_the_page() -> None:
    page = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    told = table.insert(page, "new\n")
    assert told == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n"
    assert table.insert(told, "new\n") == told
    with pytest.raises(ValueError, match="no place for the results"):
        table.insert("nothing\n", "new\n")


def test_the_page_and_the_picture_are_those_of_the_results() -> None:
    kept = Results.load(command.RESULTS.read_text())
    assert command.PAGE.read_text() == table.insert(command.PAGE.read_text(), table.markdown(kept)), (
        "due: make bench OPTIONS=--render"
    )
    assert command.PICTURE.read_text() == picture.svg(kept), "due: make bench OPTIONS=--render"


def test_what_wrk_says_is_read() -> None:
    told = (
        'Running 1s test\n\nRESULT {"answers": 900, "seconds": 3.0, "p50_ms": 1.5, "p99_ms": 9.0, "bad": 300}\nTransfer/sec\n'
    )
    load = parse(told)
    assert (load.rate, load.p50_ms, load.p99_ms, load.bad) == (200, 1.5, 9, 300)


def test_no_answer_at_all_is_a_bad_one() -> None:
    load = parse('RESULT {"answers": 0, "seconds": 3.0, "p50_ms": 0.0, "p99_ms": 0.0, "bad": 0}')
    assert (load.rate, load.bad) == (0, 1)


def test_what_wrk_says_instead_of_a_result_is_told() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")


def test_subjects_are_chosen_by_name() -> None:
    assert command.choose("facade rest,direct") == {Subject.FACADE, Subject.REST, Subject.DIRECT}
    assert command.choose("ours") == OURS
    assert command.choose("") == set(Subject)
    with pytest.raises(ValueError, match="There is no bifrost to measure"):
        command.choose("bifrost")


def test_a_request_is_written_as_short_as_clients_do() -> None:
    request = workloads.Request("http://x", {"a": [1, "b"]}, "", 1)
    assert request.encoded == '{"a":[1,"b"]}'
    assert json.loads(request.encoded) == request.body
