"""Sound as engines and providers make it, in a file that players read."""

from __future__ import annotations

import io
import wave


def wav(samples: bytes | bytearray, rate: int) -> bytes:
    """A WAV file.

    Args:
        samples: one channel, 16 bits each, little endian.
        rate: samples per second.
    """
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(rate)
        recording.writeframes(samples)
    return file.getvalue()
