"""Images, for the families that make them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from pytest_django import Settings

from ai_models import service
from ai_models.exceptions import UnsupportedFunctionality
from ai_models.testing.samples import png
from ai_models.types import GeneratedFile, ImageResult, Usage
from tests.families.contract import files
from tests.families.contract.base import CANARY, NAME, Contract, at
from tests.samples import MP3, PNG, TEXT
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream

SETTINGS: Mapping[str, Any] = {"size": "1536x1024", "aspect_ratio": "16:9", "seed": 7919}
"""Every setting, with values that are found in a body."""

OTHER_PNG = png(2, 2)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9"


class Images(Contract):
    """Images are made, edited, split over several calls, and told apart from what is none.

    Attributes:
        image_path: request target below ``base_path``.
        image_prompt_path: where the prompt stands in the body.
        image_settings: where each supported setting of :data:`SETTINGS` stands in the body, and its value there.
        images_per_call: how many the vendor makes at once; ``None`` for any number.
        image_usage: what one reply tells.
        edit_path: request target of an edit; ``None`` where ``images`` are refused.
        masks: whether an edit takes a mask.
    """

    image_path: ClassVar[str]
    image_prompt_path: ClassVar[str] = "prompt"
    image_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {}
    images_per_call: ClassVar[int | None] = None
    image_usage: ClassVar[Usage] = Usage()
    edit_path: ClassVar[str | None] = None
    masks: ClassVar[bool] = True

    def image_reply(self, *images: bytes) -> Reply:
        """An answer with these images, usage and all."""
        raise NotImplementedError

    def images_asked(self, request: Recorded) -> int:
        """How many images a request asks for."""
        raise NotImplementedError

    def imageless_replies(self) -> Mapping[str, Reply]:
        """Answers that have the vendor's form and no image: none at all, one that is not base64, one refused, ..."""
        raise NotImplementedError

    async def image(self, **request: Any) -> ImageResult:
        return await service.agenerate_image(**{"prompt": "A cat", **request})

    async def test_an_image(self, upstream: Upstream) -> None:
        upstream.script(self.image_reply(PNG))
        result = await self.image()
        assert result.images == (GeneratedFile(bytes=PNG, media_type="image/png"),)
        assert result.usage == self.image_usage
        files.check_told(result, NAME, self.image_model)
        request = upstream.request
        assert (request.method, request.target) == ("POST", self.base_path + self.image_path)
        assert request.headers["content-type"] == "application/json"
        assert at(request.json, self.image_prompt_path) == "A cat"
        self.check_credential(request)
        assert CANARY not in request.target
        assert CANARY not in request.body.decode()

    async def test_an_images_media_type_is_read_off_its_bytes(self, upstream: Upstream) -> None:
        upstream.script(self.image_reply(JPEG))
        assert (await self.image()).image.media_type == "image/jpeg"

    async def test_image_settings_have_the_vendors_names(self, upstream: Upstream) -> None:
        upstream.script(self.image_reply(PNG))
        await self.image(**{name: SETTINGS[name] for name in self.image_settings})
        files.check_settings(upstream.request, self.image_settings)

    async def test_image_settings_that_the_model_has_not_are_left_out_and_reported(self, upstream: Upstream) -> None:
        upstream.script(self.image_reply(PNG))
        files.check_left_out(await self.image(**SETTINGS), upstream.request, SETTINGS, self.image_settings)

    async def test_unsupported_image_settings_are_refused_where_the_settings_say_so(
        self, upstream: Upstream, settings: Settings
    ) -> None:
        await files.check_refused(self.image, upstream, settings, SETTINGS, self.image_settings)

    async def test_several_images_take_as_many_calls_as_the_vendor_needs(self, upstream: Upstream) -> None:
        upstream.always(lambda request: self.image_reply(*[PNG] * self.images_asked(request)))
        result = await self.image(n=3)
        asked = [self.images_asked(request) for request in upstream.requests]
        assert (len(result.images), sum(asked)) == (3, 3)
        assert len(asked) == -(-3 // (self.images_per_call or 3))
        assert max(asked) <= (self.images_per_call or 3)

    async def test_images_are_edited(self, upstream: Upstream) -> None:
        upstream.always(self.image_reply(JPEG))
        edit = {"prompt": "Add a hat", "images": [PNG], **({"mask": OTHER_PNG} if self.masks else {})}
        if self.edit_path is None:
            assert isinstance(await files.raised(self.image(**edit)), UnsupportedFunctionality)
            assert upstream.requests == []
            return
        result = await self.image(**edit)
        assert result.images == (GeneratedFile(bytes=JPEG, media_type="image/jpeg"),)
        request = upstream.request
        assert (request.method, request.target) == ("POST", self.base_path + self.edit_path)
        assert "Add a hat" in json.dumps(files.sent(request))
        assert files.carries(request, PNG)
        assert files.carries(request, OTHER_PNG) == self.masks
        self.check_credential(request)

    @pytest.mark.parametrize("data", [MP3, TEXT, b"\0"], ids=["sound", "text", "nothing"])
    async def test_bytes_that_are_no_image_are_refused(self, upstream: Upstream, data: bytes) -> None:
        await files.check_useless(self.image, upstream, self.image_reply(data))

    async def test_an_answer_without_an_image_is_refused(self, upstream: Upstream) -> None:
        for reply in self.imageless_replies().values():
            upstream.requests.clear()
            await files.check_useless(self.image, upstream, reply)

    async def test_an_image_call_with_status_200_and_an_error_object_fails(self, upstream: Upstream) -> None:
        upstream.always(self.vendor.error_with_200(f"The key {CANARY} is at fault."))
        error = await files.raised(self.image(max_retries=0))
        assert error.code in {"upstream_error", "upstream_invalid_response"}
        assert CANARY not in str(error)

    @pytest.mark.parametrize("status", files.STATUSES)
    async def test_an_image_calls_status_has_its_code(
        self, upstream: Upstream, status: int, everything_logged: pytest.LogCaptureFixture
    ) -> None:
        await files.check_status(self.image, upstream, self.vendor.error, status, everything_logged)

    @pytest.mark.parametrize("fault", files.FAULTS)
    async def test_an_image_calls_fault_has_its_code(
        self, upstream: Upstream, settings: Settings, fault: str, everything_logged: pytest.LogCaptureFixture
    ) -> None:
        await files.check_fault(self.image, upstream, settings, fault, self.image_reply(PNG), everything_logged)

    async def test_image_calls_are_retried(self, upstream: Upstream) -> None:
        await files.check_retries(self.image, upstream, self.vendor.error, self.image_reply(PNG))
