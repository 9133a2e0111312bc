"""JSON that others wrote: what is repaired, what is refused, and that the quick way to read it shows in nothing."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from ai_models import jsontext

REPAIRED: dict[str, tuple[str | bytes, Any]] = {
    "half a pair, escaped": (r'["a\ud83d", "\udc00"]', ["a\ufffd", "\ufffd"]),
    "half a pair before an escape": (r'["\ud83d\u0041"]', ["\ufffdA"]),
    "half a pair as it is": ('["\ud83d"]', ["\ufffd"]),
    "a whole pair": (r'["\ud83d\ude00"]', ["😀"]),
    "NUL, escaped": (r'{"a\u0000": "b\u0000c"}', {"a\ufffd": "b\ufffdc"}),
    "what only looks like NUL": (r'["\\u0000"]', [r"\u0000"]),
    "bytes that are no UTF-8": (b'["a\xff\xed\xa0\x80"]', ["a\ufffd\ufffd\ufffd\ufffd"]),
    "bytes with a byte order mark": (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
    "a key twice": ('{"a": 1, "a": 2}', {"a": 2}),
    "large integers": ("[123456789012345678901234567890]", [123456789012345678901234567890]),
    "large numbers whose sum is none": ("[1e308, 1e308, 1]", [1e308, 1e308, 1]),
    "numbers and others": ('[0.5, "a", null, [1]]', [0.5, "a", None, [1]]),
}
NOT_FINITE = ["NaN", "-Infinity", "1e999", "[0.5, NaN]", "[0.5, 1e999]", '{"a": [[1, -1e999]]}', "[0.5, " + "9" * 400 + ".0]"]
REFUSED = ["", "{", "[1,]", "01", '"\t"', '"\0"', "\ufeff{}", "{} {}", "9" * 5000, "[" * 100_000]


@pytest.mark.parametrize("case", REPAIRED)
def test_what_cannot_be_stored_is_repaired(case: str) -> None:
    text, value = REPAIRED[case]
    assert jsontext.loads(text) == value


@pytest.mark.parametrize("text", NOT_FINITE)
def test_numbers_that_json_does_not_have(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        jsontext.loads(text)
    assert "None" in repr(jsontext.loads(text, lenient=True))
    assert jsontext.beginning(text) is None


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_json_is_refused(text: str) -> None:
    for given in (text, text.encode()):
        if given != "\ufeff{}".encode():
            with pytest.raises(ValueError, match=r"."):
                jsontext.loads(given)


@pytest.mark.parametrize("inner", ["", "1", "0.5, 0.25", '"a"', "{}", r'"\ud83d"'])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":[', "]}")])
def test_depth_has_a_limit(inner: str, opened: str, closed: str) -> None:
    levels = opened.count("[") + opened.count("{")
    least = (jsontext.DEEPEST - 2) // levels
    assert jsontext.loads(opened * least + inner + closed * least)
    for most in (jsontext.DEEPEST + 2, 400, 5000):
        with pytest.raises(ValueError, match="nested"):
            jsontext.loads(opened * most + inner + closed * most)


def test_a_value_stands_on_the_last_level_and_none_below() -> None:
    last = jsontext.DEEPEST
    for inner in ("1", "0.5", '"a"', "null"):
        assert jsontext.loads("[" * last + inner + "]" * last)
        with pytest.raises(ValueError, match="nested"):
            jsontext.loads("[" * (last + 1) + inner + "]" * (last + 1))
    assert jsontext.loads("[" * (last + 1) + "]" * (last + 1))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_good_is_read_as_python_reads_it(seed: int) -> None:
    choose = random.Random(seed)
    value = [_made(choose, 4) for _ in range(50)]
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert repr(jsontext.loads(text)) == repr(jsontext.loads(text.encode())) == repr(value)


def _made(choose: random.Random, depth: int) -> Any:
    match choose.randint(0, 5 if depth else 3):
        case 0:
            return choose.choice([None, True, False, -0.0, 5e-324, 1.7976931348623157e308])
        case 1:
            return choose.randint(-(10**25), 10**25)
        case 2:
            return choose.uniform(-1, 1) * 10 ** choose.randint(-300, 300)
        case 3:
            return "".join(choose.choice('aé你😀"\\\n\x7f\u2028/') for _ in range(5))
        case 4:
            return [_made(choose, depth - 1) for _ in range(4)]
    return {f"k{number}": _made(choose, depth - 1) for number in range(4)}


def test_texts_that_cannot_be_carried_are_found_however_deep() -> None:
    assert jsontext.is_carriable({"a": [1, None, {"é": ("😀", b"\xff")}]})
    for bad in ({"a": ["\ud800"]}, {"\udfff": 1}, [({"a": {"b": "x\ud800"}},)]):
        assert not jsontext.is_carriable(bad)
