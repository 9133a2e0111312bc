"""A credential is in the request to its provider, and nowhere else: not at rest, in logs, in error pages, or in results."""

from __future__ import annotations

import base64
import io
import logging
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import RequestFactory
from django.views.debug import ExceptionReporter
from pytest_django import Settings

import ai_models
from ai_models import store
from ai_models.models import ProviderInstance
from tests.conftest import Seed
from tests.upstreams import anthropic, bedrock, google, openai
from tests.upstreams.server import Upstream

CANARY = "c4n4ry-9d41e7a0b2"
ACCESS_KEY = "AKIAC4N4RY9D41E7"
HEADER = "h34der-c4n4ry-55aa01"
SECRETS = (CANARY, ACCESS_KEY, HEADER)

FAMILIES = {
    "openai": ({"apiKey": CANARY, "headers": {"x-team": HEADER}}, "/v1", openai),
    "anthropic": ({"apiKey": CANARY, "headers": {"x-team": HEADER}}, "/v1", anthropic),
    "google": ({"apiKey": CANARY, "headers": {"x-team": HEADER}}, "/v1beta", google),
    "bedrock": ({"accessKeyId": ACCESS_KEY, "secretAccessKey": CANARY, "region": "eu-west-1"}, "", bedrock),
    "openai-compatible": ({"apiKey": CANARY, "headers": {"x-team": HEADER}, "queryParams": {"key": CANARY}}, "/v1", openai),
}


def forms(secret: str) -> Iterator[str]:
    """A secret as it may be disguised: whole, in part, encoded, or backwards."""
    encoded = base64.b64encode(secret.encode()).decode()
    yield from (secret, secret[:8], secret[-8:], encoded.rstrip("="), urllib.parse.quote(secret), secret[::-1])


def assert_clean(text: str | bytes, where: str) -> None:
    shown = text.decode("latin-1") if isinstance(text, bytes) else text
    for secret in SECRETS:
        for form in forms(secret):
            assert form not in shown, f"a form of a credential is in {where}"


Declare = Callable[[str, str], None]


@pytest.fixture
def declare(transactional_db: None, seed: Seed) -> Declare:
    """Seed one instance of a family at an address."""

    def run(family: str, url: str = "http://127.0.0.1:9") -> None:
        settings, path, _ = FAMILIES[family]
        lines = [f"      {name}: {value!r}" for name, value in {**settings, "baseURL": f"{url}{path}"}.items()]
        head = ["ai:", "  defaultProvider: main", "  providers:", "    main:", f"      type: {family}"]
        seed("\n".join([*head, *lines, "      defaultModels: {text-generation: some-model}"]))

    return run


def failing_call() -> tuple[str, str]:
    """The message and the error page of a call that fails, as a view of a host project would show them."""
    try:
        ai_models.generate_text("Hi", max_retries=0)
    except ai_models.AIModelsError as error:
        reporter = ExceptionReporter(RequestFactory().get("/"), *sys.exc_info())
        return error.message, reporter.get_traceback_html() + reporter.get_traceback_text()
    raise AssertionError("the call succeeded")


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_error_page_shows_no_credential(
    family: str, status: int, declare: Declare, upstream: Upstream, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DEBUG = True
    declare(family, upstream.url)
    protocol: Any = FAMILIES[family][2]
    upstream.script(protocol.error(status, f"Incorrect API key provided: {CANARY}"))
    with caplog.at_level(logging.DEBUG):
        message, page = failing_call()
    assert "AIModelsError" in page or "Upstream" in page or "Invalid" in page or "NotFound" in page
    assert_clean(upstream.request.path, "the path")
    for text, where in ((message, "the message"), (page, "the error page"), (caplog.text, "the log at DEBUG")):
        assert_clean(text, where)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_unreachable_provider_shows_neither_credential_nor_address(
    family: str, declare: Declare, refused_url: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DEBUG = True
    declare(family, refused_url)
    with caplog.at_level(logging.DEBUG):
        message, page = failing_call()
    address = refused_url.removeprefix("http://")
    for text, where in ((message, "the message"), (page, "the error page"), (caplog.text, "the log at DEBUG")):
        assert_clean(text, where)
        assert address not in text, f"the address is in {where}"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_database_and_its_dump_hold_no_credential(family: str, declare: Declare) -> None:
    declare(family)
    dumped = io.StringIO()
    call_command("dumpdata", "ai_models", stdout=dumped)
    assert "main" in dumped.getvalue()
    assert_clean(dumped.getvalue(), "dumpdata")
    if connection.vendor == "sqlite":
        file = Path(connection.settings_dict["NAME"])
        for part in file.parent.glob(f"{file.name}*"):
            assert_clean(part.read_bytes(), part.name)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_that_python_prints_shows_a_credential(family: str, declare: Declare) -> None:
    declare(family)
    row = ProviderInstance.objects.get()
    facts = store.current().instances["main"]
    opened = store.open_connection(facts)
    for shown in (row, facts, opened, opened.secrets, opened.mappings, vars(opened) if hasattr(opened, "__dict__") else ""):
        assert_clean(f"{shown!r} {shown}", type(shown).__name__)


def test_exports_and_explanations_hold_no_credential(declare: Declare, capsys: pytest.CaptureFixture[str]) -> None:
    declare("openai-compatible")
    call_command("ai_config", export=True)
    call_command("ai_config", schema=True)
    call_command("ai_config")
    call_command("ai_seed")
    call_command("ai_keys", "status")
    call_command("ai_check")
    told = capsys.readouterr()
    assert "main" in told.out
    assert_clean(told.out + told.err, "what commands print")
    assert_clean(repr(ai_models.resolve(capability="text-generation")), "an explanation")
