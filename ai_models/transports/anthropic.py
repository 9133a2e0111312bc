"""Anthropic's list of models, asked for directly on pooled connections; text goes through litellm.

https://docs.anthropic.com/en/api/models-list
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from ai_models.destinations import DestinationPolicy
from ai_models.transports import http, listing

_VERSION = "2023-06-01"
_LARGEST_PAGE = "1000"


class AnthropicTransport:
    """Calls one endpoint of Anthropic's API.

    Args:
        origin: what stands before ``/v1``.
        headers: sent with every request, the key among them.
    """

    def __init__(self, origin: str, *, headers: Mapping[str, str], destinations: DestinationPolicy) -> None:
        self._origin = origin
        self._headers = {"anthropic-version": _VERSION, **headers}
        self._client = http.Client(destinations)

    async def models(self) -> tuple[str, ...]:
        """``GET v1/models``: the ids that the endpoint lists."""
        return await listing.paged(self._page, "data", "id", _after)

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await self._client.aclose()

    async def _page(self, query: listing.Query) -> dict[str, Any]:
        url = f"{self._origin}/v1/models?{urlencode({'limit': _LARGEST_PAGE, **query})}"
        return await self._client.get_object(url, headers=self._headers)


def _after(page: Mapping[str, Any]) -> listing.Query | None:
    last = page.get("last_id")
    return {"after_id": last} if page.get("has_more") is True and isinstance(last, str) else None
