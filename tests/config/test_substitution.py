"""``${VAR}``, ``$env``, ``$file`` and ``$include``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.config.conftest import Folder, told

ENV = {"A": "one", "B": "two", "EMPTY": "", "RAW": "${A}"}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${A}", "one"),
        ("x-${A}-${B}-y", "x-one-two-y"),
        ("${ A }", "one"),
        ("${NONE:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${A:-default}", "one"),
        ("${NONE:-a:-b}", "a:-b"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$${A} and ${A}", "${A} and one"),
        ("$A $ {A} $", "$A $ {A} $"),
        ("${RAW}", "${A}"),
    ],
)
def test_placeholders(folder: Folder, written: str, value: str) -> None:
    loaded = folder.load(f"ai: {{key: '{written}'}}", **ENV)
    assert (loaded.data["ai"], loaded.problems) == ({"key": value}, ())


@pytest.mark.parametrize("written", ["'${NONE}'", "'x${EMPTY}y'", "{$env: NONE}", "{$env: EMPTY}", "'${A} ${NONE}'"])
def test_an_undefined_variable_makes_the_whole_value_undefined_and_is_named(folder: Folder, written: str) -> None:
    loaded = folder.load(f"ai:\n  kept: 1\n  key: {written}\n", **ENV)
    name = "EMPTY" if "EMPTY" in written else "NONE"
    assert loaded.data["ai"] == {"kept": 1}
    assert told(loaded) == [
        f"config-1.yaml:3: ai.key: The variable {name} is not set, or empty. "
        "Set it in the environment or in .env, or write ${NAME:-default}, or ${NAME:-} where the value may be missing."
    ]


def test_all_undefined_variables_of_a_text_are_named(folder: Folder) -> None:
    assert "The variables X, Y are not set, or empty." in told(folder.load("ai: {key: '${X}${Y}${X}'}"))[0]


def test_an_empty_default_makes_the_value_undefined_and_is_no_mistake(folder: Folder) -> None:
    loaded = folder.load("ai: {key: '${NONE:-}', other: 'x${NONE:-}', set: '${A:-}'}", **ENV)
    assert (loaded.data["ai"], loaded.problems) == ({"other": "x", "set": "one"}, ())


def test_an_earlier_value_shows_through_an_undefined_one(folder: Folder) -> None:
    loaded = folder.load("ai: {key: earlier}", "ai: {key: '${NONE}'}")
    assert (loaded.data["ai"], loaded.problems) == ({"key": "earlier"}, ())


def test_a_later_value_makes_a_missing_variable_no_mistake(folder: Folder) -> None:
    loaded = folder.load("ai: {key: '${NONE}', removed: '${NONE}'}", "ai: {key: later, removed: null}")
    assert (loaded.data["ai"], loaded.problems) == ({"key": "later"}, ())


def test_a_missing_variable_is_a_mistake_when_what_is_below_was_removed(folder: Folder) -> None:
    assert "NONE" in told(folder.load("ai: {key: null}", "ai: {key: '${NONE}'}"))[0]
    assert "NONE" in told(folder.load("ai: {key: '${NONE}'}", "ai: {key: '${OTHER:-}'}"))[0]


def test_an_undefined_item_leaves_its_list(folder: Folder) -> None:
    loaded = folder.load("ai: {list: [a, '${NONE:-}', b]}")
    assert loaded.data["ai"] == {"list": ["a", "b"]}


@pytest.mark.parametrize("written", ["${", "${A", "${}", "${1A}", "${A:-${B}}", "${A-B}", "${sk-canary!}"])
def test_a_placeholder_that_names_no_variable_is_a_mistake(folder: Folder, written: str) -> None:
    assert told(folder.load(f"ai: {{key: '{written}'}}", **ENV)) == [
        "config-1.yaml:1: ai.key: A ${...} is not closed, is nested, or does not name a variable. "
        "Write ${NAME} or ${NAME:-default}; for the characters themselves write $${."
    ]


def test_files_are_read_beside_the_file_that_names_them(folder: Folder) -> None:
    folder.write("secrets/key.txt", "  sk-1 ${A}\n\n \t")
    folder.write("parts/a.yaml", "deep:\n  part:\n    file: {$file: ../secrets/key.txt}\n    variable: ${A}\n")
    loaded = folder.load("ai:\n  key: {$file: ./secrets/key.txt}\n  part: {$include: './parts/a.yaml#deep.part'}\n", **ENV)
    assert loaded.problems == ()
    assert loaded.data["ai"] == {"key": "  sk-1 ${A}", "part": {"file": "  sk-1 ${A}", "variable": "one"}}
    assert loaded.origins[("ai", "part", "variable")].line == 4
    assert loaded.origins[("ai", "part", "variable")].file.endswith("parts/a.yaml")


def test_the_argument_of_file_and_include_is_substituted(folder: Folder) -> None:
    folder.write("one.json", json.dumps({"a": {"b": ["x", 1, True, "😀"]}}))
    loaded = folder.load("ai: {list: {$include: './${A}.json#a.b'}, none: {$file: '${NONE:-}'}}", **ENV)
    assert (loaded.data["ai"], loaded.problems) == ({"list": ["x", 1, True, "😀"]}, ())


def test_an_include_merges_with_an_earlier_file(folder: Folder) -> None:
    folder.write("part.yml", "b: 2\n")
    assert folder.load("ai: {x: {a: 1}}", "ai: {x: {$include: part.yml}}").data["ai"] == {"x": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{$env: A, b: 1}", "$env is not the only key of its object."),
        ("{$file: sk-canary, $env: A}", "$file is not the only key of its object."),
        ("{$data: sk-canary}", "A key that begins with $ is not known."),
        ("{$env: [sk-canary]}", "$env takes a text."),
        ("{$env: 'sk canary'}", "$env does not name a variable."),
        ("{$file: sk-canary}", "$file: The file does not exist."),
        ("{$file: ''}", "$file: The file is a directory or a device."),
        ("{$file: \"a\\0b\"}", "$file: The file cannot be read."),
        ("{$file: latin.txt}", "$file: The file is not UTF-8 text."),
        ("{$file: huge.txt}", "$file: The file is larger than 1 MiB."),
        ("{$include: huge.yaml}", "$include: The file is larger than 1 MiB."),
        ("{$include: sk-canary.yaml}", "$include: The file does not exist."),
        ("{$include: latin.txt}", "$include: The file is neither YAML nor JSON."),
        ("{$include: 'good.yaml#a.sk-canary'}", "$include: The file has no such key, or is empty."),
        ("{$include: 'good.yaml#a.b.c'}", "$include: The file has no such key, or is empty."),
        ("{$include: empty.yaml}", "$include: The file has no such key, or is empty."),
        ("{$include: circle.yaml}", "$include: The file includes itself, directly or through others."),
        ("{$include: config-1.yaml}", "$include: The file includes itself, directly or through others."),
    ],
)  # fmt: skip
def test_a_reference_that_cannot_be_followed_is_a_mistake(folder: Folder, written: str, message: str) -> None:
    folder.write("latin.txt", b"\xe9")
    folder.write("huge.txt", b"x" * (1024 * 1024 + 1))
    folder.write("huge.yaml", b"#" * (1024 * 1024 + 1))
    folder.write("good.yaml", "a: {b: 1}")
    folder.write("empty.yaml", "")
    folder.write("circle.yaml", "a: {$include: circle.yaml}")
    loaded = folder.load(f"ai:\n  kept: 1\n  key: {written}\n", **ENV)
    assert len(loaded.problems) == 1
    assert loaded.problems[0].message == message
    assert loaded.data["ai"].pop("kept") == 1
    assert "canary" not in str(loaded.problems[0])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("bad.yaml", "a: [", "bad.yaml:1:5: This is not valid YAML."),
        ("bad.json", '{"a": 1,\n  "b": sk-canary}', "bad.json:2:8: This is not valid JSON."),
        ("bad.json", '{"a": 1, "a": 2}', "bad.json: The key a stands twice in one object."),
        ("bad.json", '{"a": NaN}', "bad.json: A number in the file is not valid JSON."),
        ("bad.json", '{"a": ' + "9" * 5000 + "}", "bad.json: A number in the file is not valid JSON."),
        ("bad.json", "[" * 100_000, "bad.json: Values are nested too deep."),
        ("bad.json", "[" * 100 + "]" * 100, "bad.json: Values are nested more than 64 levels deep"),
        ("bad.json", "[" + "1," * 10_000 + "1]", "bad.json: The file holds, or expands to, more than 10,000 values."),
    ],
)
def test_mistakes_of_an_included_file_are_told_there_and_once(folder: Folder, name: str, content: str, problem: str) -> None:
    folder.write(name, content)
    problems = told(folder.load(f"ai:\n  x: {{$include: {name}}}\n  y: {{$include: {name}}}\n"))
    assert problems[0].startswith(problem)
    assert [line.partition(": ")[2] for line in problems[1:]] == [
        f"ai.{key}: $include: The file has mistakes of its own. Correct them first." for key in "xy"
    ]
    assert "canary" not in "".join(problems)


def test_includes_cannot_multiply_without_bound(folder: Folder) -> None:
    for level in range(10):
        folder.write(f"level-{level}.yaml", "".join(f"k{n}: {{$include: level-{level + 1}.yaml}}\n" for n in range(9)))
    folder.write("level-10.yaml", "k: v")
    assert "expands to, more than 10,000 values" in told(folder.load("ai: {$include: level-0.yaml}"))[0]


def test_a_long_chain_of_includes_is_refused(folder: Folder) -> None:
    folder.write("chain.yaml", "".join(f"k{n}: {{$include: 'chain.yaml#k{n + 1}'}}\n" for n in range(1000)))
    assert "nested more than 64 levels deep" in told(folder.load("ai: {$include: 'chain.yaml#k0'}"))[0]


def test_other_root_keys_are_never_evaluated(folder: Folder) -> None:
    loaded = folder.load("backend: {a: '${NONE}', b: {$include: none.yaml}, c: {$what: 1}}\nai: {a: 1}\n")
    assert (loaded.data, loaded.problems) == ({"ai": {"a": 1}}, ())


def test_a_whole_file_cannot_be_an_include(folder: Folder) -> None:
    assert "$include: It cannot stand for a whole file. Write it below `ai:`." in told(folder.load("$include: ./other.yaml"))[0]


def test_every_mistake_of_every_file_is_told_at_once(folder: Folder) -> None:
    contents: list[Any] = ["ai: {a: '${X}', b: {$file: none}}", "ai: [", "ai: {c: '${', d: !t x}"]
    assert [line.split(" ")[0] for line in told(folder.load(*contents, APP_CONFIG_ai__="1"))] == [
        "config-1.yaml:1:", "config-2.yaml:1:6:", "config-3.yaml:1:18:", "config-3.yaml:1:", "environment", "config-1.yaml:1:",
    ]  # fmt: skip


def test_what_was_loaded_does_not_show_its_values(folder: Folder) -> None:
    assert "sk-canary" not in repr(folder.load("ai: {key: '${KEY}'}", KEY="sk-canary"))
