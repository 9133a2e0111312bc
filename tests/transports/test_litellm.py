"""How litellm is brought in."""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import Any

import pytest

from ai_models.transports import litellm
from tests.test_architecture import ROOT, run_python

CALLS = """
import asyncio, sys
import django
django.setup()
import tiktoken.registry
from ai_models.families.anthropic import Anthropic
from ai_models.families.bedrock import Bedrock
from ai_models.families.google import Google
from ai_models.testing.conformance import connection
from tests.upstreams import anthropic, bedrock, google
from tests.upstreams.server import Upstream

AWS = {"accessKeyId": "a", "secretAccessKey": "b"}
VENDORS = [(Anthropic, anthropic, {"apiKey": "a"}), (Bedrock, bedrock, AWS), (Google, google, {"apiKey": "a"})]

async def main():
    for kind, vendor, secrets in VENDORS:
        with Upstream() as upstream:
            upstream.script(vendor.text("Hello there"), vendor.stream("Hello", " there"))
            family = kind(connection(kind, {"baseURL": upstream.url, "region": "eu-west-1"}, secrets))
            request = {"messages": [{"role": "user", "content": "Hello"}]}
            assert (await family.do_generate_text("m", request)).text == "Hello there"
            assert "".join([chunk.text or "" async for chunk in family.do_stream_text("m", request)]) == "Hello there"
            await family.aclose()

asyncio.run(main())
print(len(tiktoken.registry.ENCODINGS))
import litellm
print(litellm.token_counter(text="Hello there"), len(tiktoken.registry.ENCODINGS))
"""


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


def test_its_tokenizer_is_loaded_for_those_alone_who_count() -> None:
    host = {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": "sqlite://:memory:", "PATH": os.environ["PATH"]}
    assert run_python(CALLS, ROOT, PYTHONPATH=str(ROOT), **host).split() == ["0", "2", "1"]
