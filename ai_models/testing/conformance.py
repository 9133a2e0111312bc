"""The conformance kit: what every provider family must do, as tests that its author runs.

::

    class TestMyFamily(FamilyConformance):
        family = MyFamily

        @pytest.fixture
        def connection(self, my_fake_server):
            return connection(MyFamily, {"baseURL": my_fake_server.url}, {"apiKey": "a-test-key-that-must-not-leak"})

The tests call the family itself, with the connection that your fixture gives: to a server of your own, to the vendor's, or
to nothing when the family works in this process. They need ``pytest`` and ``pytest-asyncio``. A capability that the family
does not list is tested to be refused.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar, cast

import pytest
import pytest_asyncio

from ai_models import media
from ai_models.capabilities import Capability
from ai_models.destinations import DestinationPolicy
from ai_models.encryption import Secret
from ai_models.exceptions import AIModelsError, UnsupportedFunctionality
from ai_models.families.base import Connection, Family
from ai_models.testing.samples import wav
from ai_models.types import (
    SETTINGS,
    Chunk,
    EmbedRequest,
    GeneratedFile,
    Health,
    ObjectRequest,
    TextRequest,
    TranscribeRequest,
    VideoOperation,
)

TEXT: TextRequest = {"prompt": "Say one word.", "max_output_tokens": 32}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "enum": ["Ada", "Grace"]}},
    "required": ["name"],
    "additionalProperties": False,
}

_POLLS = 20


def connection(
    family: type[Family],
    options: Mapping[str, Any],
    secrets: Mapping[str, str] | None = None,
    mappings: Mapping[str, Mapping[str, str]] | None = None,
) -> Connection:
    """A connection as the service would make it: defaults filled in, secrets wrapped, private addresses allowed."""
    defaults = {field.name: field.default for field in family.fields if not field.secret}
    return Connection(
        name="conformance",
        options={**defaults, **options},
        secrets={name: Secret(value) for name, value in (secrets or {}).items()},
        mappings={name: {key: Secret(value) for key, value in pairs.items()} for name, pairs in (mappings or {}).items()},
        destinations=DestinationPolicy(private=True),
    )


class FamilyConformance:
    """Subclass it, set ``family`` and write the ``connection`` fixture.

    Attributes:
        family: the class under test.
        model: a model that the connection's other end answers for.
        embedding_model, image_model, speech_model, transcription_model, video_model: the same for other capabilities.
    """

    family: ClassVar[type[Family]]
    model: ClassVar[str] = "test-model"
    embedding_model: ClassVar[str] = "test-embedding-model"
    image_model: ClassVar[str] = "test-image-model"
    speech_model: ClassVar[str] = "test-speech-model"
    transcription_model: ClassVar[str] = "test-transcription-model"
    video_model: ClassVar[str] = "test-video-model"

    @pytest.fixture
    def connection(self) -> Connection:
        """How to reach the other end."""
        raise NotImplementedError("write a fixture that returns conformance.connection(...)")

    @pytest_asyncio.fixture
    async def connected(self, connection: Connection) -> Any:
        """The family, connected; closed after the test."""
        family = self.family(connection)
        yield family
        await family.aclose()

    def needs(self, capability: Capability) -> None:
        """Skip the test when the family does not list the capability."""
        if capability not in self.family.capabilities:
            pytest.skip(f"{self.family.type} does not list {capability}")

    # --- the declaration ---------------------------------------------------------------------------------------------

    def test_type_and_label_are_declared(self) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.family.type), "type: lower case, dashes between words"
        assert self.family.label.strip(), "label: the name people read"

    def test_fields_are_declared_well(self) -> None:
        names = [field.name for field in self.family.fields]
        assert len(names) == len(set(names)), "each field once"
        assert not {"type", "defaultModels", "modelAliases"} & set(names), "these keys belong to every provider"
        for field in self.family.fields:
            assert field.help.strip(), f"{field.name}: operators need a sentence of help"
            assert not (field.secret and field.default is not None), f"{field.name}: a secret has no default"
            assert not field.secret or field.kind in {"string", "mapping"}, f"{field.name}: a secret is a string or a mapping"

    def test_capabilities_and_methods_agree(self) -> None:
        assert self.family.capabilities, "a family has at least one capability"
        for capability in self.family.capabilities:
            for method in _calls(cast(Any, None), capability, ""):
                written = getattr(self.family, method) is not getattr(Family, method)
                assert written, f"{capability} is listed and {method} is not written"

    # --- the connection ----------------------------------------------------------------------------------------------

    @pytest.mark.asyncio
    async def test_secrets_do_not_show_themselves(self, connection: Connection, connected: Family) -> None:
        for secret in _plaintexts(connection):
            assert secret not in repr(connection)
            assert secret not in repr(connected)
            assert secret not in repr(vars(connected))

    @pytest.mark.asyncio
    async def test_closing_twice_is_harmless(self, connection: Connection) -> None:
        family = self.family(connection)
        await family.aclose()
        await family.aclose()

    @pytest.mark.asyncio
    async def test_health_check_gives_health(self, connected: Family) -> None:
        health = await connected.health_check()
        assert isinstance(health, Health)
        assert health.message.strip()
        assert health.latency is None or health.latency >= 0
        listed = health.models or frozenset()
        assert all(connected.knows(name, listed) is not False for name in listed), "what is listed is known"

    @pytest.mark.asyncio
    async def test_the_destination_is_an_address_that_can_be_judged(self, connection: Connection, connected: Family) -> None:
        address = connected.destination()
        if address is not None:
            connection.destinations.check_url(address)

    # --- the methods -------------------------------------------------------------------------------------------------

    @pytest.mark.asyncio
    async def test_what_is_not_listed_is_refused(self, connected: Family) -> None:
        for capability in set(Capability) - self.family.capabilities:
            for call in _calls(connected, capability, _model(self, capability)).values():
                with pytest.raises(UnsupportedFunctionality):
                    await call()

    @pytest.mark.asyncio
    async def test_supported_settings_are_known_settings(self, connected: Family) -> None:
        for capability in self.family.capabilities:
            supported = await connected.supported_settings(capability, _model(self, capability))
            assert supported is None or supported <= SETTINGS[capability], capability

    @pytest.mark.asyncio
    async def test_text_has_a_finish_reason(self, connected: Family) -> None:
        self.needs(Capability.TEXT_GENERATION)
        result = await connected.do_generate_text(self.model, TEXT)
        assert result.text
        assert result.finish_reason in {"stop", "length"}
        assert "".join(part.text for part in result.content if part.type == "text") == result.text

    @pytest.mark.asyncio
    async def test_a_conversation_is_understood(self, connected: Family) -> None:
        self.needs(Capability.TEXT_GENERATION)
        request: TextRequest = {
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "user", "content": [{"type": "text", "text": "Say one word."}]},
            ],
            "max_output_tokens": 32,
        }
        assert (await connected.do_generate_text(self.model, request)).text

    @pytest.mark.asyncio
    async def test_a_stream_ends_with_its_finish_reason(self, connected: Family) -> None:
        self.needs(Capability.TEXT_GENERATION)
        chunks = [chunk async for chunk in connected.do_stream_text(self.model, TEXT)]
        assert all(isinstance(chunk, Chunk) for chunk in chunks)
        assert "".join(chunk.text for chunk in chunks)
        finished = [number for number, chunk in enumerate(chunks) if chunk.finish_reason]
        assert len(finished) == 1, "exactly one chunk has the finish reason"
        assert not any(chunk.text for chunk in chunks[finished[0] + 1 :]), "no text after it"

    @pytest.mark.asyncio
    async def test_a_stream_can_be_left(self, connected: Family) -> None:
        self.needs(Capability.TEXT_GENERATION)
        async with aclosing(cast(Any, connected.do_stream_text(self.model, TEXT))) as stream:
            await anext(stream)
        assert (await connected.do_generate_text(self.model, TEXT)).text, "the connection works after it"

    @pytest.mark.asyncio
    async def test_an_object_is_json_or_said_to_be_none(self, connected: Family) -> None:
        self.needs(Capability.STRUCTURED_OUTPUT)
        result = await connected.do_generate_object(self.model, _object_request())
        assert isinstance(json.loads(result.text), dict)

    @pytest.mark.asyncio
    async def test_a_streamed_object_is_json_at_its_end(self, connected: Family) -> None:
        self.needs(Capability.STRUCTURED_OUTPUT)
        chunks = [chunk async for chunk in connected.do_stream_object(self.model, _object_request())]
        assert isinstance(json.loads("".join(chunk.text for chunk in chunks)), dict)
        assert len([chunk for chunk in chunks if chunk.finish_reason]) == 1, "exactly one chunk has the finish reason"

    @pytest.mark.asyncio
    async def test_embeddings_come_in_order(self, connected: Family) -> None:
        self.needs(Capability.EMBEDDINGS)
        request: EmbedRequest = {"values": ["one", "two", "three"]}
        together = await connected.do_embed(self.embedding_model, request)
        assert together.embeddings is not None
        assert len(together.embeddings) == 3
        assert len({len(vector) for vector in together.embeddings}) == 1, "all vectors have the same length"

    @pytest.mark.asyncio
    async def test_images_are_what_they_say(self, connected: Family) -> None:
        self.needs(Capability.IMAGE_GENERATION)
        result = await connected.do_generate_image(self.image_model, {"prompt": "A cat", "n": 1})
        assert len(result.images) == 1
        _check_type(result.images[0], "image/")

    @pytest.mark.asyncio
    async def test_speech_is_what_it_says(self, connected: Family) -> None:
        self.needs(Capability.SPEECH_GENERATION)
        result = await connected.do_generate_speech(self.speech_model, {"text": "Hello there"})
        _check_type(result.audio, "audio/")

    @pytest.mark.asyncio
    async def test_a_recording_is_written_down(self, connected: Family) -> None:
        self.needs(Capability.TRANSCRIPTION)
        result = await connected.do_transcribe(self.transcription_model, _transcribe_request())
        assert isinstance(result.text, str)
        assert all(part.start_second <= part.end_second for part in result.segments)

    @pytest.mark.asyncio
    async def test_a_video_is_made_and_fetched(self, connected: Family) -> None:
        self.needs(Capability.VIDEO_GENERATION)
        operation = await connected.do_start_video(self.video_model, {"prompt": "A cat walks by", "n": 1})
        for _ in range(_POLLS):
            assert isinstance(operation, VideoOperation)
            json.dumps(operation.reference)
            if operation.status != "running":
                break
            operation = await connected.do_poll_video(self.video_model, operation.reference)
        assert operation.status == "completed", f"after {_POLLS} polls; let your server be quick"
        assert operation.videos, "the media types of the videos"
        pieces = [piece async for piece in connected.do_fetch_video(self.video_model, operation.reference, 0)]
        assert b"".join(pieces)

    @pytest.mark.asyncio
    async def test_errors_are_ours_and_leak_nothing(self, connection: Connection, caplog: pytest.LogCaptureFixture) -> None:
        if not any(field.kind == "url" for field in self.family.fields):
            pytest.skip(f"{self.family.type} has no address to break")
        broken = {field.name: "http://127.0.0.1:9/v1" for field in self.family.fields if field.kind == "url"}
        family = self.family(replace(connection, options={**connection.options, **broken}))
        with caplog.at_level(logging.DEBUG), pytest.raises(AIModelsError) as caught:
            await self._call_something(family)
        await family.aclose()
        for secret in _plaintexts(connection):
            assert secret not in str(caught.value)
            assert secret not in caplog.text
        assert "127.0.0.1:9" not in str(caught.value), "an error names no address"

    async def _call_something(self, family: Family) -> None:
        capability = next(capability for capability in Capability if capability in self.family.capabilities)
        await next(iter(_calls(family, capability, _model(self, capability)).values()))()


def _model(test: FamilyConformance, capability: Capability) -> str:
    """The model that the author names for a capability."""
    return {
        Capability.TEXT_GENERATION: test.model,
        Capability.STRUCTURED_OUTPUT: test.model,
        Capability.EMBEDDINGS: test.embedding_model,
        Capability.IMAGE_GENERATION: test.image_model,
        Capability.SPEECH_GENERATION: test.speech_model,
        Capability.TRANSCRIPTION: test.transcription_model,
        Capability.VIDEO_GENERATION: test.video_model,
    }[capability]


def _calls(family: Family, capability: Capability, model: str) -> Mapping[str, Callable[[], Any]]:
    """The methods of a capability, each with a call of it."""
    calls: Mapping[Capability, dict[str, Callable[[], Any]]] = {
        Capability.TEXT_GENERATION: {
            "do_generate_text": lambda: family.do_generate_text(model, TEXT),
            "do_stream_text": lambda: anext(family.do_stream_text(model, TEXT)),
        },
        Capability.STRUCTURED_OUTPUT: {
            "do_generate_object": lambda: family.do_generate_object(model, _object_request()),
            "do_stream_object": lambda: anext(family.do_stream_object(model, _object_request())),
        },
        Capability.EMBEDDINGS: {"do_embed": lambda: family.do_embed(model, {"values": ["one"]})},
        Capability.IMAGE_GENERATION: {
            "do_generate_image": lambda: family.do_generate_image(model, {"prompt": "A cat", "n": 1})
        },
        Capability.SPEECH_GENERATION: {"do_generate_speech": lambda: family.do_generate_speech(model, {"text": "Hello"})},
        Capability.TRANSCRIPTION: {"do_transcribe": lambda: family.do_transcribe(model, _transcribe_request())},
        Capability.VIDEO_GENERATION: {
            "do_start_video": lambda: family.do_start_video(model, {"prompt": "A cat", "n": 1}),
            "do_poll_video": lambda: family.do_poll_video(model, {}),
            "do_fetch_video": lambda: anext(family.do_fetch_video(model, {}, 0)),
        },
    }
    return calls[capability]


def _check_type(file: GeneratedFile, kind: str) -> None:
    assert file.bytes
    assert file.media_type.startswith(kind)
    assert media.media_type(file.bytes) in {file.media_type, None}, "the bytes have another media type"


def _object_request() -> ObjectRequest:
    return {"prompt": "Invent a person.", "schema": SCHEMA, "max_output_tokens": 64}


def _transcribe_request() -> TranscribeRequest:
    return {"audio": wav(), "media_type": "audio/wav"}


def _plaintexts(connection: Connection) -> list[str]:
    single = [secret.reveal() for secret in connection.secrets.values()]
    return single + [secret.reveal() for pairs in connection.mappings.values() for secret in pairs.values()]
