"""The client that ships with the app, in Node.js against a real server."""

from __future__ import annotations

import json
import random
import socket
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from ai_models.models import ProviderInstance
from tests.api.conftest import LiveServer, MakeUser, bearer
from tests.api.scripted import OBJECT, WORDS, Scripted
from tests.javascript import node
from tests.javascript.faulty import Faulty
from tests.javascript.proxy import Cut, proxying
from tests.javascript.story import pieces
from tests.polling import until

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["age"]}
HELLO = {"prompt": "Hello"}
HANGS = {"prompt": "Hello", "model": "hangs-later"}
TOLD = "".join(WORDS)
FINISH = {"onDisconnect": "finish"}

pytestmark = pytest.mark.usefixtures("libraries")


class Client:
    """Runs a function of ``scripts/client.js`` as the user."""

    def __init__(self, server: LiveServer, user: User) -> None:
        self._given = {"url": server.url, "headers": bearer(user)}

    def __call__(self, scenario: str, **given: Any) -> Any:
        return node.call("client.js", scenario, **{**self._given, **given})

    def streams(self, *requests: dict[str, Any], **given: Any) -> list[dict[str, Any]]:
        """What became of these requests."""
        seen: list[dict[str, Any]] = self("streams", requests=requests, **given)
        return seen


@pytest.fixture
def client_(server: LiveServer, user: User) -> Client:
    Faulty.reset()
    return Client(server, user)


def story_of(number: int) -> dict[str, str]:
    return {"prompt": f"Story {number}", "provider": "story"}


def text_of(number: int) -> str:
    return "".join(pieces(f"Story {number}"))


def local(port: int) -> str:
    return f"http://127.0.0.1:{port}"


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_stream_tells_its_text_and_its_result(client_: Client) -> None:
    (seen,) = client_.streams(HELLO)
    assert (seen["text"], seen["thrown"], seen.get("error")) == (TOLD, None, None)
    result = seen["result"]
    assert result["usage"]["outputTokens"] == 3
    del result["usage"]
    assert result == {
        "text": TOLD,
        "reasoningText": "",
        "toolCalls": [],
        "finishReason": "stop",
        "provider": "main",
        "model": "echoes",
        "warnings": [],
    }


def test_its_events_come_one_by_one_with_a_class_from_outside(client_: Client) -> None:
    events = client_("events", request=HELLO)
    assert [event["type"] for event in events] == ["start", "text-start", *["text-delta"] * 3, "text-end", "finish"]
    assert [event["seq"] for event in events] == list(range(1, 8))


def test_a_class_may_bring_its_own_authentication(client_: Client) -> None:
    assert client_("authenticated", request=HELLO)["text"] == TOLD


def test_an_object_grows(client_: Client, media: ProviderInstance) -> None:
    seen = client_("object", request={**HELLO, "schema": SCHEMA})
    assert seen["partial"] == [{"name": "A"}, {"name": "Ada"}, {"name": "Ada", "age": 36}]
    assert (seen["object"], seen["finishReason"]) == (json.loads("".join(OBJECT)), "stop")


def test_many_streams_share_a_socket(client_: Client, server: LiveServer, story: ProviderInstance) -> None:
    with proxying(server.port) as proxy:
        seen = client_.streams(*map(story_of, range(20)), through=local(proxy.port))
        assert proxy.connections == 1
    assert [stream["text"] for stream in seen] == [text_of(number) for number in range(20)]
    assert len({stream["id"] for stream in seen}) == 20
    assert all(len(stream["id"]) == 32 for stream in seen)


def test_readers_do_not_disturb_each_other(client_: Client, story: ProviderInstance) -> None:
    seen = client_("readers", request=story_of(1))
    assert seen == dict.fromkeys(("text", "slow", "late"), text_of(1))


async def test_cancelled_streams_end_at_once_and_on_the_server(client_: Client) -> None:
    seen = client_("cancelled", request=HANGS)
    stopped, aborted, late = seen["outcomes"]
    for stream in (stopped, aborted, late):
        assert (stream["thrown"], stream["error"]["code"], stream["error"]["retryable"]) == (None, "aborted", False)
    assert (stopped["text"], aborted["text"]) == (TOLD, TOLD)
    assert (late["text"], late["error"]["cause"], aborted["error"]["cause"]) == ("", "Too late", "Stop")
    assert seen["next"]["text"] == TOLD
    assert len(Scripted.requests) == 3
    await until(Scripted.ended.is_set)


