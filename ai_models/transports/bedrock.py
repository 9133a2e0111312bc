"""Bedrock's InvokeModel, spoken directly on pooled connections, for images; and what it lists, which costs nothing.

Text and embeddings go through litellm; images do not. litellm signs them with keys that it looks for itself, drops what
Amazon's models say when they withhold images, and has a second road for edits that passes over answers without an image.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from ai_models import encoding
from ai_models.destinations import DestinationPolicy
from ai_models.transports import http, listing

Authorize = Callable[[str, str, bytes], Awaitable[Mapping[str, str]]]


class BedrockTransport:
    """Calls one endpoint of the runtime.

    Args:
        endpoint: the origin, ``https://bedrock-runtime.us-east-1.amazonaws.com``.
        authorize: headers that sign a request, from its method, address and body.
    """

    def __init__(self, endpoint: str, *, authorize: Authorize, destinations: DestinationPolicy) -> None:
        self._endpoint = endpoint
        self._authorize = authorize
        self._client = http.Client(destinations)

    async def invoke(self, model: str, body: Mapping[str, Any], headers: Mapping[str, str] | None) -> dict[str, Any]:
        """``POST model/MODEL/invoke``: the model's own answer, whatever it says.

        Args:
            model: an id or an ARN.
            headers: of this call alone; they are not signed.
        """
        url = f"{self._endpoint}/model/{quote(model, safe='')}/invoke"
        data = encoding.dump_bytes(body)
        signed = http.merged(headers, {"content-type": http.JSON, **await self._authorize("POST", url, data)})
        async with self._client.open("POST", url, headers=signed, body=data, accept=(http.JSON,)) as response:
            return http.json_object(await http.read(response))

    async def models(self, control_plane: str) -> tuple[str, ...]:
        """``GET foundation-models``: the ids that the region has.

        https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html

        Args:
            control_plane: the origin of that API, which is not the runtime's.
        """
        return listing.names(await self._get(f"{control_plane}/foundation-models"), "modelSummaries", "modelId")

    async def ask(self) -> None:
        """``GET async-invoke``: of what the runtime lists, one item. It proves the credential where calls go.

        https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ListAsyncInvokes.html
        """
        await self._get(f"{self._endpoint}/async-invoke?maxResults=1")

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await self._client.aclose()

    async def _get(self, url: str) -> dict[str, Any]:
        return await self._client.get_object(url, headers=await self._authorize("GET", url, b""))
