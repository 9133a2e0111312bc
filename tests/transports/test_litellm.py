"""How litellm is brought in."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import pytest

from ai_models.transports import litellm


async def test_the_event_loop_goes_on_while_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    imported_in: list[threading.Thread] = []
    original = litellm._litellm_handler.__wrapped__

    @cache
    def handler() -> type[Any]:
        imported_in.append(threading.current_thread())
        return original()

    monkeypatch.setattr(litellm, "_litellm_handler", handler)
    for _ in range(2):
        assert (await litellm._loaded()).__name__ == "litellm"
    assert len(imported_in) == 1
    assert imported_in[0] is not threading.current_thread()
