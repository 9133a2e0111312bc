"""The playground in a browser, under ``Content-Security-Policy: default-src 'self'``."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth.models import Permission, User
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.db import connections
from playwright.async_api import Page, Route, expect
from pytest_django import Settings

from ai_models import asgi
from ai_models.keyring import key_ring
from ai_models.models import ProviderCapability, ProviderInstance
from ai_models.routing import unknown_path
from ai_models.testing import ScriptedModels
from ai_models.types import GeneratedFile, TextResult, Usage
from ai_models.types.frames import WEBSOCKET_PATH
from tests import samples
from tests.api.conftest import LiveServer, media, serving, token_of
from tests.api.scripted import WORDS, Scripted
from tests.browser.conftest import Visit
from tests.polling import until
from tests.videos.conftest import MP4, Studio, completed, quick, running, work

__all__ = ["media", "quick"]

PAGE = "../admin/ai_models/providerinstance/playground/"
TOLD = "".join(WORDS)
HARD = 'It\'s "hard": $HOME `id` \\ {0} %s\n@file 你好 😀 !!'
"""Text that a shell, Python or JavaScript could take for something else."""

MICROPHONE = """
navigator.mediaDevices.getUserMedia = async () => {
  const context = (globalThis.said = new AudioContext());
  const tone = new OscillatorNode(context);
  const microphone = new MediaStreamAudioDestinationNode(context);
  tone.connect(microphone);
  tone.start();
  return microphone.stream;
};
"""

HEARD = """
new Promise((resolve) => {
  const look = () => (said.currentTime > 0.3 ? resolve() : requestAnimationFrame(look));
  look();
})
"""
"""Waits until the microphone has heard something."""

WATCHING = """
globalThis.seen = [];
const output = document.getElementById("playground-output");
new MutationObserver(() => {
  const text = output.querySelector(".ai-code")?.textContent;
  if (text) seen.push(text);
}).observe(output, { childList: true, subtree: true });
"""
"""Keeps what the page showed of an object."""

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

Playground = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture(autouse=True)
def staff(user: User) -> User:
    user.is_staff = True
    user.save()
    return user


@pytest.fixture
def playground(visit: Visit) -> Playground:
    """The page with this query: ``async with playground(model="slow") as page``."""

    @asynccontextmanager
    async def opened(*, script: str = "", options: dict[str, Any] | None = None, **query: str) -> AsyncIterator[Page]:
        async with visit(f"{PAGE}?{urlencode(query)}", **(options or {})) as page:
            if script:
                await page.add_init_script(script)
                await page.reload()
            await expect(page.locator("#playground")).to_be_visible()
            yield page

    return opened


async def says(page: Page, state: str) -> None:
    await expect(page.locator("#playground-state")).to_have_text(state)


async def fact(page: Page, name: str, value: Any) -> None:
    """Wait until the page tells this fact of the answer."""
    await expect(page.locator(f"#playground-facts dt:text-is('{name}') + dd")).to_have_text(value)


async def send(page: Page, state: str = "Done.") -> None:
    await page.click("#playground-send")
    await says(page, state)


# --- text ------------------------------------------------------------------------------------------------------------


async def test_text_is_shown_as_it_arrives_and_stopped_by_a_button(playground: Playground) -> None:
    async with playground(model="hangs-later") as page:
        await page.click("#playground-send")
        await expect(page.locator(".ai-answer")).to_have_js_property("textContent", TOLD)
        await says(page, "The answer arrives…")
        await page.click("#playground-stop")
        await says(page, "Stopped.")
        await until(Scripted.ended.is_set)
        await expect(page.locator(".ai-answer")).to_have_js_property("textContent", TOLD)
        await expect(page.locator("#playground-send")).to_be_focused()


async def test_an_answer_tells_what_it_took(playground: Playground) -> None:
    async with playground() as page:
        await page.fill("#text-generation-system", "Be brief.")
        await page.fill("#text-generation-prompt", "Hello")
        await page.fill("#text-generation-temperature", "0.25")
        await page.fill("#text-generation-max_output_tokens", "7")
        await page.press("#text-generation-prompt", "Control+Enter")
        await says(page, "Done.")
        for name, value in {"Input tokens": "3", "Output tokens": "3", "Finish reason": "stop", "Provider": "main"}.items():
            await fact(page, name, value)
        await fact(page, "Model", "echoes")
        for name in ("Time to first token", "Total time", "Tokens per second"):
            await expect(page.locator("#playground-facts", has_text=name)).to_be_visible()
    request = Scripted.requests[0]
    assert (request["prompt"], request["system"]) == ("Hello", "Be brief.")
    assert (request["temperature"], request["max_output_tokens"]) == (0.25, 7)


async def test_reasoning_is_folded_up_and_counted(playground: Playground, models: ScriptedModels) -> None:
    usage = Usage(input_tokens=4, output_tokens=9, total_tokens=13)
    models.answer(TextResult(reasoning_text="Let me think.", text="Because.", finish_reason="stop", usage=usage))
    async with playground() as page:
        await send(page)
        await expect(page.locator("details.ai-reasoning")).not_to_have_attribute("open", "")
        await page.click("details.ai-reasoning summary")
        await expect(page.locator("details.ai-reasoning .ai-answer")).to_have_text("Let me think.")
        await expect(page.locator(".ai-output > .ai-answer")).to_have_text("Because.")
        await fact(page, "Output tokens", "9")


async def test_an_error_says_what_it_is_and_who_can_mend_it(playground: Playground) -> None:
    async with playground(model="fails") as page:
        await send(page, "Failed.")
        await expect(page.locator("#playground-notes")).to_contain_text("upstream_error")
        await expect(page.locator("#playground-notes")).to_contain_text("The provider answered with an error.")
        await page.fill("#playground-model", "limited")
        await send(page, "Failed.")
        await expect(page.locator("#playground-notes")).to_contain_text("Try again in 7 seconds.")
        await expect(page.locator("#playground-facts", has_text="Request")).to_be_visible()


async def test_a_host_without_the_websocket_is_told_so(visit: Visit, user: User) -> None:
    routes = {"http": ASGIStaticFilesHandler(get_asgi_application()), "websocket": URLRouter([unknown_path])}
    with serving(asgi.serve(ProtocolTypeRouter(routes))) as server:
        async with visit(PAGE, at=server.url) as page:
            await send(page, "Failed.")
            await expect(page.locator("#playground-notes")).to_contain_text(f"the websocket at /{WEBSOCKET_PATH}")


# --- the other capabilities -----------------------------------------------------------------------------------------


async def test_an_object_is_shown_and_a_schema_that_is_no_json_is_not_sent(
    playground: Playground, media: ProviderInstance
) -> None:
    async with playground(capability="structured-output") as page:
        schema = page.locator("#structured-output-schema")
        sample = await schema.input_value()
        await schema.fill("{")
        await page.click("#playground-send")
        assert "This is not JSON." in await schema.evaluate("field => field.validationMessage")
        await says(page, "Nothing was sent yet.")
        assert Scripted.requests == []
        await schema.fill(sample)
        await page.evaluate(WATCHING)
        await send(page)
        assert '"A"' in await page.evaluate("seen[0]"), "it grows while it arrives"
        shown = await page.locator(".ai-output > .ai-code").text_content()
        assert json.loads(shown or "") == {"name": "Ada", "age": 36}
        assert '{\n  "name"' in (shown or "")
    assert Scripted.requests[0]["schema"] == json.loads(sample)


async def test_an_object_is_stopped(playground: Playground, media: ProviderInstance) -> None:
    async with playground(capability="structured-output", model="hangs") as page:
        await page.click("#playground-send")
        await until(Scripted.calling.is_set)
        await page.click("#playground-stop")
        await says(page, "Stopped.")
        await until(Scripted.ended.is_set)


async def test_embeddings_are_a_picture_of_how_alike_texts_are(playground: Playground) -> None:
    async with playground(capability="embeddings") as page:
        await page.fill("#embeddings-values", "a\nbb\n\nccccccccc")
        await send(page)
        table = page.locator(".ai-matrix")
        await expect(table.locator("tbody th")).to_have_text(["1. a", "2. bb", "3. ccccccccc"])
        await expect(table.locator("tbody td")).to_have_text(
            ["1.00", "0.95", "0.78", "0.95", "1.00", "0.94", "0.78", "0.94", "1.00"]
        )
        classes = await table.locator("tbody td").evaluate_all("cells => cells.map(cell => cell.className)")
        assert classes[:3] == ["ai-same", "ai-step-9", "ai-step-0"]
        await expect(page.locator("#playground-picture")).to_contain_text("Most alike are 1 and 2, with 0.95.")
        await fact(page, "Dimensions", "2")


async def test_an_image_is_drawn_and_can_be_saved(playground: Playground, media: ProviderInstance, tmp_path: Path) -> None:
    async with playground(capability="image-generation") as page:
        await page.fill("#image-generation-prompt", "A cat")
        await page.fill("#image-generation-n", "2")
        await send(page)
        canvas = page.get_by_role("img", name="Image 2: A cat")
        drawn = await canvas.evaluate("c => [c.width, c.height, ...c.getContext('2d').getImageData(0, 0, 1, 1).data.slice(3)]")
        assert drawn == [*png_size(samples.PNG), 255]
        async with page.expect_download() as saving:
            await page.locator("a[download]").first.click()
        download = await saving.value
        assert download.suggested_filename == "image-1.png"
        await download.save_as(tmp_path / "saved")
        assert (tmp_path / "saved").read_bytes() == samples.PNG
    assert Scripted.requests[0]["n"] == 2


async def test_an_image_that_cannot_be_drawn_can_be_saved(playground: Playground, media: ProviderInstance) -> None:
    Scripted.picture = GeneratedFile(bytes=b"\x89PNG\r\n\x1a\n broken", media_type="image/png")
    async with playground(capability="image-generation") as page:
        await send(page)
        await expect(page.locator(".ai-image")).to_contain_text("The browser cannot draw this image.")
        await expect(page.locator("a[download]")).to_be_visible()


async def test_speech_is_decoded_and_played(playground: Playground, media: ProviderInstance) -> None:
    async with playground(capability="speech-generation") as page:
        await page.fill("#speech-generation-voice", "low")
        await send(page)
        await expect(page.get_by_role("img", name="Waveform of")).to_be_visible()
        await expect(page.locator("#playground-facts")).to_contain_text("sec")
        play, stop = page.locator(".ai-output button").all_text_contents, page.locator(".ai-output button")
        assert await play() == ["Play", "Stop"]
        await stop.first.click()
        await expect(stop.first).to_be_enabled()  # it plays for a tenth of a second
        await expect(stop.last).to_be_disabled()
        await expect(page.locator("a[download='speech.wav']")).to_be_visible()
    assert Scripted.requests[0]["voice"] == "low"


async def test_a_file_is_transcribed(playground: Playground, media: ProviderInstance) -> None:
    async with playground(capability="transcription") as page:
        recording = {"name": "speech.wav", "mimeType": "audio/wav", "buffer": samples.WAV}
        await page.set_input_files("#transcription-audio", files=[recording])  # type: ignore[list-item]
        await page.fill("#transcription-language", "en")
        await send(page)
        await expect(page.locator(".ai-output > .ai-answer")).to_have_text("Hello")
        await expect(page.locator(".ai-output td")).to_have_text(["0 sec", "0.1 sec", "Hello"])
        await fact(page, "Language", "en")
        await fact(page, "Duration", "0.1 sec")
    assert Scripted.requests[0]["audio"] == samples.WAV


async def test_what_is_said_into_the_microphone_is_transcribed(playground: Playground, media: ProviderInstance) -> None:
    async with playground(capability="transcription", script=MICROPHONE) as page:
        await page.click("#playground-record")
        await expect(page.locator("#playground-record")).to_have_text("Stop recording")
        await page.evaluate(HEARD)
        await page.click("#playground-record")
        await expect(page.locator("#playground-python")).to_contain_text("recording.wav")
        await send(page)
    heard = Scripted.requests[0]["audio"]
    assert heard.startswith(b"RIFF")
    assert len(set(heard[44:])) > 10, "it is not silent"


@pytest.fixture
def studio(media: ProviderInstance, quick: None, settings: Settings, user: User) -> type[Studio]:
    """A provider of videos, which the user may use."""
    families = [*settings.AI_MODELS["FAMILIES"], "tests.videos.conftest.Studio"]
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": families}
    row = ProviderInstance(name="studio", family="studio")
    row.credentials = {"apiKey": key_ring().encrypt("canary-key", row=str(row.pk), name="apiKey")}
    row.save()
    ProviderCapability.objects.create(instance=row, capability="video-generation", default_model="reel-1")
    user.user_permissions.add(Permission.objects.get(codename="use_video_generation"))
    Studio.starts, Studio.polls = [running()], [running(40), completed()]
    Studio.files, Studio.asked, Studio.polled, Studio.cancelled, Studio.cancelling = [[MP4]], [], [], [], []
    return Studio


async def test_a_video_is_waited_for_and_played_from_its_address(playground: Playground, studio: type[Studio]) -> None:
    async with playground(provider="studio") as page:
        fetched: list[int] = []
        page.on("response", lambda answer: fetched.append(answer.status) if "/content" in answer.url else None)
        await page.click("#playground-send")
        await says(page, "The video is queued…")
        await sync_to_async(work)(2)
        await says(page, "The video is being made…")
        await expect(page.locator("#playground-output progress")).to_have_js_property("value", 40)
        await sync_to_async(work)(3)
        await says(page, "Done.")
        await until(lambda: fetched)
        assert set(fetched) <= {200, 206}
        await fact(page, "Status", "completed")


async def test_a_video_that_is_stopped_is_cancelled(playground: Playground, studio: type[Studio]) -> None:
    async with playground(provider="studio") as page:
        await page.click("#playground-send")
        await says(page, "The video is queued…")
        async with page.expect_response(lambda response: response.url.endswith("/cancel")) as answered:
            await page.click("#playground-stop")
        assert (await (await answered.value).json())["status"] == "cancelled"
        await says(page, "Stopped.")


# --- what is offered ------------------------------------------------------------------------------------------------


async def test_who_may_only_use_embeddings_is_offered_only_these(playground: Playground, staff: User) -> None:
    await staff.user_permissions.aset(Permission.objects.filter(codename="use_embeddings"))
    async with playground(capability="text-generation") as page:
        await expect(page.locator("[name=capability]")).to_have_count(1)
        await expect(page.locator("#embeddings-values")).to_be_visible()
        await expect(page.locator("#text-generation-prompt")).to_have_count(0)
        await send(page)
        await expect(page.locator(".ai-matrix")).to_be_visible()


async def test_a_link_chooses_and_says_when_it_cannot(playground: Playground, story: ProviderInstance) -> None:
    async with playground(provider="story", capability="text-generation") as page:
        await expect(page.locator("#playground-provider")).to_have_value("story")
        await expect(page.locator("#playground-model")).to_have_attribute("placeholder", "any")
        await page.select_option("#playground-provider", "main")
        await expect(page.locator("#playground-model")).to_have_attribute("placeholder", "echoes")
        options = page.locator("#playground-models option")
        await expect(options).to_have_count(2)
        assert await options.evaluate_all("found => found.map(option => option.value)") == ["echoes", "slow"]
    async with playground(provider="story", capability="embeddings") as page:
        await says(page, "story does not offer this to you now.")
        await expect(page.locator("#playground-provider")).to_have_value("main")


@pytest.mark.parametrize("width", [390, 1280])
async def test_it_is_never_wider_than_the_window(playground: Playground, width: int) -> None:
    async with playground(capability="embeddings", options={"viewport": {"width": width, "height": 800}}) as page:
        await page.fill("#embeddings-values", "\n".join(f"a text with the number {number}" for number in range(12)))
        await send(page)
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        await expect(page.locator("#playground-state")).to_be_in_viewport()


# --- the same as code -----------------------------------------------------------------------------------------------


async def test_code_is_shown_in_tabs_kept_current_and_copied(playground: Playground) -> None:
    async with playground(options={"permissions": ["clipboard-read", "clipboard-write"]}) as page:
        await page.fill("#text-generation-prompt", "Hello")
        await expect(page.locator("#playground-python")).to_contain_text('"Hello"')
        await page.locator("#playground-tab-python").press("ArrowRight")
        await expect(page.locator("#playground-tab-curl")).to_be_focused()
        await expect(page.locator("#playground-tab-curl")).to_have_attribute("aria-selected", "true")
        await expect(page.locator("#playground-python")).to_be_hidden()
        await expect(page.locator("#playground-curl")).to_contain_text("$AI_TOKEN")
        await page.click("#playground-copy")
        await expect(page.locator("#playground-copied")).to_have_text("Copied.")
        assert await page.evaluate("navigator.clipboard.readText()") == await page.locator("#playground-curl").text_content()
        await page.fill("#text-generation-prompt", "Hello again")
        await expect(page.locator("#playground-curl")).to_contain_text('"Hello again"')


FIELDS = {
    "text-generation": {"prompt": HARD, "system": HARD, "temperature": "0.5", "max_output_tokens": "9"},
    "structured-output": {"prompt": HARD, "max_output_tokens": "9"},
    "embeddings": {"values": HARD},
    "image-generation": {"prompt": HARD, "size": "10x10"},
    "speech-generation": {"text": HARD, "voice": "@'low'"},
    "transcription": {"language": "@en"},
}
"""What is filled in for each capability."""

OUTCOMES = {
    "text-generation": "drei",
    "structured-output": "36",
    "embeddings": "1",
    "transcription": "Hello",
}
"""What the code prints, where it does not write a file."""

WRITTEN = {"image-generation": {".png"}, "speech-generation": {".wav"}, "transcription": {".wav"}}
"""The files that are there in the end."""


@pytest.mark.parametrize("capability", FIELDS)
@pytest.mark.skipif(shutil.which("curl") is None, reason="one of the examples is a command of curl")
async def test_the_code_does_what_the_form_does(
    playground: Playground,
    media: ProviderInstance,
    user: User,
    capability: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each language sends what the form sends."""
    monkeypatch.chdir(tmp_path)
    recording = tmp_path / 'a "speech"; it\'s.wav'
    if capability == "transcription":
        recording.write_bytes(samples.WAV)
    monkeypatch.setenv("AI_TOKEN", await sync_to_async(token_of)(user))
    token = os.environ["AI_TOKEN"]
    async with playground(capability=capability) as page:
        for name, value in FIELDS[capability].items():
            await page.fill(f"#{capability}-{name}", value)
        if capability == "transcription":
            await page.set_input_files("#transcription-audio", recording)
        await send(page)
        python, curl, javascript = [
            await page.locator(f"#playground-{language}").text_content() or "" for language in ("python", "curl", "javascript")
        ]
        assert token not in python + curl + javascript
        printed = {
            "python": await asyncio.to_thread(run_python, python),
            "curl": await asyncio.to_thread(run_shell, curl),
            "javascript": await run_javascript(page, javascript),
        }
    for language, text in printed.items():
        assert OUTCOMES.get(capability, "") in text, (language, text)
    asked = [{**request} for request in Scripted.requests]
    if capability != "embeddings":
        assert len(asked) == 4
        assert asked[1:] == asked[:1] * 3
    assert {path.suffix for path in files(tmp_path)} == WRITTEN.get(capability, set())


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def run_python(code: str) -> str:
    """What it prints."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "equivalent.py", "exec"), {})
    finally:
        connections.close_all()
    return printed.getvalue()


def run_shell(command: str) -> str:
    done = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


async def run_javascript(page: Page, code: str) -> str:
    """What it says on the console and writes on the page, as a module of this site."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))

    async def answer(route: Route) -> None:
        await route.fulfill(content_type="text/javascript", body=code)

    await page.route("**/equivalent.js", answer)
    await page.evaluate("import('/equivalent.js')")
    return "\n".join([*said, await page.locator("body").inner_text()])


