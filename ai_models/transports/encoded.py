"""Files that stand in base64 in JSON, both ways."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from ai_models import media, types
from ai_models.exceptions import UpstreamInvalidResponse

if TYPE_CHECKING:
    from ai_models.types import GeneratedFile


def base64_text(data: bytes) -> str:
    """The bytes in base64."""
    return base64.b64encode(data).decode()


def data(encoded: object, what: str) -> bytes:
    """The bytes of a file in a provider's answer.

    Args:
        what: the file, for messages: ``image``.

    Raises:
        UpstreamInvalidResponse: it is not base64.
    """
    try:
        if isinstance(encoded, str):
            return base64.b64decode(encoded, validate=True)
    except ValueError:
        pass
    raise UpstreamInvalidResponse(f"The provider's {what} is not base64.")


def image(encoded: object) -> GeneratedFile:
    """An image in a provider's answer. What it is, its bytes tell.

    Raises:
        UpstreamInvalidResponse: it is not base64, or no image.
    """
    found = data(encoded, "image")
    kind = media.media_type(found) or ""
    if not kind.startswith("image/"):
        raise UpstreamInvalidResponse("The provider's image is no image.")
    return types.GeneratedFile(bytes=found, media_type=kind)
