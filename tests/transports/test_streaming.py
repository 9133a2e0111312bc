"""Items that arrive several at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from ai_models.transports.batched import Batched


class Source:
    """Gives lists, and knows how it ended."""

    def __init__(self, *batches: list[int], error: Exception | None = None) -> None:
        self.batches, self.error, self.ended = batches, error, ""

    async def run(self) -> AsyncGenerator[list[int]]:
        try:
            for batch in self.batches:
                yield batch
            if self.error:
                raise self.error
            self.ended = "read"
        finally:
            self.ended = self.ended or "closed"


async def test_items_come_one_by_one_in_order() -> None:
    source = Source([1, 2], [3], [4, 5, 6])
    assert [item async for item in Batched(source.run())] == [1, 2, 3, 4, 5, 6]
    assert source.ended == "read"


async def test_those_that_are_there_can_be_taken() -> None:
    items = Batched(Source([1, 2, 3], [4]).run())
    assert items.take() == []
    assert (await anext(items), items.take(), items.take()) == (1, [2, 3], [])
    assert (await anext(items), items.take(), await anext(items, None)) == (4, [], None)


async def test_an_error_comes_after_what_arrived_before_it() -> None:
    items = Batched(Source([1, 2], error=KeyError("lost")).run())
    assert (await anext(items), await anext(items)) == (1, 2)
    with pytest.raises(KeyError):
        await anext(items)


async def test_closing_closes_the_source_and_forgets_the_rest() -> None:
    source = Source([1, 2, 3])
    items = Batched(source.run())
    await anext(items)
    await items.aclose()
    assert (source.ended, items.take(), await anext(items, None)) == ("closed", [], None)


async def test_an_error_can_be_thrown_into_it() -> None:
    source = Source([1, 2, 3])
    items = Batched(source.run())
    await anext(items)
    with pytest.raises(KeyError):
        await items.athrow(KeyError("stop"))
    assert source.ended == "closed"
