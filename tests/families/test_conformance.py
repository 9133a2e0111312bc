"""The conformance kit, run on families that are known to be right, and on some that are known to be wrong."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import pytest

from ai_models.capabilities import Capability
from ai_models.families.base import Connection, Family
from ai_models.families.fields import ConfigField
from ai_models.families.local import Local
from ai_models.families.openai_compatible import OpenAICompatible
from ai_models.testing.conformance import FamilyConformance, connection
from ai_models.types import Chunk, TextRequest
from tests.samples import MP3, MP4, PNG
from tests.upstreams import openai as protocol
from tests.upstreams import openai_media
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream

sys.path.append(str(Path(__file__).parents[1] / "echo_family" / "src"))
from ai_models_echo import Echo


class TestEcho(FamilyConformance):
    """A third party's family."""

    family = Echo

    @pytest.fixture
    def connection(self) -> Connection:
        return connection(Echo, {})


class TestLocal(FamilyConformance):
    """Models in this process."""

    family = Local
    model = "smollm2"
    embedding_model = "multilingual-e5-small"
    speech_model = "espeak-ng"
    transcription_model = "pocketsphinx-en-us"

    @pytest.fixture
    def connection(self) -> Connection:
        return connection(Local, {})


FILES: Mapping[str, Reply] = {
    "POST /v1/images/generations": openai_media.images(PNG),
    "POST /v1/audio/speech": openai_media.speech(MP3),
    "POST /v1/audio/transcriptions": openai_media.transcription(),
    "POST /v1/videos": openai_media.video("queued"),
    f"GET /v1/videos/{openai_media.VIDEO_ID}": openai_media.video("completed"),
    f"GET /v1/videos/{openai_media.VIDEO_ID}/content": openai_media.video_content(MP4),
}


def answer(request: Recorded) -> Reply:
    """What an endpoint of this protocol would answer."""
    if (file := FILES.get(f"{request.method} {request.path}")) is not None:
        return file
    if request.path.endswith("/embeddings"):
        return protocol.embeddings(*([float(number)] * 4 for number, _ in enumerate(request.json["input"])))
    if request.path.endswith("/models"):
        return protocol.models("test-model")
    if request.json.get("stream"):
        return protocol.stream(*(['{"name"', ': "Ada"}'] if "response_format" in request.json else ["one ", "word"]))
    return protocol.text('{"name": "Ada"}')


class TestOpenAICompatible(FamilyConformance):
    """A family with an address, a key and headers."""

    family = OpenAICompatible

    @pytest.fixture
    def connection(self, upstream: Upstream) -> Connection:
        upstream.always(answer)
        secrets = {"apiKey": "canary-key"}
        return connection(OpenAICompatible, {"baseURL": f"{upstream.url}/v1"}, secrets, {"headers": {"x-team": "canary-team"}})


class Boastful(Family):
    """Lists what it cannot do, and declares its fields carelessly."""

    type = "Boastful Family"
    label = "Boastful"
    fields = (ConfigField(name="apiKey", help="", secret=True, default="none"),)
    capabilities = frozenset({Capability.EMBEDDINGS})


class Endless(Family):
    """Ends its stream without saying why."""

    type = "endless"
    label = "Endless"
    capabilities = frozenset({Capability.TEXT_GENERATION})

    async def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk]:
        yield Chunk(text="and then")


class BoastfulConformance(FamilyConformance):
    family = Boastful


class EndlessConformance(FamilyConformance):
    family = Endless


@pytest.mark.parametrize(
    "test", ["test_type_and_label_are_declared", "test_fields_are_declared_well", "test_capabilities_and_methods_agree"]
)
def test_the_kit_finds_a_careless_declaration(test: str) -> None:
    with pytest.raises(AssertionError):
        getattr(BoastfulConformance(), test)()


async def test_the_kit_finds_a_stream_without_an_end() -> None:
    with pytest.raises(AssertionError, match="finish reason"):
        await EndlessConformance().test_a_stream_ends_with_its_finish_reason(Endless(connection(Endless, {})))
