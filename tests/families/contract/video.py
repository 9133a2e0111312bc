"""Video, for the families that make it: started, polled, fetched in pieces, and given up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from pytest_django import Settings

from ai_models import calls
from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError
from ai_models.pipeline import calling
from ai_models.types import VideoOperation, VideoRequest
from tests.families.contract import files
from tests.families.contract.base import CANARY, Contract, at, told_by
from tests.families.contract.failures import BROKEN, CODES, KIB
from tests.samples import MP4, PNG
from tests.upstreams import faults
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream

SETTINGS: Mapping[str, Any] = {"aspect_ratio": "9:16", "resolution": "1280x720", "duration": 8.0, "fps": 47, "seed": 7919}
"""Every setting but ``n``, with values that are found in a body."""

CONTENT_FAULTS: Mapping[str, tuple[Any, str]] = {
    "reset before the first byte": (lambda _: faults.reset_before_first_byte(), "upstream_error"),
    "reset in the body": (lambda good: faults.reset_after(faults.halved(good), 1), BROKEN),
    "hang before the first byte": (lambda _: faults.hang_before_first_byte(), "upstream_timeout"),
    "hang in the body": (lambda good: faults.hang_after(faults.halved(good), 1), "upstream_timeout"),
    "truncated": (lambda good: faults.truncated(faults.halved(good), 1), "upstream_invalid_response"),
    "nothing at all": (lambda good: faults.truncated(good, 0), "upstream_invalid_response"),
    "a page": (lambda _: faults.html_page(), "upstream_invalid_response"),
    "compressed": (faults.gzipped, "upstream_invalid_response"),
    "redirect": (lambda _: faults.redirect("http://127.0.0.1:9/"), "upstream_error"),
}


class Video(Contract):
    """A video is asked for, watched until it is there, and read as it arrives.

    Attributes:
        video_path: request target of the start, below ``base_path``.
        video_prompt_path: where the prompt stands in its body.
        video_given: :data:`SETTINGS`, or others where the vendor has no such values.
        video_settings: where each supported one of them stands in the body, and its value there.
        video_takes_image: whether a video can begin with an image.
        video_poll: method and request target of a poll, below ``base_path``.
        video_content: the same of the video itself.
        video_cancel: the same of giving it up; ``None`` where the vendor cannot be told.
        video_tells_progress: whether polls say how far it is.
        video_bad_ids: what a vendor would never name its work; none of it goes into an address.
        video_lost: the code of a video that the vendor has no more.
    """

    video_path: ClassVar[str]
    video_prompt_path: ClassVar[str] = "prompt"
    video_given: ClassVar[Mapping[str, Any]] = SETTINGS
    video_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {}
    video_takes_image: ClassVar[bool] = True
    video_poll: ClassVar[tuple[str, str]]
    video_content: ClassVar[tuple[str, str]]
    video_cancel: ClassVar[tuple[str, str] | None] = None
    video_tells_progress: ClassVar[bool] = True
    video_bad_ids: ClassVar[Sequence[Any]] = (
        "",
        "..",
        "../models",
        "a/b",
        "a?b",
        "a b",
        "a#b",
        "a\n",
        "a" * 2000,
        7,
        None,
        ["a"],
    )

    video_lost: ClassVar[str] = "upstream_error"

    def video_started(self, identity: Any = ...) -> Reply:
        """The work is accepted, under the id that polls will name, or under another one."""
        raise NotImplementedError

    def video_running(self, progress: int) -> Reply:
        """It is under way."""
        raise NotImplementedError

    def video_completed(self) -> Reply:
        """It is done, with one video."""
        raise NotImplementedError

    def video_failed(self, *, refused: bool) -> Reply:
        """It failed: under the content policy, or for a reason of the provider's own, with :data:`CANARY` in its message."""
        raise NotImplementedError

    def video_bytes(self, data: bytes) -> Reply:
        """The video itself."""
        raise NotImplementedError

    async def video(self, *, image: bytes | None = None, **request: Any) -> VideoOperation:
        """Start one, as the service does."""
        given = {"prompt": "A cat walks by", **request, **({"image": image} if image else {})}
        async with calling(Capability.VIDEO_GENERATION, VideoRequest, given, None) as call:
            counted = call.having(n=call.request.get("n", 1))
            started = await calls.attempts(lambda: call.family.do_start_video(call.model, counted.request), call.limits)
        return replace(started, warnings=(*call.warnings, *started.warnings))

    async def polled(self, reference: Mapping[str, Any], **request: Any) -> VideoOperation:
        """Ask for it with what another process would have of it."""
        stored = json.loads(json.dumps(reference))
        async with calling(Capability.VIDEO_GENERATION, VideoRequest, {"prompt": "-", **request}, None) as call:
            return await calls.attempts(lambda: call.family.do_poll_video(call.model, stored), call.limits)

    async def pieces(self, reference: Mapping[str, Any]) -> AsyncGenerator[bytes]:
        """The video as it arrives."""
        async with (
            calling(Capability.VIDEO_GENERATION, VideoRequest, {"prompt": "-"}, None) as call,
            aclosing(calls.pieces(lambda: call.family.do_fetch_video(call.model, reference, 0), call.limits)) as pieces,
        ):
            async for piece in pieces:
                yield piece

    async def fetched(self, reference: Mapping[str, Any]) -> bytes:
        """The whole video."""
        return b"".join([piece async for piece in self.pieces(reference)])

    async def given_up(self, reference: Mapping[str, Any]) -> None:
        """Tell the vendor that it is not wanted any more."""
        async with calling(Capability.VIDEO_GENERATION, VideoRequest, {"prompt": "-"}, None) as call:
            await call.family.do_cancel_video(call.model, reference)

    async def completed(self, upstream: Upstream) -> Mapping[str, Any]:
        """The reference of a video that is there; what came until then is forgotten."""
        upstream.script(self.video_started(), self.video_completed())
        reference = (await self.polled((await self.video()).reference)).reference
        upstream.requests.clear()
        return reference

    # --- start ---

    async def test_a_video_is_started(self, upstream: Upstream) -> None:
        upstream.script(self.video_started())
        operation = await self.video()
        assert (operation.status, operation.videos, operation.error, operation.warnings) == ("running", (), None, ())
        request = upstream.request
        assert (request.method, request.target) == ("POST", self.base_path + self.video_path)
        assert at(files.sent(request), self.video_prompt_path) == "A cat walks by"
        self.check_credential(request)
        assert CANARY not in request.target
        assert CANARY not in request.body.decode()
        assert CANARY not in json.dumps(operation.reference)

    async def test_a_video_begins_with_an_image(self, upstream: Upstream) -> None:
        if self.video_takes_image:
            upstream.script(self.video_started())
            await self.video(image=PNG)
            assert files.carries(upstream.request, PNG)
        else:
            assert (await files.raised(self.video(image=PNG))).code == "unsupported_functionality"
            assert upstream.requests == []

    async def test_video_settings_have_the_vendors_names(self, upstream: Upstream) -> None:
        upstream.script(self.video_started())
        await self.video(**{name: self.video_given[name] for name in self.video_settings})
        files.check_settings(upstream.request, self.video_settings)

    async def test_video_settings_that_the_model_has_not_are_left_out_and_reported(self, upstream: Upstream) -> None:
        upstream.script(self.video_started())
        files.check_left_out(await self.video(**self.video_given), upstream.request, self.video_given, self.video_settings)

    async def test_unsupported_video_settings_are_refused_where_the_settings_say_so(
        self, upstream: Upstream, settings: Settings
    ) -> None:
        await files.check_refused(self.video, upstream, settings, self.video_given, self.video_settings)

    async def test_ids_that_are_none_are_refused(self, upstream: Upstream) -> None:
        for identity in self.video_bad_ids:
            upstream.requests.clear()
            await files.check_useless(self.video, upstream, self.video_started(identity))

    @pytest.mark.parametrize("status", files.STATUSES)
    async def test_a_video_calls_status_has_its_code(
        self, upstream: Upstream, status: int, everything_logged: pytest.LogCaptureFixture
    ) -> None:
        await files.check_status(self.video, upstream, self.vendor.error, status, everything_logged)

    @pytest.mark.parametrize("fault", files.FAULTS)
    async def test_a_video_calls_fault_has_its_code(
        self, upstream: Upstream, settings: Settings, fault: str, everything_logged: pytest.LogCaptureFixture
    ) -> None:
        await files.check_fault(self.video, upstream, settings, fault, self.video_started(), everything_logged)

    # --- poll ---

    async def test_a_video_is_polled_until_it_is_there(self, upstream: Upstream) -> None:
        upstream.script(self.video_started(), self.video_running(0), self.video_running(40), self.video_completed())
        operation = await self.video()
        seen = [operation := await self.polled(operation.reference) for _ in range(3)]
        assert [one.status for one in seen] == ["running", "running", "completed"]
        assert [one.progress for one in seen[:2]] == ([0, 40] if self.video_tells_progress else [None, None])
        assert seen[-1].videos == ("video/mp4",)
        for request in upstream.requests[1:]:
            assert (request.method, request.target) == (self.video_poll[0], self.base_path + self.video_poll[1])
            self.check_credential(request)

    async def test_a_video_that_failed_says_why(self, upstream: Upstream) -> None:
        upstream.script(self.video_started(), self.video_failed(refused=False), self.video_failed(refused=True))
        reference = (await self.video()).reference
        for code in ("upstream_error", "content_policy_violation"):
            operation = await self.polled(reference)
            assert (operation.status, operation.videos) == ("failed", ())
            assert operation.error is not None
            assert operation.error.code == code
            assert CANARY not in told_by(operation.error)

    async def test_polls_are_retried(self, upstream: Upstream) -> None:
        upstream.script(self.video_started())
        reference = (await self.video()).reference
        upstream.requests.clear()
        await files.check_retries(
            lambda **request: self.polled(reference, **request), upstream, self.vendor.error, self.video_running(7)
        )

    # --- fetch ---

    async def test_a_video_is_fetched(self, upstream: Upstream, settings: Settings) -> None:
        """However large: it is never held whole, so the limit of other answers is not its limit."""
        settings.AI_MODELS = {**settings.AI_MODELS, "MAX_RESPONSE_BYTES": 256 * KIB}
        reference = await self.completed(upstream)
        video = MP4 + bytes(1024 * KIB)
        upstream.script(self.video_bytes(video))
        assert await self.fetched(reference) == video
        request = upstream.request
        assert (request.method, request.target) == (self.video_content[0], self.base_path + self.video_content[1])
        self.check_credential(request)

    async def test_a_video_is_passed_on_as_it_arrives_and_ends_with_its_reader(self, upstream: Upstream) -> None:
        reference = await self.completed(upstream)
        upstream.script(faults.hang_after(faults.halved(self.video_bytes(MP4)), 1))
        arriving = self.pieces(reference)
        async with asyncio.timeout(10):
            assert MP4.startswith(await anext(arriving))
        reading = asyncio.create_task(anext(arriving))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await upstream.await_closed()

    @pytest.mark.parametrize("fault", CONTENT_FAULTS)
    async def test_a_fault_while_a_video_is_fetched_has_its_code(
        self, upstream: Upstream, settings: Settings, fault: str, everything_logged: pytest.LogCaptureFixture
    ) -> None:
        reference = await self.completed(upstream)
        settings.AI_MODELS = {**settings.AI_MODELS, "TIMEOUT": {"total": 20.0, "chunk": 0.4}}
        spoil, code = CONTENT_FAULTS[fault]
        upstream.always(spoil(self.video_bytes(MP4)))
        with pytest.raises(AIModelsError) as caught:
            await self.fetched(reference)
        assert caught.value.code in code.split(" or ")
        for told in (told_by(caught.value), everything_logged.text):
            assert CANARY not in told
            assert upstream.url not in told

    @pytest.mark.parametrize("status", files.STATUSES)
    async def test_a_status_while_a_video_is_fetched_has_its_code(self, upstream: Upstream, status: int) -> None:
        reference = await self.completed(upstream)
        upstream.script(self.vendor.error(status))
        with pytest.raises(AIModelsError) as caught:
            await self.fetched(reference)
        assert caught.value.code == (self.video_lost if status == 404 else CODES[status])

    # --- give up ---

    async def test_a_video_is_given_up(self, upstream: Upstream) -> None:
        upstream.script(self.video_started())
        reference = (await self.video()).reference
        upstream.requests.clear()
        upstream.always(self.video_given_up())
        await self.given_up(reference)
        if self.video_cancel is None:
            assert upstream.requests == []
        else:
            request = upstream.request
            assert (request.method, request.target) == (self.video_cancel[0], self.base_path + self.video_cancel[1])
            self.check_credential(request)

    def video_given_up(self) -> Reply:
        """The answer to that."""
        raise NotImplementedError
