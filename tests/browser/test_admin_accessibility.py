"""Every page of the admin with providers in every state: no serious fault that axe finds, and nothing wider than the window."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.async_api import Browser
from pytest_django import Settings

from ai_models.encryption import generate_key
from tests.api.conftest import LiveServer
from tests.browser import gallery
from tests.conftest import Seed
from tests.javascript import node

DJANGOS_OWN = [["#header"], [".breadcrumbs"], ["#nav-sidebar"]]
"""Parts of every page that are not this app's."""

AXE = node.FOLDER / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def keys(storage: None, seed: Seed, settings: Settings) -> dict[str, str]:
    """The rows that the pictures show."""
    settings.AI_MODELS = {**settings.AI_MODELS, "ENCRYPTION_KEYS": (generate_key(), generate_key())}
    seed(gallery.CONFIG)
    return gallery.furnish()


@pytest.fixture
def user(keys: dict[str, str]) -> User:
    return User.objects.get(username="ada")


@pytest.fixture
def provider(keys: dict[str, str]) -> None:
    """No other rows than these."""


# Contrast depends on the theme and room on the width, so that each of both is looked at once.
@pytest.mark.parametrize(("size", "theme"), list(zip(gallery.WIDTHS, gallery.THEMES, strict=True)))
async def test_no_page_has_a_serious_fault(
    libraries: None,
    browser: Browser,
    server: LiveServer,
    cookies: dict[str, str],
    keys: dict[str, str],
    theme: Any,
    size: str,
) -> None:
    context = await browser.new_context(color_scheme=theme, viewport={"width": gallery.WIDTHS[size], "height": 800})
    await context.add_cookies([{"name": name, "value": value, "url": server.url} for name, value in cookies.items()])
    page = await context.new_page()
    blocked: list[str] = []
    page.on("console", lambda said: blocked.append(said.text) if "Content Security Policy" in said.text else None)
    faults: list[str] = []
    refused: list[str] = []
    for name, address in gallery.PICTURES:
        response = await page.goto(f"{server.url}/admin/{address.format(**keys)}", wait_until="networkidle")
        assert response is not None
        assert response.status == 200, f"{name}: {response.status}"
        refused += [f"{name}: {text}" for text in blocked]
        await page.evaluate(AXE.read_text())
        found = await page.evaluate(f"axe.run({{exclude: {DJANGOS_OWN}}}, {{resultTypes: ['violations']}})")
        blocked.clear()  # axe itself sets styles
        for violation in found["violations"]:
            if violation["impact"] in ("serious", "critical"):
                where = ", ".join(node["html"][:120] for node in violation["nodes"][:3])
                faults.append(f"{name}: {violation['id']}: {where}")
        if (excess := await page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 0:
            faults.append(f"{name}: {excess} pixels too wide")
    await context.close()
    assert not faults, "\n".join(faults)
    assert refused == []
