"""A check as a ladder: what each rung finds, what is stored of it, and what it never does."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.db import DatabaseError
from pytest_django import Settings

from ai_models import checking, service, store, trials
from ai_models.capabilities import Capability
from ai_models.exceptions import (
    AIModelsError,
    ContentPolicyViolation,
    InvalidRequest,
    ModelNotFound,
    NotReady,
    PermissionDenied,
    ProviderNotFound,
    UpstreamAuthFailed,
    UpstreamError,
)
from ai_models.families.base import Family
from ai_models.families.fields import API_KEY, ConfigField
from ai_models.models import ProviderCapability, ProviderInstance
from ai_models.service import Rung
from ai_models.transports.faults import NotPermitted
from ai_models.types import (
    EmbedResult,
    GeneratedFile,
    Health,
    ImageResult,
    SpeechResult,
    TextResult,
    TranscriptionResult,
    VideoOperation,
)
from tests import samples
from tests.conftest import Seed
from tests.polling import until
from tests.upstreams.server import Upstream

NAME = "main"
CANARY = "canary-2d5f"
MODELS = {
    "text-generation": "text-1",
    "structured-output": "text-1",
    "embeddings": "vector-1",
    "image-generation": "image-1",
    "speech-generation": "voice-1",
    "transcription": "ear-1",
    "video-generation": "film-1",
}
WELL = Health(healthy=True, message="It answers.", latency=0.0123)
SOUND = GeneratedFile(bytes=samples.WAV, media_type="audio/wav")
IMAGE = GeneratedFile(bytes=samples.PNG, media_type="image/png")
ANSWERS: Mapping[str, Any] = {
    "text-generation": TextResult(text="yes", finish_reason="stop"),
    "structured-output": TextResult(text='{"ok": true}', finish_reason="stop"),
    "embeddings": EmbedResult(embeddings=[[1.0, 2.0, 3.0]]),
    "image-generation": ImageResult(images=(IMAGE,)),
    "speech-generation": SpeechResult(audio=SOUND),
    "transcription": TranscriptionResult(text=""),
    "video-generation": VideoOperation(reference={"id": "v1"}),
    "cancel": None,
}


class Trial(Family):
    """Answers as a test says: a value is given, an exception raised, an event waited for.

    Attributes:
        answers: by capability; ``cancel`` and ``health`` too.
        asked: what was called, with model and request.
    """

    type = "trial"
    label = "Trial"
    fields = (API_KEY, ConfigField(name="baseURL", help="The address.", kind="url"))
    capabilities = frozenset(Capability)

    answers: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[tuple[str, str, Any]]] = []
    settings: ClassVar[frozenset[str] | None] = None

    async def supported_settings(self, capability: Capability, model: str) -> frozenset[str] | None:
        return self.settings

    async def health_check(self) -> Health:
        return await self._answer("health", "", None)

    def knows(self, model: str, names: frozenset[str]) -> bool | None:
        if "bug" in names:
            raise RuntimeError(CANARY)
        return None if model.startswith("own-") else super().knows(model, names)

    async def do_generate_text(self, model: str, request: Any) -> TextResult:
        return await self._answer("text-generation", model, request)

    async def do_generate_object(self, model: str, request: Any) -> TextResult:
        return await self._answer("structured-output", model, request)

    async def do_embed(self, model: str, request: Any) -> EmbedResult:
        return await self._answer("embeddings", model, request)

    async def do_generate_image(self, model: str, request: Any) -> ImageResult:
        return await self._answer("image-generation", model, request)

    async def do_generate_speech(self, model: str, request: Any) -> SpeechResult:
        return await self._answer("speech-generation", model, request)

    async def do_transcribe(self, model: str, request: Any) -> TranscriptionResult:
        return await self._answer("transcription", model, request)

    async def do_start_video(self, model: str, request: Any) -> VideoOperation:
        return await self._answer("video-generation", model, request)

    async def do_cancel_video(self, model: str, reference: Mapping[str, Any]) -> None:
        await self._answer("cancel", model, reference)

    async def _answer(self, what: str, model: str, request: Any) -> Any:
        self.asked.append((what, model, request))
        answer = self.answers[what]
        if isinstance(answer, asyncio.Event):
            await answer.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Unstoppable(Trial):
    """Cannot tell its provider that a video is not wanted."""

    type = "unstoppable"
    do_cancel_video = Family.do_cancel_video


class TextOnly(Trial):
    """Has one capability."""

    type = "text-only"
    capabilities = frozenset({Capability.TEXT_GENERATION})


@pytest.fixture
def configure(transactional_db: None, settings: Settings, seed: Seed, upstream: Upstream) -> Iterator[Callable[..., None]]:
    """Seed the instance with these settings changed."""
    families = tuple(f"{__name__}.{family}" for family in ("Trial", "Unstoppable", "TextOnly"))
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": families, "REVISION_POLL_SECONDS": 0}
    Trial.answers = {**ANSWERS, "health": WELL}
    Trial.settings = None
    Trial.asked.clear()

    def run(**changes: Any) -> None:
        declared = {"type": "trial", "apiKey": CANARY, "baseURL": upstream.url, "defaultModels": MODELS, **changes}
        kept = {name: value for name, value in declared.items() if value is not None}
        seed(json.dumps({"ai": {"defaultProvider": NAME, "providers": {NAME: kept}}}))

    run()
    yield run
    assert upstream.requests == []


@pytest.fixture
def change(configure: Callable[..., None]) -> Callable[..., Any]:
    """Write fields of the instance's row: ``await change(enabled=False)``."""

    def run(**fields: Any) -> None:
        row = ProviderInstance.objects.get(name=NAME)
        for name, value in fields.items():
            setattr(row, name, value)
        row.save()

    return sync_to_async(run)