async def test_a_closed_client_has_cancelled_its_streams_and_can_begin_again(client_: Client) -> None:
    seen = client_("closed", request=HANGS)
    assert [stream["error"]["code"] for stream in seen["seen"]] == ["aborted", "aborted"]
    assert seen["next"]["text"] == TOLD
    await until(Scripted.ended.is_set)


def test_another_client_comes_back_to_a_stream(client_: Client) -> None:
    left, came, unknown = client_("resumed", request=HANGS)
    assert (left["text"], came["text"]) == (TOLD, TOLD)
    assert (came["thrown"], came["error"]["code"], came["error"]["message"]) == (
        None,
        "aborted",
        "The stream was cancelled elsewhere.",
    )
    assert unknown["error"]["code"] == unknown["thrown"] == "stream_not_found"


# --- refusals and failures ------------------------------------------------------------------------------------------


def test_a_failure_is_its_streams_alone(client_: Client) -> None:
    requests = [{**HELLO, "colour": "red"}, {**HELLO, "provider": "nobody"}, {**HELLO, "model": "fails-later"}, HELLO]
    wrong, unknown, failed, good = client_.streams(*requests)
    assert [stream["error"]["code"] for stream in (wrong, unknown, failed)] == [
        "invalid_request",
        "provider_not_found",
        "upstream_error",
    ]
    assert all(stream["thrown"] == stream["error"]["code"] for stream in (wrong, unknown, failed))
    assert all(stream["error"]["name"] == "AIModelsError" for stream in (wrong, unknown, failed))
    assert "colour: this field does not exist" in wrong["error"]["message"]
    assert failed["error"]["requestId"]
    assert (failed["text"], good["text"]) == (TOLD, TOLD)


def test_a_request_that_is_too_large_is_not_sent(client_: Client, server: LiveServer) -> None:
    with proxying(server.port) as proxy:
        large, small = client_.streams({"prompt": "é" * 600_000}, HELLO, through=local(proxy.port))
        assert proxy.connections == 1
    assert (large["error"]["code"], large["error"]["retryable"]) == ("payload_too_large", False)
    assert small["text"] == TOLD


def test_a_stranger_is_refused(server: LiveServer, make_user: MakeUser) -> None:
    (seen,) = Client(server, make_user("eve")).streams(HELLO)
    assert seen["error"]["code"] == "permission_denied"


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 4408, 4429])
def test_after_these_codes_it_connects_again(client_: Client, code: int) -> None:
    Faulty.codes = [code, code]
    (seen,) = client_.streams(HELLO, path="/faulty/")
    assert (seen["text"], Faulty.connections) == (TOLD, 3)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (1003, "invalid_request"),
        (1007, "invalid_request"),
        (1008, "permission_denied"),
        (1009, "payload_too_large"),
        (4400, "invalid_request"),
        (4403, "permission_denied"),
    ],
)
def test_after_these_codes_it_does_not(client_: Client, code: int, told: str) -> None:
    Faulty.codes = [code]
    (seen,) = client_.streams(HELLO, path="/faulty/")
    assert (seen["error"]["code"], seen["error"]["message"]) == (told, "As the test says.")
    assert (seen["thrown"], seen["error"]["retryable"], Faulty.connections) == (told, False, 1)


@pytest.mark.parametrize(("codes", "connections", "text"), [([4401], 2, TOLD), ([4401, 4401], 2, ""), ([1012, 4401], 3, TOLD)])
def test_a_ticket_that_is_refused_is_replaced_once(client_: Client, codes: list[int], connections: int, text: str) -> None:
    Faulty.codes = list(codes)
    (seen,) = client_.streams(HELLO, path="/faulty/")
    assert (seen["text"], Faulty.connections) == (text, connections)
    assert text or seen["error"]["code"] == "unauthenticated"


@pytest.mark.parametrize(("failures", "tried"), [([{}], 3), ([{"retryable": False}], 1)])
def test_a_ticket_that_cannot_be_got_is_tried_for_a_while(client_: Client, failures: list[dict[str, Any]], tried: int) -> None:
    seen = client_("ticketless", failures=failures)
    assert (seen["tried"], seen["seen"]["error"]["code"], seen["seen"]["error"]["cause"]) == (
        tried,
        "connection_failed",
        "No network",
    )


