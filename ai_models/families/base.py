"""What a provider family is: one class that says which settings it takes, what it can do, and how to do it.

Subclass :class:`Family` and register the class in the entry-point group ``ai_models.families``. Everything is refused by
default: a capability works only when it is listed in ``capabilities`` and its ``do_...`` method is written.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from ai_models import types
from ai_models.capabilities import Capability
from ai_models.destinations import DestinationPolicy
from ai_models.encryption import Secret
from ai_models.exceptions import InvalidRequest, UnsupportedFunctionality
from ai_models.families.fields import ConfigField

if TYPE_CHECKING:
    from ai_models.types import (
        Chunk,
        EmbedRequest,
        EmbedResult,
        Health,
        ImageRequest,
        ImageResult,
        ModelRequest,
        ObjectRequest,
        SpeechRequest,
        SpeechResult,
        TextRequest,
        TextResult,
        TranscribeRequest,
        TranscriptionResult,
        VideoOperation,
        VideoRequest,
    )


@dataclass(frozen=True, slots=True)
class Connection:
    """One provider instance as its family sees it: how to connect, and with which credential.

    Attributes:
        name: the instance's name.
        options: values of the family's fields that are no secrets, defaults filled in.
        secrets: values of the secret fields that are set.
        mappings: values of secret ``mapping`` fields (headers, query parameters), by field name.
        destinations: which addresses the instance may reach.
    """

    name: str
    options: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    mappings: Mapping[str, Mapping[str, Secret]]
    destinations: DestinationPolicy

    def headers(self) -> dict[str, str]:
        """The values of the ``headers`` field, their names in lower case."""
        return {name.lower(): value.reveal() for name, value in self.mappings.get("headers", {}).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingProblem:
    """A mistake in an instance's settings, found by its family.

    Attributes:
        field: the key below the instance, ``baseURL``; empty for the instance as a whole.
        message: what is wrong, without the value.
        remedy: what to do.
    """

    field: str
    message: str
    remedy: str
    level: Literal["error", "info"] = "error"


class Family:
    """A request protocol with its authentication: the base class of every provider family.

    An object of the class is one connected provider instance. It is made when the instance is first used, shared by
    all calls of the process, and closed with :meth:`aclose`. Constructing it opens no connection.
    """

    type: ClassVar[str]
    """The name operators write as ``type:``, lower case with dashes."""

    label: ClassVar[str]
    """The name people read."""

    telemetry_name: ClassVar[str] = ""
    """``gen_ai.provider.name`` in OpenTelemetry's conventions, where it is another name than ``type``."""

    fields: ClassVar[tuple[ConfigField, ...]] = ()
    """The settings of an instance."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    """What the family can do. A capability outside this set is never enabled on an instance."""

    ambient_credentials: ClassVar[bool] = False
    """Whether an instance without credentials of its own uses the machine's."""

    provider_options: ClassVar[Mapping[Capability, frozenset[str]]] = {}
    """By capability, vendor settings that a caller may give in ``provider_options``, by the vendor's names. Structured output
    takes those of text generation. A list, never everything: an upstream that is a gateway itself would take addresses and
    credentials from what it is sent."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    def check(cls, options: Mapping[str, Any], secrets: Iterable[str]) -> list[SettingProblem]:
        """Look for mistakes that the fields cannot express. Called at start, without a connection.

        Args:
            options: the values that are no secrets.
            secrets: names of the secret fields that are set.
        """
        return []

    async def supported_settings(self, capability: Capability, model: str) -> frozenset[str] | None:
        """Names of the settings that the model honours; ``None`` when all of them are.

        The names are those of :data:`~ai_models.types.SETTINGS` for the capability. The service leaves out the others and
        reports each as an ``unsupported`` warning. Called before every call, so it must be quick.
        """
        return None

    def embeddings_per_call(self, model: str) -> int | None:
        """How many texts one :meth:`do_embed` takes; ``None`` for any number. The service splits what is more."""
        return None

    def images_per_call(self, model: str) -> int | None:
        """How many images one :meth:`do_generate_image` makes; ``None`` for any number. The service splits what is more."""
        return None

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        """Capability ``text-generation``."""
        self._refuse(Capability.TEXT_GENERATION)

    def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk]:
        """Capability ``text-generation``, streamed. An async generator; its ``aclose`` ends the upstream call."""
        self._refuse(Capability.TEXT_GENERATION)

    async def do_generate_object(self, model: str, request: ObjectRequest) -> TextResult:
        """Capability ``structured-output``. ``request["schema"]`` is JSON Schema; the text returned is JSON.

        The service validates it. A family that has no native schema mode reports a ``compatibility`` warning.
        """
        self._refuse(Capability.STRUCTURED_OUTPUT)

    def do_stream_object(self, model: str, request: ObjectRequest) -> AsyncGenerator[Chunk]:
        """Capability ``structured-output``, streamed: the pieces of :meth:`do_generate_object`'s text."""
        self._refuse(Capability.STRUCTURED_OUTPUT)

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        """Capability ``embeddings``. ``request["values"]`` is always set; the result has ``embeddings``."""
        self._refuse(Capability.EMBEDDINGS)

    async def do_generate_image(self, model: str, request: ImageRequest) -> ImageResult:
        """Capability ``image-generation``. ``request["n"]`` is always set; files are bytes."""
        self._refuse(Capability.IMAGE_GENERATION)

    async def do_generate_speech(self, model: str, request: SpeechRequest) -> SpeechResult:
        """Capability ``speech-generation``."""
        self._refuse(Capability.SPEECH_GENERATION)

    async def do_transcribe(self, model: str, request: TranscribeRequest) -> TranscriptionResult:
        """Capability ``transcription``. ``request["audio"]`` is bytes of the type ``request["media_type"]``, always set."""
        self._refuse(Capability.TRANSCRIPTION)

    async def do_start_video(self, model: str, request: VideoRequest) -> VideoOperation:
        """Capability ``video-generation``: ask the provider for the video and return at once. ``request["n"]`` is set."""
        self._refuse(Capability.VIDEO_GENERATION)

    async def do_poll_video(self, model: str, reference: Mapping[str, Any]) -> VideoOperation:
        """Where the work stands. ``reference`` is what the last report of it said; another process may have got that."""
        self._refuse(Capability.VIDEO_GENERATION)

    def do_fetch_video(self, model: str, reference: Mapping[str, Any], index: int) -> AsyncGenerator[bytes]:
        """The bytes of one of the videos, ``0`` being the first. An async generator."""
        self._refuse(Capability.VIDEO_GENERATION)

    async def do_cancel_video(self, model: str, reference: Mapping[str, Any]) -> None:
        """Tell the provider that the video is not wanted any more. Does nothing where the provider cannot be told."""

    async def warm_up(self) -> None:
        """Load what the first call would wait for. Called in the background when a server has started; calls nobody."""

    def destination(self) -> str | None:
        """The address that calls go to; ``None`` when they go to none. A check looks whether it can be reached."""
        address: str | None = self.connection.options.get("baseURL")
        return address

    async def health_check(self) -> Health:
        """Whether the instance can be used, found out without cost.

        Errors may be raised as calls raise them. Where the vendor lists its models, :func:`listed` makes the result.
        """
        return types.Health(healthy=True, message=f"{self.label} has no free check; its configuration is complete.")

    def knows(self, model: str, names: frozenset[str]) -> bool | None:
        """Whether a configured model is among those that the provider lists; ``None`` when its list cannot tell."""
        return model in names

    async def aclose(self) -> None:
        """Close connections and stop what was started. The object is not used afterwards."""

    @classmethod
    def options_of(cls, capability: Capability) -> frozenset[str]:
        """Names of the vendor settings that a caller may give with this capability."""
        same = Capability.TEXT_GENERATION if capability is Capability.STRUCTURED_OUTPUT else capability
        return cls.provider_options.get(same, frozenset())

    @classmethod
    def options(cls, request: ModelRequest) -> Mapping[str, Any]:
        """The caller's vendor settings for this family. The service has refused those that it does not take."""
        return request.get("provider_options", {}).get(cls.type, {})

    @classmethod
    def check_options(cls, capability: Capability, request: ModelRequest) -> None:
        """Refuse vendor settings that the family does not take with this capability. The service does, before each call.

        Raises:
            InvalidRequest: names each of them, and those that it takes.
        """
        allowed = cls.options_of(capability)
        if refused := sorted(cls.options(request).keys() - allowed):
            known = ", ".join(sorted(allowed)) or "none"
            raise InvalidRequest(f"provider_options.{cls.type}: {', '.join(refused)} cannot be set. It takes: {known}")

    def _refuse(self, capability: Capability) -> NoReturn:
        raise UnsupportedFunctionality(f"Provider family {self.type} does not have {capability}.")


async def listed(models: Awaitable[Iterable[str]]) -> Health:
    """The health that a vendor's list of its models proves."""
    started = time.monotonic()
    found = frozenset(await models)
    return types.Health(
        healthy=True,
        message=f"The provider lists {len(found)} model{'s' if len(found) != 1 else ''}.",
        latency=time.monotonic() - started,
        models=found or None,
    )