async def climbed(*capabilities: str) -> dict[str, Rung]:
    """The rungs of a check; those of calls by their capability. None has the credential in it."""
    rungs = [rung async for rung in service.aclimb(NAME, capabilities=capabilities)]
    assert CANARY not in repr(rungs)
    assert "127.0.0.1" not in repr(rungs)
    assert tuple(rung.rung for rung in rungs if rung.capability is None) == checking.RUNGS
    return {rung.capability or rung.rung: rung for rung in rungs}


async def call(capability: str) -> Rung:
    return (await climbed(capability))[capability]


def states(rungs: Mapping[str, Rung]) -> list[str]:
    return [rungs[name].state for name in checking.RUNGS]


async def row() -> ProviderInstance:
    return await ProviderInstance.objects.aget(name=NAME)


async def item(capability: str) -> ProviderCapability:
    return await ProviderCapability.objects.aget(instance__name=NAME, capability=capability)


pytestmark = pytest.mark.usefixtures("configure")


# --- the free rungs --------------------------------------------------------------------------------------------------


async def test_a_check_that_costs_nothing(upstream: Upstream) -> None:
    Trial.answers["health"] = Health(healthy=True, message="It answers.", latency=0.0123, models=frozenset(MODELS.values()))
    rungs = await climbed()
    assert states(rungs) == ["passed"] * 5
    assert [what for what, _, _ in Trial.asked] == ["health"]
    assert [rung.latency_ms is not None for rung in rungs.values()] == [False, False, True, True, False]
    await until(lambda: upstream.connections)
    assert await upstream.await_closed()


async def test_what_a_check_found_is_stored() -> None:
    rungs = await climbed()
    stored = await row()
    assert (stored.state, stored.state_message, stored.latency_ms) == ("healthy", "It answers.", 12)
    assert stored.checked_at is not None
    assert [Rung(**rung) for rung in stored.report] == list(rungs.values())
    info = await service.aprovider(NAME)
    assert (info.state, info.check, info.message, info.latency_ms) == ("ready", "healthy", "It answers.", 12)


async def test_it_is_checked_by_whatever_settings_are_stored(change: Callable[..., Any], upstream: Upstream) -> None:
    await change(options={"baseURL": 7})
    rungs = await climbed()
    assert states(rungs) == ["failed", "skipped", "skipped", "skipped", "skipped"]
    assert rungs["configuration"].message == "baseURL is not of the type url."
    assert {rung.message for rung in rungs.values() if rung.state == "skipped"} == {"Not tried."}
    info = await service.aprovider(NAME)
    assert (info.state, info.check) == ("misconfigured", "unhealthy")
    assert info.message == "Provider main is misconfigured: baseURL is not of the type url."
    await change(family="gone")
    assert (await climbed())["configuration"].message == "Provider family gone is not installed."
    assert (Trial.asked, upstream.connections) == ([], [])


