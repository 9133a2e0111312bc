"""Several files and the environment make one configuration."""

from __future__ import annotations

import logging
import os

import pytest

from ai_models.config import Refused, environment
from tests.config.conftest import Folder, told


def test_objects_merge_and_everything_else_is_replaced(folder: Folder) -> None:
    loaded = folder.load(
        "ai: {o: {a: 1, b: {c: 2}}, list: [1, 2], text: x, was: {a: 1}, now: 1}",
        "ai: {o: {b: {d: 3}}, list: [3], text: y, was: 1, now: {a: 1}}",
    )
    assert loaded.data["ai"] == {"o": {"a": 1, "b": {"c": 2, "d": 3}}, "list": [3], "text": "y", "was": 1, "now": {"a": 1}}


def test_null_removes(folder: Folder) -> None:
    loaded = folder.load("ai: {a: 1, o: {b: 2, c: 3}}", "ai: {a: null, o: {b: ~}, never: null}")
    assert loaded.data["ai"] == {"o": {"c": 3}}
    assert folder.load("ai: {a: 1}", "ai: null").data == {}


def test_the_origin_of_a_value_is_the_file_that_won(folder: Folder) -> None:
    loaded = folder.load("ai:\n  a: 1\n  b: 2\n", "other: 1\nai:\n  b: 3\n", APP_CONFIG_ai_c="4")
    places = {
        path[-1]: (origin.file.rpartition("/")[2], origin.line) for path, origin in loaded.origins.items() if len(path) == 2
    }
    assert places == {"a": ("config-1.yaml", 2), "b": ("config-2.yaml", 3), "c": ("environment variable APP_CONFIG_ai_c", None)}


def test_environment_variables_override_all_files(folder: Folder) -> None:
    loaded = folder.load(
        "ai: {defaultProvider: a, providers: {groq: {baseURL: x, keep: 1}}, gone: 1}",
        APP_CONFIG_ai_defaultProvider="b",
        APP_CONFIG_ai_providers_groq_baseURL="https://groq.example/v1",
        APP_CONFIG_ai_providers_groq_headers='{"a": "1"}',
        APP_CONFIG_ai_number="12",
        APP_CONFIG_ai_quoted='"12"',
        APP_CONFIG_ai_literal="${A} {$env: A} NaN",
        APP_CONFIG_ai_gone="null",
        APP_CONFIG_ai_unset="",
        APP_CONFIG_backend__="{",
        APP_CONFIG_aix="1",
    )
    assert loaded.problems == ()
    assert loaded.data["ai"] == {
        "defaultProvider": "b",
        "providers": {"groq": {"baseURL": "https://groq.example/v1", "keep": 1, "headers": {"a": "1"}}},
        "number": 12,
        "quoted": "12",
        "literal": "${A} {$env: A} NaN",
    }


def test_an_override_can_stand_without_any_file(folder: Folder) -> None:
    assert folder.load(APP_CONFIG_ai='{"a": {"b": 1}}', APP_CONFIG_ai_a_c="2").data == {"ai": {"a": {"b": 1, "c": 2}}}


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        (
            {"APP_CONFIG_ai_": "sk-canary"},
            "environment variable APP_CONFIG_ai_: The name does not make a key path: a part of it is empty.",
        ),
        (
            {"APP_CONFIG_ai__a": "1"},
            "environment variable APP_CONFIG_ai__a: The name does not make a key path: a part of it is empty.",
        ),
        (
            {"APP_CONFIG_ai_a": "sk-canary", "APP_CONFIG_ai_a_b": "1"},
            "environment variable APP_CONFIG_ai_a_b: ai.a.b: Another variable sets a value at a key above: APP_CONFIG_ai_a.",
        ),
        (
            {"APP_CONFIG_ai_a": '{"x": 1, "x": 2}'},
            "environment variable APP_CONFIG_ai_a: ai.a: The key x stands twice in one object.",
        ),
        ({"APP_CONFIG_ai_a": "[" * 100_000}, "environment variable APP_CONFIG_ai_a: ai.a: Values are nested too deep."),
    ],
)
def test_a_bad_override_is_a_mistake(folder: Folder, env: dict[str, str], problem: str) -> None:
    problems = told(folder.load(**env))
    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert "canary" not in problems[0]


def test_the_process_wins_over_the_env_file_and_stays_as_it_is(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG_TEST_BOTH", "process")
    file = folder.write(
        ".env", "# comment\n\nCONFIG_TEST_BOTH=file\nexport CONFIG_TEST_FILE='a b'\nCONFIG_TEST_RAW=$CONFIG_TEST_BOTH${X}\n"
    )
    before = dict(os.environ)
    env = environment(file)
    assert (env["CONFIG_TEST_BOTH"], env["CONFIG_TEST_FILE"], env["CONFIG_TEST_RAW"]) == (
        "process",
        "a b",
        "$CONFIG_TEST_BOTH${X}",
    )
    assert dict(os.environ) == before


def test_each_reading_of_the_environment_is_its_own(folder: Folder) -> None:
    assert environment(folder.write("one.env", "CONFIG_TEST_ONE=1"))["CONFIG_TEST_ONE"] == "1"
    assert "CONFIG_TEST_ONE" not in environment(folder.path / "none.env")


def test_a_line_of_the_env_file_that_assigns_nothing_is_told_without_its_text(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert environment(folder.write(".env", "A KEY=sk-canary\n  # fine\nCONFIG_TEST_B=1\n"))["CONFIG_TEST_B"] == "1"
    assert ".env:1 is neither NAME=value nor a comment and is ignored." in caplog.text
    assert "canary" not in caplog.text


def test_an_env_file_that_is_no_text_is_refused(folder: Folder) -> None:
    with pytest.raises(Refused, match=r"\.env:2: The file is not UTF-8 text"):
        environment(folder.write(".env", b"A=1\nB=\xff\n"))
