from __future__ import annotations

import io

import pytest
from pytest_django import Settings

from ai_models.api.parsers import MAX_DEPTH, StrictJSONParser, parse_object
from ai_models.exceptions import InvalidRequest, PayloadTooLarge

REFUSED = {
    "nothing": b"",
    "cut off": b'{"prompt": ',
    "an unfinished string": b'{"prompt": "canary',
    "a bad escape": b'{"prompt": "canary \\q"}',
    "a list": b'["canary"]',
    "a byte order mark": b'\xef\xbb\xbf{"prompt": "canary"}',
    "invalid UTF-8": b'{"prompt": "canary \xff"}',
    "a raw line break in a string": b'{"prompt": "canary\n"}',
    "half a surrogate pair": b'{"prompt": "canary \\ud800"}',
    "half a surrogate pair as a key": b'{"canary \\udc00": 1}',
    "a key twice": b'{"canary": 1, "canary": 2}',
    "a key twice, once escaped": b'{"canary": 1, "c\\u0061nary": 2}',
    "a key twice further down": b'{"a": [{"canary": 1, "b": 2, "canary" : 3}]}',
    "NaN": b'{"seed": NaN}',
    "Infinity": b'{"seed": -Infinity}',
    "a float that is too large": b'{"seed": 1e999}',
    "5,000 digits": b'{"seed": ' + b"7" * 5000 + b"}",
    "deep lists": b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "deep objects": b'{"a":' * 100_000,
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_is_told_by_position_and_never_repeated(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_object(body)
    assert "canary" not in caught.value.message
    assert "\n" not in caught.value.message


def test_the_position_is_where_the_mistake_begins() -> None:
    with pytest.raises(InvalidRequest, match="character 8: an object names a key twice"):
        parse_object(b'{"a": 1,"a": 2}')


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b'{"a": {"b": 1}, "c": {"b": 2}}', {"a": {"b": 1}, "c": {"b": 2}}),
        (b'{"a": [{"b": 1}, {"b": 2}], "b": 3}', {"a": [{"b": 1}, {"b": 2}], "b": 3}),
        (b'{"a": "b", "b": "a"}', {"a": "b", "b": "a"}),
        (b'{"a": "\\"a\\": NaN 1e999 [[{{"}', {"a": '"a": NaN 1e999 [[{{'}),
        (b'{"a": "\\ud83d\\ude00 \\u0000"}', {"a": "😀 \0"}),
        ('{"a": "שלום 😀"}'.encode(), {"a": "שלום 😀"}),
        (b'{"a": 1.5e3, "b": -0.25E-2, "c": 12345678901234567890}', {"a": 1500.0, "b": -0.0025, "c": 12345678901234567890}),
        (b'{"a": 0.' + b"1" * 5000 + b"}", {"a": 0.1111111111111111}),
    ],
)
def test_ordinary_json_is_read_as_it_is(body: bytes, value: object) -> None:
    assert parse_object(body) == value


def test_the_deepest_allowed_nesting_is_read() -> None:
    lists = MAX_DEPTH - 1
    assert parse_object(b'{"a": ' + b"[" * lists + b"]" * lists + b"}")
    with pytest.raises(InvalidRequest, match="nesting"):
        parse_object(b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}")


def test_a_body_of_exactly_the_limit_is_read_and_one_more_byte_is_not(settings: Settings) -> None:
    settings.AI_MODELS = {"MAX_REQUEST_BYTES": 20}
    parser = StrictJSONParser()
    assert parser.parse(io.BytesIO(b'{"a": "b"}'.ljust(20))) == {"a": "b"}
    with pytest.raises(PayloadTooLarge):
        parser.parse(io.BytesIO(b'{"a": "b"}'.ljust(21)))
