"""What administrators come for, from beginning to end, in Chromium: with real requests to a scripted provider."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from playwright.async_api import Page, expect
from pytest_django import Settings

from ai_models.encryption import generate_key
from ai_models.keyring import census, key_ring
from ai_models.models import ProviderCapability, ProviderInstance
from tests.api.conftest import BASE, LiveServer, bearer
from tests.browser.conftest import Visit
from tests.upstreams import openai
from tests.upstreams.server import Upstream

LIST = "../admin/ai_models/providerinstance/"
OLD_KEY, NEW_KEY = "canary-old-1f2e", "canary-new-7c6d"

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

Ask = Callable[..., Any]


@pytest.fixture
def user(storage: None) -> User:
    """May do everything."""
    return User.objects.create_superuser("ada", password="a password for tests")


@pytest_asyncio.fixture(loop_scope="session")
async def ask(server: LiveServer, user: User) -> AsyncIterator[Ask]:
    """A client of the REST API: ``await ask("vendor")``."""
    headers = await sync_to_async(bearer)(user)
    async with httpx.AsyncClient(base_url=f"{server.url}{BASE}", headers=headers) as client:

        async def asked(provider: str) -> httpx.Response:
            return await client.post("/generate-text", json={"provider": provider, "prompt": "Hi"})

        yield asked


@pytest.fixture
def vendor(storage: None, upstream: Upstream) -> ProviderInstance:
    """A provider that answers, with a key stored for it."""
    row = ProviderInstance(name="vendor", family="openai-compatible", managed=True, options={"baseURL": f"{upstream.url}/v1"})
    row.credentials = {"apiKey": key_ring().encrypt(OLD_KEY, row=str(row.pk), name="apiKey")}
    row.save()
    ProviderCapability.objects.create(instance=row, capability="text-generation", default_model="m-1")
    upstream.always(openai.text("Hello there"))
    return row


async def open_provider(page: Page, name: str) -> None:
    """From the list to the provider's page."""
    await page.locator("th.field-provider a", has_text=name).click()
    await expect(page.get_by_role("heading", name="State")).to_be_visible()


async def save(page: Page) -> None:
    """Press Save and wait for the list to say so."""
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".messagelist .success")).to_contain_text("changed successfully")


async def test_a_provider_is_added_and_verified(
    visit: Visit, upstream: Upstream, settings: Settings, user: User, ask: Ask
) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "ALLOWED_HOSTS": ("127.0.0.1",)}
    upstream.script(openai.models("m-1"), openai.text("Hello there"))
    async with visit(LIST) as page:
        await page.locator(".object-tools").get_by_role("link", name="Add provider instance").click()
        await page.get_by_role("link", name="OpenAI-compatible").click()
        await page.get_by_label("Name", exact=False).first.fill("mine")
        await page.get_by_label("baseURL").fill(f"{upstream.url}/v1")
        await page.locator("[name=credential_apiKey-value]").fill(NEW_KEY)
        await page.locator("[name=capabilities-0-default_model]").fill("m-1")
        await page.get_by_role("button", name="Save and continue editing").click()
        await expect(page.locator(".ai-facts").first).to_contain_text("ready")
        assert NEW_KEY not in await page.content()
        await page.get_by_role("link", name="Check now").click()
        await expect(page.locator("summary [data-part=check]")).to_have_text("passed")
        await page.get_by_role("navigation", name="AI models").get_by_role("link", name="Providers").click()
        await expect(page.get_by_role("row", name="mine")).to_contain_text("passed")
    answer = await ask("mine")
    assert (answer.status_code, answer.json()["text"]) == (200, "Hello there")
    assert [request.headers["authorization"] for request in upstream.requests] == [f"Bearer {NEW_KEY}"] * 2


async def test_a_capability_that_is_switched_off_is_refused_within_a_second(
    visit: Visit, vendor: ProviderInstance, ask: Ask
) -> None:
    assert (await ask("vendor")).status_code == 200
    async with visit(LIST) as page:
        await open_provider(page, "vendor")
        await page.locator("[name=capabilities-0-enabled]").uncheck()
        await save(page)
        switched = time.monotonic()
        refused = await ask("vendor")
        assert time.monotonic() - switched < 1
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "capability_not_enabled")
        await expect(page.get_by_role("row", name="vendor").locator(".ai-off")).to_contain_text("Text generation")


async def test_a_credential_is_replaced_and_the_next_call_sends_the_new_one(
    visit: Visit, vendor: ProviderInstance, ask: Ask, upstream: Upstream
) -> None:
    await ask("vendor")
    async with visit(LIST) as page:
        await open_provider(page, "vendor")
        before = await page.locator(".ai-credential code").first.text_content()
        await page.locator("[name=credential_apiKey-value]").fill(NEW_KEY)
        await expect(page.get_by_label("Replace").first).to_be_checked()
        await save(page)
        await open_provider(page, "vendor")
        assert await page.locator(".ai-credential code").first.text_content() != before
        await page.get_by_role("link", name="History").click()
        await expect(page.locator("#change-history")).to_contain_text("apiKey replaced")
        assert NEW_KEY not in await page.content()
    await ask("vendor")
    sent = [request.headers["authorization"] for request in upstream.requests]
    assert sent == [f"Bearer {OLD_KEY}", f"Bearer {NEW_KEY}"]


async def test_an_encryption_key_is_rotated_and_calls_go_on(
    visit: Visit, vendor: ProviderInstance, ask: Ask, upstream: Upstream, settings: Settings
) -> None:
    old = settings.AI_MODELS["ENCRYPTION_KEYS"]
    settings.AI_MODELS = {**settings.AI_MODELS, "ENCRYPTION_KEYS": (generate_key(), *old)}
    async with visit(f"{LIST}overview/") as page:
        await page.get_by_role("button", name="Encrypt everything with the first key").click()
        await expect(page.locator(".messagelist")).to_be_visible()
    found = await sync_to_async(census)(key_ring())
    assert set(found.by_key) == {key_ring().ids[0]}
    assert (await ask("vendor")).status_code == 200
    assert upstream.request.headers["authorization"] == f"Bearer {OLD_KEY}"


async def test_a_row_whose_credential_was_lost_is_found_and_repaired(
    visit: Visit, vendor: ProviderInstance, ask: Ask, upstream: Upstream, settings: Settings
) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "ENCRYPTION_KEYS": (generate_key(),)}
    lost = await ask("vendor")
    assert (lost.status_code, lost.json()["error"]["code"]) == (503, "credential_unavailable")
    async with visit(LIST) as page:
        await expect(page.get_by_role("row", name="vendor")).to_contain_text("credential undecryptable")
        await open_provider(page, "vendor")
        await expect(page.locator(".ai-credential").first).to_contain_text("Bring its encryption key back, or replace it.")
        await page.locator("[name=credential_apiKey-value]").fill(NEW_KEY)
        await save(page)
        await expect(page.get_by_role("row", name="vendor")).to_contain_text("ready")
    assert (await ask("vendor")).status_code == 200
    assert upstream.request.headers["authorization"] == f"Bearer {NEW_KEY}"
