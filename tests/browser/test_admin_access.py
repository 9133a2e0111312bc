"""Access in Chromium, under the strictest policy: what is given and taken there holds for the next call of the REST API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from playwright.async_api import Page, expect
from pytest_django import Settings

from ai_models import accounts
from ai_models.capabilities import Capability
from ai_models.models import APIToken
from tests.api.conftest import BASE, LiveServer, MakeUser, bearer
from tests.browser.conftest import Visit

PAGE = "../admin/ai_models/providerinstance/access/"
TOKENS = f"{PAGE}?part=tokens"

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def user(storage: None) -> User:
    """May do everything."""
    return User.objects.create_superuser("ada", password="a password for tests")


@pytest.fixture(autouse=True)
def strict(settings: Settings) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.browser.policy.strict"]


async def ask(server: LiveServer, headers: dict[str, str], method: str = "generate-text", **body: Any) -> int:
    """The status of a call of the REST API."""
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{server.url}{BASE}/{method}", headers=headers, json=body or {"prompt": "Hi"})
    return answer.status_code


async def make(page: Page, name: str, *capabilities: str) -> str:
    """Fill in the form of a new service account; gives the token that the page shows."""
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Label of the token").fill("production")
    for capability in capabilities:
        await page.get_by_label(capability).check()
    await page.get_by_role("button", name="Make account and token").click()
    return await page.get_by_label("Token", exact=True).input_value()


async def test_a_token_that_is_made_here_opens_what_was_chosen_until_it_is_revoked(visit: Visit, server: LiveServer) -> None:
    async with visit(TOKENS, permissions=["clipboard-read", "clipboard-write"]) as page:
        token = await make(page, "crm", "Text generation")
        headers = {"Authorization": f"Bearer {token}"}
        assert await ask(server, headers) == 200
        assert await ask(server, headers, "embed", value="Hi") == 403
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_role("status")).to_have_text("Copied.")
        assert await page.evaluate("navigator.clipboard.readText()") == token
        await page.get_by_role("link", name="The tokens of crm").click()
        assert token not in await page.content()
        await page.locator("summary", has_text="Revoke").click()
        await page.get_by_role("button", name="Revoke for good").click()
        await expect(page.locator(".messagelist .success")).to_contain_text("of crm is revoked.")
        assert await ask(server, headers) == 401


async def test_a_page_with_a_token_that_is_loaded_again_makes_no_other(visit: Visit) -> None:
    async with visit(TOKENS) as page:
        token = await make(page, "crm")
        await page.reload()
        await expect(page.locator(".messagelist .warning")).to_have_text("This form was sent before. No second token was made.")
        assert token not in await page.content()
        assert await APIToken.objects.acount() == 1


async def test_what_is_taken_from_a_group_its_members_may_no_more(
    visit: Visit, server: LiveServer, make_user: MakeUser
) -> None:
    group = await Group.objects.acreate(name="editors")
    await sync_to_async(accounts.grant)(group, [Capability.TEXT_GENERATION])
    member = await sync_to_async(make_user)("grace")
    await member.groups.aadd(group)
    headers = await sync_to_async(bearer)(member)
    assert await ask(server, headers) == 200
    async with visit(PAGE) as page:
        await page.get_by_label("editors: Text generation").uncheck()
        await page.get_by_role("button", name="Save groups").click()
        await expect(page.locator(".messagelist .success")).to_have_text("Saved: editors was changed.")
        assert await ask(server, headers) == 403


async def test_without_scripts_and_on_a_phone_it_works_too(visit: Visit, make_user: MakeUser) -> None:
    grace = await sync_to_async(make_user)("grace")
    async with visit(PAGE, java_script_enabled=False, viewport={"width": 390, "height": 800}) as page:
        await page.get_by_label("Search by name or e-mail address").fill("grac")
        await page.get_by_role("button", name="Search").click()
        await page.get_by_label("grace: Embeddings").check()
        await page.get_by_role("button", name="Save users").click()
        await expect(page.get_by_label("grace: Embeddings")).to_be_checked()
        assert await grace.user_permissions.acount() == 1
        await page.get_by_role("link", name="Service accounts and tokens").click()
        assert await make(page, "crm")
        await expect(page.get_by_role("button", name="Copy")).to_be_hidden()
        width = await page.locator("#content-main").evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert width <= 0
