"""The declaration of one connection setting of a family. Validation, JSON Schema, storage and admin forms derive from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FieldKind = Literal["string", "integer", "boolean", "url", "path", "mapping"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigField:
    """One key below ``ai.providers.<name>``.

    Attributes:
        name: the key, as operators write it (``apiKey``).
        help: one sentence for operators; shown in docs, JSON Schema and the admin.
        kind: what the value is. ``url`` is checked against the destination policy, ``path`` is a file on this
            machine, ``mapping`` maps names to strings (HTTP headers, query parameters).
        secret: stored encrypted, never shown again. A secret is a ``string`` or a ``mapping``.
        required: an instance without it is a mistake; one without a required secret starts, and its calls are refused.
        default: used when the key is absent; never for secrets.
        choices: the allowed values of a string, all of them when empty.
        least: the smallest value of an integer.
    """

    name: str
    help: str
    kind: FieldKind = "string"
    secret: bool = False
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    least: int | None = None


API_KEY = ConfigField(name="apiKey", help="The API key. It is stored encrypted.", secret=True, required=True)

HEADERS = ConfigField(
    name="headers",
    help="HTTP headers sent with every request, but for those that frame it, such as Host. Values are stored encrypted.",
    kind="mapping",
    secret=True,
)

QUERY_PARAMS = ConfigField(
    name="queryParams",
    help="Query parameters appended to every address. Values are stored encrypted.",
    kind="mapping",
    secret=True,
)

MAX_CONCURRENCY = ConfigField(
    name="maxConcurrency",
    help="How many calls each server process makes to it at once; open streams count. AI_MODELS MAX_CONCURRENT when absent.",
    kind="integer",
    least=1,
)


def base_url(help: str, *, default: str | None = None) -> ConfigField:
    """The ``baseURL`` field; required where it has no default."""
    return ConfigField(name="baseURL", help=help, kind="url", required=default is None, default=default)


def encoding_format(*, default: str) -> ConfigField:
    """The ``encodingFormat`` field of endpoints that speak OpenAI's protocol."""
    help = (
        "How vectors are asked for. base64 is a third of the bytes from there and half of the work; not every endpoint has it."
    )
    return ConfigField(name="encodingFormat", help=help, default=default, choices=("float", "base64"))
