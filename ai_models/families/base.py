"""What a provider family is: one class that says which settings it takes, what it can do, and how to do it.

Subclass :class:`Family` and register the class in the entry-point group ``ai_models.families``. Everything is refused by
default: a capability works only when it is listed in ``capabilities`` and its ``do_...`` method is written.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NoReturn

from ai_models.capabilities import Capability
from ai_models.destinations import DestinationPolicy
from ai_models.encryption import Secret
from ai_models.exceptions import InvalidRequest, UnsupportedFunctionality
from ai_models.families.fields import ConfigField
from ai_models.types import Chunk, EmbedRequest, EmbedResult, Health, ObjectRequest, TextRequest, TextResult


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

    fields: ClassVar[tuple[ConfigField, ...]] = ()
    """The settings of an instance."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    """What the family can do. A capability outside this set is never enabled on an instance."""

    ambient_credentials: ClassVar[bool] = False
    """Whether an instance without credentials of its own uses the machine's."""

    provider_options: ClassVar[frozenset[str]] = frozenset()
    """Vendor settings that a caller may give in ``provider_options``, by the vendor's names. A list, never everything: an
    upstream that is a gateway itself would take addresses and credentials from what it is sent."""

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

    async def supported_settings(self, model: str) -> frozenset[str] | None:
        """Names of the :class:`~ai_models.types.TextRequest` settings the model honours; ``None`` when all of them are.

        The names are those of :data:`~ai_models.types.TEXT_SETTINGS`. The service leaves out the others and reports each
        as an ``unsupported`` warning. Called before every call, so it must be quick.
        """
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

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        """Capability ``embeddings``. ``request["values"]`` is always set; the result has ``embeddings``."""
        self._refuse(Capability.EMBEDDINGS)

    async def warm_up(self) -> None:
        """Load what the first call would wait for. Called in the background when a server has started; calls nobody."""

    async def health_check(self) -> Health:
        """Whether the instance can be used, found out without cost."""
        return Health(healthy=True, message=f"{self.label} has no free check; its configuration is complete.")

    async def aclose(self) -> None:
        """Close connections and stop what was started. The object is not used afterwards."""

    def allowed_options(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The caller's vendor settings for this family.

        Raises:
            InvalidRequest: names each one that the family does not take, and those it does.
        """
        if refused := sorted(set(options) - self.provider_options):
            known = ", ".join(sorted(self.provider_options)) or "none"
            raise InvalidRequest(f"provider_options.{self.type}: {', '.join(refused)} cannot be set. It takes: {known}")
        return options

    def _refuse(self, capability: Capability) -> NoReturn:
        raise UnsupportedFunctionality(f"Provider family {self.type} does not have {capability}.")
