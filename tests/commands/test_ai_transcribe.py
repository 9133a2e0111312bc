"""``ai_transcribe``: recordings from the terminal."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tests import samples
from tests.service.conftest import Puppet

pytestmark = pytest.mark.usefixtures("puppet")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "speech.mp3"
    path.write_bytes(samples.WAV)
    return path


def transcribe(*arguments: str) -> tuple[str, str]:
    out, beside = StringIO(), StringIO()
    call_command("ai_transcribe", *arguments, stdout=out, stderr=beside, no_color=True)
    return out.getvalue(), beside.getvalue()


def test_the_transcript_goes_to_standard_output(recording: Path) -> None:
    out, beside = transcribe(str(recording), "--model", "ear-2", "--language", "en")
    assert out == "Hello\n"
    assert beside == "main/ear-2, 0.1 seconds\n"
    ((model, request),) = Puppet.calls
    assert (model, request["audio"], request["media_type"], request["language"]) == ("ear-2", samples.WAV, "audio/wav", "en")


@pytest.mark.parametrize(("content", "told"), [(samples.TEXT, "none of audio/wav"), (b"", "the file is empty")])
def test_what_is_no_recording_is_refused(recording: Path, content: bytes, told: str) -> None:
    recording.write_bytes(content)
    with pytest.raises(CommandError, match=f"invalid_request: audio: .*{told}"):
        transcribe(str(recording))
    assert Puppet.calls == []


def test_a_file_above_the_limit_is_refused(recording: Path, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_FILE_BYTES": 1000}
    with pytest.raises(CommandError, match="payload_too_large"):
        transcribe(str(recording))


@pytest.mark.parametrize("name", ["nothing.wav", "."])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match="cannot be read: "):
        transcribe(str(tmp_path / name))


def test_the_remedy_is_told(recording: Path) -> None:
    with pytest.raises(CommandError, match=r"Set ai\.providers\.other\.defaultModels\.transcription\."):
        transcribe(str(recording), "--provider", "other")
