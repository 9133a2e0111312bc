"""What calls that send or answer with files have in common: their errors, and where things stand in what they send."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from pytest_django import Settings

from ai_models.exceptions import AIModelsError, UnsupportedFunctionality
from ai_models.types import ModelResult
from tests.families.contract.base import CANARY, at, told_by
from tests.families.contract.failures import BROKEN, CODES, KIB, PLAIN_FAULTS
from tests.upstreams import faults, forms
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream

STATUSES = (400, 401, 404, 413, 429, 500)
FAULTS: Mapping[str, tuple[Callable[[Reply], Reply], str]] = {
    **{
        name: PLAIN_FAULTS[name]
        for name in (
            "reset before the first byte",
            "reset in the body",
            "hang before the first byte",
            "hang in the body",
            "truncated",
            "nothing at all",
            "malformed JSON",
            "a page",
            "compressed",
        )
    },
    "huge length": (lambda good: faults.huge_length(replace(good, framing="length")), "upstream_invalid_response"),
    "reset after the headers": (faults.reset_after_headers, BROKEN),
    "endless body": (
        lambda good: replace(good, pieces=faults.Endless(b'{"a": "', b"a" * 65_536), framing="chunked"),
        "upstream_invalid_response",
    ),
}

Call = Callable[..., Awaitable[Any]]
"""Makes the call; takes further fields of the request."""


def sent(request: Recorded) -> Any:
    """What a request says: its JSON, or the texts of its form by name, in a list where a name stands twice; or nothing."""
    if not forms.is_form(request):
        return request.json if request.body else None
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in forms.fields(request).items()}


def carries(request: Recorded, data: bytes) -> bool:
    """Whether a file's bytes are in a request, as a field of a form or in base64."""
    if forms.is_form(request):
        return data in [file.data for file in forms.files(request)]
    return base64.b64encode(data).decode() in request.body.decode()


async def raised(call: Awaitable[Any]) -> AIModelsError:
    """The error that a call ends with."""
    with pytest.raises(AIModelsError) as caught:
        await call
    return caught.value


async def check_status(
    call: Call, upstream: Upstream, error: Callable[..., Reply], status: int, logged: pytest.LogCaptureFixture
) -> None:
    """Assert that an answer with this status has its code, and that nothing of its body is told."""
    upstream.always(error(status, f"The key {CANARY} at {upstream.url} is at fault."))
    failure = await raised(call(max_retries=0))
    assert failure.code == CODES[status]
    for told in (told_by(failure), logged.text):
        assert CANARY not in told
        assert upstream.url not in told


async def check_fault(
    call: Call, upstream: Upstream, settings: Settings, fault: str, good: Reply, logged: pytest.LogCaptureFixture
) -> None:
    """Assert that one of :data:`FAULTS` has its code, and that the call is not made again."""
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_RESPONSE_BYTES": 256 * KIB}
    spoil, code = FAULTS[fault]
    upstream.always(spoil(good))
    failure = await raised(call(max_retries=0, timeout=0.4 if code == "upstream_timeout" else 20.0))
    assert failure.code in code.split(" or ")
    assert len(upstream.requests) == 1
    assert upstream.connections[0].sent < 64 * 256 * KIB
    for told in (told_by(failure), logged.text):
        assert CANARY not in told
        assert upstream.url not in told


async def check_useless(call: Call, upstream: Upstream, useless: Reply) -> None:
    """Assert that an answer without what was asked for is refused, and not asked for again: it may have been paid for."""
    upstream.always(useless)
    failure = await raised(call(max_retries=2))
    assert failure.code == "upstream_invalid_response"
    assert len(upstream.requests) == 1


async def check_retries(call: Call, upstream: Upstream, error: Callable[..., Reply], good: Reply) -> None:
    """Assert that failures that pass are retried with the same request."""
    failure = error(503, headers=(("Retry-After-Ms", "10"),))
    upstream.script(failure, failure, good)
    await call(max_retries=2)
    assert len(upstream.requests) == 3
    first, *others = (sent(request) for request in upstream.requests)
    assert others == [first, first]


def check_settings(request: Recorded, wire: Mapping[str, tuple[str, Any]]) -> None:
    """Assert that settings have the vendor's names and values."""
    body = sent(request)
    assert {name: at(body, path) for name, (path, _) in wire.items()} == {name: value for name, (_, value) in wire.items()}


def check_left_out(result: Any, request: Recorded, given: Mapping[str, Any], wire: Mapping[str, Any]) -> None:
    """Assert that the settings that have no name with the vendor are reported, and are not sent.

    Args:
        result: what has ``warnings``.
    """
    unsupported = sorted(given.keys() - wire)
    assert [warning.setting for warning in result.warnings if warning.type == "unsupported"] == unsupported
    said = json.dumps(sent(request))
    assert [name for name in unsupported if json.dumps(given[name]).strip('"') in said] == []


async def check_refused(
    call: Call, upstream: Upstream, settings: Settings, given: Mapping[str, Any], wire: Mapping[str, Any]
) -> None:
    """Assert that each of those settings is refused where the settings of the app say so."""
    settings.AI_MODELS = {**settings.AI_MODELS, "ON_UNSUPPORTED": "error"}
    for name in given.keys() - wire:
        with pytest.raises(UnsupportedFunctionality, match=name):
            await call(**{name: given[name]})
    assert upstream.requests == []


def check_told(result: ModelResult, provider: str, model: str | None) -> None:
    """Assert what every result tells."""
    assert (result.provider, result.model, result.warnings) == (provider, model, ())
    assert CANARY not in repr(result)
