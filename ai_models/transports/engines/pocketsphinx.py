"""PocketSphinx with its model of American English: from a recording to a text. Runs in a process of its own; see the package.

Its interface: https://pocketsphinx.readthedocs.io/en/latest/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ai_models.exceptions import NotReady, PayloadTooLarge
from ai_models.transports.engines import wav
from ai_models.transports.engines.child import serve

LONGEST_RECORDING = 600
"""Seconds. A recording is written down in about a quarter of its own length."""

LONGEST_UTTERANCE = 30.0
"""Seconds of speech without a pause after which a new utterance begins; the time for the last step grows with the length."""

PAUSE = 0.25
"""Seconds of silence between two words that end a segment."""

_FRAMES_PER_SECOND = 100
_BYTES_PER_SECOND = 2 * wav.RATE
_SILENCE = bytes(_BYTES_PER_SECOND // 2)  # after it, an utterance has ended


@dataclass(frozen=True, slots=True)
class Word:
    """A word that was heard, with its time in the recording in seconds."""

    text: str
    start: float
    end: float


class Listener:
    """Finds the speech in a recording and writes it down.

    Raises:
        NotReady: the model cannot be loaded.
    """

    def __init__(self) -> None:
        import pocketsphinx

        try:
            # A second pass over each utterance takes half as long again and does not make fewer mistakes.
            self._decoder = pocketsphinx.Decoder(samprate=wav.RATE, loglevel="FATAL", fwdflat=False)
        except RuntimeError:
            raise NotReady("PocketSphinx cannot load its model.") from None
        self._speech = pocketsphinx.Endpointer(sample_rate=wav.RATE)

    def words(self, blocks: Iterable[bytes]) -> Iterator[Word]:
        """The words of a recording.

        Args:
            blocks: one channel, 16 bits, :data:`~ai_models.transports.engines.wav.RATE`.
        """
        began, position, listening, speaking = 0.0, 0.0, False, False
        for frame in _frames(blocks, self._speech.frame_bytes):
            speech = self._speech.process(frame)
            if speech is None:
                continue
            position = position if speaking else self._speech.speech_start
            if not listening:
                self._decoder.start_utt()
                began, listening = position, True
            self._decoder.process_raw(speech)
            position += len(speech) / _BYTES_PER_SECOND
            speaking = self._speech.in_speech
            if not speaking or position - began >= LONGEST_UTTERANCE:
                self._decoder.end_utt()
                listening = False
                yield from self._heard(began)

    def _heard(self, began: float) -> Iterator[Word]:
        """The words of the last utterance; the decoder also reports silence and noise, in brackets of either kind."""
        for found in self._decoder.seg() or ():
            if found.word[0] not in "<[":
                text = found.word.partition("(")[0]  # read(2) is the second way to pronounce it
                start, end = (began + frame / _FRAMES_PER_SECOND for frame in (found.start_frame, found.end_frame + 1))
                yield Word(text, start, end)


def _frames(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The blocks in frames of one size, with silence after them."""
    rest = b""
    for block in chain(blocks, (_SILENCE,)):
        rest += block
        whole = len(rest) // size * size
        yield from (rest[start : start + size] for start in range(0, whole, size))
        rest = rest[whole:]


def segments(words: Iterable[Word]) -> Iterator[list[Word]]:
    """Words, parted where there is a pause."""
    segment: list[Word] = []
    for word in words:
        if segment and word.start - segment[-1].end >= PAUSE:
            yield segment
            segment = []
        segment.append(word)
    if segment:
        yield segment


def transcribe(_: Mapping[str, Any], audio: bytes) -> tuple[Mapping[str, Any], bytes]:
    """Write a WAV file down.

    Returns:
        ``seconds``, the recording's length, and ``segments``: each its ``text``, its ``start`` and its ``end``.
    """
    recording = wav.read(audio)
    if recording.seconds > LONGEST_RECORDING:
        limit = f"the local family takes up to {LONGEST_RECORDING} seconds"
        raise PayloadTooLarge(f"audio: the recording lasts {recording.seconds:.0f} seconds; {limit}. Send it in parts.")
    found = [
        {
            "text": " ".join(word.text for word in segment),
            "start": round(segment[0].start, 2),
            "end": round(min(segment[-1].end, recording.seconds), 2),
        }
        for segment in segments(Listener().words(recording.pcm()))
    ]
    return {"seconds": recording.seconds, "segments": found}, b""


if __name__ == "__main__":
    serve(transcribe)
