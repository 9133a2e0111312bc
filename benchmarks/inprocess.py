"""``python -m benchmarks.inprocess LIBRARY UPSTREAM``: what a call costs in the caller's own process.

A process of its own, in the library's environment; the orders come as JSON lines on standard input: a workload, and for how
many seconds.

Each library is imported only by the process that measures it, and is set up as its own documentation says.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import Subject
from benchmarks.workloads import (
    DIMENSIONS,
    FEW_INPUTS,
    MANY_INPUTS,
    MESSAGES,
    MODEL,
    PROMPT,
    STREAM_TOKENS,
    TEXT,
    inputs,
)

Workload = Callable[[], Awaitable[bool]]
"""One call; whether the answer was the upstream's."""

CONCURRENCY = 16
KEY = "sk-of-the-benchmark"
FEW, MANY = inputs(FEW_INPUTS), inputs(MANY_INPUTS)

TENSORZERO_CONFIG = """
[models.{model}]
routing = ["upstream"]
[models.{model}.providers.upstream]
type = "openai"
model_name = "{model}"
api_base = "{upstream}/"
api_key_location = "none"
[functions.chat]
type = "chat"
[functions.chat.variants.only]
type = "chat_completion"
model = "{model}"
"""


async def count(pieces: AsyncIterable[str | None]) -> bool:
    """Whether a stream has as many pieces of text as the upstream sent."""
    return sum([1 async for piece in pieces if piece]) == STREAM_TOKENS


def are_vectors(vectors: Sequence[Sequence[float]], number: int) -> bool:
    """Whether these are so many of the upstream's vectors."""
    return len(vectors) == number and len(vectors[-1]) == DIMENSIONS


async def floor(upstream: str) -> dict[str, Workload]:
    """The HTTP call alone."""
    import aiohttp
    from pydantic_core import from_json, to_json

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers={"content-type": "application/json"})

    async def post(path: str, body: dict[str, Any]) -> Any:
        async with session.post(upstream + path, data=to_json(body)) as answer:
            return from_json(await answer.read())

    async def plain() -> bool:
        told = await post("/chat/completions", {"model": MODEL, "messages": MESSAGES})
        return bool(told["choices"][0]["message"]["content"] == TEXT)

    async def pieces() -> AsyncIterable[str | None]:
        body = to_json({"model": MODEL, "messages": MESSAGES, "stream": True})
        async with session.post(f"{upstream}/chat/completions", data=body) as answer:
            async for line in answer.content:
                if line.startswith(b"data: {") and (choices := from_json(line[6:])["choices"]):
                    yield choices[0]["delta"].get("content")

    async def embed(values: list[str]) -> bool:
        told = await post("/embeddings", {"model": MODEL, "input": values})
        return are_vectors([each["embedding"] for each in told["data"]], len(values))

    return {"plain": plain, "stream": lambda: count(pieces()), "few": lambda: embed(FEW), "many": lambda: embed(MANY)}


async def ours(upstream: str) -> dict[str, Workload]:
    """This project; its provider is configured in the database."""
    import django

    django.setup()
    import ai_models

    async def plain() -> bool:
        return (await ai_models.agenerate_text(PROMPT)).text == TEXT

    async def stream() -> bool:
        return await count(ai_models.astream_text(PROMPT).text_stream)

    async def embed(values: list[str]) -> bool:
        return are_vectors((await ai_models.aembed(values=values)).embeddings or [], len(values))

    return {"plain": plain, "stream": stream, "few": lambda: embed(FEW), "many": lambda: embed(MANY)}


async def openai(upstream: str) -> dict[str, Workload]:
    """OpenAI's own client."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=upstream, api_key=KEY)
    chat = client.chat.completions
    messages: Any = MESSAGES

    async def plain() -> bool:
        return (await chat.create(model=MODEL, messages=messages)).choices[0].message.content == TEXT

    async def pieces() -> AsyncIterable[str | None]:
        async for chunk in await chat.create(model=MODEL, messages=messages, stream=True):
            if chunk.choices:
                yield chunk.choices[0].delta.content

    async def embed(values: list[str]) -> bool:
        told = await client.embeddings.create(model=MODEL, input=values)
        return are_vectors([each.embedding for each in told.data], len(values))

    return {"plain": plain, "stream": lambda: count(pieces()), "few": lambda: embed(FEW), "many": lambda: embed(MANY)}


async def litellm(upstream: str) -> dict[str, Workload]:
    """litellm, without what it would fetch at its import."""
    os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
    import litellm

    told: dict[str, Any] = {"model": f"openai/{MODEL}", "api_base": upstream, "api_key": KEY}

    async def plain() -> bool:
        answer: Any = await litellm.acompletion(messages=MESSAGES, **told)
        return bool(answer.choices[0].message.content == TEXT)

    async def pieces() -> AsyncIterable[str | None]:
        answer: Any = await litellm.acompletion(messages=MESSAGES, stream=True, **told)
        async for chunk in answer:
            if chunk.choices:
                yield chunk.choices[0].delta.content

    async def embed(values: list[str]) -> bool:
        answer = await litellm.aembedding(input=values, **told)
        return are_vectors([each["embedding"] for each in answer.data], len(values))

    return {"plain": plain, "stream": lambda: count(pieces()), "few": lambda: embed(FEW), "many": lambda: embed(MANY)}


async def tensorzero(upstream: str) -> dict[str, Workload]:
    """TensorZero's gateway, which is Rust, embedded. It offers no embeddings that way."""
    from tensorzero import AsyncTensorZeroGateway

    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "tensorzero.toml"
        config.write_text(TENSORZERO_CONFIG.format(model=MODEL, upstream=upstream))
        gateway: Any = await AsyncTensorZeroGateway.build_embedded(config_file=str(config), clickhouse_url=None)
    asked = {"messages": MESSAGES}

    async def plain() -> bool:
        return bool((await gateway.inference(function_name="chat", input=asked)).content[0].text == TEXT)

    async def pieces() -> AsyncIterable[str | None]:
        async for chunk in await gateway.inference(function_name="chat", input=asked, stream=True):
            if chunk.content:
                yield chunk.content[0].text

    return {"plain": plain, "stream": lambda: count(pieces())}


LIBRARIES = {
    Subject.AIOHTTP: floor,
    Subject.PYTHON: ours,
    Subject.TENSORZERO: tensorzero,
    Subject.OPENAI: openai,
    Subject.LITELLM: litellm,
}


async def measure(workload: Workload, seconds: float, concurrency: int) -> dict[str, Any]:
    """Call for so long, some calls at once: calls, bad ones, their rate, and processor time of one in microseconds."""
    calls = bad = 0
    end = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal calls, bad
        while time.perf_counter() < end:
            good = await workload()
            calls += 1
            bad += not good

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(concurrency)))
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"calls": calls, "bad": bad, "rate": (calls - bad) / took, "cpu_us": 1e6 * cpu / calls, "largest_rss_kib": largest}


async def main(library: Subject, upstream: str) -> None:
    """Say which workloads there are, and measure what is ordered until standard input ends."""
    workloads = await LIBRARIES[library](upstream)
    for workload in workloads.values():
        await workload()
    tell({"workloads": list(workloads)})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        tell(await measure(workloads[order["workload"]], order["seconds"], 1 if order["workload"] == "many" else CONCURRENCY))


def tell(told: dict[str, Any]) -> None:
    """Print a JSON line."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    import uvloop  # of each of the environments

    uvloop.run(main(Subject(sys.argv[1]), sys.argv[2]))
