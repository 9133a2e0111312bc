"""What holds of Claude's thinking wherever Claude is called.

https://platform.claude.com/docs/en/build-with-claude/extended-thinking#feature-compatibility
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ai_models.exceptions import InvalidRequest

if TYPE_CHECKING:
    from ai_models.types import TextRequest

_LEAST_TOP_P = 0.95


def excluded(request: TextRequest) -> Mapping[str, str]:
    """Settings that do not go together with the others, each with the reason."""
    if not _thinks(request):
        return {}
    if by_a_forced_call := excluded_by_a_forced_call(request):
        return by_a_forced_call
    taken = {
        "temperature": request.get("temperature", 1) == 1,
        "top_p": request.get("top_p", 1) >= _LEAST_TOP_P,
        "top_k": "top_k" not in request,
    }
    return {name: "The model samples in its own way while it thinks." for name, fine in taken.items() if not fine}


def excluded_by_a_forced_call(request: TextRequest) -> Mapping[str, str]:
    """Of these, the reasoning that the model does not do before a tool call that it is made to do."""
    if _thinks(request) and request.get("tool_choice", "auto") not in ("auto", "none"):
        return {"reasoning": "The model does not think before a tool call that it is made to do."}
    return {}


def _thinks(request: TextRequest) -> bool:
    return request.get("reasoning", "none") != "none"


def require_room(thinking: Any, limit: Any) -> None:
    """Refuse a limit that the model may reach before it answers.

    Args:
        thinking: the ``thinking`` of a request that goes out, in Anthropic's words.
        limit: its output tokens.

    Raises:
        InvalidRequest: the limit is not above what the model may think.
    """
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    if isinstance(budget, int) and isinstance(limit, int) and limit <= budget:
        raise InvalidRequest(f"max_output_tokens: it must be above {budget}, which is what the model may think")
