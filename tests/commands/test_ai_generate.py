"""``ai_generate``: text, objects, images and speech from the terminal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ai_models import media
from ai_models.exceptions import CapabilityNotEnabled, UpstreamError, UpstreamRateLimited
from ai_models.management import terminal
from ai_models.types import Chunk
from tests import samples
from tests.service.conftest import DONE, Puppet

pytestmark = pytest.mark.usefixtures("puppet")

Call = Callable[..., tuple[str, str]]


@pytest.fixture
def generate() -> Call:
    """Run the command and give what it printed, and what it told beside."""

    def execute(*arguments: str) -> tuple[str, str]:
        out, beside = StringIO(), StringIO()
        call_command("ai_generate", *arguments, stdout=out, stderr=beside, no_color=True)
        return out.getvalue(), beside.getvalue()

    return execute


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty one."""
    path = tmp_path / "files"
    path.mkdir()
    return path


@pytest.fixture
def schema(folder: Path) -> Path:
    path = folder / "person.json"
    path.write_text(json.dumps({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}))
    return path


def test_text_goes_to_standard_output_and_its_cost_beside(generate: Call) -> None:
    out, beside = generate("Hi", "--model", "fast", "--system", "Be brief.", "--max-output-tokens", "5")
    assert out == "Hello you\n"
    assert beside == "main/small-1, stop, 3 tokens in, 2 out\n"
    assert Puppet.calls == [("small-1", {"model": "fast", "prompt": "Hi", "system": "Be brief.", "max_output_tokens": 5})]


def test_an_object_is_printed_readably(generate: Call, schema: Path) -> None:
    Puppet.scripts = [[Chunk(text='{"name":"Zoë"}'), DONE]]
    out, beside = generate("A person", "--object", str(schema))
    assert out == '{\n  "name": "Zoë"\n}\n'
    assert beside.startswith("main/big-1, stop, ")
    assert Puppet.calls[0][1]["schema"]["required"] == ["name"]


@pytest.mark.parametrize(
    ("content", "told"), [(None, "No such file"), ("{", "not valid JSON"), ("[" * 100_000, "not valid JSON")]
)
def test_a_schema_that_cannot_be_read_is_told(generate: Call, folder: Path, content: str | None, told: str) -> None:
    path = folder / "schema.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CommandError, match=f"schema.json .*{told}"):
        generate("A person", "--object", str(path))
    assert Puppet.calls == []


def test_an_image_is_written(generate: Call, folder: Path) -> None:
    path = folder / "cat.png"
    out, beside = generate("A cat", "--image", str(path), "--size", "64x64")
    assert (out, path.read_bytes()) == ("", samples.PNG)
    assert beside == f"main/image-1, {path}: image/png of {len(samples.PNG)} bytes\n"
    assert Puppet.calls == [("image-1", {"prompt": "A cat", "size": "64x64", "n": 1})]


def test_the_prompt_is_spoken(generate: Call, folder: Path) -> None:
    path = folder / "hello.wav"
    generate("Hello there", "--speech", str(path), "--voice", "alloy")
    assert path.read_bytes() == samples.WAV
    assert Puppet.calls == [("voice-1", {"text": "Hello there", "voice": "alloy"})]


@pytest.mark.parametrize(("name", "noted"), [("hello.mp3", True), ("hello", True), ("hello.WAV", False)])
def test_a_name_that_says_something_else_is_noted(generate: Call, folder: Path, name: str, noted: bool) -> None:
    _, beside = generate("Hello", "--speech", str(folder / name))
    assert ("usually called .wav" in beside) == noted
    assert media.media_type((folder / name).read_bytes()) == "audio/wav"


def test_a_file_that_is_there_is_kept_and_nothing_paid(generate: Call, folder: Path) -> None:
    path = folder / "cat.png"
    path.write_text("mine")
    with pytest.raises(CommandError, match=r"cat\.png is there already; --force replaces it"):
        generate("A cat", "--image", str(path))
    assert (path.read_text(), Puppet.calls) == ("mine", [])
    generate("A cat", "--image", str(path), "--force")
    assert path.read_bytes() == samples.PNG


