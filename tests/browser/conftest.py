"""A host with pages, and Chromium to look at them as its user."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from playwright.async_api import Browser, Page, async_playwright, expect
from pytest_django import Settings

from ai_models import asgi
from ai_models.models import ProviderInstance
from ai_models.routing import unknown_path, websocket_urlpatterns
from tests.api.conftest import (  # noqa: F401  (fixtures)
    LiveServer,
    _scripted_family,
    make_user,
    provider,
    serving,
    storage,
    user,
)
from tests.javascript import node
from tests.javascript.conftest import _story_family, libraries, models, story  # noqa: F401  (fixtures)

PAGES = Path(__file__).parent / "pages"
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)

expect.set_options(timeout=15_000)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, as the machine has it."""
    if CHROMIUM is None:
        node.unavailable("Chromium is missing: as root, apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
def pages(settings: Settings) -> None:
    """The pages' routes; the files are in ``settings.PAGES``. Every page is under the strictest policy."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.browser.policy.strict"]
    settings.PAGES = [PAGES]
    settings.ROOT_URLCONF = "tests.browser.urls"


@pytest.fixture
def server(provider: ProviderInstance, pages: None) -> Iterator[LiveServer]:  # noqa: F811
    """The host."""
    sockets = URLRouter([*websocket_urlpatterns, unknown_path])
    routes = {"http": ASGIStaticFilesHandler(get_asgi_application()), "websocket": sockets}
    with serving(asgi.serve(ProtocolTypeRouter(routes))) as running:
        yield running


@pytest.fixture
def cookies(client: Any, user: User) -> dict[str, str]:  # noqa: F811
    """Of a browser in which the user has signed in."""
    client.force_login(user)
    return {name: cookie.value for name, cookie in client.cookies.items()}


Visit = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture
def visit(browser: Browser, server: LiveServer, cookies: dict[str, str]) -> Visit:
    """Open a page in a browser of its own: ``async with visit("client.html?model=slow") as page``."""

    @asynccontextmanager
    async def opened(address: str, at: str = server.url, signed_in: bool = True, **options: Any) -> AsyncIterator[Page]:
        context = await browser.new_context(**options)
        given = cookies if signed_in else {}
        await context.add_cookies([{"name": name, "value": value, "url": at} for name, value in given.items()])
        page = await context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
        try:
            await page.goto(f"{at}/pages/{address}")
            yield page
        finally:
            await context.close()
        assert problems == []

    return opened
