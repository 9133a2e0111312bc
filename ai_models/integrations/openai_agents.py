"""The OpenAI Agents SDK: a model, and a provider for agents that name their model or none.

::

    from agents import Agent, RunConfig, Runner
    from ai_models.integrations.openai_agents import AIModelsProvider

    provider = AIModelsProvider(ai_models.resolve_model())
    await Runner.run(Agent(name="Helper"), "Hello", run_config=RunConfig(model_provider=provider))

The SDK sends traces of every run to OpenAI as soon as the environment has ``OPENAI_API_KEY``. Importing this module sets
up tracing without that export, unless the host has set tracing up before.

https://openai.github.io/openai-agents-python/models/
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import fields
from typing import Any, cast

from ai_models.exceptions import AIModelsError, InvalidRequest
from ai_models.handles import TextModel
from ai_models.integrations import chat
from ai_models.types import TextResult, Usage

try:
    from agents import (
        AgentOutputSchemaBase,
        Handoff,
        Model,
        ModelProvider,
        ModelResponse,
        ModelSettings,
        ModelTracing,
        Tool,
        generation_span,
    )
    from agents.items import TResponseInputItem, TResponseStreamEvent
    from agents.models import get_default_model_settings
    from agents.models.chatcmpl_converter import Converter
    from agents.models.chatcmpl_stream_handler import ChatCmplStreamHandler
    from agents.models.fake_id import FAKE_RESPONSES_ID
    from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
    from agents.tracing import GenerationSpanData, Span, SpanError
    from agents.tracing import setup as tracing_setup
    from agents.tracing.provider import DefaultTraceProvider
    from openai.types.responses import Response
    from openai.types.responses.response_prompt_param import ResponsePromptParam

    from ai_models.integrations import openai_agents_answers as answers
except ImportError as error:
    raise ImportError("This needs the OpenAI Agents SDK. Install django-ai-models[openai-agents].") from error

logger = logging.getLogger(__name__)

_SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "max_tokens": "max_output_tokens",
}
# The SDK gives signed reasoning back to a model of this name only, and to the one that it came from. Here the family decides.
_THINKER = "claude"
# Honoured in another way: by the runner, or always.
_HANDLED = {
    *_SETTINGS,
    "tool_choice",
    "reasoning",
    "extra_headers",
    "extra_args",
    "retry",
    "include_usage",
    "preserve_raw_usage",
}


class AIModelsModel(Model):
    """A model of the Agents SDK. Errors are those of :mod:`ai_models.exceptions`.

    An agent's ``output_type`` is asked for through the capability structured output. ``ModelSettings.extra_args`` takes the
    further arguments of :func:`ai_models.generate_text`; a setting that it does not have is left out. That is logged once, and
    so are the warnings of the service, for which the SDK has no place.

    Args:
        handle: from :func:`ai_models.resolve_model`.
        assumed: settings that the SDK fills in by itself, for OpenAI's default model; they are not sent.
    """

    def __init__(self, handle: TextModel, *, assumed: ModelSettings | None = None) -> None:
        self.handle = handle
        self._assumed = assumed or ModelSettings()
        self._once = chat.Once(logger)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.handle!r})"

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None = None,
        conversation_id: str | None = None,
        prompt: ResponsePromptParam | None = None,
    ) -> ModelResponse:
        """One answer of the model.

        Raises:
            InvalidRequest: the conversation or the prompt is kept at OpenAI.
        """
        _refuse(previous_response_id=previous_response_id, conversation_id=conversation_id, prompt=prompt)
        turns = _turns(system_instructions, input)
        request = self._request(turns, model_settings, tools, output_schema, handoffs)
        with self._span(tracing, turns) as span:
            if "schema" in request:
                written = await self.handle.agenerate_object(**request)
                result: TextResult = written
                text = json.dumps(written.object) if written.object is not None else written.text
            else:
                result = await self.handle.agenerate_text(**request)
                text = result.text
            self._once.warn(result.warnings)
            message = answers.message(result, text)
            _note(span, tracing, [message.model_dump()], result.usage)
        told = {"model": self.handle.model, "provider": result.provider}
        return ModelResponse(
            output=Converter.message_to_output_items(message, provider_data=told),
            usage=answers.spent(result.usage),
            response_id=None,
        )

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None = None,
        conversation_id: str | None = None,
        prompt: ResponsePromptParam | None = None,
    ) -> AsyncIterator[TResponseStreamEvent]:
        """One answer of the model, while it is generated.

        Raises:
            InvalidRequest: the conversation or the prompt is kept at OpenAI.
        """
        _refuse(previous_response_id=previous_response_id, conversation_id=conversation_id, prompt=prompt)
        turns = _turns(system_instructions, input)
        request = self._request(turns, model_settings, tools, output_schema, handoffs)
        stream = self.handle.astream_object(**request) if "schema" in request else self.handle.astream_text(**request)
        begun = Response(
            id=FAKE_RESPONSES_ID, created_at=time.time(), model=self.handle.model, object="response",
            output=[], tools=[], tool_choice="auto", parallel_tool_calls=False,
        )  # fmt: skip
        with self._span(tracing, turns) as span:
            async with stream, aclosing(answers.chunks(stream)) as chunks:
                async for event in ChatCmplStreamHandler.handle_stream(begun, cast(Any, chunks), model=self.handle.model):
                    if event.type == "response.completed":
                        result = await stream.response
                        self._once.warn(result.warnings)
                        _note(span, tracing, [event.response.model_dump()], result.usage)
                    yield event

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        """Whether the runner may try again, where ``ModelSettings.retry`` asks it to."""
        if not isinstance(request.error, AIModelsError):
            return None
        return ModelRetryAdvice(suggested=request.error.retryable, retry_after=request.error.retry_after)

    def _request(
        self,
        turns: list[dict[str, Any]],
        settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
    ) -> dict[str, Any]:
        """The arguments of the call."""
        given = {
            one.name: value
            for one in fields(settings)
            if (value := getattr(settings, one.name)) is not None and value != getattr(self._assumed, one.name, None)
        }
        if unknown := sorted(given.keys() - _HANDLED):
            self._once.say(f"Settings that ai_models does not have were left out: {', '.join(unknown)}")
        request = {ours: given[name] for name, ours in _SETTINGS.items() if name in given}
        if "reasoning" in given and given["reasoning"].effort is not None:
            request["reasoning"] = chat.effort(given["reasoning"].effort)
        if "extra_headers" in given:
            request["headers"] = {name: value for name, value in given["extra_headers"].items() if isinstance(value, str)}
        declared = [*map(Converter.tool_to_openai, tools), *map(Converter.convert_handoff_tool, handoffs)]
        if declared:
            request["tools"] = chat.tools(cast(Any, declared))
            if "tool_choice" in given:
                request["tool_choice"] = _tool_choice(given["tool_choice"])
        if output_schema is not None and not output_schema.is_plain_text():
            request["schema"] = output_schema.json_schema()
            request["schema_name"] = "final_output"
        return {**request, **given.get("extra_args", {}), "messages": chat.messages(turns)}

    @contextmanager
    def _span(self, tracing: ModelTracing, turns: list[dict[str, Any]]) -> Iterator[Span[GenerationSpanData]]:
        """The host's own trace of the call."""
        config = {"provider": self.handle.provider}
        with generation_span(model=self.handle.model, model_config=config, disabled=tracing.is_disabled()) as span:
            if tracing.include_data():
                span.span_data.input = turns
            try:
                yield span
            except AIModelsError as error:
                span.set_error(SpanError(message=error.message, data={"code": error.code}))
                raise


