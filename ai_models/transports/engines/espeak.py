"""eSpeak NG: from a text to speech. Runs in a process of its own; see the package.

The library's interface is ``speak_lib.h``:
https://github.com/espeak-ng/espeak-ng/blob/master/src/include/espeak-ng/speak_lib.h
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ai_models.exceptions import InvalidRequest, NotReady, PayloadTooLarge
from ai_models.transports.engines.child import serve
from ai_models.transports.engines.voices import Voice, Voices
from ai_models.transports.sound import wav

WORDS_PER_MINUTE = 175
SLOWEST, FASTEST = 80, 700
"""Words per minute; eSpeak NG does not go below the first."""

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: no sound device, no threads
_NEVER_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
_RATE = 1  # espeakRATE
_CHARACTERS = 1  # POS_CHARACTER
_UTF8 = 1  # espeakCHARS_UTF8; without espeakSSML, markup is text like any other
_SEED = 1  # the library's noise is the same in every call, so that equal requests sound equal

# NUL ends a text, and 0x01 begins a command to the library; tabs and ends of lines are what they seem.
_SPACES = {code: " " for code in range(32) if chr(code) not in "\t\n\r"}


class _Voice(ctypes.Structure):
    """``espeak_VOICE``."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class Engine:
    """The library, which has one state for the whole process.

    Attributes:
        rate: samples per second of what it speaks, 16 bits each, one channel.

    Raises:
        NotReady: the library or its data cannot be loaded.
    """

    def __init__(self) -> None:
        import espeakng_loader

        try:
            data = Path(espeakng_loader.get_data_path())
            self._library = ctypes.CDLL(espeakng_loader.get_library_path())
            os.chdir(data.parent)  # the library cuts off a path at 160 bytes
        except (OSError, RuntimeError):
            raise NotReady("eSpeak NG cannot be loaded.") from None
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(data.name), _NEVER_EXIT)
        if self.rate <= 0:
            raise NotReady("eSpeak NG cannot load its data.")

    def voices(self) -> Voices:
        """Every voice, and the variants that each can have."""
        variants = _Voice(languages=ctypes.cast(ctypes.c_char_p(b"variant"), ctypes.c_void_p))
        return Voices(tuple(self._listed(None)), [voice.short for voice in self._listed(ctypes.byref(variants))])

    def speak(self, text: str, identifier: str, words_per_minute: int, limit: int) -> bytearray:
        """The samples of a spoken text, little endian.

        Args:
            identifier: of a voice.
            limit: bytes that the samples may have.

        Raises:
            PayloadTooLarge: they have more.
            NotReady: the voice cannot be loaded.
        """
        samples, full = bytearray(), False

        def collect(address: int | None, count: int, events: int | None) -> int:
            nonlocal full
            if address and count:
                samples.extend(ctypes.string_at(address, 2 * count))
            full = len(samples) > limit
            return int(full)

        callback = _Callback(collect)
        self._library.espeak_SetSynthCallback(callback)
        if self._library.espeak_SetVoiceByName(identifier.encode()) != 0:
            raise NotReady("eSpeak NG cannot load this voice.")
        self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
        if hasattr(self._library, "espeak_ng_SetRandSeed"):
            self._library.espeak_ng_SetRandSeed(_SEED)
        spoken = text.translate(_SPACES).encode("utf-8", "replace")
        size = ctypes.c_size_t(len(spoken) + 1)
        self._library.espeak_Synth(spoken, size, 0, _CHARACTERS, 0, _UTF8, None, None)
        if full:
            seconds = limit // (2 * self.rate)
            raise PayloadTooLarge(f"The speech is longer than {seconds} seconds. Send the text in parts.")
        return samples

    def _listed(self, filter: Any) -> Iterator[Voice]:
        listed = self._library.espeak_ListVoices(filter)
        index = 0
        while listed[index]:
            found = listed[index].contents
            yield Voice(name=found.name.decode(), identifier=found.identifier.decode(), languages=tuple(_tags(found.languages)))
            index += 1


def _tags(address: int) -> Iterator[tuple[int, str]]:
    """A voice's languages: pairs of a priority byte and a NUL-terminated tag, and a NUL after the last."""
    while priority := ctypes.c_ubyte.from_address(address).value:
        tag = ctypes.string_at(address + 1)
        yield priority, tag.decode()
        address += len(tag) + 2


def speak(request: Mapping[str, Any], _: bytes) -> tuple[Mapping[str, Any], bytes]:
    """Speak a text.

    Args:
        request: ``text``, ``limit`` (bytes), ``format`` (``wav`` or ``pcm``), and perhaps ``voice``, ``language``, ``speed``.

    Returns:
        ``voice``, the one that spoke; ``rate``, samples per second; ``ignored``, settings that could not be followed.
        And the sound.
    """
    engine = Engine()
    voice, ignored = engine.voices().choose(request.get("voice"), request.get("language"))
    wanted = round(WORDS_PER_MINUTE * request.get("speed", 1))
    samples = engine.speak(request["text"], voice, min(max(wanted, SLOWEST), FASTEST), request["limit"])
    if not any(samples):
        raise InvalidRequest("text: there is nothing in it that can be spoken")
    if wanted < SLOWEST:
        ignored = (*ignored, "speed")
    sound = bytes(samples) if request["format"] == "pcm" else wav(samples, engine.rate)
    return {"voice": voice, "rate": engine.rate, "ignored": ignored}, sound


if __name__ == "__main__":
    serve(speak)
