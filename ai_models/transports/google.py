"""The Gemini API's images, speech and videos, spoken directly on pooled connections.

Text and embeddings go through litellm; these do not. Of litellm's road for them, speech takes no HTTP client, so that
it would use the network and the environment by itself; of images it drops why a picture was withheld; and of videos it takes
failed work for completed, and asks for the address of a video with a client of its own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import urlencode

from ai_models import encoding
from ai_models.destinations import DestinationPolicy
from ai_models.transports import faults, google_media, http, listing
from ai_models.types import ImageResult, SpeechResult, VideoOperation

_LARGEST_PAGE = "1000"
_REDIRECTS = 3
_VIDEO_TYPES = ("video/*", "application/octet-stream")


class GoogleTransport:
    """Calls one endpoint that speaks the Gemini API.

    Args:
        base_url: ends where ``/models`` begins (``.../v1beta``).
        headers: sent with every request, the key among them.
    """

    def __init__(self, base_url: str, *, headers: Mapping[str, str], destinations: DestinationPolicy) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = headers
        self._client = http.Client(destinations)

    async def predict_images(self, model: str, body: Mapping[str, Any], headers: Mapping[str, str] | None) -> ImageResult:
        """``:predict``, which is Imagen's.

        Args:
            headers: of this call alone; they come after those of the instance and cannot replace them.
        """
        return google_media.predicted_images(await self._post(model, "predict", body, headers))

    async def generate_images(self, model: str, body: Mapping[str, Any], headers: Mapping[str, str] | None) -> ImageResult:
        """``:generateContent`` of a Gemini model that draws."""
        return google_media.generated_images(await self._post(model, "generateContent", body, headers))

    async def generate_speech(
        self, model: str, body: Mapping[str, Any], headers: Mapping[str, str] | None, *, wav: bool
    ) -> SpeechResult:
        """``:generateContent`` of a Gemini model that speaks.

        Args:
            wav: put the samples into a WAV file.
        """
        return google_media.speech(await self._post(model, "generateContent", body, headers), wav=wav)

    async def start_video(self, model: str, body: Mapping[str, Any], headers: Mapping[str, str] | None) -> VideoOperation:
        """``:predictLongRunning``: the work is begun, and goes on at the provider's."""
        payload = await self._post(model, "predictLongRunning", body, headers)
        return google_media.video(payload, google_media.operation_name(payload.get("name")), self._base_url)

    async def video(self, name: str) -> VideoOperation:
        """``GET`` the operation: where the work stands."""
        url = f"{self._base_url}/{google_media.operation_name(name)}"
        with faults.of_known_work():
            async with self._client.open("GET", url, headers=self._headers, body=None, accept=(http.JSON,)) as response:
                payload = http.json_object(await http.read(response))
        if payload.get("error") and payload.get("done") is not True:  # of what is done, the error is the work's own
            raise faults.from_error_object(payload)
        return google_media.video(payload, name, self._base_url)

    async def video_content(self, url: str) -> AsyncGenerator[bytes]:
        """The video at the address that the operation told, as it arrives.

        The API answers there with a redirect to ``/download/v1beta/...`` of its own, where it wants the key again.

        Raises:
            UpstreamInvalidResponse: the address is somewhere else, where the key may not go.
        """
        if not http.same_origin(url, self._base_url):
            raise google_media.elsewhere()
        with faults.of_known_work():
            arriving = self._client.download(url, headers=self._headers, accept=_VIDEO_TYPES, redirects=_REDIRECTS)
            async with aclosing(arriving) as pieces:
                async for piece in pieces:
                    yield piece

    async def models(self) -> tuple[str, ...]:
        """``GET models``: the names that the endpoint lists, as calls have them."""
        listed = await listing.paged(self._page_of_models, "models", "name", _after)
        return tuple(name.removeprefix("models/") for name in listed)

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await self._client.aclose()

    async def _page_of_models(self, query: listing.Query) -> dict[str, Any]:
        url = f"{self._base_url}/models?{urlencode({'pageSize': _LARGEST_PAGE, **query})}"
        return await self._client.get_object(url, headers=self._headers)

    async def _post(
        self, model: str, method: str, body: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> dict[str, Any]:
        async with self._client.open(
            "POST",
            f"{self._base_url}/models/{model}:{method}",
            headers=http.merged(headers, self._headers) | {"content-type": http.JSON},
            body=encoding.dump_bytes(body),
            accept=(http.JSON,),
        ) as response:
            return http.parse_object(await http.read(response))


def _after(page: Mapping[str, Any]) -> listing.Query | None:
    token = page.get("nextPageToken")
    return {"pageToken": token} if isinstance(token, str) and token else None
