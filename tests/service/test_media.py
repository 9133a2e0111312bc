"""Images, speech and transcription through the service."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pytest_django import Settings

import ai_models
from ai_models.capabilities import Capability
from ai_models.exceptions import CapabilityNotEnabled, InvalidRequest, UnsupportedFunctionality
from ai_models.types import SETTINGS, Usage
from tests import samples
from tests.service.conftest import Puppet


async def test_an_image(puppet: type[Puppet]) -> None:
    result = await ai_models.agenerate_image("A cat", size="64x64")
    assert (result.provider, result.model, result.image.bytes, result.image.media_type) == (
        "main", "image-1", samples.PNG, "image/png",
    )  # fmt: skip
    assert puppet.calls == [("image-1", {"prompt": "A cat", "size": "64x64", "n": 1})]


async def test_more_images_than_the_model_makes_at_once_take_several_calls(puppet: type[Puppet]) -> None:
    puppet.per_call = 2
    result = await ai_models.agenerate_image("Cats", n=5)
    assert len(result.images) == 5
    assert sorted(request["n"] for _, request in puppet.calls) == [1, 2, 2]
    assert result.usage == Usage(input_tokens=3, total_tokens=15)


async def test_each_of_several_calls_has_a_seed_of_its_own(puppet: type[Puppet], monkeypatch: pytest.MonkeyPatch) -> None:
    async def supported_settings(self: Puppet, capability: Capability, model: str) -> frozenset[str]:
        return SETTINGS[capability]

    monkeypatch.setattr(puppet, "supported_settings", supported_settings)
    puppet.per_call = 2
    await ai_models.agenerate_image("Cats", n=5, seed=7)
    assert sorted((request["seed"], request["n"]) for _, request in puppet.calls) == [(7, 2), (9, 2), (11, 1)]


async def test_images_to_edit_arrive_as_bytes(puppet: type[Puppet]) -> None:
    await ai_models.agenerate_image("Add a hat", images=[io.BytesIO(samples.PNG)], mask=samples.PNG)
    (_, request) = puppet.calls[0]
    assert (request["images"], request["mask"]) == ([samples.PNG], samples.PNG)
    with pytest.raises(InvalidRequest, match="mask: it needs images"):
        await ai_models.agenerate_image("Add a hat", mask=samples.PNG)


async def test_speech(puppet: type[Puppet]) -> None:
    result = await ai_models.agenerate_speech("Hello", voice="nova")
    assert (result.provider, result.model, result.audio.bytes) == ("main", "voice-1", samples.WAV)
    assert puppet.calls == [("voice-1", {"text": "Hello", "voice": "nova"})]


async def test_a_transcript(puppet: type[Puppet]) -> None:
    result = await ai_models.atranscribe(samples.WAV)
    assert (result.text, result.provider, result.model, result.warnings) == ("Hello", "main", "ear-1", ())
    assert puppet.calls == [("ear-1", {"audio": samples.WAV, "media_type": "audio/wav"})]


async def test_a_recording_is_what_its_bytes_say(puppet: type[Puppet]) -> None:
    result = await ai_models.atranscribe(samples.WAV, media_type="audio/mpeg")
    assert puppet.calls[0][1]["media_type"] == "audio/wav"
    assert [(warning.type, warning.setting) for warning in result.warnings] == [("other", "media_type")]


@pytest.mark.parametrize(
    ("audio", "told"),
    [(samples.TEXT, "none of audio/wav"), (samples.PNG, "none of audio/wav"), (b"", "empty"), ("??", "not base64")],
    ids=["text", "picture", "empty", "no base64"],
)
async def test_what_is_no_recording_is_refused(puppet: type[Puppet], audio: Any, told: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^audio: .*{told}"):
        await ai_models.atranscribe(audio)
    assert puppet.calls == []


@pytest.mark.parametrize(("method", "field"), [("image", "prompt"), ("speech", "text")])
async def test_what_to_make_must_be_told(puppet: type[Puppet], method: str, field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}: this field is required"):
        await getattr(ai_models, f"agenerate_{method}")()


async def test_settings_that_the_model_has_not(puppet: type[Puppet], settings: Settings) -> None:
    result = await ai_models.agenerate_image("A cat", seed=7, size="1x1")
    assert [warning.setting for warning in result.warnings] == ["seed"]
    assert "seed" not in puppet.calls[0][1]
    settings.AI_MODELS = {**settings.AI_MODELS, "ON_UNSUPPORTED": "error"}
    with pytest.raises(UnsupportedFunctionality, match="seed"):
        await ai_models.agenerate_image("A cat", seed=7)
    assert len(puppet.calls) == 1, "the call was paid for before it was refused"


async def test_capabilities_exist_only_where_they_are_configured(puppet: type[Puppet]) -> None:
    for call in (
        lambda: ai_models.agenerate_image("x", provider="other"),
        lambda: ai_models.agenerate_speech("x", provider="other"),
        lambda: ai_models.atranscribe(samples.WAV, provider="other"),
    ):
        with pytest.raises(CapabilityNotEnabled):
            await call()
    assert puppet.calls == []


@pytest.mark.django_db(transaction=True)
def test_the_sync_twins(puppet: type[Puppet]) -> None:
    assert ai_models.generate_image("A cat").image.bytes == samples.PNG
    assert ai_models.generate_speech("Hello").audio.media_type == "audio/wav"
    assert ai_models.transcribe(samples.WAV).text == "Hello"
    ai_models.close()
