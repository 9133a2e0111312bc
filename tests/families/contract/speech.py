"""Speech, for the families that speak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from pytest_django import Settings

from ai_models import service
from ai_models.types import GeneratedFile, SpeechResult
from tests.families.contract import files
from tests.families.contract.base import CANARY, NAME, Contract, at
from tests.samples import MP3
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream

SETTINGS: Mapping[str, Any] = {
    "voice": "marigold",
    "output_format": "flac",
    "instructions": "Whisper it.",
    "speed": 1.375,
    "language": "pt-BR",
}
"""Every setting, with values that are found in a body."""


class Speech(Contract):
    """A text is spoken.

    Attributes:
        speech_path: request target below ``base_path``.
        speech_text_path: where the text stands in the body.
        speech_given: :data:`SETTINGS`, or others where the vendor has no such values.
        speech_settings: where each supported one of them stands in the body, and its value there.
        speech_audio: what :meth:`speech_reply` is understood as.
    """

    speech_path: ClassVar[str]
    speech_text_path: ClassVar[str] = "input"
    speech_given: ClassVar[Mapping[str, Any]] = SETTINGS
    speech_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {}
    speech_audio: ClassVar[GeneratedFile] = GeneratedFile(bytes=MP3, media_type="audio/mpeg")

    def speech_reply(self) -> Reply:
        """An answer with sound."""
        raise NotImplementedError

    def speechless_replies(self) -> Mapping[str, Reply]:
        """Answers that have the vendor's form and no sound: none at all, one that is not base64, a picture, ..."""
        raise NotImplementedError

    async def speech(self, **request: Any) -> SpeechResult:
        return await service.agenerate_speech(**{"text": "Hello there", **request})

    async def test_speech(self, upstream: Upstream) -> None:
        upstream.script(self.speech_reply())
        result = await self.speech()
        assert result.audio == self.speech_audio
        files.check_told(result, NAME, self.speech_model)
        request = upstream.request
        assert (request.method, request.target) == ("POST", self.base_path + self.speech_path)
        assert request.headers["content-type"] == "application/json"
        assert at(request.json, self.speech_text_path) == "Hello there"
        self.check_credential(request)
        assert CANARY not in request.target
        assert CANARY not in request.body.decode()

    async def test_speech_settings_have_the_vendors_names(self, upstream: Upstream) -> None:
        upstream.script(self.speech_reply())
        await self.speech(**{name: self.speech_given[name] for name in self.speech_settings})
        files.check_settings(upstream.request, self.speech_settings)

    async def test_speech_settings_that_the_model_has_not_are_left_out_and_reported(self, upstream: Upstream) -> None:
        upstream.script(self.speech_reply())
        files.check_left_out(await self.speech(**self.speech_given), upstream.request, self.speech_given, self.speech_settings)

    async def test_unsupported_speech_settings_are_refused_where_the_settings_say_so(
        self, upstream: Upstream, settings: Settings
    ) -> None:
        await files.check_refused(self.speech, upstream, settings, self.speech_given, self.speech_settings)

    async def test_an_answer_without_sound_is_refused(self, upstream: Upstream) -> None:
        for reply in self.speechless_replies().values():
            upstream.requests.clear()
            await files.check_useless(self.speech, upstream, reply)

    async def test_a_speech_call_with_status_200_and_an_error_object_fails(self, upstream: Upstream) -> None:
        upstream.always(self.vendor.error_with_200(f"The key {CANARY} is at fault."))
        error = await files.raised(self.speech(max_retries=0))
        assert error.code in {"upstream_error", "upstream_invalid_response"}
        assert CANARY not in str(error)

    @pytest.mark.parametrize("status", files.STATUSES)
    async def test_a_speech_calls_status_has_its_code(
        self, upstream: Upstream, status: int, everything_logged: pytest.LogCaptureFixture
    ) -> None:
        await files.check_status(self.speech, upstream, self.vendor.error, status, everything_logged)

    @pytest.mark.parametrize("fault", files.FAULTS)
    async def test_a_speech_calls_fault_has_its_code(
        self, upstream: Upstream, settings: Settings, fault: str, everything_logged: pytest.LogCaptureFixture
    ) -> None:
        await files.check_fault(self.speech, upstream, settings, fault, self.speech_reply(), everything_logged)

    async def test_speech_calls_are_retried(self, upstream: Upstream) -> None:
        await files.check_retries(self.speech, upstream, self.vendor.error, self.speech_reply())
