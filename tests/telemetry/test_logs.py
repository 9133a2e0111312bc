"""Log lines: one for each call, with nothing that a user wrote, as JSON or as text; and when they are written."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace

import ai_models
from ai_models.api import requestid
from ai_models.exceptions import UpstreamRateLimited
from ai_models.telemetry.logs import BatchingHandler, JSONFormatter, LineFormatter
from tests.telemetry.conftest import Collector, Log
from tests.upstreams import openai
from tests.upstreams.server import Upstream


async def test_a_call_is_a_line(main: Upstream, log: Log) -> None:
    main.script(openai.text("Hello"))
    await ai_models.agenerate_text("Hi", provider="main", model="fast")
    (line,) = log.calls
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert 0 < line.pop("seconds") < 60
    assert line.pop("message").startswith("provider=main family=openai-compatible capability=text-generation model=small-1")
    assert line == {
        "level": "INFO",
        "logger": "ai_models.calls",
        "request_id": "-",
        "provider": "main",
        "family": "openai-compatible",
        "capability": "text-generation",
        "model": "small-1",
        "streamed": False,
        "outcome": "ok",
        "first_chunk_seconds": None,
        "input_tokens": 20,
        "output_tokens": 7,
        "retries": 0,
    }


async def test_a_stream_is_a_line_too(main: Upstream, log: Log) -> None:
    main.script(openai.stream("a", "b"))
    await ai_models.astream_text("Hi").response
    (line,) = log.calls
    assert (line["streamed"], line["outcome"], line["output_tokens"]) == (True, "ok", 7)
    assert 0 < line["first_chunk_seconds"] <= line["seconds"]


async def test_a_failure_has_its_code(main: Upstream, log: Log) -> None:
    main.script(openai.error(500, "no"), openai.error(429, "no"))
    with pytest.raises(UpstreamRateLimited):
        await ai_models.agenerate_text("Hi")
    (line,) = log.calls
    assert (line["outcome"], line["retries"]) == ("upstream_rate_limited", 1)


async def test_a_line_names_the_span(main: Upstream, log: Log, collector: Collector) -> None:
    main.script(openai.stream("a", "b"))
    await ai_models.astream_text("Hi").response
    (line,) = log.calls
    context = collector.span.context
    assert context is not None
    assert (line["trace_id"], line["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


def test_other_lines_name_the_span_they_are_written_in(log: Log, collector: Collector) -> None:
    with trace.get_tracer("host").start_as_current_span("page") as page:
        logging.getLogger("host").warning("within")
    logging.getLogger("host").warning("outside")
    within, outside = log.records
    assert within["span_id"] == f"{page.get_span_context().span_id:016x}"
    assert "span_id" not in outside


async def test_a_model_that_is_no_name_is_not_told(main: Upstream, log: Log) -> None:
    main.script(openai.text("Hello"))
    await ai_models.agenerate_text("Hi", model="c4n4ry and\nfree text")
    assert log.calls[0]["model"] is None
    assert "c4n4ry" not in log.text


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[31mred", "a\u2028b", "quote\"'", "ä\ud800"])
def test_whatever_is_written_stays_one_line(text: str) -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "%s", (text,), None)
    line = JSONFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == text


def failed() -> logging.LogRecord:
    """A record with an exception."""
    try:
        raise ValueError("it broke")
    except ValueError as error:
        failure: Any = (type(error), error, error.__traceback__)
    return logging.LogRecord("a", logging.ERROR, "", 0, "Oh.", None, failure)


def test_an_exception_is_told() -> None:
    record = failed()
    told = json.loads(JSONFormatter().format(record))
    assert told["message"] == "Oh."
    assert told["exception"].endswith("ValueError: it broke")


# --- as text ------------------------------------------------------------------------------------------------------------


def test_a_line_of_text_is_what_pythons_own_formatter_makes_of_it() -> None:
    own = logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s")
    ours = LineFormatter()
    for created in (1_700_000_000.0004, 1_700_000_000.9996, 1_700_000_001.5):
        for record in (logging.LogRecord("a.b", logging.INFO, "", 0, "%s and %d", ("this", 3), None), failed()):
            record.created, record.msecs = created, float(int(created % 1 * 1000))
            record.request_id = "r-1"
            record.stack_info = "where it was"
            assert ours.format(record) == own.format(record)


def test_a_line_of_text_names_the_request_that_it_is_written_in() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "Hello", None, None)
    assert LineFormatter().format(record).endswith(" INFO a [-] Hello")
    requestid.bind("r-2")
    assert LineFormatter().format(record).endswith(" INFO a [r-2] Hello")


# --- when they are written ----------------------------------------------------------------------------------------------


class Written(io.StringIO):
    """Counts how often it is written to."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def write(self, text: str) -> int:
        self.times += 1
        return super().write(text)

    def take(self) -> tuple[list[str], int]:
        """The lines since the last time, and in how many pieces they came."""
        found = self.getvalue().splitlines(), self.times
        self.seek(0)
        self.truncate()
        self.times = 0
        return found


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def logger(written: Written) -> Iterator[logging.Logger]:
    """A logger whose lines are written in batches."""
    logger = logging.Logger("batched", logging.DEBUG)
    handler = BatchingHandler(written)
    logger.addHandler(handler)
    yield logger
    handler.close()


