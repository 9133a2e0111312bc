"""A caller's trace goes on here, whichever edge it comes in by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from ai_models.telemetry import sinks

Application = Callable[[Any, Any, Any], Awaitable[None]]


def traced(app: Application) -> Application:
    """An ASGI application whose calls belong to the trace that the request's ``traceparent`` names."""

    @wraps(app)
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or sinks.opentelemetry() is None:
            await app(scope, receive, send)
            return
        from ai_models.telemetry import otel  # an SDK is there, so it is imported already

        with otel.incoming(scope["headers"]):
            await app(scope, receive, send)

    return application
