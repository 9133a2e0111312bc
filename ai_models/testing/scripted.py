"""Models that answer what a test says, in this process, in place of every configured provider.

::

    def test_a_note_is_summarised(client):
        with scripted_models("A short summary.") as models:
            page = client.post("/notes/1/summary")
        assert "A short summary." in page.content.decode()
        assert models.asked[0].request["prompt"].startswith("Summarise")

No database, no configuration and no network is needed. Requests are validated, gates and permissions judged, and results made
as ever; only the provider is another one.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from django.conf import settings
from django.test import override_settings

from ai_models import store
from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError
from ai_models.families.base import Connection, Family
from ai_models.snapshot import CapabilityFacts, CheckState, CredentialState, InstanceFacts, Snapshot
from ai_models.testing import samples
from ai_models.types import (
    Chunk,
    EmbedRequest,
    EmbedResult,
    GeneratedFile,
    ImageRequest,
    ImageResult,
    ObjectRequest,
    SpeechRequest,
    SpeechResult,
    TextRequest,
    TextResult,
    ToolCallDelta,
    TranscribeRequest,
    TranscriptionResult,
    Usage,
    VideoOperation,
    VideoRequest,
)

MODEL = "scripted"
DIMENSIONS = 8

Answer = Any
"""What a call is answered with:

* text, or pieces of text in a list, which a stream tells one by one; an error among them breaks the stream off there;
* a mapping, which is the object of structured output;
* a list of vectors; bytes of an image, a recording or a video;
* a result of :mod:`ai_models.types`, for whatever else an answer can have: tool calls, reasoning, usage, a finish reason;
* an :class:`~ai_models.exceptions.AIModelsError`, which is raised;
* a function, which takes the request and gives any of these.
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call that was made.

    Attributes:
        provider: name of the instance.
        model: as the request or the alias named it; ``scripted`` when nobody named one.
        request: its fields, validated, by Python names.
    """

    capability: Capability
    provider: str
    model: str
    request: Mapping[str, Any]


class ScriptedModels:
    """The script of a test, and what was asked.

    Attributes:
        asked: every call, in order.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.asked: list[Asked] = []
        self._answers = deque(answers)
        self._lock = threading.Lock()

    def answer(self, *answers: Answer) -> None:
        """Add answers. Each call takes the next one, and the last one is given again and again."""
        self._answers.extend(answers)

    def take(self, asked: Asked) -> Answer:
        """Note a call, and give its answer; ``None`` when the script has none at all."""
        with self._lock:
            self.asked.append(asked)
            answer = self._answers[0] if self._answers else None
            if len(self._answers) > 1:
                self._answers.popleft()
        if callable(answer):
            answer = answer(asked.request)
        if isinstance(answer, AIModelsError):
            raise answer
        return answer


@contextmanager
def scripted_models(
    *answers: Answer, providers: Sequence[str] = (MODEL,), capabilities: frozenset[Capability] = frozenset(Capability)
) -> Iterator[ScriptedModels]:
    """Put models with scripted answers in place of every configured provider, for all threads of this process.

    Args:
        answers: see :data:`Answer`. Without any, text is the prompt's own, and everything else something small and valid.
        providers: names of the instances there are; the first is the default provider.
        capabilities: what they are configured for.
    """
    models = ScriptedModels(answers)
    facts = {name: _facts(name, capabilities) for name in providers}
    family = f"{Scripted.__module__}.{Scripted.__qualname__}"
    declared = getattr(settings, "AI_MODELS", {})
    with (
        override_settings(AI_MODELS={**declared, "FAMILIES": [*declared.get("FAMILIES", ()), family]}),
        store.replaced(Snapshot(0, MappingProxyType(facts), providers[0])),
    ):
        before = Scripted.scripts
        Scripted.scripts = {**before, **dict.fromkeys(providers, models)}
        try:
            yield models
        finally:
            Scripted.scripts = before


def _facts(name: str, capabilities: frozenset[Capability]) -> InstanceFacts:
    configured = CapabilityFacts(default_model=MODEL, aliases=MappingProxyType({}), enabled=True)
    return InstanceFacts(
        id=str(uuid.uuid4()),
        name=name,
        family=Scripted.type,
        enabled=True,
        managed=False,
        orphaned=False,
        options=MappingProxyType({}),
        sealed=MappingProxyType({}),
        capabilities=MappingProxyType(dict.fromkeys(capabilities, configured)),
        credential=CredentialState.NOT_NEEDED,
        missing=None,
        problem=None,
        check=CheckState.UNCHECKED,
        fingerprint="scripted",
    )


