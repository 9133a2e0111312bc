"""WAV files, read as they are found: any rate, any number of channels, whole numbers or floats, headers that lie.

The format: http://soundfile.sapp.org/doc/WaveFormat/, and for 0xFFFE and floats
https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ai_models.exceptions import InvalidRequest, UnsupportedFunctionality

RATE = 16_000
"""Samples per second of what is given out."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WIDTHS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}
_SLOWEST, _FASTEST = 4_000, 192_000
_CHANNELS = 32
_UNKNOWN = 0x7FFFF000  # a stream's header says so, or more, since the size was not known when it was written
_FULL = 32_767.0

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recording:
    """The sound of a file, not yet decoded.

    Attributes:
        frames: the samples' bytes; a frame holds one sample of each channel.
        kind: 1 for whole numbers, 3 for floats.
        bits: of one sample.
    """

    frames: memoryview
    kind: int
    bits: int
    channels: int
    rate: int

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self.frames) // self._size

    @property
    def seconds(self) -> float:
        return self.count / self.rate

    @property
    def _size(self) -> int:
        return self.channels * self.bits // 8

    def pcm(self) -> Iterator[bytes]:
        """One channel of 16 bits at :data:`RATE`, second by second.

        A second is resampled together with its neighbours, so that nothing is heard where two meet.
        """
        for second in range(math.ceil(self.seconds)):
            samples = self._mono(second * self.rate, (second + 1) * self.rate)
            if self.rate != RATE:
                around = self._mono((second - 1) * self.rate, (second + 2) * self.rate)
                samples = _resampled(around, self.rate)[RATE : 2 * RATE]
            ours = min(RATE, round((self.count - second * self.rate) * RATE / self.rate))
            yield np.clip(samples[:ours], -_FULL, _FULL).astype("<i2").tobytes()

    def _mono(self, start: int, end: int) -> Samples:
        """The mean of the channels, from one frame up to another; silence where there are none."""
        first, last = max(0, start), min(self.count, end)
        data = self.frames[first * self._size : last * self._size]
        mono = _decoded(data, self.kind, self.bits).reshape(-1, self.channels).mean(axis=1)
        return np.pad(mono, (first - start, end - last))


def read(data: bytes) -> Recording:
    """The recording in a WAV file.

    Raises:
        InvalidRequest: it is none, or a broken one.
        UnsupportedFunctionality: its samples are in a form that is not read here.
    """
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise InvalidRequest("audio: it is not a WAV file")
    parts = dict(_chunks(memoryview(data)))
    if b"fmt " not in parts or b"data" not in parts:
        raise InvalidRequest("audio: the WAV file has no format or no samples")
    kind, bits, channels, rate = _format(bytes(parts[b"fmt "]))
    frames = parts[b"data"]
    size = channels * bits // 8
    recording = Recording(frames[: len(frames) // size * size], kind, bits, channels, rate)
    if not recording.count:
        raise InvalidRequest("audio: the WAV file has no samples")
    return recording


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """A file's parts by their names; of several with a name, the dictionary keeps the last."""
    position = 12
    while position + 8 <= len(data):
        name, size = bytes(data[position : position + 4]), int.from_bytes(data[position + 4 : position + 8], "little")
        body = data[position + 8 : position + 8 + size]
        if len(body) < size and not (name == b"data" and size >= _UNKNOWN):
            raise InvalidRequest("audio: the WAV file is cut off, or says that it is longer than it is")
        yield name, body
        position += 8 + size + size % 2


def _format(header: bytes) -> tuple[int, int, int, int]:
    """Kind, bits, channels and rate."""
    if len(header) < 16:
        raise InvalidRequest("audio: the WAV file's format is cut off")
    kind, channels, rate, _, size, bits = struct.unpack_from("<HHIIHH", header)
    if kind == _EXTENSIBLE and len(header) >= 26:
        kind = int.from_bytes(header[24:26], "little")
    if bits not in _WIDTHS.get(kind, ()):
        known = "PCM of 8, 16, 24 or 32 bits, or floats of 32 or 64"
        raise UnsupportedFunctionality(
            f"audio: the WAV file's samples are in a form that the local family does not read: {known}"
        )
    if not 0 < channels <= _CHANNELS or not _SLOWEST <= rate <= _FASTEST or size != channels * bits // 8:
        limits = f"up to {_CHANNELS} channels, {_SLOWEST} to {_FASTEST} samples a second"
        raise InvalidRequest(f"audio: the WAV file's format cannot be. The local family reads {limits}")
    return kind, bits, channels, rate


def _decoded(data: memoryview, kind: int, bits: int) -> Samples:
    """Samples as floats, the loudest at 32767."""
    if kind == _FLOAT:
        floats = np.frombuffer(data, np.dtype(f"<f{bits // 8}"))
        return np.asarray(np.nan_to_num(np.clip(floats, -1, 1)) * _FULL, np.float32)
    if bits == 8:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) * 256
    # Of wider samples the upper two bytes; what is lost is not heard.
    wide = np.frombuffer(data, np.uint8).reshape(-1, bits // 8)
    return np.ascontiguousarray(wide[:, -2:]).view("<i2").ravel().astype(np.float32)


def _resampled(samples: Samples, rate: int) -> Samples:
    """Whole seconds at another rate, by their spectrum: what the new rate cannot hold is left out."""
    spectrum = np.fft.rfft(samples)
    wanted = len(samples) // rate * RATE
    bins = wanted // 2 + 1
    spectrum = spectrum[:bins] if len(spectrum) > bins else np.pad(spectrum, (0, bins - len(spectrum)))
    return (np.fft.irfft(spectrum, wanted) * (RATE / rate)).astype(np.float32)
