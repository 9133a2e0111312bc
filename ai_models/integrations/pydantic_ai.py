"""pydantic-ai: a model and embeddings.

::

    from pydantic_ai import Agent
    from ai_models.integrations.pydantic_ai import AIModelsModel

    agent = Agent(AIModelsModel(ai_models.resolve_model()), output_type=Invoice)

https://ai.pydantic.dev/models/overview/#custom-models
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from ai_models import events
from ai_models.events import Event
from ai_models.exceptions import InvalidRequest, NoObjectGenerated
from ai_models.handles import EmbeddingModel as EmbeddingHandle
from ai_models.handles import TextModel
from ai_models.integrations import chat
from ai_models.serialization import to_json
from ai_models.streams import TextStream
from ai_models.types import Message, TextResult, Usage

try:
    from pydantic_ai import RunContext
    from pydantic_ai.embeddings import EmbeddingModel, EmbeddingResult, EmbeddingSettings
    from pydantic_ai.embeddings.result import EmbedInputType
    from pydantic_ai.messages import (
        FinishReason,
        ModelMessage,
        ModelResponse,
        ModelResponseStreamEvent,
        TextPart,
    )
    from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, check_allow_model_requests
    from pydantic_ai.profiles import ModelProfile, ModelProfileSpec
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.usage import RequestUsage

    from ai_models.integrations.pydantic_ai_messages import answer, conversation, kept, tools
except ImportError as error:
    raise ImportError("This needs pydantic-ai. Install django-ai-models[pydantic-ai].") from error

_PROFILE = ModelProfile(
    supports_json_schema_output=True,
    # Typed output needs no tools then, which not every model has.
    default_structured_output_mode="native",
    supports_thinking=True,
)
_SETTINGS = {
    "max_tokens": "max_output_tokens",
    "extra_headers": "headers",
    **{
        name: name
        for name in (
            "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "stop_sequences", "seed",
            "timeout", "max_retries",
        )
    },
}  # fmt: skip
_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content-filter": "content_filter",
    "tool-calls": "tool_call",
    "error": "error",
}
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class AIModelsSettings(ModelSettings, total=False):
    """Settings that only models of this service have."""

    ai_models_provider_options: dict[str, dict[str, Any]]
    """``provider_options`` of :func:`ai_models.generate_text`."""


@dataclass(init=False)
class AIModelsModel(Model[Any]):
    """A model of pydantic-ai. Errors are those of :mod:`ai_models.exceptions`.

    Typed output is asked for through the capability structured output. An answer that breaks the schema goes to
    pydantic-ai, which tells the model and asks again.

    Args:
        handle: from :func:`ai_models.resolve_model`.
        settings: for every request; :class:`AIModelsSettings` has what is this service's own.
        profile: what to change in the profile, ``{"default_structured_output_mode": "tool"}``.
    """

    unsupported_settings = frozenset({"extra_body", "logit_bias", "parallel_tool_calls", "service_tier"})
    _relocates_tool_files = True

    handle: TextModel

    def __init__(
        self, handle: TextModel, *, settings: ModelSettings | None = None, profile: ModelProfileSpec | None = None
    ) -> None:
        self.handle = handle
        super().__init__(settings=settings, profile=profile)

    def _provider_model_profile(self) -> ModelProfile:
        return _PROFILE

    @property
    def model_name(self) -> str:
        """The model, by the provider's own name."""
        return self.handle.model

    @property
    def system(self) -> str:
        """The provider instance's name."""
        return self.handle.provider

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """One answer of the model."""
        request, _ = self._request(messages, model_settings, model_request_parameters)
        try:
            if "schema" in request:
                return _response(await self.handle.agenerate_object(**request))
            return _response(await self.handle.agenerate_text(**request))
        except NoObjectGenerated as error:
            if error.text is None:
                raise
            parts = [TextPart(content=error.text)]
            usage = RequestUsage(unmeasured_requests=1)
            return ModelResponse(parts=parts, usage=usage, model_name=self.model_name, provider_name=self.system)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """One answer of the model, while it is generated. What fails before the first piece fails here."""
        request, prepared = self._request(messages, model_settings, model_request_parameters)
        stream = self.handle.astream_object(**request) if "schema" in request else self.handle.astream_text(**request)
        async with stream:
            reading = stream.events
            first = await anext(reading)
            if isinstance(first, events.Error):
                raise first.error
            yield AIModelsStreamedResponse(prepared, self.handle, stream, reading)

    def _request(
        self, messages: list[ModelMessage], given: ModelSettings | None, parameters: ModelRequestParameters
    ) -> tuple[dict[str, Any], ModelRequestParameters]:
        """The arguments of the call, and the parameters as the profile has them."""
        check_allow_model_requests()
        settings, parameters = self.prepare_request(given, parameters)
        settings = settings or {}
        request: dict[str, Any] = {ours: settings[name] for name, ours in _SETTINGS.items() if name in settings}  # type: ignore[literal-required]
        if options := cast(AIModelsSettings, settings).get("ai_models_provider_options"):
            request["provider_options"] = options
        if (thinking := parameters.thinking) is not None:
            request["reasoning"] = chat.effort(thinking if isinstance(thinking, str) else "medium" if thinking else "none")
        request.update(tools(settings, parameters))
        if parameters.output_mode == "native" and (output := parameters.output_object) is not None:
            request["schema"] = output.json_schema
            request["schema_name"] = output.name if output.name and _SCHEMA_NAME.fullmatch(output.name) else None
            request["schema_description"] = output.description
        return {**request, "messages": self._messages(messages, parameters)}, parameters

    def _messages(self, history: list[ModelMessage], parameters: ModelRequestParameters) -> list[Message]:
        found = conversation(history)
        instructions = self._get_instruction_parts(history, parameters) or ()
        standing = next((place for place, message in enumerate(found) if message["role"] != "system"), len(found))
        found[standing:standing] = [Message(role="system", content=part.content) for part in instructions]
        return found


