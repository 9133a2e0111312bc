"""The ground of the contract: one instance of the family, seeded from a file and pointed at a scripted upstream."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import pytest
from asgiref.sync import sync_to_async
from pytest_django import Settings

from ai_models import events, service
from ai_models.exceptions import AIModelsError
from ai_models.streams import TextStream
from ai_models.types import Tool, Usage
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Headers, Reply
from tests.upstreams.server import Upstream

NAME = "main"
CANARY = "canary-7c41d0e2"
"""In every credential, and in what upstreams say about it. It must not be anywhere else."""

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], "additionalProperties": False}
TOOL: Tool = {
    "name": "look",
    "description": "Looks.",
    "input_schema": {"type": "object", "properties": {"at": {"type": "integer"}}},
}


class Vendor(Protocol):
    """The module of :mod:`tests.upstreams` that speaks for a vendor."""

    USAGE: Mapping[str, Any]

    def text(
        self, text: str = ..., *, reasoning: str | None = ..., finish: str = ..., usage: Mapping[str, Any] | None = ...
    ) -> Reply: ...
    def stream(
        self, *deltas: str, reasoning: Sequence[str] = ..., finish: str = ..., usage: Mapping[str, Any] | None = ...
    ) -> Reply: ...
    def tool_call(self, name: str, arguments: Any) -> Reply: ...
    def tool_call_stream(self, name: str, *arguments: str) -> Reply: ...
    def tool_calls(self, *calls: tuple[str, Any]) -> Reply: ...
    def tool_calls_stream(self, *calls: tuple[str, Any]) -> Reply: ...
    def error(self, status: int, message: str = ..., *, code: str | None = ..., headers: Headers = ...) -> Reply: ...
    def error_with_200(self, message: str = ...) -> Reply: ...
    def error_in_stream(self, *deltas: str, message: str = ...) -> Reply: ...


@pytest.mark.usefixtures("provider")
class Contract:
    """What a family's test class says about its vendor.

    Attributes:
        vendor: how it replies.
        declaration: the instance's settings but for ``baseURL`` and models; :data:`CANARY` is part of each credential.
        base_path: where on the upstream the ``baseURL`` points.
        model: a text model.
        structured_model: a model for structured output, when it is another one.
        embedding_model, image_model, speech_model, transcription_model, video_model: models for these, where the family has
            them.
        text_path, stream_path: request targets of the two, below ``base_path``.
        usage: what ``vendor.USAGE`` means.
        output_tokens: the vendor's name for the output tokens.
        finish_reasons: the vendor's reasons in our words.
        wire_settings: where each supported setting of :data:`SETTINGS` stands in the body, and its value there.
    """

    vendor: ClassVar[Vendor]
    declaration: ClassVar[Mapping[str, Any]]
    base_path: ClassVar[str] = "/front/v1"
    model: ClassVar[str]
    structured_model: ClassVar[str | None] = None
    embedding_model: ClassVar[str | None] = None
    image_model: ClassVar[str | None] = None
    speech_model: ClassVar[str | None] = None
    transcription_model: ClassVar[str | None] = None
    video_model: ClassVar[str | None] = None
    text_path: ClassVar[str]
    stream_path: ClassVar[str]
    usage: ClassVar[Usage]
    output_tokens: ClassVar[str]
    finish_reasons: ClassVar[Mapping[str, str]]
    wire_settings: ClassVar[Mapping[str, tuple[str, Any]]]

    @pytest.fixture
    def provider(self, transactional_db: None, settings: Settings, seed: Callable[..., Any], upstream: Upstream) -> None:
        """The default provider, made from a configuration file. No other process changes it."""
        settings.AI_MODELS = {**settings.AI_MODELS, "REVISION_POLL_SECONDS": 0}
        self.configure(seed, upstream.url)

    @pytest.fixture
    def reconfigure(self, provider: None, seed: Callable[..., Any], upstream: Upstream) -> Callable[..., Any]:
        """Seed the instance again with other settings: ``await reconfigure(apiKey="other")``."""
        return sync_to_async(lambda **changes: self.configure(seed, upstream.url, **changes))

    def check_credential(self, request: Recorded) -> None:
        """Assert that the request carries the instance's credential, where the vendor looks for it."""
        raise NotImplementedError

    def configured(self) -> dict[str, str]:
        """The instance's models by capability."""
        models = {
            "text-generation": self.model,
            "structured-output": self.structured_model or self.model,
            "embeddings": self.embedding_model,
            "image-generation": self.image_model,
            "speech-generation": self.speech_model,
            "transcription": self.transcription_model,
            "video-generation": self.video_model,
        }
        return {capability: model for capability, model in models.items() if model is not None}

    def configure(self, seed: Callable[..., Any], url: str, **changes: Any) -> None:
        """Seed the instance with these settings changed."""
        address = url + self.base_path
        declaration = {**self.declaration, "baseURL": address, "defaultModels": self.configured(), **changes}
        seed(json.dumps({"ai": {"defaultProvider": NAME, "providers": {NAME: declaration}}}))


async def events_of(stream: TextStream) -> list[events.Event]:
    """Every event, of which one, the last, is terminal."""
    seen = [event async for event in stream.events]
    assert [type(event) for event in seen if isinstance(event, events.TERMINAL)] == [type(seen[-1])]
    return seen


async def finish_of(stream: TextStream) -> Any:
    """The result of a stream that ends well."""
    last = (await events_of(stream))[-1]
    assert isinstance(last, events.Finish), last
    return last.result


async def failure_of(stream: TextStream) -> tuple[AIModelsError, str]:
    """The error that ends a stream, and the text that came before it."""
    seen = await events_of(stream)
    assert isinstance(seen[-1], events.Error), seen[-1]
    return seen[-1].error, "".join(event.delta for event in seen if isinstance(event, events.TextDelta))


async def text_failure(**request: Any) -> AIModelsError:
    """The error of a plain call."""
    with pytest.raises(AIModelsError) as caught:
        await service.agenerate_text(**{"prompt": "Hi", "max_retries": 0, **request})
    return caught.value


def streamed(**request: Any) -> TextStream:
    return service.astream_text(**{"prompt": "Hi", "max_retries": 0, **request})


def told_by(error: BaseException) -> str:
    """All that an error says to whoever prints it."""
    return "".join([str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)])


def at(body: Any, path: str) -> Any:
    """What stands at ``a.b.0.c`` in JSON."""
    for part in path.split("."):
        body = body[int(part)] if isinstance(body, list) else body[part]
    return body