class AIModelsProvider(ModelProvider):
    """Models for agents that name theirs, or none: one instance's models and aliases.

    Args:
        handle: what agents get that name no model; the others get a model or alias of the same instance.
    """

    def __init__(self, handle: TextModel) -> None:
        self.handle = handle

    def get_model(self, model_name: str | None) -> Model:
        """The model or alias of this name; the handle's own for ``None``."""
        handle = self.handle if model_name is None else self.handle.using(model_name)
        return AIModelsModel(handle, assumed=get_default_model_settings(model_name))


def _refuse(**kept: Any) -> None:
    if names := [name for name, value in kept.items() if value is not None]:
        raise InvalidRequest(f"{', '.join(names)}: this is kept at OpenAI; send the conversation itself")


def _turns(system: str | None, input: str | list[TResponseInputItem]) -> list[dict[str, Any]]:
    standing = [{"role": "system", "content": system}] if system else []
    items = input if isinstance(input, str) else cast(list[TResponseInputItem], [*map(_unsourced, input)])
    turns = Converter.items_to_messages(items, model=_THINKER, preserve_thinking_blocks=True)
    return [*standing, *cast(list[dict[str, Any]], turns)]


def _unsourced(item: Any) -> Any:
    """An item; of reasoning, without the model that it came from."""
    if not isinstance(item, Mapping) or item.get("type") != "reasoning" or "provider_data" not in item:
        return item
    return {**item, "provider_data": {"thinking_blocks": item["provider_data"].get("thinking_blocks")}}


def _tool_choice(choice: Any) -> Any:
    if not isinstance(choice, str):
        raise InvalidRequest("tool_choice: give auto, none, required or a tool's name; MCP servers of OpenAI are not available")
    return chat.tool_choice(choice)


def _note(span: Span[GenerationSpanData], tracing: ModelTracing, output: list[dict[str, Any]], usage: Usage) -> None:
    if tracing.include_data():
        span.span_data.output = output
    if usage.input_tokens is not None:
        span.span_data.usage = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}


# The SDK's own default has an exporter to OpenAI; a trace provider without it lets a host add processors of its own.
if tracing_setup.GLOBAL_TRACE_PROVIDER is None:
    tracing_setup.set_trace_provider(DefaultTraceProvider())