async def test_the_code_for_videos_waits_for_the_job(
    playground: Playground, studio: type[Studio], user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with playground(provider="studio") as page:
        python = await page.locator("#playground-python").text_content()
    running = asyncio.create_task(asyncio.to_thread(run_python, python or ""))
    while not running.done():
        await sync_to_async(work)()
    assert await running == "completed None\n"
    assert (tmp_path / "video.mp4").read_bytes() == MP4


# --- first login to first streamed answer ---------------------------------------------------------------------------


@pytest.fixture
def local(provider: ProviderInstance) -> ProviderInstance:
    """The model that runs in the process, as the default provider."""
    ProviderInstance.objects.update(is_default=False)
    instance = ProviderInstance.objects.create(name="local", family="local", is_default=True)
    ProviderCapability.objects.create(instance=instance, capability="text-generation", default_model="SmolLM2-135M-Instruct")
    return instance


async def test_from_the_first_login_to_the_first_streamed_answer(
    visit: Visit, local: ProviderInstance, server: LiveServer, user: User
) -> None:
    async with visit("../admin/login/?next=/admin/ai_models/providerinstance/playground/", signed_in=False) as page:
        await page.fill("[name=username]", "ada")
        await page.fill("[name=password]", "a password for tests")
        await page.click("[type=submit]")
        await expect(page.locator("#playground-provider")).to_have_value("local")
        await page.fill("#text-generation-prompt", "Why is the sky blue?")
        await page.fill("#text-generation-max_output_tokens", "12")
        await page.select_option("#text-generation-reasoning", "low")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#playground-state")).to_have_text("Done.", timeout=60_000)
        assert len(await page.locator(".ai-output > .ai-answer").inner_text()) > 20
        await fact(page, "Output tokens", "12")
        await fact(page, "Model", "SmolLM2-135M-Instruct")
        await expect(page.locator("#playground-notes")).to_contain_text("does not support reasoning")


def png_size(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
