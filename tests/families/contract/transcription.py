"""Transcription, for the families that listen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from pytest_django import Settings

from ai_models import service
from ai_models.types import TranscriptionResult
from tests.families.contract import files
from tests.families.contract.base import CANARY, NAME, Contract
from tests.samples import MP3, TEXT, WAV
from tests.upstreams import forms
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream

SETTINGS: Mapping[str, Any] = {"language": "pt-BR"}
"""Every setting, with values that are found in a body."""


class Transcription(Contract):
    """Speech is written down.

    Attributes:
        transcription_path: request target below ``base_path``.
        transcription_settings: where each supported setting of :data:`SETTINGS` stands in the body, and its value there.
        transcript: what :meth:`transcription_reply` is understood as.
    """

    transcription_path: ClassVar[str]
    transcription_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {}
    transcript: ClassVar[TranscriptionResult]

    def transcription_reply(self) -> Reply:
        """An answer with a transcript."""
        raise NotImplementedError

    def textless_replies(self) -> Mapping[str, Reply]:
        """Answers that have the vendor's form and no transcript."""
        raise NotImplementedError

    def check_recording(self, request: Recorded, data: bytes, media_type: str) -> None:
        """Assert that the recording is in the request, as the type that it is."""
        assert files.carries(request, data)
        if forms.is_form(request):
            (file,) = forms.files(request)
            assert file.content_type == media_type
            assert (file.filename or "").rpartition(".")[2] == {"audio/wav": "wav", "audio/mpeg": "mp3"}[media_type]
        else:
            assert media_type in request.body.decode()

    async def transcription(self, **request: Any) -> TranscriptionResult:
        return await service.atranscribe(**{"audio": WAV, **request})

    async def test_transcription(self, upstream: Upstream) -> None:
        upstream.script(self.transcription_reply())
        result = await self.transcription()
        files.check_told(result, NAME, self.transcription_model)
        assert replace(result, provider="", model="", response=self.transcript.response) == self.transcript
        request = upstream.request
        assert (request.method, request.target) == ("POST", self.base_path + self.transcription_path)
        self.check_recording(request, WAV, "audio/wav")
        self.check_credential(request)
        assert CANARY not in request.target
        assert CANARY.encode() not in request.body

    async def test_a_recording_is_sent_as_what_its_bytes_are(self, upstream: Upstream) -> None:
        upstream.script(self.transcription_reply())
        result = await self.transcription(audio=MP3, media_type="audio/wav")
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("other", "media_type")]
        self.check_recording(upstream.request, MP3, "audio/mpeg")

    async def test_what_is_no_recording_is_not_sent(self, upstream: Upstream) -> None:
        assert (await files.raised(self.transcription(audio=TEXT))).code == "invalid_request"
        assert upstream.requests == []

    async def test_transcription_settings_have_the_vendors_names(self, upstream: Upstream) -> None:
        upstream.script(self.transcription_reply())
        await self.transcription(**{name: SETTINGS[name] for name in self.transcription_settings})
        files.check_settings(upstream.request, self.transcription_settings)

    async def test_transcription_settings_that_the_model_has_not_are_left_out_and_reported(self, upstream: Upstream) -> None:
        upstream.script(self.transcription_reply())
        result = await self.transcription(**SETTINGS)
        files.check_left_out(result, upstream.request, SETTINGS, self.transcription_settings)

    async def test_unsupported_transcription_settings_are_refused_where_the_settings_say_so(
        self, upstream: Upstream, settings: Settings
    ) -> None:
        await files.check_refused(self.transcription, upstream, settings, SETTINGS, self.transcription_settings)

    async def test_an_answer_without_a_transcript_is_refused(self, upstream: Upstream) -> None:
        for reply in self.textless_replies().values():
            upstream.requests.clear()
            await files.check_useless(self.transcription, upstream, reply)

    async def test_a_transcription_with_status_200_and_an_error_object_fails(self, upstream: Upstream) -> None:
        upstream.always(self.vendor.error_with_200(f"The key {CANARY} is at fault."))
        error = await files.raised(self.transcription(max_retries=0))
        assert error.code in {"upstream_error", "upstream_invalid_response"}
        assert CANARY not in str(error)

    @pytest.mark.parametrize("status", files.STATUSES)
    async def test_a_transcriptions_status_has_its_code(
        self, upstream: Upstream, status: int, everything_logged: pytest.LogCaptureFixture
    ) -> None:
        await files.check_status(self.transcription, upstream, self.vendor.error, status, everything_logged)

    @pytest.mark.parametrize("fault", files.FAULTS)
    async def test_a_transcriptions_fault_has_its_code(
        self, upstream: Upstream, settings: Settings, fault: str, everything_logged: pytest.LogCaptureFixture
    ) -> None:
        await files.check_fault(self.transcription, upstream, settings, fault, self.transcription_reply(), everything_logged)

    async def test_transcriptions_are_retried(self, upstream: Upstream) -> None:
        await files.check_retries(self.transcription, upstream, self.vendor.error, self.transcription_reply())