@pytest.mark.parametrize(
    ("credentials", "state", "message"),
    [
        ({}, "credential-missing", "Provider main has no apiKey."),
        ({"apiKey": "!"}, "credential-undecryptable", "cannot be decrypted with the configured encryption keys."),
    ],
)
async def test_a_credential_that_cannot_be_used(
    change: Callable[..., Any], upstream: Upstream, credentials: dict[str, str], state: str, message: str
) -> None:
    await change(credentials=credentials)
    rungs = await climbed("text-generation")
    assert states(rungs) == ["passed", "failed", "skipped", "skipped", "skipped"]
    assert message in rungs["credential"].message
    assert (rungs["text-generation"].state, rungs["text-generation"].message) == ("skipped", "Not tried.")
    info = await service.aprovider(NAME)
    assert (info.state, info.check) == (state, "unhealthy")
    assert message in info.message
    assert (Trial.asked, upstream.connections) == ([], [])


async def test_an_address_where_nobody_is(configure: Callable[..., None], refused_url: str) -> None:
    await sync_to_async(configure)(baseURL=refused_url)
    rungs = await climbed("text-generation")
    assert states(rungs) == ["passed", "passed", "failed", "skipped", "skipped"]
    assert rungs["destination"].message == "The provider could not be reached."
    assert rungs["destination"].latency_ms is not None
    assert Trial.asked == []
    info = await service.aprovider(NAME)
    assert (info.state, info.check, info.message) == ("ready", "unhealthy", "The provider could not be reached.")
    assert info.latency_ms is None


