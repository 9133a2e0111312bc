"""Embeddings, for the families that have them."""

from __future__ import annotations

from typing import ClassVar

import pytest

from ai_models import service
from ai_models.exceptions import InvalidRequest, UpstreamInvalidResponse
from tests.families.contract.base import CANARY, NAME, Contract, at
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream


class Embeddings(Contract):
    """Vectors, in the order of their texts."""

    dimensions_path: ClassVar[str] = "dimensions"
    embedding_tokens: ClassVar[int | None] = 5
    """What the replies tell for two texts."""

    def embedding_reply(self, request: Recorded) -> Reply:
        """Vectors ``[length of the text, 0.5]``."""
        raise NotImplementedError

    async def test_embeddings(self, upstream: Upstream) -> None:
        upstream.always(self.embedding_reply)
        result = await service.aembed(values=["a", "bb"], dimensions=2)
        assert result.embeddings == [[1.0, 0.5], [2.0, 0.5]]
        assert (result.provider, result.model, result.usage.tokens) == (NAME, self.embedding_model, self.embedding_tokens)
        assert at(upstream.requests[0].json, self.dimensions_path) == 2

    async def test_one_text_has_one_embedding(self, upstream: Upstream) -> None:
        upstream.always(self.embedding_reply)
        result = await service.aembed("ccc")
        assert (result.embedding, result.embeddings) == ([3.0, 0.5], None)

    async def test_embeddings_that_are_none_are_refused(self, upstream: Upstream) -> None:
        upstream.always(self.vendor.text())
        with pytest.raises(UpstreamInvalidResponse):
            await service.aembed("x")

    async def test_options_that_nobody_listed_are_refused(self, upstream: Upstream) -> None:
        with pytest.raises(InvalidRequest, match="nonsense cannot be set"):
            await service.aembed("x", provider_options={self.declaration["type"]: {"nonsense": 1}})
        assert upstream.connections == []

    async def test_embeddings_carry_the_credential_too(self, upstream: Upstream) -> None:
        upstream.always(self.embedding_reply)
        await service.aembed("x")
        self.check_credential(upstream.request)
        assert CANARY not in upstream.request.target
