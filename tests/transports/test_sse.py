from __future__ import annotations

import random
import time

import pytest

from ai_models.exceptions import UpstreamInvalidResponse
from ai_models.transports.sse import Decoder, ServerSentEvent

STREAM = (
    "\ufeff: a comment\n"
    "data: one\n\n"
    "event: named\r\ndata: two\r\ndata: three\r\n\r\n"
    "data:no space\r\rid: 7\nretry: 10\nunknown: x\nnocolon\n"
    "data:  two spaces\n\n"
    "event: without data\n\n"
    "data: grüße 你好 😀\n\n"
    "data: cut off in the middle"
)
EVENTS = [
    ServerSentEvent("message", "one"),
    ServerSentEvent("named", "two\nthree"),
    ServerSentEvent("message", "no space"),
    ServerSentEvent("message", " two spaces"),
    ServerSentEvent("message", "grüße 你好 😀"),
]


def decode(*pieces: bytes, limit: int = 10_000) -> list[ServerSentEvent]:
    decoder = Decoder(limit)
    return [event for piece in pieces for event in decoder.feed(piece)]


def test_every_form_that_the_standard_allows_is_read() -> None:
    assert decode(STREAM.encode()) == EVENTS


def test_single_bytes_give_the_same_events() -> None:
    assert decode(*(bytes([byte]) for byte in STREAM.encode())) == EVENTS


@pytest.mark.parametrize("seed", range(50))
def test_pieces_of_any_size_give_the_same_events(seed: int) -> None:
    choose = random.Random(seed)
    data, pieces = STREAM.encode(), []
    while data:
        size = choose.randint(1, 9)
        pieces.append(data[:size])
        data = data[size:]
    assert decode(*pieces) == EVENTS


def test_a_large_event_may_come_in_very_many_pieces() -> None:
    data = b"data: " + b"x" * 1_000_000 + b"\n\n"
    pieces = (data[start : start + 10] for start in range(0, len(data), 10))
    before = time.process_time()
    assert decode(*pieces, limit=1_000_100) == [ServerSentEvent("message", "x" * 1_000_000)]
    assert time.process_time() - before < 10  # it was minutes when each piece was put to all before it


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert decode(b"data: a\xff\xfeb\n\n") == [ServerSentEvent("message", "a\ufffd\ufffdb")]


@pytest.mark.parametrize("pieces", [[b"data: " + b"x" * 101], [b"data: x\n" * 101], [b"data: ", *[b"x" * 10] * 11]])
def test_an_event_over_the_limit_is_refused_before_it_is_complete(pieces: list[bytes]) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        decode(*pieces, limit=100)


def test_the_limit_is_for_one_event_and_not_for_the_stream() -> None:
    assert len(decode(b"data: 0123456789\n\n" * 100, limit=100)) == 100