def test_a_file_that_came_in_the_meantime_is_kept(generate: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "cat.png"
    made = Puppet.do_generate_image

    async def slow(self: Puppet, model: str, request: Any) -> Any:
        path.write_text("mine")
        return await made(self, model, request)

    monkeypatch.setattr(Puppet, "do_generate_image", slow)
    with pytest.raises(CommandError, match="is there already"):
        generate("A cat", "--image", str(path))
    assert (path.read_text(), list(folder.glob(".cat*"))) == ("mine", [])


def test_what_is_no_ordinary_file_is_never_replaced(generate: Call, folder: Path) -> None:
    for path in (folder, Path("/dev/null")):
        with pytest.raises(CommandError, match="no ordinary file"):
            generate("A cat", "--image", str(path), "--force")
    with pytest.raises(CommandError, match="its directory is not there"):
        generate("A cat", "--image", str(folder / "nowhere" / "cat.png"))
    assert Puppet.calls == []


def test_nothing_is_left_behind_when_the_disk_is_full(folder: Path) -> None:
    file = terminal.OutputFile(str(folder / "cat.png"), force=False)

    def pieces() -> Iterator[bytes]:
        yield samples.PNG
        raise OSError(28, "No space left on device")

    with pytest.raises(CommandError, match="No space left"):
        file.write(pieces())
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--image", "a.png", "--speech", "a.wav"),
        ("--image", "a.png", "--object", "a.json"),
        ("--video", "a.mp4", "--image", "a.png"),
        ("--video", "a.mp4", "--voice", "x"),
        ("--speech", "a.wav", "--size", "1x1"),
        ("--image", "a.png", "--voice", "x"),
        ("--image", "a.png", "--system", "x"),
        ("--speech", "a.wav", "--max-output-tokens", "5"),
        ("--size", "1x1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(generate: Call, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"not (allowed|go) with"):
        generate("A cat", *arguments)
    assert Puppet.calls == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--image", "a.png", "--size", "big"), "invalid_request: size: .* Change what you ask for"),
        (("--image", "a.png", "--provider", "nobody"), "provider_not_found: .* Change what you ask for"),
        (
            ("--image", "a.png", "--provider", "other"),
            r"capability_not_enabled: .* Set ai\.providers\.other\.defaultModels\.image-generation\.",
        ),
    ],
)
def test_what_goes_wrong_is_told_with_what_to_do(
    generate: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(CommandError, match=told):
        generate("A cat", *arguments)
    assert list(folder.iterdir()) == []


def test_remedies_are_sentences() -> None:
    assert terminal.explained(UpstreamError("It failed.")) == "upstream_error: It failed. Try again later."
    assert terminal.explained(UpstreamError("size: wrong")) == "upstream_error: size: wrong. Try again later."
    assert terminal.explained(UpstreamRateLimited("Too much.")).endswith("Too much. Try again later.")
    assert terminal.explained(CapabilityNotEnabled("Off.")) == "capability_not_enabled: Off. The configuration has to change."


@pytest.mark.usefixtures("generate")
def test_an_error_in_mid_answer_is_told_after_what_came() -> None:
    Puppet.scripts = [[Chunk(text="Hel"), UpstreamError("It broke off.")]]
    output = StringIO()
    with pytest.raises(CommandError, match="upstream_error: It broke off"):
        call_command("ai_generate", "Hi", stdout=output, no_color=True)
    assert output.getvalue().startswith("Hel")


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """A shell has what it runs in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("kind", ["text", "image"])
def test_ctrl_c_ends_it_cleanly(generate: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    began = threading.Event()

    async def hangs(self: Puppet, model: str, request: Any) -> Any:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Puppet, "do_generate_image", hangs)
    Puppet.scripts = [[Chunk(text="Hel"), 600.0]]

    def interrupt() -> None:
        deadline = time.monotonic() + 10
        while not (began.is_set() or Puppet.open) and time.monotonic() < deadline:
            began.wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(CommandError, match="Interrupted") as caught:
        generate("A cat", *(("--image", str(folder / "cat.png")) if kind == "image" else ()))
    thread.join()
    assert caught.value.returncode == 130
    assert list(folder.iterdir()) == []


def test_it_starts_without_loading_the_service() -> None:
    code = "import sys, ai_models.management.commands.ai_generate; print('ai_models.service' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_bytes_without_a_signature_get_no_note(folder: Path) -> None:
    file = terminal.OutputFile(str(folder / "a.pcm"), force=False)
    assert file.write([b"\0\1", b"\2"]).endswith("a file of 3 bytes")
