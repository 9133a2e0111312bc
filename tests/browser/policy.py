"""The strictest Content-Security-Policy on every page, as a host's middleware sets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.utils.decorators import sync_and_async_middleware

POLICY = "default-src 'self'"


@sync_and_async_middleware
def strict(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The middleware."""

    async def answer_async(request: Any) -> Any:
        response = await get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    def answer(request: Any) -> Any:
        response = get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    return answer_async if iscoroutinefunction(get_response) else answer
