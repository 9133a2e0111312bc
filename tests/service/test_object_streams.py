"""An object while it grows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

import ai_models
from ai_models import events
from ai_models.exceptions import InvalidRequest, NoObjectGenerated, UpstreamError
from ai_models.types import Chunk
from tests.service.conftest import DONE, Puppet

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["name", "tags"],
}


class Thing(BaseModel):
    name: str
    tags: list[str]


def script(*pieces: str) -> list[list[Any]]:
    return [[*(Chunk(text=piece) for piece in pieces), DONE]]


async def test_partial_objects_and_the_whole_one(puppet: type[Puppet]) -> None:
    puppet.scripts = script('{"na', 'me": "A', 'da", "tags"', ': ["x", "y', '"]}')
    stream = ai_models.astream_object("Who?", schema=SCHEMA)
    assert puppet.calls == []
    partial = [value async for value in stream.partial_object_stream]
    assert partial == [{}, {"name": "A"}, {"name": "Ada"}, {"name": "Ada", "tags": ["x", "y"]}]
    result = await stream.response
    assert (result.object, result.provider, result.finish_reason) == (partial[-1], "main", "stop")


async def test_events_carry_the_text_and_the_object(puppet: type[Puppet]) -> None:
    puppet.scripts = script('{"name": "A"', ', "tags": []}')
    seen = [event async for event in ai_models.astream_object("Who?", schema=SCHEMA).events]
    assert [event.type for event in seen] == [
        "start", "text-start", "text-delta", "data-object", "text-delta", "data-object", "text-end", "finish",
    ]  # fmt: skip
    finish = seen[-1]
    assert isinstance(finish, events.Finish)
    assert finish.result.object == {"name": "A", "tags": []}


async def test_the_last_event_has_the_object_as_the_result_has_it(puppet: type[Puppet]) -> None:
    """Half a surrogate pair is the one thing that is read at the end and not on the way."""
    puppet.scripts = script('{"name": "\\ud800", ', '"tags": ["a"]}')
    stream = ai_models.astream_object("Who?", schema=SCHEMA)
    *_, last = [value async for value in stream.partial_object_stream]
    assert last == (await stream.response).object == {"name": "\ufffd", "tags": ["a"]}


async def test_a_class_as_schema_gives_an_instance_at_the_end(puppet: type[Puppet]) -> None:
    puppet.scripts = script('{"name": "Ada", "tags": []}')
    stream = ai_models.astream_object("Who?", schema=Thing)
    assert [value async for value in stream.partial_object_stream] == [{"name": "Ada", "tags": []}]
    assert (await stream.response).object == Thing(name="Ada", tags=[])


async def test_a_fence_around_the_object_is_not_part_of_it(puppet: type[Puppet]) -> None:
    puppet.scripts = script("```json\n", '{"name": "Ada",', ' "tags": []}\n', "```")
    stream = ai_models.astream_object("Who?", schema=SCHEMA)
    assert [value async for value in stream.partial_object_stream] == [{"name": "Ada"}, {"name": "Ada", "tags": []}]


@pytest.mark.parametrize("text", ['{"name": 7, "tags": []}', '{"name": "Ada"', "Ada"], ids=["breaks it", "cut", "no JSON"])
async def test_an_object_that_breaks_its_schema_ends_in_an_error(puppet: type[Puppet], text: str) -> None:
    puppet.scripts = script(text)
    stream = ai_models.astream_object("Who?", schema=SCHEMA)
    seen = [event async for event in stream.events]
    assert isinstance(seen[-1], events.Error)
    assert isinstance(seen[-1].error, NoObjectGenerated)
    with pytest.raises(NoObjectGenerated):
        await stream.response


async def test_a_failure_in_the_middle_is_raised(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text='{"name"'), UpstreamError("It broke.")]]
    stream = ai_models.astream_object("Who?", schema=SCHEMA)
    with pytest.raises(UpstreamError):
        [value async for value in stream.partial_object_stream]


async def test_a_stream_that_is_left_early_has_no_object(puppet: type[Puppet]) -> None:
    puppet.scripts = script('{"name": "Ada"', ', "tags": []}')
    stream = ai_models.astream_object("Who?", schema=SCHEMA)
    async for _ in stream.partial_object_stream:
        break
    await stream.aclose()
    result = await stream.response
    assert (result.object, result.finish_reason) == (None, "other")


async def test_a_schema_is_needed_and_checked_first(puppet: type[Puppet]) -> None:
    for request in ({}, {"schema": {"type": "nonsense"}}):
        with pytest.raises(InvalidRequest, match="schema"):
            await ai_models.astream_object("Who?", **request).response
    assert puppet.calls == []


async def test_a_long_object_in_tiny_pieces_is_read_a_bounded_number_of_times(puppet: type[Puppet]) -> None:
    text = json.dumps({"name": "Ada", "tags": ["word"] * 4000})
    puppet.scripts = script(*text)
    seen = [event async for event in ai_models.astream_object("Who?", schema=SCHEMA).events]
    partial = [event for event in seen if isinstance(event, events.PartialObject)]
    assert len(partial) < 250
    assert partial[-1].data == json.loads(text)


@pytest.mark.django_db(transaction=True)
def test_the_sync_twin(puppet: type[Puppet]) -> None:
    puppet.scripts = script('{"name": "Ada", ', '"tags": []}')
    stream = ai_models.stream_object("Who?", schema=SCHEMA)
    assert list(stream.partial_object_stream) == [{"name": "Ada"}, {"name": "Ada", "tags": []}]
    assert stream.response.object == {"name": "Ada", "tags": []}
    ai_models.close()
