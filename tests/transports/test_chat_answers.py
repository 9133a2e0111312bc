from __future__ import annotations

from typing import Any

import pytest

from ai_models.exceptions import UpstreamInvalidResponse
from ai_models.transports import chat_answers
from ai_models.types import InputTokenDetails, OutputTokenDetails


@pytest.mark.parametrize(
    "payload",
    [{}, {"choices": []}, {"choices": [{}]}, {"choices": "x"}, {"choices": [{"message": {"content": 7}}]},
     {"choices": [{"message": {"content": "", "tool_calls": [{"id": "c"}]}}]}, {"choices": [{"message": []}]}],
)  # fmt: skip
def test_what_is_no_completion_is_refused(payload: Any) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        chat_answers.text_result(payload)


@pytest.mark.parametrize(
    "payload", [{"choices": [7]}, {"choices": 7}, {"choices": [{"delta": {"content": ["x"]}}]}, {"choices": [{"delta": 5}]}]
)
def test_what_is_no_chunk_is_refused(payload: Any) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        chat_answers.chunk(payload, chat_answers.Calls())


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"data": []},
        {"data": [{"embedding": "x"}]},
        {"data": [{"embedding": ""}]},
        {"data": [{"embedding": "AACAPw"}]},  # without its padding
        {"data": [{"embedding": "AACAP/8="}]},  # a number and a byte
        {"data": [{"embedding": "AADAfw=="}]},  # NaN
        {"data": [{"embedding": "AACAfw=="}]},  # infinite
        {"data": [{"embedding": [None]}]},
        {"data": [{"embedding": [10**400]}]},
        {"data": [{"index": 5, "embedding": [1]}]},
    ],
)
def test_what_is_no_embedding_is_refused(payload: Any) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        chat_answers.embeddings(payload, 1)


def test_embeddings_in_base64_are_numbers_of_32_bits() -> None:
    payload = {"data": [{"embedding": "AACAPwAAAMA="}, {"embedding": [1, 0.1]}]}
    assert chat_answers.embeddings(payload, 2).embeddings == [[1.0, -2.0], [1.0, 0.1]]


def test_embeddings_are_put_in_the_order_of_their_inputs() -> None:
    payload = {"data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}], "usage": {"prompt_tokens": 4}}
    result = chat_answers.embeddings(payload, 2)
    assert (result.embeddings, result.usage.tokens) == ([[1.0], [2.0]], 4)


def test_usage_tells_what_was_told() -> None:
    told = chat_answers.usage(
        {
            "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
            "prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 20},
        }
    )  # fmt: skip
    assert told.input_token_details == InputTokenDetails(no_cache=40, cache_read=60, cache_write=None)
    assert told.output_token_details == OutputTokenDetails(text=10, reasoning=20)


@pytest.mark.parametrize("count", [None, -1, "5", 1.5, True, 10**18, float("nan"), [], {}])
def test_a_count_that_cannot_be_is_unknown(count: Any) -> None:
    assert chat_answers.usage({"prompt_tokens": count}).input_tokens is None


@pytest.mark.parametrize(
    ("text", "expected"), [("a\ud800b", "a\ufffdb"), ("a\0b", "a\ufffdb"), ("\ud83d\ude00", "😀"), ("grüße", "grüße")]
)
def test_text_can_be_stored_and_sent(text: str, expected: str) -> None:
    assert chat_answers.clean(text) == expected