@dataclass
class AIModelsStreamedResponse(StreamedResponse):
    """An answer while it is generated."""

    _handle: TextModel
    _stream: TextStream
    _reading: AsyncGenerator[Event]
    _timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    _usage_received: bool | None = field(default=False, init=False)

    @property
    def model_name(self) -> str:
        """The model, by the provider's own name."""
        return self._handle.model

    @property
    def provider_name(self) -> str:
        """The provider instance's name."""
        return self._handle.provider

    @property
    def provider_url(self) -> None:
        """Not told."""

    @property
    def timestamp(self) -> datetime:
        """When the answer began."""
        return self._timestamp

    async def close_stream(self) -> None:
        """End the answer and its upstream call."""
        await self._stream.aclose()

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        async for event in self._reading:
            for step in self._steps(event):
                yield step

    def _steps(self, event: Event) -> Iterator[ModelResponseStreamEvent]:
        manager = self._parts_manager
        match event:
            case events.TextDelta(id=identity, delta=delta):
                yield from manager.handle_text_delta(vendor_part_id=identity, content=delta)
            case events.ReasoningDelta(id=identity, delta=delta):
                yield from manager.handle_thinking_delta(vendor_part_id=identity, content=delta)
            case events.ReasoningEnd(id=identity, provider_metadata=wanted_back) if wanted_back is not None:
                yield from manager.handle_thinking_delta(
                    vendor_part_id=identity, provider_name=self.provider_name, provider_details=kept(wanted_back)
                )
            case events.ToolInputStart(tool_call_id=identity, tool_name=name):
                yield from _told(
                    manager.handle_tool_call_delta(vendor_part_id=identity, tool_name=name, args=None, tool_call_id=identity)
                )
            case events.ToolInputDelta(tool_call_id=identity, input_text_delta=delta):
                yield from _told(
                    manager.handle_tool_call_delta(vendor_part_id=identity, tool_name=None, args=delta, tool_call_id=identity)
                )
            case events.Finish(result=result):
                self._add_usage(_usage(result.usage), reported=result.usage.input_tokens is not None)
                self.finish_reason = _FINISH_REASONS.get(result.finish_reason)
                self.provider_response_id = result.response.id
                self.provider_details = _details(result)
            case events.Error(error=error):
                # Left to pydantic-ai's own validation, as in request().
                if not isinstance(error, NoObjectGenerated):
                    raise error


@dataclass(init=False)
class AIModelsEmbeddingModel(EmbeddingModel):
    """An embedding model of pydantic-ai.

    Args:
        handle: from :func:`ai_models.resolve_model` with ``capability="embeddings"``.
        settings: for every request.
    """

    handle: EmbeddingHandle

    def __init__(self, handle: EmbeddingHandle, *, settings: EmbeddingSettings | None = None) -> None:
        self.handle = handle
        super().__init__(settings=settings)

    @property
    def model_name(self) -> str:
        """The model, by the provider's own name."""
        return self.handle.model

    @property
    def system(self) -> str:
        """The provider instance's name."""
        return self.handle.provider

    async def embed(
        self, inputs: str | Sequence[str], *, input_type: EmbedInputType, settings: EmbeddingSettings | None = None
    ) -> EmbeddingResult:
        """One vector for each input."""
        values, wanted = self.prepare_embed(inputs, settings)
        if refused := sorted(wanted.keys() - {"dimensions", "extra_headers"}):
            raise InvalidRequest(f"{', '.join(refused)}: this setting is not available; use dimensions or extra_headers")
        given: dict[str, Any] = {"dimensions": wanted.get("dimensions"), "headers": wanted.get("extra_headers")}
        result = await self.handle.aembed(values=values, **given)
        return EmbeddingResult(
            result.embeddings or [],
            inputs=values,
            input_type=input_type,
            model_name=result.model,
            provider_name=result.provider,
            usage=RequestUsage(input_tokens=result.usage.tokens or 0, unmeasured_requests=int(result.usage.tokens is None)),
            provider_details={"warnings": to_json(result.warnings)},
            provider_response_id=result.response.id,
        )


def _told(event: ModelResponseStreamEvent | None) -> Iterator[ModelResponseStreamEvent]:
    if event is not None:
        yield event


def _response(result: TextResult) -> ModelResponse:
    return ModelResponse(
        parts=[*answer(result)],
        usage=_usage(result.usage),
        model_name=result.response.model or result.model,
        provider_name=result.provider,
        provider_details=_details(result),
        provider_response_id=result.response.id,
        finish_reason=_FINISH_REASONS.get(result.finish_reason),
    )


def _details(result: TextResult) -> dict[str, Any]:
    return {"finish_reason": result.raw_finish_reason, "warnings": to_json(result.warnings)}


def _usage(usage: Usage) -> RequestUsage:
    if usage.input_tokens is None:
        return RequestUsage(unmeasured_requests=1)
    reasoning = usage.output_token_details.reasoning
    return RequestUsage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.input_token_details.cache_read or 0,
        cache_write_tokens=usage.input_token_details.cache_write or 0,
        output_tokens=usage.output_tokens or 0,
        details={} if reasoning is None else {"reasoning_tokens": reasoning},
    )
