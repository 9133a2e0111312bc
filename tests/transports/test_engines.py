"""How recordings are read and cut for the engine that listens."""

from __future__ import annotations

import numpy as np

from ai_models.exceptions import InvalidRequest, UnsupportedFunctionality
from ai_models.transports.engines import pocketsphinx, wav
from ai_models.transports.engines.pocketsphinx import Word
from tests.families.recordings import wav_of


def test_a_tone_keeps_its_pitch_and_its_loudness_at_every_rate() -> None:
    for rate in (8000, 11_025, 22_050, 44_100, 48_000):
        tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(round(2.6 * rate)) / rate)
        heard = np.frombuffer(b"".join(wav.read(wav_of(tone, "i2", rate)).pcm()), "<i2") / 32_768
        assert len(heard) == 41_600
        expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(41_600) / 16_000)
        assert np.abs(heard - expected)[500:-500].max() < 0.01, "also where two seconds meet"


def test_what_the_new_rate_cannot_hold_is_left_out() -> None:
    tone = np.sin(2 * np.pi * 12_000 * np.arange(96_000) / 48_000)
    heard = np.frombuffer(b"".join(wav.read(wav_of(tone, "i2", 48_000)).pcm()), "<i2")
    assert np.abs(heard[500:-500]).max() < 300, "it would be heard as a tone of 4,000 Hz"


def test_values_that_are_no_sound_are_silence() -> None:
    broken = np.array([np.nan, np.inf, -np.inf, 1e300, 0.0])
    heard = np.frombuffer(b"".join(wav.read(wav_of(broken, "f8", 16_000)).pcm()), "<i2")
    assert list(heard) == [0, 32_767, -32_767, 32_767, 0]


def test_a_pause_ends_a_segment() -> None:
    words = [Word("a", 0, 1), Word("b", 1.1, 2), Word("c", 2.25, 3)]
    assert [[word.text for word in segment] for segment in pocketsphinx.segments(words)] == [["a", "b"], ["c"]]
    assert list(pocketsphinx.segments([])) == []


def test_noise_in_place_of_a_file_never_gives_another_error() -> None:
    noise = np.random.default_rng(1)
    whole = wav_of(np.zeros(400), "i2", 16_000)
    for _ in range(2000):
        spoiled = bytearray(whole)
        for position in noise.integers(12, 60, size=3):
            spoiled[position] = noise.integers(256)
        try:
            blocks = list(wav.read(bytes(spoiled)).pcm())
        except (InvalidRequest, UnsupportedFunctionality):
            continue
        assert 0 < sum(map(len, blocks)) < 10**6
