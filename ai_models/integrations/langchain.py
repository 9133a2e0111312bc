"""LangChain and LangGraph: a chat model and embeddings.

::

    from ai_models.integrations.langchain import ChatAIModels

    model = ChatAIModels(ai_models.resolve_model(model="fast"))

https://reference.langchain.com/python/langchain_core/language_models/
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any

from pydantic import BaseModel, Field, InstanceOf

from ai_models.exceptions import InvalidRequest, NoObjectGenerated
from ai_models.handles import EmbeddingModel, TextModel
from ai_models.integrations import chat
from ai_models.types import EmbedResult

try:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
    from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
    from langchain_core.tools import BaseTool
    from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

    from ai_models.integrations import langchain_answers as answers
except ImportError as error:
    raise ImportError("This needs LangChain. Install django-ai-models[langchain].") from error

logger = logging.getLogger(__name__)

_NAMES = {"max_tokens": "max_output_tokens", "stop": "stop_sequences"}


class ChatAIModels(BaseChatModel):
    """A chat model of LangChain.

    ``bind()`` and the keywords of ``invoke()`` take the arguments of :func:`ai_models.generate_text`; an unknown one is
    refused. Errors are those of :mod:`ai_models.exceptions`.

    Args:
        handle: from :func:`ai_models.resolve_model`.
        settings: arguments of every call, ``{"temperature": 0.2}``.
    """

    handle: InstanceOf[TextModel] = Field(exclude=True)
    settings: dict[str, Any] = Field(default_factory=dict)

    def __init__(self, handle: TextModel, **kwargs: Any) -> None:
        # LangChain's agents choose by it: they ask for typed output as the capability, and not as a tool.
        kwargs.setdefault("profile", {"structured_output": True})
        super().__init__(handle=handle, **kwargs)

    @property
    def _llm_type(self) -> str:
        return "ai-models"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"provider": self.handle.provider, "model": self.handle.model, **self.settings}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(ls_model_type="chat", ls_provider=self.handle.provider, ls_model_name=self.handle.model)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request, lenient = self._request(messages, stop, kwargs)
        try:
            if "schema" in request:
                return answers.result(self.handle.generate_object(**request))
            return answers.result(self.handle.generate_text(**request))
        except NoObjectGenerated as error:
            return answers.rejected(error, lenient)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request, lenient = self._request(messages, stop, kwargs)
        try:
            if "schema" in request:
                return answers.result(await self.handle.agenerate_object(**request))
            return answers.result(await self.handle.agenerate_text(**request))
        except NoObjectGenerated as error:
            return answers.rejected(error, lenient)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request, lenient = self._request(messages, stop, kwargs)
        stream = self.handle.stream_object(**request) if "schema" in request else self.handle.stream_text(**request)
        chunks = answers.Chunks(lenient)
        with closing(stream.events) as found:
            for event in found:
                yield from chunks.of(event)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request, lenient = self._request(messages, stop, kwargs)
        stream = self.handle.astream_object(**request) if "schema" in request else self.handle.astream_text(**request)
        chunks = answers.Chunks(lenient)
        async with aclosing(stream.events) as found:
            async for event in found:
                for chunk in chunks.of(event):
                    yield chunk

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bool]:
        """The arguments of the call, and whether an object that breaks its schema is left to the parser."""
        given = {**self.settings, "stop": stop, **kwargs}
        given = {_NAMES.get(name, name): value for name, value in given.items() if value is not None and name != "stream"}
        lenient = given.pop("lenient", False)
        if "response_format" in given:
            given |= _response_format(given.pop("response_format"))
        if "tools" in given:
            # LangChain's agents have an empty list where they have no tools.
            given["tools"] = chat.tools(given["tools"]) or None
        if "tool_choice" in given:
            given["tool_choice"] = chat.tool_choice(given["tool_choice"])
        return {**given, "messages": chat.messages(turn for message in messages for turn in _turns(message))}, lenient

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools it may ask for.

        Args:
            tools: anything that LangChain can make a tool's declaration of.
            tool_choice: ``auto``, ``none``, ``required`` (also ``any`` or ``True``), or a tool's name.
        """
        declared = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=declared, tool_choice=tool_choice, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: str = "json_schema",
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """The model with answers that satisfy a schema.

        Args:
            schema: JSON Schema, an OpenAI function, a ``TypedDict`` or a pydantic model.
            include_raw: give ``{"raw": message, "parsed": object, "parsing_error": error}``.
            method: ``json_schema``, the capability structured output; or ``function_calling``, a tool that the model must call.
            kwargs: with ``json_schema``, arguments of the call. ``strict`` makes no difference: every answer is validated.

        Raises:
            ValueError: there is no such method.
        """
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if method != "json_schema":
            raise ValueError("method is json_schema or function_calling")
        kind = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None
        kwargs.pop("strict", None)
        format = {"kwargs": {"method": method}, "schema": schema}
        model = self.bind(
            schema=kind or _json_schema(schema), lenient=include_raw, ls_structured_output_format=format, **kwargs
        )
        parser: Runnable[Any, Any] = PydanticOutputParser(pydantic_object=kind) if kind else JsonOutputParser()
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(parsed=_raw | parser, parsing_error=lambda _: None)
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")


class AIModelsEmbeddings(Embeddings):
    """Embeddings of LangChain. Warnings of the service are logged once, as vectors alone are given back.

    Args:
        handle: from :func:`ai_models.resolve_model` with ``capability="embeddings"``.
        settings: arguments of every call, ``{"dimensions": 256}``.
    """

    def __init__(self, handle: EmbeddingModel, *, settings: Mapping[str, Any] | None = None) -> None:
        self.handle = handle
        self.settings = dict(settings or {})
        self._once = chat.Once(logger)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector for each text."""
        return self._vectors(self.handle.embed(values=texts, **self.settings)) if texts else []

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text."""
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector for each text."""
        return self._vectors(await self.handle.aembed(values=texts, **self.settings)) if texts else []

    async def aembed_query(self, text: str) -> list[float]:
        """The vector of one text."""
        return (await self.aembed_documents([text]))[0]

    def _vectors(self, result: EmbedResult) -> list[list[float]]:
        self._once.warn(result.warnings)
        return [list(vector) for vector in result.embeddings or ()]


def _raw(step: Mapping[str, Any]) -> Any:
    return step["raw"]


def _turns(message: BaseMessage) -> list[dict[str, Any]]:
    """A message in OpenAI's chat format; one that carries results of tools is several turns."""
    turns = convert_to_openai_messages([message])
    if isinstance(message, AIMessage) and (blocks := message.additional_kwargs.get("thinking_blocks")):
        turns[0]["thinking_blocks"] = blocks
    return turns


def _response_format(wanted: Any) -> dict[str, Any]:
    """OpenAI's ``response_format``, which LangChain's agents give for typed output."""
    if not isinstance(wanted, Mapping) or wanted.get("type") != "json_schema":
        raise InvalidRequest("response_format: give {'type': 'json_schema', 'json_schema': ...}, or use with_structured_output")
    described = wanted["json_schema"]
    names = {"schema": "schema", "name": "schema_name", "description": "schema_description"}
    return {ours: described[theirs] for theirs, ours in names.items() if theirs in described}


def _json_schema(schema: Any) -> Any:
    """A schema as JSON Schema; one that is it already stays as it is."""
    is_json_schema = isinstance(schema, Mapping) and not {"parameters", "function"} & schema.keys()
    return schema if is_json_schema else convert_to_json_schema(schema)
