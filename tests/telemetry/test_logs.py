"""Log lines: one JSON object each, one for each call, and nothing that a user wrote."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from opentelemetry import trace

import ai_models
from ai_models.exceptions import UpstreamRateLimited
from ai_models.telemetry.logs import JSONFormatter
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


def test_an_exception_is_told() -> None:
    try:
        raise ValueError("it broke")
    except ValueError as error:
        failure: Any = (type(error), error, error.__traceback__)
    record = logging.LogRecord("a", logging.ERROR, "", 0, "Oh.", None, failure)
    told = json.loads(JSONFormatter().format(record))
    assert told["message"] == "Oh."
    assert told["exception"].endswith("ValueError: it broke")
