"""Checks in the admin, run by its script in Chromium: each rung appears when it is climbed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from playwright.async_api import Page, expect

from ai_models.keyring import key_ring
from ai_models.models import ProviderCapability, ProviderInstance
from tests.browser.conftest import Visit
from tests.upstreams import openai
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream

LIST = "../admin/ai_models/providerinstance/"
PAGE = f"{LIST}checks/"

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


class Slow:
    """Lists the models ``m-1`` and ``m-2`` when it is told to go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.reply = openai.models("m-1", "m-2")

    def __call__(self, request: Recorded) -> Reply:
        assert self.go_on.wait(15)
        return self.reply


@pytest.fixture
def slow(upstream: Upstream) -> Iterator[Slow]:
    """What the upstream does."""
    script = Slow()
    upstream.always(script)
    yield script
    script.go_on.set()


@pytest.fixture
def instances(storage: None, upstream: Upstream, slow: Slow) -> list[ProviderInstance]:
    """Five instances of the upstream."""
    return [make_instance(f"vendor-{number}", upstream.url) for number in range(1, 6)]


@pytest.fixture
def user(storage: None) -> User:
    """May do everything."""
    return User.objects.create_superuser("ada", password="a password for tests")


def make_instance(name: str, url: str) -> ProviderInstance:
    instance = ProviderInstance(name=name, family="openai-compatible", managed=True, options={"baseURL": f"{url}/v1"})
    instance.credentials = {"apiKey": key_ring().encrypt("canary-key", row=str(instance.pk), name="apiKey")}
    instance.save()
    ProviderCapability.objects.create(instance=instance, capability="text-generation", default_model="m-1")
    return instance


async def rungs(page: Page, *expected: str, card: int = 0) -> None:
    """Wait until the ladder's states are these."""
    await expect(page.locator(".ai-check").nth(card).locator(".ai-ladder [data-part=word]")).to_have_text([*expected])


def part(page: Page, name: str, card: int = 0) -> Any:
    return page.locator(".ai-check").nth(card).locator(f"summary [data-part={name}]")


async def test_each_rung_is_shown_when_it_is_climbed(
    visit: Visit, instances: list[ProviderInstance], slow: Slow, upstream: Upstream
) -> None:
    async with visit(f"{PAGE}?instance={instances[0].pk}") as page:
        assert upstream.requests == []
        await page.get_by_role("button", name="Check now").click()
        await rungs(page, "passed", "passed", "passed", "checking…", "waiting")
        await expect(part(page, "check")).to_have_text("checking…")
        await expect(page.get_by_role("status")).to_contain_text("Destination, passed")
        slow.go_on.set()
        await rungs(page, "passed", "passed", "passed", "passed", "passed")
        await expect(part(page, "check")).to_have_text("passed")
        await expect(part(page, "state")).to_have_text("ready")
        await expect(page.get_by_role("status")).to_have_text("ready. The provider lists 2 models.")
        await expect(page.get_by_text("The provider lists 2 models.").first).to_be_visible()
        await page.reload()
        await rungs(page, "passed", "passed", "passed", "passed", "passed")
        assert len(upstream.requests) == 1


async def test_a_refused_key_ends_on_the_rung_of_authentication(
    visit: Visit, instances: list[ProviderInstance], slow: Slow
) -> None:
    slow.reply = openai.error(401, "Incorrect API key provided.")
    slow.go_on.set()
    async with visit(f"{PAGE}?instance={instances[0].pk}") as page:
        await page.get_by_role("button", name="Check now").click()
        await rungs(page, "passed", "passed", "passed", "failed", "skipped")
        await expect(part(page, "state")).to_have_text("credential rejected")
        await page.get_by_role("navigation", name="AI models").get_by_role("link", name="Providers").click()
        await expect(page.get_by_role("row", name="vendor-1")).to_contain_text("credential rejected")


async def test_at_most_three_are_checked_at_once(
    visit: Visit, instances: list[ProviderInstance], provider: ProviderInstance, slow: Slow
) -> None:
    async with visit("&".join([f"{PAGE}?", *(f"instance={instance.pk}" for instance in instances)])) as page:
        await page.get_by_role("button", name="Check all").click()
        await expect(page.locator("summary [data-running]")).to_have_count(3)
        await expect(page.get_by_role("status")).to_have_text("0 of 5 checked.")
        slow.go_on.set()
        await expect(page.get_by_role("status")).to_have_text("5 of 5 checked.")
        await expect(page.locator("summary [data-part=check]")).to_have_text(["passed"] * 5)


async def test_a_link_of_a_page_starts_the_check_and_one_from_elsewhere_does_not(
    visit: Visit, instances: list[ProviderInstance], slow: Slow, upstream: Upstream
) -> None:
    slow.go_on.set()
    address = f"{PAGE}?instance={instances[0].pk}&run=1"
    async with visit(address) as page:
        await expect(part(page, "check")).to_have_text("never checked")
        assert "run" not in page.url
        await page.evaluate("address => { location.href = address }", f"/pages/{address}")
        await expect(part(page, "check")).to_have_text("passed")
        assert "run" not in page.url
    assert len(upstream.requests) == 1


async def test_a_paid_call_is_made_when_its_box_is_ticked(
    visit: Visit, instances: list[ProviderInstance], slow: Slow, upstream: Upstream
) -> None:
    slow.go_on.set()
    upstream.script(slow, openai.text("yes"))
    async with visit(f"{PAGE}?instance={instances[0].pk}") as page:
        box = page.get_by_role("checkbox", name="Text generation")
        await expect(box).not_to_be_checked()
        await box.check()
        await page.get_by_role("button", name="Check, and make the ticked calls").click()
        await rungs(page, *["passed"] * 6)
        await expect(page.locator(".ai-ladder li").last).to_contain_text("Call: Text generation")
        await expect(box).not_to_be_checked()
    assert [request.path for request in upstream.requests] == ["/v1/models", "/v1/chat/completions"]


async def test_a_session_that_ended_is_told(visit: Visit, instances: list[ProviderInstance], user: User) -> None:
    async with visit(f"{PAGE}?instance={instances[0].pk}") as page:
        await sync_to_async(User.objects.all().delete)()
        await page.get_by_role("button", name="Check now").click()
        await expect(part(page, "check")).to_have_text("failed")
        await expect(page.get_by_text("The server did not take the request.").first).to_be_visible()


async def test_without_scripts_a_check_shows_its_result(visit: Visit, instances: list[ProviderInstance], slow: Slow) -> None:
    slow.go_on.set()
    async with visit(f"{PAGE}?instance={instances[0].pk}", java_script_enabled=False) as page:
        await page.get_by_role("button", name="Check now").click()
        await expect(page.get_by_text("Check of vendor-1: passed.")).to_be_visible()
        await rungs(page, *["passed"] * 5)