async def test_an_address_that_the_instance_may_not_reach(
    change: Callable[..., Any], upstream: Upstream, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that turned out to be this machine's: its configuration is in order, and no connection is made."""
    await change(managed=False, options={"baseURL": f"http://turned.example:{upstream.port}"})

    async def looked_up(self: asyncio.AbstractEventLoop, host: str, port: int, **more: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", looked_up)
    rungs = await climbed()
    assert states(rungs) == ["passed", "passed", "failed", "skipped", "skipped"]
    assert "may not be reached" in rungs["destination"].message
    assert (Trial.asked, upstream.connections) == ([], [])


async def test_a_family_that_calls_no_address(configure: Callable[..., None]) -> None:
    await sync_to_async(configure)(baseURL=None)
    rung = (await climbed())["destination"]
    assert (rung.state, rung.latency_ms) == ("skipped", None)


@pytest.mark.parametrize(
    ("answer", "state", "check", "message"),
    [
        (UpstreamAuthFailed("It refused."), "failed", "credential-rejected", "It refused."),
        (NotPermitted("It may not."), "warning", "healthy", "may not list models"),
        (ModelNotFound("No model."), "failed", "unhealthy", "Check baseURL."),
        (UpstreamError("It broke."), "failed", "unhealthy", "It broke."),
        (RuntimeError(CANARY), "failed", "unhealthy", "The provider family failed with RuntimeError."),
        (Health(healthy=False, message="It is ill.", latency=0.1), "failed", "unhealthy", "It is ill."),
        (Health(healthy=False, message="No.", credential_rejected=True), "failed", "credential-rejected", "No."),
        (Health(healthy=True, message="Not asked."), "skipped", "healthy", "Not asked."),
    ],
)
async def test_what_the_free_call_tells(answer: Any, state: str, check: str, message: str) -> None:
    Trial.answers["health"] = answer
    rungs = await climbed()
    assert rungs["authentication"].state == state
    assert message in rungs["authentication"].message
    assert rungs["models"].state == "skipped"
    assert (rungs["models"].message == "Not tried.") is (state == "failed")
    info = await service.aprovider(NAME)
    assert (info.check, info.message, info.latency_ms) == (
        check, rungs["authentication"].message, rungs["authentication"].latency_ms,
    )  # fmt: skip
    assert [what for what, _, _ in Trial.asked] == ["health"]


async def test_a_free_call_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "FREE_SECONDS", 0.05)
    Trial.answers["health"] = asyncio.Event()
    rung = (await climbed())["authentication"]
    assert (rung.state, rung.message) == ("failed", "The provider did not answer in time.")


@pytest.mark.parametrize(
    ("listed", "state", "message"),
    [
        (["text-1", "small-1", "vector-1"], "passed", "The provider lists what is configured."),
        (["text-1"], "warning", "Not on the provider's list: small-1 (text-generation), vector-1 (embeddings)."),
        (["bug"], "warning", "The provider family failed with RuntimeError."),
        (None, "skipped", "no list of the provider's models"),
    ],
)
async def test_models_are_looked_up(configure: Callable[..., None], listed: list[str] | None, state: str, message: str) -> None:
    Trial.answers["health"] = Health(
        healthy=True, message="It answers.", latency=0.1, models=None if listed is None else frozenset(listed)
    )
    await sync_to_async(configure)(
        defaultModels={"text-generation": "text-1", "embeddings": "vector-1"},
        modelAliases={"text-generation": {"fast": "small-1", "same": "text-1"}},
    )
    rung = (await climbed())["models"]
    assert (rung.state, rung.latency_ms) == (state, None)
    assert message in rung.message
    info = await service.aprovider(NAME)
    assert (info.check, info.message) == ("healthy", rung.message if state == "warning" else "It answers.")


async def test_models_that_no_list_has(configure: Callable[..., None]) -> None:
    Trial.answers["health"] = Health(healthy=True, message="It answers.", latency=0.1, models=frozenset({"text-1"}))
    await sync_to_async(configure)(defaultModels={"text-generation": "own-1"})
    assert (await climbed())["models"].state == "skipped"
    await sync_to_async(configure)(defaultModels={"text-generation": "own-1", "embeddings": "text-1"})
    assert (await climbed())["models"].state == "passed"
    await sync_to_async(configure)(defaultModels=None)
    assert (await climbed())["models"].message == "No model is configured."


# --- calls that are paid for -----------------------------------------------------------------------------------------


async def test_one_small_call_for_each_capability() -> None:
    rungs = await climbed(*Capability)
    assert set(checking.PAID) == set(Capability)
    assert {capability: rungs[capability].message for capability in Capability} == {
        "text-generation": "text-1 answered.",
        "structured-output": "text-1 answered with an object of the schema.",
        "embeddings": "vector-1 gave a vector of 3 numbers.",
        "image-generation": f"image-1 made an image of {len(samples.PNG)} bytes.",
        "speech-generation": f"voice-1 spoke {len(samples.WAV)} bytes.",
        "transcription": "ear-1 listened to half a second of a tone.",
        "video-generation": "film-1 took the request, and the video was called off.",
    }
    assert {rungs[capability].state for capability in Capability} == {"passed"}
    asked = {what: request for what, _, request in Trial.asked}
    assert len(Trial.asked) == len(asked) == len(Capability) + 2
    assert asked["text-generation"]["max_output_tokens"] == asked["structured-output"]["max_output_tokens"] == 64
    assert asked["embeddings"] == {"values": ["word"]}
    assert (asked["image-generation"]["n"], asked["video-generation"]["n"]) == (1, 1)
    assert asked["speech-generation"] == {"text": "OK"}
    assert asked["cancel"] == {"id": "v1"}
    with wave.open(io.BytesIO(asked["transcription"]["audio"])) as recording:
        assert recording.getnframes() / recording.getframerate() == 0.5
        assert len(set(recording.readframes(100))) > 2


async def test_what_calls_found_is_stored_with_their_capabilities() -> None:
    Trial.answers["embeddings"] = UpstreamError("It broke.")
    info = await service.acheck(NAME, capabilities=["text-generation", "embeddings"])
    assert (info.check, info.message) == ("healthy", "It answers.")
    well, ill, other = [await item(name) for name in ("text-generation", "embeddings", "transcription")]
    assert (well.check_state, well.check_message, well.latency_ms is not None) == ("healthy", "text-1 answered.", True)
    assert (ill.check_state, ill.check_message, ill.latency_ms is not None) == ("unhealthy", "It broke.", True)
    assert None not in (well.checked_at, ill.checked_at)
    assert (other.check_state, other.checked_at) == ("unchecked", None)
    assert [rung["rung"] for rung in (await row()).report] == list(checking.RUNGS)


@pytest.mark.parametrize("capability", ["text-generation", "video-generation"])
async def test_a_call_is_made_before_anything_is_switched_on(change: Callable[..., Any], capability: str) -> None:
    await change(enabled=False)
    await ProviderCapability.objects.aupdate(enabled=False)
    store.invalidate()
    assert (await call(capability)).state == "passed"
    info = await service.aprovider(NAME)
    assert (info.state, info.check) == ("disabled", "healthy")
    assert info.message == "Provider main is disabled. An administrator can enable it."


async def test_without_a_default_model_an_aliass_is_called(configure: Callable[..., None]) -> None:
    await sync_to_async(configure)(defaultModels=None, modelAliases={"embeddings": {"a": "small-1", "b": "large-1"}})
    assert (await call("embeddings")).message == "small-1 gave a vector of 3 numbers."
    assert Trial.asked[-1][1] == "small-1"


async def test_what_cannot_be_called_is_not(configure: Callable[..., None], change: Callable[..., Any]) -> None:
    await sync_to_async(configure)(defaultModels={"text-generation": "text-1"})
    rung = await call("embeddings")
    assert (rung.state, rung.latency_ms) == ("skipped", None)
    assert "not configured" in rung.message
    await change(family="text-only")
    await ProviderCapability.objects.acreate(instance=await row(), capability="embeddings", default_model="vector-1")
    rung = await call("embeddings")
    assert (rung.state, "does not have embeddings" in rung.message) == ("skipped", True)
    assert {what for what, _, _ in Trial.asked} == {"health"}
    assert (await item("embeddings")).check_state == "unchecked"


async def test_each_call_is_made_once() -> None:
    Trial.answers["text-generation"] = UpstreamError("It broke.", retryable=True)
    rungs = await climbed("text-generation", "embeddings", "text-generation")
    assert (rungs["text-generation"].state, rungs["text-generation"].message) == ("failed", "It broke.")
    assert rungs["embeddings"].state == "passed"
    assert [what for what, _, _ in Trial.asked] == ["health", "text-generation", "embeddings"]


async def test_no_call_is_made_when_a_free_rung_fails() -> None:
    Trial.answers["health"] = UpstreamAuthFailed("It refused.")
    assert (await call("text-generation")).state == "skipped"
    assert (await item("text-generation")).check_state == "unchecked"
    assert [what for what, _, _ in Trial.asked] == ["health"]


async def test_a_call_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "SECONDS", 0.05)
    Trial.answers["text-generation"] = asyncio.Event()
    rung = await call("text-generation")
    assert (rung.state, rung.message) == ("failed", "The provider did not answer in time.")


