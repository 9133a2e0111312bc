"""The pieces at work on this machine: upstream, clients and processes, for a moment."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks import load, machine, sockets, workloads
from benchmarks.__main__ import start_upstream
from benchmarks.environments import Unavailable
from benchmarks.host import openai_requests
from benchmarks.processes import Process
from benchmarks.results import Subject

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[str]:
    """Its address."""
    pytest.importorskip("uvloop", reason="the upstream runs on uvloop")
    with start_upstream(machine.find_cores(), tmp_path) as process:
        yield f"http://127.0.0.1:{process.hear()['port']}/v1"


def test_the_smallest_subject_is_measured(upstream: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.inprocess", Subject.AIOHTTP, upstream]
    with Process(machine.find_cores().measured(command), log=tmp_path / "log", talks=True) as process:
        assert process.hear() == {"workloads": ["plain", "stream", "few", "many"]}
        for workload in ("plain", "stream", "few", "many"):
            told = process.order(workload=workload, seconds=0.05)
            assert told["calls"] > 0
            assert told["bad"] == 0
            assert told["cpu_us"] > 0
        assert process.cpu_seconds() > 0
        assert process.memory().rss >= process.memory().pss > 0


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_counts_answers_and_finds_bad_ones(upstream: str) -> None:
    wrk, cores, good = load.find_wrk(), machine.find_cores(), openai_requests(upstream, workloads.MODEL, {})
    told = load.run(wrk, cores, good["stream"], seconds=1)
    assert told.answers > 0
    assert told.bad == 0
    wrong = workloads.Request(good["plain"].url, good["plain"].body, workloads.STREAM_MARKER, 1)
    told = load.run(wrk, cores, wrong, seconds=1)
    assert told.bad == told.answers > 0


def test_the_upstream_answers_as_openai_does(upstream: str) -> None:
    requests = openai_requests(upstream, workloads.MODEL, {})
    with httpx.Client() as client:
        told = {name: client.post(request.url, content=request.encoded) for name, request in requests.items()}
    assert told["plain"].json()["choices"][0]["message"]["content"] == workloads.TEXT
    assert all(requests[name].marker in answer.text for name, answer in told.items())
    assert told["stream"].text.count("data: ") == workloads.STREAM_TOKENS + 4
    vectors = [each["embedding"] for each in told["embeddings"].json()["data"]]
    assert (len(vectors), len(vectors[0])) == (workloads.MANY_INPUTS, workloads.DIMENSIONS)
    assert len(told["embeddings_base64"].json()["data"][-1]["embedding"]) == workloads.DIMENSIONS * 4 * 4 / 3


def test_a_process_that_ends_says_why(tmp_path: Path) -> None:
    with (
        Process([sys.executable, "-c", "raise SystemExit('no such thing')"], log=tmp_path / "log", talks=True) as process,
        pytest.raises(Unavailable, match="it ended: no such thing"),
    ):
        process.hear()


@pytest.mark.parametrize("size", [0, 5, 125, 126, 70_000])
def test_frames_of_a_server_are_taken_apart(size: int) -> None:
    head = b"\x81" + (
        bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 2**16 else b"\x7f" + size.to_bytes(8)
    )
    frame = head + b"x" * size
    assert sockets.split_frames(frame + b"\x81\x01y" + frame[:1]) == ([b"x" * size, b"y"], frame[:1])
    assert sockets.split_frames(frame[:-1] if size else frame[:1]) == ([], frame[:-1] if size else frame[:1])


@pytest.mark.parametrize("size", [3, 126, 3000])
def test_frames_of_a_client_are_masked(size: int) -> None:
    frame = sockets.text_frame("x" * size)
    assert frame[1] & 0x80
    assert frame.endswith(bytes(4) + b"x" * size)
