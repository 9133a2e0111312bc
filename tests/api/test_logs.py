"""Access logs do not show what stands in the query of an address."""

from __future__ import annotations

import logging

import pytest

from ai_models.api.logs import QueryFilter


@pytest.mark.parametrize(
    ("message", "arguments", "shown"),
    [
        ('%s - "%s %s HTTP/%s" %d', ("127.0.0.1:1", "GET", "/models?token=s3cret&a=b", "1.1", 200), "/models?*** HTTP"),
        ('%s - "WebSocket %s" [accepted]', (("127.0.0.1", 1), "/ws/ai/v1/?ticket=s3cret"), "/ws/ai/v1/?***"),
        ("%s: %s", ("Not Found", "/a"), "Not Found: /a"),
        ("Really? %s", ("yes, really?",), "Really? yes, really?"),
        ("no arguments", None, "no arguments"),
        ("%(a)s", ({"a": "/b?c"},), "/b?c"),
    ],
)
def test_the_query_of_an_address_is_hidden(message: str, arguments: object, shown: str) -> None:
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, message, arguments, None)  # type: ignore[arg-type]
    assert QueryFilter().filter(record)
    assert shown in record.getMessage()
    assert "s3cret" not in record.getMessage()
