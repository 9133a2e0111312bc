"""The page that explains, in Chromium: the models that it suggests follow the choice, and an answer can be linked to."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.async_api import expect

from ai_models.models import ProviderCapability, ProviderInstance
from tests.browser.conftest import Visit

PAGE = "../admin/ai_models/providerinstance/explain/"

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def user(storage: None) -> User:
    """May do everything."""
    return User.objects.create_superuser("ada", password="a password for tests")


@pytest.fixture
def other(provider: ProviderInstance) -> ProviderInstance:
    """A second provider, whose embeddings are switched off."""
    instance = ProviderInstance.objects.create(name="other", family="scripted")
    ProviderCapability.objects.create(instance=instance, capability="text-generation", default_model="second")
    ProviderCapability.objects.create(instance=instance, capability="embeddings", default_model="vectors", enabled=False)
    return instance


async def test_the_models_that_are_suggested_follow_the_choice(visit: Visit, other: ProviderInstance) -> None:
    async with visit(PAGE) as page:
        names = page.locator("#ai-models option")
        assert await names.evaluate_all("options => options.map(one => one.value)") == ["echoes", "slow", "hangs"]
        for choice, wanted in ((("Provider", "other"), "second"), (("Capability", "embeddings"), "vectors")):
            async with page.expect_response("**/explain/?**"):
                await page.get_by_label(choice[0]).select_option(choice[1])
            await expect(names).to_have_count(1)
            await expect(names).to_have_attribute("value", wanted)


async def test_an_answer_has_an_address_and_leads_to_the_switch(visit: Visit, other: ProviderInstance) -> None:
    async with visit(PAGE) as page:
        await page.get_by_label("Capability").select_option("embeddings")
        await page.get_by_label("Provider").select_option("other")
        await page.get_by_role("button", name="Explain").click()
        closed = page.get_by_role("listitem").filter(has_text="Is the capability switched on?")
        await expect(closed).to_contain_text("closed")
        await page.reload()
        await closed.get_by_role("link", name="Switch it on, on the provider's page").click()
        await page.wait_for_url(f"**/{other.pk}/change/")