@pytest.mark.parametrize(
    ("capability", "answer", "state", "message"),
    [
        ("text-generation", TextResult(text="", finish_reason="length"), "passed", "text-1 answered."),
        ("text-generation", TextResult(text="", finish_reason="content-filter"), "failed", "ended with content-filter"),
        ("text-generation", ContentPolicyViolation("Not this."), "failed", "Not this."),
        ("text-generation", RuntimeError(CANARY), "failed", "The provider family failed with RuntimeError."),
        ("structured-output", TextResult(text='{"ok"', finish_reason="length"), "passed", "cut off at the limit"),
        ("structured-output", TextResult(text='{"ok": 1}', finish_reason="stop"), "failed", ""),
        ("structured-output", TextResult(text="Sure!", finish_reason="stop"), "failed", "not JSON"),
        ("embeddings", EmbedResult(embeddings=[]), "failed", "no vector"),
        ("embeddings", EmbedResult(embeddings=[[]]), "failed", "no vector"),
        ("image-generation", ImageResult(), "failed", "The provider family failed with IndexError."),
        ("video-generation", UpstreamError("It broke."), "failed", "It broke."),
        (
            "video-generation",
            VideoOperation(reference={}, status="failed", error=ContentPolicyViolation("Not this.")),
            "failed",
            "Not this.",
        ),
        ("video-generation", VideoOperation(reference={}, status="failed"), "failed", "could not make the video"),
    ],
)
async def test_what_came_of_a_call(capability: str, answer: Any, state: str, message: str) -> None:
    Trial.answers[capability] = answer
    rung = await call(capability)
    assert (rung.state, rung.capability, rung.latency_ms is not None) == (state, capability, True)
    assert message in rung.message
    assert (await item(capability)).check_state == ("healthy" if state == "passed" else "unhealthy")


async def test_a_model_without_an_output_limit_is_given_none() -> None:
    Trial.settings = frozenset({"temperature"})
    assert (await call("text-generation")).state == "passed"
    assert "max_output_tokens" not in Trial.asked[-1][2]