def log_call(logger: logging.Logger, text: str) -> None:
    """Log a line as that of a call."""
    logger.info(text, extra={"call": {}})


async def test_calls_of_one_turn_of_the_loop_are_written_in_one_piece(logger: logging.Logger, written: Written) -> None:
    for turn in ("first", "second"):
        for number in range(3):
            log_call(logger, f"{turn} {number}")
        assert written.take() == ([], 0)
        await asyncio.sleep(0)
        assert written.take() == ([f"{turn} {number}" for number in range(3)], 1)


async def test_other_lines_are_written_at_once_after_what_came_before_them(logger: logging.Logger, written: Written) -> None:
    log_call(logger, "before")
    logger.info("now")
    assert written.take() == (["before", "now"], 1)
    log_call(logger, "after")
    await asyncio.sleep(0)
    assert written.take() == (["after"], 1)


def test_outside_of_an_event_loop_each_line_is_written_at_once(logger: logging.Logger, written: Written) -> None:
    for _ in range(2):
        log_call(logger, "line")
        assert written.take() == (["line"], 1)


async def test_what_another_thread_logs_is_written_at_once(logger: logging.Logger, written: Written) -> None:
    log_call(logger, "here")
    await asyncio.to_thread(log_call, logger, "there")
    assert written.take()[0] == ["here", "there"]


async def test_what_is_left_is_written_when_logging_ends(logger: logging.Logger, written: Written) -> None:
    log_call(logger, "last")
    logger.handlers[0].flush()
    assert written.take() == (["last"], 1)


def test_a_loop_that_ended_takes_no_lines_with_it(logger: logging.Logger, written: Written) -> None:
    async def log() -> None:
        log_call(logger, "line")

    def until_the_first_step() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(log())
        task.add_done_callback(lambda _: loop.stop())
        loop.run_forever()
        loop.close()

    for _ in range(2):
        until_the_first_step()
    asyncio.run(log())
    assert written.take()[0] == ["line"] * 3


async def test_many_lines_do_not_wait(logger: logging.Logger, written: Written) -> None:
    for number in range(BatchingHandler._MOST_LINES):
        log_call(logger, str(number))
    assert len(written.take()[0]) == BatchingHandler._MOST_LINES


async def test_a_stream_that_takes_nothing_disturbs_nobody(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    handler = logger.handlers[0]
    assert isinstance(handler, BatchingHandler)
    gone = io.StringIO()
    gone.close()
    handler.setStream(gone)
    log_call(logger, "lost")
    await asyncio.sleep(0)
    logger.warning("lost too")
    logger.info("%d", "no number")
    assert capsys.readouterr().err.count("--- Logging error ---") == 3


FORK = """
import asyncio, logging, os, sys
from ai_models.telemetry.logs import BatchingHandler

logger = logging.Logger("forked")
logger.addHandler(BatchingHandler(sys.stdout))

async def main():
    logger.info("the parent's", extra={"call": {}})
    if not (child := os.fork()):
        logger.info("the child's")
        os._exit(0)
    os.waitpid(child, 0)

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_writes_nothing_of_its_parents() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["the parent's", "the child's"]


def test_a_traceback_that_came_as_text_is_told() -> None:
    record = logging.LogRecord("a", logging.ERROR, "", 0, "Oh.", None, None)
    record.exc_text = "Traceback of another process"
    assert LineFormatter().format(record).endswith("Oh.\nTraceback of another process")
