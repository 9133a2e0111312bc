"""The overview in Chromium, under the strictest policy: it is read on a phone, by keyboard, and without scripts."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from playwright.async_api import expect

from ai_models.encryption import generate_key
from ai_models.keyring import configured_keys, key_ring
from ai_models.models import ProviderCapability, ProviderInstance
from tests.browser.conftest import Visit
from tests.conftest import WriteConfig

PAGE = "../admin/ai_models/providerinstance/overview/"
LONG = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0-with-a-name-that-does-not-end"

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def user(storage: None) -> User:
    """May do everything."""
    return User.objects.create_superuser("ada", password="a password for tests")


@pytest.fixture
def declared(write_config: WriteConfig) -> None:
    """A file with an instance that the database does not have yet."""
    one = {"type": "scripted", "defaultModels": {"text-generation": LONG}}
    write_config(json.dumps({"ai": {"providers": {"declared-in-the-file": one}}}))


@pytest.mark.usefixtures("declared")
async def test_a_plan_is_read_and_applied_without_scripts(visit: Visit) -> None:
    async with visit(PAGE, java_script_enabled=False) as page:
        drift = page.get_by_role("region", name="Drift from the files")
        await expect(drift.get_by_text(f"text-generation: default model {LONG}")).to_be_visible()
        await drift.get_by_role("button", name="Apply").click()
        await expect(page.get_by_text("1 provider was brought in line with the configuration files.")).to_be_visible()
        await expect(drift.get_by_text("The database is as the configuration files have it.")).to_be_visible()
        await expect(page.get_by_role("row", name="declared-in-the-file").first).to_contain_text(LONG)


async def test_a_key_is_rotated(visit: Visit, provider: ProviderInstance, set_ring: Callable[..., None]) -> None:
    def encrypt() -> None:
        provider.credentials = {"apiKey": key_ring().encrypt("canary", row=str(provider.pk), name="apiKey")}
        provider.save()
        set_ring(generate_key(), *configured_keys())

    await sync_to_async(encrypt)()
    async with visit(PAGE) as page:
        keys = page.get_by_role("region", name="Encryption keys")
        await expect(keys.get_by_role("row")).to_contain_text(["Key id", "0", "1"])
        await keys.get_by_role("button", name="Encrypt everything with the first key").click()
        await expect(page.get_by_text("The credentials of 1 provider were encrypted with the first key.")).to_be_visible()
        await expect(keys.get_by_role("button")).to_have_count(0)


@pytest.mark.usefixtures("declared")
async def test_on_a_phone_each_instance_is_a_card_and_nothing_scrolls_sideways(
    visit: Visit, provider: ProviderInstance
) -> None:
    await ProviderInstance.objects.acreate(name="n" * 64, family="retired", options=[1])
    await ProviderCapability.objects.acreate(instance=provider, capability="image-generation", default_model=LONG)
    async with visit(PAGE, viewport={"width": 390, "height": 800}) as page:
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        matrix = page.get_by_role("region", name="The matrix")
        assert await matrix.evaluate("element => element.scrollWidth - element.clientWidth") == 0
        row = matrix.get_by_role("row", name="main").last
        await expect(row).to_contain_text(LONG)
        await expect(row.get_by_text("Image generation").first).to_be_visible()
        await expect(row.get_by_text("not supported").first).not_to_be_visible()


async def test_where_columns_do_not_fit_the_matrix_scrolls_by_keyboard_and_names_stay(visit: Visit) -> None:
    async with visit(PAGE, viewport={"width": 1180, "height": 800}) as page:
        matrix = page.locator(".ai-matrix")
        await matrix.focus()
        name = matrix.get_by_role("link", name="main", exact=True)
        before = await name.bounding_box()
        await expect(matrix.get_by_text("Video generation").first).not_to_be_in_viewport(ratio=1)
        for _ in range(20):
            await page.keyboard.press("ArrowRight")
        await expect(matrix.get_by_text("Video generation").first).to_be_in_viewport(ratio=1)
        assert await name.bounding_box() == before