class Scripted(Family):
    """The family of :func:`scripted_models`: every capability, answered from a script.

    Attributes:
        scripts: by instance name.
    """

    type = "scripted"
    label = "Scripted answers"
    capabilities = frozenset(Capability)

    scripts: ClassVar[Mapping[str, ScriptedModels]] = {}

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._script = self.scripts.get(connection.name) or ScriptedModels(())

    def _take(self, capability: Capability, model: str, request: Mapping[str, Any]) -> Answer:
        return self._script.take(Asked(capability, self.connection.name, model, request))

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        return _text(self._take(Capability.TEXT_GENERATION, model, request), request)

    async def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk]:
        for chunk in _chunks(self._take(Capability.TEXT_GENERATION, model, request), request):
            yield chunk

    async def do_generate_object(self, model: str, request: ObjectRequest) -> TextResult:
        return _text(self._take(Capability.STRUCTURED_OUTPUT, model, request), request)

    async def do_stream_object(self, model: str, request: ObjectRequest) -> AsyncGenerator[Chunk]:
        for chunk in _chunks(self._take(Capability.STRUCTURED_OUTPUT, model, request), request):
            yield chunk

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        answer = self._take(Capability.EMBEDDINGS, model, request)
        if answer is None:
            answer = [_vector(value, request.get("dimensions", DIMENSIONS)) for value in request["values"]]
        return answer if isinstance(answer, EmbedResult) else EmbedResult(embeddings=answer)

    async def do_generate_image(self, model: str, request: ImageRequest) -> ImageResult:
        answer = self._take(Capability.IMAGE_GENERATION, model, request)
        if isinstance(answer, ImageResult):
            return answer
        image = GeneratedFile(bytes=answer or samples.png(), media_type="image/png")
        return ImageResult(images=(image,) * request["n"])

    async def do_generate_speech(self, model: str, request: SpeechRequest) -> SpeechResult:
        answer = self._take(Capability.SPEECH_GENERATION, model, request)
        if isinstance(answer, SpeechResult):
            return answer
        return SpeechResult(audio=GeneratedFile(bytes=answer or samples.wav(), media_type="audio/wav"))

    async def do_transcribe(self, model: str, request: TranscribeRequest) -> TranscriptionResult:
        answer = self._take(Capability.TRANSCRIPTION, model, request)
        return answer if isinstance(answer, TranscriptionResult) else TranscriptionResult(text=answer or "")

    async def do_start_video(self, model: str, request: VideoRequest) -> VideoOperation:
        answer = self._take(Capability.VIDEO_GENERATION, model, request)
        if isinstance(answer, VideoOperation):
            return answer
        held = (answer or samples.mp4()).hex()
        return VideoOperation(reference={"video": held}, status="completed", videos=("video/mp4",) * request["n"])

    async def do_poll_video(self, model: str, reference: Mapping[str, Any]) -> VideoOperation:
        return VideoOperation(reference=reference, status="completed", videos=("video/mp4",))

    async def do_fetch_video(self, model: str, reference: Mapping[str, Any], index: int) -> AsyncGenerator[bytes]:
        yield bytes.fromhex(reference["video"])


def _text(answer: Answer, request: Mapping[str, Any]) -> TextResult:
    """An answer as a whole."""
    if isinstance(answer, TextResult):
        return answer
    pieces = _pieces(answer, request)
    if broken := next((piece for piece in pieces if isinstance(piece, AIModelsError)), None):
        raise broken
    return TextResult(text="".join(pieces), finish_reason="stop", usage=_usage(pieces))


def _chunks(answer: Answer, request: Mapping[str, Any]) -> Iterator[Chunk]:
    """An answer piece by piece."""
    if isinstance(answer, TextResult):
        yield from _chunks_of(answer)
        return
    pieces = _pieces(answer, request)
    for piece in pieces:
        if isinstance(piece, AIModelsError):
            raise piece
        yield Chunk(text=piece)
    yield Chunk(finish_reason="stop", usage=_usage(pieces))


def _chunks_of(result: TextResult) -> Iterator[Chunk]:
    if result.reasoning_text:
        yield Chunk(reasoning=result.reasoning_text)
    yield from (Chunk(text=piece) for piece in _words(result.text))
    for index, call in enumerate(result.tool_calls):
        piece = ToolCallDelta(index=index, id=call.tool_call_id, name=call.tool_name, arguments=json.dumps(call.input))
        yield Chunk(tool_calls=(piece,))
    yield Chunk(finish_reason=result.finish_reason, raw_finish_reason=result.raw_finish_reason, usage=result.usage)


def _pieces(answer: Answer, request: Mapping[str, Any]) -> list[Any]:
    if answer is None:
        answer = request.get("prompt") or _last_text(request["messages"])
    if isinstance(answer, Mapping):
        answer = json.dumps(answer)
    return _words(answer) if isinstance(answer, str) else list(answer)


def _words(text: str) -> list[str]:
    """The text in pieces that end behind a space."""
    words = text.split(" ")
    return [piece for piece in (*(f"{word} " for word in words[:-1]), words[-1]) if piece]


def _last_text(messages: Sequence[Mapping[str, Any]]) -> str:
    content = messages[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _usage(pieces: Sequence[Any]) -> Usage:
    return Usage(input_tokens=1, output_tokens=len(pieces), total_tokens=1 + len(pieces))


def _vector(text: str, dimensions: int) -> list[float]:
    """A vector of length 1 that is the same for the same text, and another for another."""
    digest = hashlib.shake_128(text.encode()).digest(dimensions)
    raw = [byte - 127.5 for byte in digest]
    length = math.sqrt(sum(value * value for value in raw))
    return [value / length for value in raw]
