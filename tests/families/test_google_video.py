"""Google's videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from ai_models.exceptions import InvalidRequest
from tests.families.contract import Video, files, video
from tests.families.contract.base import CANARY, at
from tests.families.test_google import OnGoogle
from tests.samples import MP4
from tests.upstreams import faults, google
from tests.upstreams.replies import Reply, json_reply, raw
from tests.upstreams.server import Upstream

OPERATION = "models/veo-3.1-generate-preview/operations/abc_123"
VIDEO = "/files/xyz:download?alt=media"


class TestVeo(OnGoogle, Video):
    """Veo, whose videos are files of the API."""

    url = ""
    video_model = "veo-3.1-generate-preview"
    video_path = "/models/veo-3.1-generate-preview:predictLongRunning"
    video_prompt_path = "instances.0.prompt"
    video_given: ClassVar[Mapping[str, Any]] = {**video.SETTINGS, "resolution": "720x1280"}
    video_settings: ClassVar[dict[str, tuple[str, Any]]] = {
        "aspect_ratio": ("parameters.aspectRatio", "9:16"),
        "resolution": ("parameters.resolution", "720p"),
        "duration": ("parameters.durationSeconds", 8),
        "seed": ("parameters.seed", 7919),
    }
    video_poll = ("GET", f"/{OPERATION}")
    video_content = ("GET", VIDEO)
    video_tells_progress = False
    video_bad_ids: ClassVar[tuple[Any, ...]] = (
        *Video.video_bad_ids,
        "models/veo/operations/",
        "models/veo/operations/..",
        "models/veo/operations/a/b",
        "models/veo/operations/a?key=1",
        "models/../operations/a",
        "https://elsewhere.example/operations/a",
        "/operations/a",
    )

    def configure(self, seed: Any, url: str, **changes: Any) -> None:
        self.url = url + self.base_path
        super().configure(seed, url, **changes)

    def video_started(self, identity: Any = OPERATION) -> Reply:
        return google.started(identity)

    def video_running(self, progress: int) -> Reply:
        return google.started(OPERATION)

    def video_completed(self) -> Reply:
        return google.filmed(OPERATION, self.url + VIDEO)

    def video_failed(self, *, refused: bool) -> Reply:
        if refused:
            return google.filmed(OPERATION, raiMediaFilteredCount=1, raiMediaFilteredReasons=[f"The key {CANARY} is shown."])
        return google.failed(OPERATION, f"The key {CANARY} is at fault.")

    def video_bytes(self, data: bytes) -> Reply:
        return raw(data, "video/mp4")

    def video_given_up(self) -> Reply:
        return json_reply({})

    @pytest.mark.parametrize(
        ("asked", "sent"),
        [
            ({}, {}),
            ({"n": 2, "resolution": "1920x1080"}, {"sampleCount": 2, "resolution": "1080p", "aspectRatio": "16:9"}),
            ({"aspect_ratio": "9:16", "resolution": "2160x3840"}, {"resolution": "4k", "aspectRatio": "9:16"}),
            (
                {"provider_options": {"google": {"negativePrompt": "dogs", "personGeneration": "allow_adult"}}},
                {"negativePrompt": "dogs", "personGeneration": "allow_adult"},
            ),
        ],
    )
    async def test_what_veo_is_asked_for(self, upstream: Upstream, asked: dict[str, Any], sent: dict[str, Any]) -> None:
        upstream.script(self.video_started())
        await self.video(**asked)
        assert at(upstream.request.json, "parameters") == sent

    @pytest.mark.parametrize(
        ("asked", "named"),
        [
            ({"resolution": "640x480"}, "1920x1080"),
            ({"resolution": "1280x720", "aspect_ratio": "9:16"}, "16:9"),
            ({"duration": 4.5}, "whole seconds"),
            ({"provider_options": {"google": {"storageUri": "gs://x"}}}, "negativePrompt"),
        ],
    )
    async def test_what_veo_cannot_be_asked_for(self, upstream: Upstream, asked: dict[str, Any], named: str) -> None:
        error = await files.raised(self.video(**asked))
        assert isinstance(error, InvalidRequest)
        assert named in error.message
        assert upstream.requests == []

    async def test_older_models_have_no_seed(self, upstream: Upstream) -> None:
        upstream.script(self.video_started())
        operation = await self.video(model="veo-2.0-generate-001", seed=1)
        assert [(warning.type, warning.setting) for warning in operation.warnings] == [("unsupported", "seed")]
        assert at(upstream.request.json, "parameters") == {}

    async def test_work_that_failed_under_googles_rules_is_a_refusal(self, upstream: Upstream) -> None:
        message = "The prompt contains words that violate Google's Responsible AI practices."
        upstream.script(self.video_started(), google.failed(OPERATION, message, code=3))
        operation = await self.polled((await self.video()).reference)
        assert operation.error is not None
        assert operation.error.code == "content_policy_violation"

    async def test_an_error_object_in_place_of_the_work_is_that_error(self, upstream: Upstream) -> None:
        upstream.script(self.video_started(), google.error_with_200(f"The key {CANARY} is at fault."))
        reference = (await self.video()).reference
        error = await files.raised(self.polled(reference, max_retries=0))
        assert (error.code, error.retryable) == ("upstream_error", True)
        assert CANARY not in str(error)

    async def test_withheld_videos_are_reported(self, upstream: Upstream) -> None:
        upstream.script(self.video_started(), google.filmed(OPERATION, self.url + VIDEO, raiMediaFilteredCount=1))
        operation = await self.polled((await self.video(n=2)).reference)
        assert (operation.status, operation.videos) == ("completed", ("video/mp4",))
        assert [(warning.type, warning.setting) for warning in operation.warnings] == [("other", "n")]

    @pytest.mark.parametrize(
        "address", ["http://{elsewhere}/v.mp4", "http://u@{here}/v.mp4", "http://{here}/v\n.mp4", "files/x"]
    )
    async def test_a_video_elsewhere_is_not_fetched(self, upstream: Upstream, upstreams: Any, address: str) -> None:
        """The key would go with the request."""
        elsewhere = upstreams().always(self.video_bytes(MP4))
        url = address.format(elsewhere=elsewhere.url.removeprefix("http://"), here=upstream.url.removeprefix("http://"))
        upstream.script(self.video_started(), google.filmed(OPERATION, url))
        operation = await self.polled((await self.video()).reference)
        assert operation.status == "failed"
        assert operation.error is not None
        assert (operation.error.code, operation.error.retryable) == ("upstream_invalid_response", False)
        assert (await files.raised(self.fetched({"name": OPERATION, "urls": [url]}))).code == "upstream_invalid_response"
        assert (elsewhere.connections, len(upstream.requests)) == ([], 2)

    async def test_a_redirect_within_the_api_is_followed_with_the_key(self, upstream: Upstream) -> None:
        reference = await self.completed(upstream)
        upstream.script(faults.redirect(f"/download/v1beta{VIDEO}"), self.video_bytes(MP4))
        assert await self.fetched(reference) == MP4
        assert [request.target for request in upstream.requests] == [self.base_path + VIDEO, f"/download/v1beta{VIDEO}"]
        for request in upstream.requests:
            self.check_credential(request)

    async def test_a_redirect_to_elsewhere_is_not_followed(self, upstream: Upstream, upstreams: Any) -> None:
        reference = await self.completed(upstream)
        elsewhere = upstreams().always(self.video_bytes(MP4))
        upstream.always(faults.redirect(f"{elsewhere.url}{VIDEO}"))
        assert (await files.raised(self.fetched(reference))).code == "upstream_error"
        assert (elsewhere.connections, len(upstream.requests)) == ([], 1)

    async def test_redirects_in_a_circle_end(self, upstream: Upstream) -> None:
        reference = await self.completed(upstream)
        upstream.always(faults.redirect(self.base_path + VIDEO))
        assert (await files.raised(self.fetched(reference))).code == "upstream_error"
        assert len(upstream.requests) == 4
