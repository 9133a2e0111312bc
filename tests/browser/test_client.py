"""The client on a page, under ``Content-Security-Policy: default-src 'self'``."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from playwright.async_api import Page, expect
from pytest_django import Settings

from ai_models.models import ProviderInstance
from tests.api.conftest import LiveServer, token_of
from tests.api.scripted import WORDS, Scripted
from tests.browser.conftest import Visit
from tests.javascript.proxy import Proxy, proxying
from tests.javascript.story import LENGTH, Story, pieces
from tests.polling import until

TOLD = "".join(WORDS)
WHOLE = "".join(pieces("Hello"))
HALF = "".join(pieces("Hello")[: LENGTH // 2])

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def address(**settings: str) -> str:
    return f"client.html?{urlencode(settings)}"


async def shows(page: Page, text: str, state: str) -> None:
    """Wait until the page shows this."""
    await expect(page.locator("#text")).to_have_js_property("textContent", text)
    await expect(page.locator("#state")).to_have_text(state)


async def test_text_is_shown_as_it_arrives_and_stopped_by_a_button(visit: Visit) -> None:
    async with visit(address(model="hangs-later")) as page:
        await page.click("#start")
        await shows(page, TOLD, "running")
        await page.click("#stop")
        await shows(page, TOLD, "aborted")
        await until(Scripted.ended.is_set)


async def test_who_signs_in_streams(visit: Visit, user: User) -> None:
    user.is_staff = True
    await user.asave()
    async with visit(address(), signed_in=False) as page:
        await page.click("#start")
        await shows(page, "", "unauthenticated")
        here = page.url
        await page.goto(f"{here.partition('/pages/')[0]}/admin/login/?next=/pages/client.html")
        await page.fill("[name=username]", "ada")
        await page.fill("[name=password]", "a password for tests")
        await page.click("[type=submit]")
        await page.wait_for_url("**/pages/client.html")  # and until its script has run
        await page.click("#start")
        await shows(page, TOLD, "stop")


async def test_a_cut_connection_is_made_again_and_nothing_is_missing(
    visit: Visit, server: LiveServer, story: ProviderInstance
) -> None:
    with proxying(server.port) as proxy:
        settings = address(provider="story", model="pauses", onDisconnect="finish")
        async with visit(settings, at=local(proxy)) as page:
            await page.click("#start")
            await shows(page, HALF, "running")
            before = proxy.connections
            proxy.cut()
            await until(lambda: proxy.connections > before)
            Story.go_on()
            await shows(page, WHOLE, "stop")


async def test_a_page_that_is_loaded_again_goes_on(visit: Visit, story: ProviderInstance) -> None:
    async with visit(address(provider="story", model="pauses", onDisconnect="finish")) as page:
        await page.click("#start")
        await shows(page, HALF, "running")
        await page.reload()
        await shows(page, HALF, "running")
        Story.go_on()
        await shows(page, WHOLE, "stop")


async def test_a_page_that_is_left_ends_its_streams(visit: Visit) -> None:
    async with visit(address(model="hangs-later")) as page:
        await page.click("#start")
        await shows(page, TOLD, "running")
        await page.goto("about:blank")
        await until(Scripted.ended.is_set)


async def test_a_page_with_a_token_sends_a_ticket(visit: Visit, user: User) -> None:
    token = await sync_to_async(token_of)(user)
    async with visit(address(token=token), signed_in=False) as page:
        await page.click("#start")
        await shows(page, TOLD, "stop")


@pytest.mark.parametrize(("trusted", "text", "state"), [(False, "", "connection_failed"), (True, TOLD, "stop")])
async def test_a_page_of_another_origin_is_refused_unless_trusted(
    visit: Visit, server: LiveServer, settings: Settings, trusted: bool, text: str, state: str
) -> None:
    """Another port is the same host to cookies, so that the browser sends them along."""
    with proxying(server.port) as proxy:
        settings.CSRF_TRUSTED_ORIGINS = [local(proxy)] if trusted else []
        page_there = address(url=f"ws://127.0.0.1:{server.port}/ws/ai/v1/")
        async with visit(page_there, at=local(proxy), bypass_csp=True) as page:
            await page.click("#start")
            await shows(page, text, state)
    assert len(Scripted.requests) == trusted


def local(proxy: Proxy) -> str:
    return f"http://127.0.0.1:{proxy.port}"
