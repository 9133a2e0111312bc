"""Texts that stand for blocks: each is replaced once, nothing else is, and none is lost unseen."""

from __future__ import annotations

import pytest

from ai_models.exceptions import Internal
from ai_models.transports.blocks import Blocks


def test_each_block_stands_where_its_text_stood() -> None:
    blocks = Blocks()
    first, second = blocks.stand_in({"image": 1}), blocks.stand_in({"document": 2})
    body = {"a": [{"parts": [{"text": "Hi"}, {"text": second["text"], "cache": True}, first]}], "b": "c"}
    assert blocks.put_in(body) == {"a": [{"parts": [{"text": "Hi"}, {"document": 2}, {"image": 1}]}], "b": "c"}


def test_what_a_caller_writes_is_never_a_block() -> None:
    """The texts of another call are no texts of this one, and neither are words around them."""
    text = Blocks().stand_in({"image": 1})["text"]
    mine = Blocks()
    own = mine.stand_in({"image": 2})
    assert mine.put_in([own, {"text": text}, {"text": f" {own['text']}"}, {"name": own["text"]}]) == [
        {"image": 2},
        {"text": text},
        {"text": f" {own['text']}"},
        {"name": own["text"]},
    ]


def test_a_block_is_not_looked_into() -> None:
    blocks = Blocks()
    inner = blocks.stand_in({"image": 1})
    outer = blocks.stand_in({"text": inner["text"]})
    assert blocks.put_in([outer, inner]) == [{"text": inner["text"]}, {"image": 1}]


def test_a_text_that_was_lost_merged_or_doubled_stops_the_call() -> None:
    blocks = Blocks()
    part = blocks.stand_in({"image": 1})
    for body in ([], [{"text": f"Hi{part['text']}"}], [part, part]):
        with pytest.raises(Internal):
            blocks.put_in(body)


def test_without_blocks_nothing_is_touched() -> None:
    body = {"text": "Hi"}
    assert Blocks().put_in(body) is body
