"""The AI SDK's React hooks on a page, with ``api`` set to this service."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.async_api import Page, expect
from pytest_django import Settings

from ai_models.models import ProviderInstance
from ai_models.testing import ScriptedModels
from ai_models.types import TextResult, ToolCall
from tests.api.scripted import WORDS, Scripted
from tests.browser.conftest import Visit
from tests.javascript import node
from tests.javascript.story import LENGTH, Story, pieces
from tests.polling import until

TOLD = "".join(WORDS)
WHOLE = "".join(pieces("Hello"))
HALF = "".join(pieces("Hello")[: LENGTH // 2])

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(scope="session")
def bundle(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the page's script."""
    folder = tmp_path_factory.mktemp("bundle")
    node.run("scripts/bundle.js", "scripts/hooks.jsx", str(folder / "hooks.js"))
    return folder


@pytest.fixture(autouse=True)
def _bundled(pages: None, bundle: Path, settings: Settings) -> None:
    settings.PAGES = [*settings.PAGES, bundle]


def address(hook: str, **settings: str) -> str:
    return f"hooks.html?{urlencode({'hook': hook, 'id': 'a-chat', **settings})}"


async def shows(page: Page, text: str, state: str = "ready", where: str = "#text") -> None:
    """Wait until the page shows this."""
    await expect(page.locator(where)).to_have_js_property("textContent", text)
    await expect(page.locator("#state")).to_have_text(state)


async def test_a_completion_is_streamed(visit: Visit) -> None:
    async with visit(address("completion")) as page:
        await page.click("#send")
        await shows(page, TOLD)
        assert Scripted.requests[0]["prompt"] == "Hello"


async def test_a_completion_is_stopped(visit: Visit) -> None:
    async with visit(address("completion", model="hangs-later")) as page:
        await page.click("#send")
        await shows(page, TOLD, "streaming")
        await page.click("#stop")
        await shows(page, TOLD)
        await until(Scripted.ended.is_set)


async def test_a_chat_goes_on_from_turn_to_turn(visit: Visit) -> None:
    async with visit(address("chat")) as page:
        await page.click("#send")
        await shows(page, TOLD, where=".assistant")
        await page.click("#send")
        await expect(page.locator("#messages li")).to_have_text(["Hello", TOLD] * 2)
        await expect(page.locator("#state")).to_have_text("ready")
    roles = [[message["role"] for message in request["messages"]] for request in Scripted.requests]
    assert roles == [["user"], ["user", "assistant", "user"]]
    assert Scripted.requests[1]["messages"][1]["content"] == [{"type": "text", "text": TOLD}]


async def test_a_chat_is_stopped(visit: Visit) -> None:
    async with visit(address("chat", model="hangs-later")) as page:
        await page.click("#send")
        await shows(page, TOLD, "streaming", where=".assistant")
        await page.click("#stop")
        await shows(page, TOLD, where=".assistant")
        await until(Scripted.ended.is_set)


async def test_a_chat_that_is_loaded_again_goes_on_and_is_over_in_the_end(visit: Visit, story: ProviderInstance) -> None:
    settings = {"provider": "story", "model": "pauses", "onDisconnect": "finish", "resume": "yes"}
    async with visit(address("chat", **settings)) as page:
        await page.click("#send")
        await shows(page, HALF, "streaming", where=".assistant")
        await page.reload()
        await shows(page, HALF, "streaming", where=".assistant")
        Story.go_on()
        await shows(page, WHOLE, where=".assistant")
        async with page.expect_response("**/a-chat/stream") as nothing:
            await page.reload()
        assert (await nothing.value).status == 204
        await shows(page, "", where="#messages")


async def test_a_chat_calls_a_tool_of_the_page(visit: Visit, models: ScriptedModels) -> None:
    call = ToolCall(tool_call_id="c1", tool_name="weather", input={"city": "Paris"})
    models.answer(TextResult(tool_calls=(call,), finish_reason="tool-calls"), "It is warm.")
    async with visit(address("chat", tools="yes")) as page:
        await page.click("#send")
        await shows(page, "[weather in Paris: 21] It is warm.", where=".assistant")
    asked, called, answered = models.asked[1].request["messages"]
    assert asked["role"] == "user"
    assert called["content"][0]["input"] == {"city": "Paris"}
    assert answered["content"][0]["output"] == {"degrees": 21}


@pytest.mark.parametrize("hook", ["completion", "chat"])
@pytest.mark.parametrize(
    ("given", "told"),
    [({"model": "fails-later"}, "The provider answered with an error."), ({"provider": "nobody"}, "provider_not_found")],
)
async def test_an_error_is_shown(visit: Visit, hook: str, given: dict[str, str], told: str) -> None:
    async with visit(address(hook, **given)) as page:
        await page.click("#send")
        await expect(page.locator("#state")).to_have_text("error")
        await expect(page.locator("#error")).to_contain_text(told)
