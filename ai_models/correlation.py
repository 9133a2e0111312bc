"""What ties the work of this process to what asked for it: the request's id, and the trace that goes on with the provider."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("ai_models_request_id", default="-")
"""The id of the request being handled; ``-`` outside of one. What a request starts has it too, in other tasks and threads."""

trace_headers: ContextVar[Mapping[str, str]] = ContextVar("ai_models_trace_headers", default={})  # noqa: B039, never changed
"""Headers by which a provider can go on with the trace; empty unless ``AI_MODELS["PROPAGATE_TRACE"]`` is set."""

_random = random.Random()  # noqa: S311


def new_id() -> str:
    """32 hexadecimal digits that nothing else has. No secret: they could be guessed, and nobody gets anything by them."""
    return f"{_random.getrandbits(128):032x}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)
