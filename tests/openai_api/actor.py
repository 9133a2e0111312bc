"""A provider family whose answers a test writes: text, thoughts, calls of tools, and vendor settings that it takes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, ClassVar

from ai_models.assembly import Assembler
from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError
from ai_models.families.base import Family
from ai_models.types import (
    SETTINGS,
    Chunk,
    EmbeddingUsage,
    EmbedRequest,
    EmbedResult,
    GeneratedFile,
    ImageRequest,
    ImageResult,
    InputTokenDetails,
    ObjectRequest,
    OutputTokenDetails,
    SpeechRequest,
    SpeechResult,
    TextRequest,
    TextResult,
    ToolCallDelta,
    TranscribeRequest,
    TranscriptionResult,
    TranscriptionSegment,
    Usage,
)
from tests import samples

USAGE = Usage(
    input_tokens=11,
    output_tokens=7,
    total_tokens=18,
    input_token_details=InputTokenDetails(cache_read=4, cache_write=2),
    output_token_details=OutputTokenDetails(reasoning=3),
)
DONE = Chunk(finish_reason="stop", raw_finish_reason="end", usage=USAGE)
REASONED = [
    Chunk(reasoning="Let me "),
    Chunk(reasoning="see."),
    Chunk(reasoning_metadata={"actor": {"signature": "s1"}}),
    Chunk(text="Yes"),
    DONE,
]
CALLS = [
    Chunk(tool_calls=(ToolCallDelta(index=0, id="call_1", name="weather", arguments='{"city":'),)),
    Chunk(tool_calls=(ToolCallDelta(index=0, arguments=' "Oslo"}'), ToolCallDelta(index=1, id="call_2", name="now"))),
    Chunk(finish_reason="tool-calls", usage=USAGE),
]
VECTORS = ([0.1, -2.5, 1e-9], [3.4e38, 0.0, 1 / 3])
TRANSCRIPT = TranscriptionResult(
    text="Good morning. Good night.",
    segments=(
        TranscriptionSegment(text=" Good morning.", start_second=0.0, end_second=1.5),
        TranscriptionSegment(text=" Good --> night.\n\n", start_second=3661.0049, end_second=3662.9996),
    ),
    language="en",
    duration_in_seconds=3663.0,
    usage=Usage(input_tokens=20, output_tokens=5, total_tokens=25),
)


class Actor(Family):
    """Plays its script.

    Attributes:
        script: what is played by each call: chunks to give, errors to raise.
        requests: what came.
        tokens: what an embedding costs.
        transcript: what is heard.
    """

    type = "actor"
    label = "Actor"
    capabilities = frozenset(Capability) - {Capability.VIDEO_GENERATION}
    provider_options = {
        Capability.TEXT_GENERATION: frozenset({"logit_bias", "parallel_tool_calls", "service_tier", "verbosity", "mood"}),
        Capability.IMAGE_GENERATION: frozenset({"quality"}),
        Capability.TRANSCRIPTION: frozenset({"prompt", "temperature"}),
    }

    script: ClassVar[list[Chunk | AIModelsError]] = []
    requests: ClassVar[list[Any]] = []
    tokens: ClassVar[int | None] = 5
    transcript: ClassVar[TranscriptionResult] = TRANSCRIPT

    async def supported_settings(self, capability: Capability, model: str) -> frozenset[str]:
        return SETTINGS[capability] - {"seed", "output_format"} - ({"max_output_tokens"} if model == "endless" else set())

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        assembler = Assembler(TextResult())
        async for chunk in self.do_stream_text(model, request):
            for _ in assembler.feed(chunk):
                pass
        return assembler.result()

    async def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk]:
        self.requests.append(request)
        for step in self.script:
            if isinstance(step, AIModelsError):
                raise step
            yield step

    async def do_generate_object(self, model: str, request: ObjectRequest) -> TextResult:
        return await self.do_generate_text(model, request)

    def do_stream_object(self, model: str, request: ObjectRequest) -> AsyncGenerator[Chunk]:
        return self.do_stream_text(model, request)

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        self.requests.append(request)
        vectors = [VECTORS[number % 2] for number in range(len(request["values"]))]
        return EmbedResult(embeddings=vectors, usage=EmbeddingUsage(tokens=self.tokens))

    async def do_generate_image(self, model: str, request: ImageRequest) -> ImageResult:
        self.requests.append(request)
        picture = GeneratedFile(bytes=samples.PNG, media_type="image/png")
        return ImageResult(images=(picture,) * request["n"], usage=Usage(input_tokens=9, output_tokens=90, total_tokens=99))

    async def do_generate_speech(self, model: str, request: SpeechRequest) -> SpeechResult:
        self.requests.append(request)
        return SpeechResult(audio=GeneratedFile(bytes=samples.MP3, media_type="audio/mpeg"))

    async def do_transcribe(self, model: str, request: TranscribeRequest) -> TranscriptionResult:
        self.requests.append(request)
        return replace(self.transcript)