def test_a_wrong_credential_is_told(client_: Client) -> None:
    (seen,) = client_.streams(HELLO, headers={"Authorization": "Bearer wrong"})
    assert seen["error"]["code"] == seen["thrown"] == "unauthenticated"


def test_a_server_that_is_gone_is_given_up(client_: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    seen = client_.streams(HELLO, HELLO, through=local(port), options={"attempts": 3})
    assert {stream["error"]["code"] for stream in seen} == {"connection_failed"}
    assert {stream["error"]["retryable"] for stream in seen} == {True}


# --- connections that are lost --------------------------------------------------------------------------------------


def cuts(generator: random.Random) -> Any:
    """Connections that last for a while, some not even for a handshake."""
    while True:
        if generator.random() < 0.1:
            yield Cut(handshake=True)
        else:
            yield Cut(received=generator.randrange(3_000))


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_doubled_wherever_the_connection_is_cut(
    client_: Client, server: LiveServer, story: ProviderInstance, seed: int
) -> None:
    with proxying(server.port, cuts(random.Random(seed))) as proxy:
        given = {"through": local(proxy.port), "stream": FINISH, "options": {"attempts": 1000}}
        seen = client_.streams(*map(story_of, range(2)), **given)
        assert proxy.connections > 3
    for number, stream in enumerate(seen):
        assert (stream["text"], stream.get("error")) == (text_of(number), None)


@pytest.mark.parametrize("cut", [Cut(sent=0), Cut(received=0), Cut(handshake=True)], ids=["request", "answer", "handshake"])
def test_a_stream_that_was_not_acknowledged_is_begun_once(client_: Client, server: LiveServer, cut: Cut) -> None:
    with proxying(server.port, [cut]) as proxy:
        (seen,) = client_.streams(HELLO, through=local(proxy.port), stream=FINISH)
        assert proxy.connections == 2
    assert (seen["text"], len(Scripted.requests)) == (TOLD, 1)


async def test_by_default_a_lost_connection_ends_its_streams(client_: Client, server: LiveServer) -> None:
    with proxying(server.port, [Cut(received=100)]) as proxy:
        (seen,) = client_.streams(HANGS, through=local(proxy.port))
    assert (seen["thrown"], seen["error"]["code"], seen["error"]["retryable"]) == ("connection_lost", "connection_lost", True)
    assert TOLD.startswith(seen["text"])
    await until(Scripted.ended.is_set)


def test_an_event_that_comes_twice_is_told_once(client_: Client) -> None:
    Faulty.repeats = 2
    (seen,) = client_.streams(HELLO, path="/faulty/")
    assert seen["text"] == TOLD


def test_an_event_that_never_comes_is_told(client_: Client) -> None:
    Faulty.lost = 4
    (seen,) = client_.streams(HELLO, path="/faulty/")
    assert (seen["text"], seen["thrown"], seen["error"]["code"]) == (WORDS[0], "internal", "internal")


async def test_a_stream_that_is_cancelled_while_nobody_is_there_is_cancelled_later(client_: Client, server: LiveServer) -> None:
    with proxying(server.port, [Cut(received=100, silent=True)]) as proxy:
        given = {"through": local(proxy.port), "stream": FINISH, "options": {"heartbeat": 300}}
        sent = client_("cancelled_in_silence", request=HANGS, **given)
        await until(Scripted.ended.is_set)
    assert [frame["type"] for frame in sent] == ["stream-text", "ping", "cancel", "cancel"]


def test_a_connection_that_is_not_used_is_left_to_the_server(client_: Client, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "WS_IDLE_SECONDS": 1.0}
    seen = client_("idle", request=HELLO, options={"heartbeat": 300})
    assert seen == {"code": 4408, "pings": 0, "text": TOLD}


def test_a_connection_that_went_silent_is_noticed(client_: Client, server: LiveServer, story: ProviderInstance) -> None:
    with proxying(server.port, [Cut(received=2000, silent=True), Cut(handshake=True, silent=True)]) as proxy:
        given = {"through": local(proxy.port), "stream": FINISH, "options": {"heartbeat": 300}}
        (seen,) = client_("silenced", requests=[story_of(1)], **given)
        assert proxy.connections >= 3
    assert seen["text"] == text_of(1)
