"""Events as JSON, with the short way for events of texts alone."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, get_type_hints

import pytest

from ai_models import events
from ai_models.encoding import dump_bytes, encode
from ai_models.serialization import to_json

KINDS = [getattr(events, name) for name in vars(events) if dataclasses.is_dataclass(getattr(events, name))]
TEXTS = [kind for kind in KINDS if kind is not events.Event and set(map(kind.__annotations__.get, kind.__slots__)) <= {"str"}]
NASTY = ["", "plain", 'a "quoted" \\ word', "a\nb\r\u2028\x00\x1f", "%s %d %", '"%s"', "wörld 😀", "{}"]


def test_there_are_events_of_texts_alone() -> None:
    assert {events.TextDelta, events.ReasoningDelta, events.ToolInputDelta, events.Start, events.Abort} <= set(TEXTS)
    for kind in TEXTS:
        assert {get_type_hints(kind)[field.name] for field in dataclasses.fields(kind)} <= {str}


@pytest.mark.parametrize("kind", TEXTS, ids=lambda kind: kind.type)
@pytest.mark.parametrize("text", NASTY)
def test_texts_are_told_as_they_are(kind: Any, text: str) -> None:
    event = kind(*[text + str(number) for number, _ in enumerate(dataclasses.fields(kind))])
    body = encode(event, "-")
    assert json.loads(body) == {"type": kind.type, **to_json(event)}
    assert body.startswith(f'{{"type":"{kind.type}"')
    assert "\n" not in body


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert encode(events.TextDelta("text-1", "a\ud800b"), "-") == '{"type":"text-delta","id":"text-1","delta":"a?b"}'


def test_what_is_no_number_is_null_since_json_has_no_word_for_it() -> None:
    assert json.loads(dump_bytes({"values": [math.nan, -math.inf, 0.5]})) == {"values": [None, None, 0.5]}