async def test_a_video_that_cannot_be_called_off_is_told(configure: Callable[..., None]) -> None:
    Trial.answers["cancel"] = UpstreamError("It is too late.")
    rung = await call("video-generation")
    assert (rung.state, "could not be called off: It is too late." in rung.message) == ("passed", True)
    await sync_to_async(configure)(type="unstoppable")
    rung = await call("video-generation")
    assert (rung.state, "cannot be told" in rung.message) == ("passed", True)


# --- what is stored, and when ----------------------------------------------------------------------------------------


async def test_nothing_is_stored_when_the_reader_leaves() -> None:
    async with aclosing(service.aclimb(NAME, capabilities=["text-generation"])) as rungs:
        async for rung in rungs:
            if rung.capability:
                break
    assert ((await row()).state, (await item("text-generation")).check_state) == ("unchecked", "unchecked")


async def test_nothing_is_stored_when_the_check_is_cancelled() -> None:
    Trial.answers["text-generation"] = asyncio.Event()
    task = asyncio.ensure_future(service.acheck(NAME, capabilities=["embeddings", "text-generation"]))
    await until(lambda: len(Trial.asked) == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ((await row()).state, (await item("embeddings")).check_state) == ("unchecked", "unchecked")


async def test_a_check_of_settings_that_changed_meanwhile_is_dropped(configure: Callable[..., None]) -> None:
    async with aclosing(service.aclimb(NAME, capabilities=["text-generation"])) as rungs:
        await anext(rungs)
        await sync_to_async(configure)(apiKey="another")
        async for _ in rungs:
            pass
    assert ((await row()).state, (await item("text-generation")).check_state) == ("unchecked", "unchecked")


async def test_all_is_stored_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[Any] = []
    record = store.record_check

    def fail_at_last(*arguments: Any, **options: Any) -> None:
        stored.append(options.get("capability"))
        if len(stored) == 3:
            raise DatabaseError("down")
        record(*arguments, **options)

    monkeypatch.setattr(store, "record_check", fail_at_last)
    with pytest.raises(NotReady):
        await service.acheck(NAME, capabilities=["text-generation", "embeddings"])
    assert stored == [None, "text-generation", "embeddings"]
    assert ((await row()).state, (await item("text-generation")).check_state) == ("unchecked", "unchecked")


async def test_an_orphan_says_so(change: Callable[..., Any]) -> None:
    await change(orphaned=True, enabled=False)
    info = await service.acheck(NAME)
    assert (info.state, info.check) == ("orphaned", "healthy")
    assert info.message == "Provider main is no longer in the configuration file."


async def test_an_instance_that_was_never_checked_has_nothing_to_say() -> None:
    (info,) = await service.aproviders()
    assert (info.state, info.check, info.message, info.checked_at) == ("ready", "unchecked", "", None)


# --- who may, and what is asked --------------------------------------------------------------------------------------


async def test_a_check_needs_the_right_to_change_providers() -> None:
    user = await User.objects.acreate(username="ada")
    for check in (service.acheck(NAME, user), anext(service.aclimb(NAME, user)), service.acheck("none", user)):
        with pytest.raises(PermissionDenied):
            await check
    await user.user_permissions.aadd(await Permission.objects.aget(codename="change_providerinstance"))
    user = await User.objects.aget(username="ada")
    assert len([rung async for rung in service.aclimb(NAME, user)]) == 5


@pytest.mark.parametrize(
    ("name", "capabilities", "error"), [("none", (), ProviderNotFound), (NAME, ("telepathy",), InvalidRequest)]
)
async def test_what_cannot_be_checked(name: str, capabilities: tuple[str, ...], error: type[AIModelsError]) -> None:
    with pytest.raises(error):
        await service.acheck(name, capabilities=capabilities)
    assert Trial.asked == []


async def test_a_resolution_is_explained_of_a_user_who_may_use_nothing() -> None:
    nobody = await User.objects.acreate(username="eve")
    with pytest.raises(PermissionDenied):
        await service.aresolve(user=nobody, capability="embeddings")
    explained = await service.aexplain(nobody, capability="embeddings")
    assert (explained.available, explained.model) == (False, "vector-1")
    assert [gate.gate for gate in explained.gates if not gate.open] == ["permission"]
    trusted = await service.aexplain(None, capability="embeddings")
    assert trusted.available
    assert trusted == await service.aresolve(capability="embeddings")
