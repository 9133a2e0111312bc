"""What YAML means here, and what of it is refused."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from ai_models.config import load
from tests.config.conftest import Folder, told

CANARY = "sk-canary"

PIECES = (
    b"ai:~\n~  ~\t~${A}~$include~$file~{~}~[~]~: ~- ~&a ~*a ~<<~!!~'~\"~#~|~>~%~\xff~\0~\\~providers~x~1~? ~---\n~\xe2\x80\xa8"
).split(b"~")


def test_an_empty_file_and_one_of_comments_declare_nothing(folder: Folder) -> None:
    loaded = folder.load("", "# nothing\n", "---\n", "other: 1\n", "ai:\n")
    assert (loaded.data, loaded.problems) == ({}, ())


@pytest.mark.parametrize("content", ["- a\n- b\n", "text\n", "12\n"])
def test_a_root_that_is_no_mapping_is_refused(folder: Folder, content: str) -> None:
    assert told(folder.load(content)) == ["config-1.yaml:1: The file is not an object of keys and values. Begin it with `ai:`."]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("ai:\n\tproviders: {}\n", "config-1.yaml:2:1: A tab stands where YAML allows only spaces. Indent with spaces."),
        ("ai:\n  a: [1, 2\n  b: 3\n", "config-1.yaml:3:4: This is not valid YAML."),
        (
            "ai: {a: ${KEY}}\n",
            "config-1.yaml:1:10: This is not valid YAML. Quote a value with ${...} that stands between { } or [ ].",
        ),
        ("ai:\n  a: 'sk-canary\n", "config-1.yaml:3:1: This is not valid YAML."),
        ("ai:\n  a: *sk-canary\n", "config-1.yaml:2:6: An alias (*) refers to an anchor (&) that does not exist."),
        ("ai:\n  a: !sk-canary x\n", "config-1.yaml:2:6: ai.a: The value has a tag (!) that is not allowed."),
        (
            "ai:\n  a: !!python/object/apply:os.system [sk-canary]\n",
            "config-1.yaml:2:6: ai.a: The value has a tag (!) that is not allowed.",
        ),
        ("other: !!python/name:os.system\n", "config-1.yaml:1:8: other: The value has a tag (!) that is not allowed."),
        ("ai:\n  a: !!int sk-canary\n", "config-1.yaml:2:6: ai.a: The value is not a valid int."),
        ("ai:\n  a: " + "9" * 5000, "config-1.yaml:2:6: ai.a: The value is not a valid int."),
        ('ai:\n  a: "sk-canary \\UFFFFFFFF"\n', "config-1.yaml:2:19: An escape in double quotes is not valid."),
        ("ai:\n  a: sk-\x07canary\n", "config-1.yaml:2:9: The file contains a control character."),
        (b"ai:\n  a: sk-\xff\n", "config-1.yaml:2: The file is not UTF-8 text. Save it as UTF-8."),
        ("ai: {}\n---\nai: {}\n", "config-1.yaml:2:1: This is not valid YAML."),
        ("ai:\n  ? [a]\n  : 1\n", "config-1.yaml:2:5: ai: A key is not plain text."),
        ("ai:\n  <<: sk-canary\n", "config-1.yaml:2:7: ai: A merge key (<<) takes an object or a list of objects."),
        (
            "%TAG ! tag:example.org,2000:\n---\nai: !sk-canary {}\n",
            "config-1.yaml:3:5: ai: The value has a tag (!) that is not allowed.",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_without_the_text(folder: Folder, content: str | bytes, problem: str) -> None:
    problems = told(folder.load(content))
    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert CANARY not in problems[0]


def test_duplicate_keys_are_all_found_at_every_level(folder: Folder) -> None:
    loaded = folder.load("ai:\n  a: sk-canary\n  b: {c: 1, 'c': 2}\n  a: 2\nother: 1\nother: 2\n")
    assert told(loaded) == [
        "config-1.yaml:3:13: ai.b.c: The key stands twice; it is also on line 3. Keep one of them.",
        "config-1.yaml:4:3: ai.a: The key stands twice; it is also on line 2. Keep one of them.",
        "config-1.yaml:6:1: other: The key stands twice; it is also on line 5. Keep one of them.",
    ]


def test_scalars_follow_the_core_schema_of_yaml_1_2(folder: Folder) -> None:
    loaded = folder.load(
        "ai: {a: yes, b: 'on', c: 2024-01-01, d: 12:30, e: 0o17, f: 0x1f, g: 010, h: 1_000, "
        "i: true, j: 1.5, k: '1', l: 1e3, on: x, 1: y}\n"
    )
    assert loaded.data["ai"] == {
        "a": "yes", "b": "on", "c": "2024-01-01", "d": "12:30", "e": 15, "f": 31, "g": 10, "h": "1_000", "i": True, "j": 1.5,
        "k": "1", "l": 1000.0, "on": "x", "1": "y",
    }  # fmt: skip


def test_a_byte_order_mark_is_accepted(folder: Folder) -> None:
    assert folder.load(b"\xef\xbb\xbfai: {a: b}").data == {"ai": {"a": "b"}}


def test_aliases_and_merge_keys_work(folder: Folder) -> None:
    loaded = folder.load(
        "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nai:\n  x: *base\n  y:\n    <<: [*base, *more]\n    a: 9\n"
    )
    assert loaded.data["ai"] == {"x": {"a": 1, "b": 2}, "y": {"a": 9, "b": 2, "c": 4}}
    assert loaded.origins[("ai", "y", "c")].line == 2


def bomb(kind: str) -> str:
    """Ten levels of nine references each."""
    lines = ["x0: &x0 {k: v}"]
    for level in range(1, 11):
        references = ", ".join([f"*x{level - 1}"] * 9)
        lines.append(f"x{level}: &x{level} " + (f"[{references}]" if kind == "alias" else f"{{<<: [{references}]}}"))
    return "\n".join([*lines, "ai: {bomb: *x10}", ""])


@pytest.mark.parametrize("kind", ["alias", "merge"])
def test_bombs_of_references_are_refused_before_they_expand(folder: Folder, kind: str) -> None:
    start = time.monotonic()
    problems = told(folder.load(bomb(kind)))
    assert problems == [
        "config-1.yaml: The file holds, or expands to, more than 10,000 values. Use fewer aliases, merge keys and includes."
    ]
    assert time.monotonic() - start < 5


def test_a_long_text_cannot_be_multiplied_by_aliases(folder: Folder) -> None:
    loaded = folder.load(f"t: &t {'x' * 500_000}\nai: [{', '.join(['*t'] * 1000)}]\n")
    assert "expands to, more than 10,000 values" in told(loaded)[0]


@pytest.mark.parametrize(
    "content",
    ["ai: " + "[" * 100_000, "ai: " + "{a: " * 50_000, "- " * 50_000, "ai: &a [*a]\n", "ai: &a {b: *a}\n", "ai: &a {<<: *a}\n"],
    ids=["list", "map", "block", "recursive list", "recursive map", "recursive merge"],
)
def test_deep_nesting_and_recursion_are_refused(folder: Folder, content: str) -> None:
    assert "nested more than 64 levels deep" in told(folder.load(content))[0]


def test_too_many_values_are_refused(folder: Folder) -> None:
    assert "more than 10,000 values" in told(folder.load("ai: [" + "1, " * 10_001 + "]"))[0]


def test_a_file_over_one_mebibyte_is_refused(folder: Folder) -> None:
    fits = b"ai: {a: b}\n#" + b"x" * (1024 * 1024 - 12)
    assert folder.load(fits).problems == ()
    assert told(folder.load(fits + b"x")) == ["config-1.yaml: The file is larger than 1 MiB. Make it smaller."]


def test_a_file_that_is_missing_or_not_a_regular_file_is_a_problem(tmp_path: Path) -> None:
    loaded = load([tmp_path / "none.yaml", tmp_path], {})
    assert [problem.message for problem in loaded.problems] == [
        "The file does not exist.",
        "The file is a directory or a device.",
    ]


@pytest.mark.parametrize("text", ['"a\\0b"', '"\\ud800"'], ids=["NUL", "surrogate"])
def test_text_that_cannot_be_stored_is_refused(folder: Folder, text: str) -> None:
    assert told(folder.load(f"ai:\n  a: {text}\n")) == [
        "config-1.yaml:2: ai.a: The text contains a NUL character or half of a surrogate pair. Remove the character."
    ]


def test_keys_are_printed_on_one_line(folder: Folder) -> None:
    problem = told(folder.load('ai: {"a\\nb\\u202e": 1, "a\\nb\\u202e": 2}'))[0]
    assert "ai.a\\nb\\u202e: The key stands twice" in problem


def test_random_bytes_only_ever_give_problems(folder: Folder) -> None:
    chance = random.Random(77)
    for _ in range(400):
        size = chance.randrange(1, 60)
        soup = b"".join(chance.choice(PIECES) for _ in range(size))
        for content in (soup, b"ai: " + soup, chance.randbytes(size)):
            for problem in folder.read(content, content[::-1]).problems:
                assert "\n" not in str(problem)
