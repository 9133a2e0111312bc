"""Requests that go to their view without Django's request cycle: the same answers, and nothing of the host is left out."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from types import ModuleType
from typing import Any, cast

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.core.signals import request_started
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import path as route
from knox.auth import TokenAuthentication
from knox.models import AuthToken
from pytest_django import Settings
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.throttling import BaseThrottle

from ai_models import asgi
from ai_models.api import identities, views
from ai_models.api.direct import _is_plain, _Repeated
from ai_models.api.directrequest import DirectRequest
from ai_models.api.identities import Identities, Known
from ai_models.api.views import BodyRequest, View
from ai_models.models import ProviderInstance
from ai_models.openai_api.views import ChatView
from tests.api.conftest import BASE, LiveServer, MakeUser, bearer, serving
from tests.polling import until

OPENAI = "/api/ai/openai/v1"
TEXT = f"{BASE}/generate-text"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
HELLO = [{"role": "user", "content": "a"}]
GOOD: dict[str, dict[str, Any]] = {
    TEXT: {"prompt": "a"},
    f"{BASE}/embed": {"values": ["a"]},
    f"{BASE}/stream-text": {"prompt": "a"},
    f"{BASE}/generate-object": {"prompt": "a", "schema": {"type": "object"}},
    f"{BASE}/generate-image": {"prompt": "a"},
    f"{OPENAI}/chat/completions": {"model": "echoes", "messages": HELLO},
    f"{OPENAI}/embeddings": {"model": "vectors", "input": "a"},
    f"{OPENAI}/audio/speech": {"model": "speaks", "input": "a", "voice": "alloy"},
}
"""A body that each of these takes."""


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses of the requests that took the direct road."""
    found: list[str] = []
    arrived = DirectRequest.arrived

    def note(request: DirectRequest, body: bytes) -> None:
        found.append(request.path)
        arrived(request, body)

    monkeypatch.setattr(DirectRequest, "arrived", note)
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time for which it is remembered who sends a request: it goes on when a test says so."""
    now = [100.0]
    monkeypatch.setattr("ai_models.api.identities.monotonic", lambda: now[0])
    return now


def ask(server: LiveServer, headers: dict[str, str], path: str = TEXT, json: Any = None) -> httpx.Response:
    return httpx.post(f"{server.url}{path}", json=json or {"prompt": "a"}, headers=headers, timeout=10)


# --- the same answers -------------------------------------------------------------------------------------------------


def told(response: httpx.Response) -> tuple[int, list[tuple[str, str]], Any]:
    """What is the same each time."""
    headers = sorted((name, value) for name, value in response.headers.multi_items() if name != "date")
    if not response.headers["content-type"].startswith("application/json"):
        return (
            response.status_code,
            headers,
            [line for line in response.text.split("\n") if not line.startswith(("data", "id"))],
        )
    body = {name: value for name, value in response.json().items() if name not in {"id", "created"}}
    return response.status_code, headers, body


@pytest.mark.parametrize(
    ("path", "body", "more"),
    [
        (TEXT, b'{"prompt": "a"}', {}),
        (f"{BASE}/embed", b'{"values": ["a", "b"]}', {}),
        (f"{BASE}/stream-text", b'{"prompt": "a"}', {}),
        (f"{OPENAI}/chat/completions", b'{"model": "echoes", "messages": [{"role": "user", "content": "a"}]}', {}),
        (
            f"{OPENAI}/chat/completions",
            b'{"model": "echoes", "stream": true, "messages": [{"role": "user", "content": "a"}]}',
            {},
        ),
        (f"{OPENAI}/embeddings", b'{"model": "vectors", "input": "a"}', {}),
        (TEXT, b'{"prompt": "a", "model": "breaks"}', {}),
        (TEXT, b'{"prompt": "a", "model": "limited"}', {}),
        (TEXT, b'{"prompt": "a", "provider": "nobody"}', {}),
        (TEXT, b'{"prompt": ', {}),
        (TEXT, b"[]", {}),
        (TEXT, b"", {}),
        (TEXT, b'{"prompt": "a", "unknown": 1}', {}),
        (f"{OPENAI}/chat/completions", b'{"model": "echoes"}', {}),
        (f"{BASE}/generate-object", b'{"prompt": "a", "schema": {}}', {}),
        (TEXT, b'{"prompt": "a"}', {"Authorization": "Bearer nonsense"}),
        (TEXT, b'{"prompt": "a"}', {"Authorization": "Other scheme"}),
        (f"{OPENAI}/chat/completions", b"{}", {"Authorization": "Bearer nonsense"}),
        (TEXT, b'{"prompt": "a"}', {"Host": "evil.example"}),
        (TEXT, b'{"prompt": "a"}', {"Content-Type": "application/json; charset=latin-1"}),
    ],
)
def test_both_roads_answer_the_same(
    provider: ProviderInstance, user: User, settings: Settings, direct: list[str], path: str, body: bytes, more: dict[str, str]
) -> None:
    settings.MIDDLEWARE = MIDDLEWARE
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.SECURE_REFERRER_POLICY = "same-origin"
    headers = {"Content-Type": "application/json", "X-Request-ID": "r-1", **bearer(user), **more}
    answers = []
    for road, before in ((True, None), (True, GOOD[path]), (False, None)):
        settings.AI_MODELS = {**settings.AI_MODELS, "DIRECT": road}
        with serving(asgi.serve(get_asgi_application())) as server:
            if before is not None:  # what follows is answered in the manner of this
                httpx.post(f"{server.url}{path}", json=before, headers=headers, timeout=10)
            answers.append(httpx.post(f"{server.url}{path}", content=body, headers=headers, timeout=10))
    first, again, other = map(told, answers)
    assert first == again == other
    assert set(direct) == (set() if "Host" in more else {path})


@pytest.mark.usefixtures("clock")
def test_of_what_repeats_a_request_none_is_made(
    provider: ProviderInstance, user: User, direct: list[str], server: LiveServer
) -> None:
    headers = bearer(user)
    for path in (TEXT, f"{BASE}/embed", f"{OPENAI}/chat/completions", f"{OPENAI}/embeddings"):
        answers = [ask(server, headers, path, GOOD[path]) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert len({answer.headers["x-request-id"] for answer in answers}) == 3
        assert direct.pop() == path
        assert not direct
    assert ask(server, {**headers, "X-Request-ID": "r-2"}, TEXT).headers["x-request-id"] == "r-2"
    assert not direct


@pytest.mark.parametrize("path", [f"{BASE}/stream-text", f"{BASE}/generate-image", f"{OPENAI}/audio/speech"])
def test_of_what_is_not_answered_with_json_alone_each_is_a_request(
    provider: ProviderInstance, user: User, direct: list[str], server: LiveServer, path: str
) -> None:
    headers = bearer(user)
    answers = [ask(server, headers, path, GOOD[path]) for _ in range(3)]
    assert direct == [path] * 3, [answer.text[:200] for answer in answers]


@pytest.mark.usefixtures("clock")
def test_what_repeats_a_request_may_be_a_stream(
    provider: ProviderInstance, user: User, direct: list[str], server: LiveServer
) -> None:
    path = f"{OPENAI}/chat/completions"
    whole, streamed = GOOD[path], {**GOOD[path], "stream": True}
    headers = bearer(user)
    kinds = [ask(server, headers, path, body).headers["content-type"] for body in (whole, streamed, whole, streamed)]
    assert kinds == ["application/json", "text/event-stream"] * 2
    assert direct == [path] * 3


def test_a_large_body_that_repeats_a_request_is_not_parsed_on_the_event_loop(
    provider: ProviderInstance, user: User, direct: list[str], server: LiveServer
) -> None:
    headers, large = bearer(user), {"prompt": "a" * views.INLINE_BYTES}
    assert [ask(server, headers, json=body).status_code for body in ({"prompt": "a"}, large)] == [200, 200]
    assert direct == [TEXT] * 2


# --- when it is taken -------------------------------------------------------------------------------------------------


def stamp(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware of a host."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["X-Stamp"] = "seen"
        return response

    return middleware


@pytest.mark.parametrize(("wanted", "stamped"), [("auto", True), (False, True), (True, False)])
def test_middleware_of_the_host_is_left_out_only_when_it_says_so(
    provider: ProviderInstance, user: User, settings: Settings, wanted: Any, stamped: bool
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.stamp"]
    settings.AI_MODELS = {**settings.AI_MODELS, "DIRECT": wanted}
    with serving(asgi.serve(get_asgi_application())) as server:
        response = ask(server, bearer(user))
    assert (response.status_code, "X-Stamp" in response.headers) == (200, stamped)


def test_what_stands_around_django_is_not_left_out(provider: ProviderInstance, user: User, direct: list[str]) -> None:
    app = get_asgi_application()

    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    with serving(asgi.serve(wrapper)) as server:
        assert ask(server, bearer(user)).status_code == 200
    assert not direct


def test_listeners_of_requests_are_not_left_out(provider: ProviderInstance, user: User) -> None:
    heard = threading.Event()

    def listen(**_: Any) -> None:
        heard.set()

    request_started.connect(listen)
    try:
        with serving(asgi.serve(get_asgi_application())) as server:
            assert ask(server, bearer(user)).status_code == 200
    finally:
        request_started.disconnect(listen)
    assert heard.is_set()


@pytest.fixture
def server(provider: ProviderInstance) -> Iterator[LiveServer]:
    """As a host serves it that has nothing of its own around its views."""
    with serving(asgi.serve(get_asgi_application())) as running:
        yield running


def test_only_json_that_a_header_authenticates_is_taken(server: LiveServer, user: User, direct: list[str]) -> None:
    headers = bearer(user)
    assert ask(server, {**headers, "Cookie": "a=b"}).status_code == 200
    assert httpx.post(f"{server.url}{TEXT}", json={"prompt": "a"}).status_code == 401
    assert httpx.post(f"{server.url}{BASE}/transcribe", files={"audio": b"a"}, headers=headers).status_code == 409
    assert httpx.get(f"{server.url}{BASE}/models", headers=headers).status_code == 200
    assert ask(server, headers, f"{BASE}/nothing").status_code == 404
    assert not direct
    assert ask(server, headers).status_code == 200
    assert direct == [TEXT]


# --- who it is --------------------------------------------------------------------------------------------------------


def revoke(user: User) -> None:
    AuthToken.objects.filter(user=user).delete()


def deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def withdraw(user: User) -> None:
    user.user_permissions.clear()


@pytest.mark.parametrize(("change", "status"), [(revoke, 401), (deactivate, 401), (withdraw, 403)])
@pytest.mark.parametrize("path", [TEXT, f"{OPENAI}/chat/completions"])
def test_what_is_taken_from_a_user_holds_within_a_second(
    server: LiveServer, user: User, direct: list[str], path: str, change: Callable[[User], None], status: int
) -> None:
    headers = bearer(user)
    body = {"prompt": "a"} if path == TEXT else {"model": "echoes", "messages": HELLO}
    with httpx.Client(base_url=server.url, headers=headers, timeout=10) as client:
        assert client.post(path, json=body).status_code == 200
        change(user)
        changed = time.monotonic()
        while True:
            sent = time.monotonic()
            answer = client.post(path, json=body)
            if sent - changed > 1:
                break
            assert answer.status_code in {200, status}
    assert answer.status_code == status
    assert direct


@pytest.mark.parametrize("path", [TEXT, f"{OPENAI}/chat/completions"])
def test_a_body_that_comes_late_is_not_taken_for_a_sender_of_before(
    provider: ProviderInstance, user: User, settings: Settings, server: LiveServer, path: str
) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "AUTH_CACHE_SECONDS": 0.3}
    headers = bearer(user)
    assert ask(server, headers, path, GOOD[path]).status_code == 200

    def late() -> Iterator[bytes]:
        body = json.dumps(GOOD[path]).encode()
        yield body[:5]
        revoke(user)
        asyncio.run(until(lambda: ask(server, headers, path, GOOD[path]).status_code == 401))
        yield body[5:]

    length = {"Content-Length": str(len(json.dumps(GOOD[path]))), "Content-Type": "application/json"}
    assert httpx.post(f"{server.url}{path}", content=late(), headers={**headers, **length}, timeout=10).status_code == 401


class Somebody:
    """A user that the host keeps: the same object for each request."""

    is_authenticated = is_active = True
    pk = 1
    permitted = True

    def has_perm(self, permission: str, obj: Any = None) -> bool:
        return self.permitted


@pytest.mark.parametrize("seconds", [None, 0.2])
def test_permissions_of_a_user_whom_the_host_keeps_are_remembered_no_longer_than_others(
    provider: ProviderInstance, settings: Settings, server: LiveServer, monkeypatch: pytest.MonkeyPatch, seconds: float | None
) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "AUTH_CACHE_SECONDS": seconds}
    somebody = Somebody()

    class Keeps(TokenAuthentication):  # type: ignore[misc]
        def authenticate(self, request: Any) -> Any:
            return somebody, None

    monkeypatch.setattr(View, "authentication_classes", (Keeps,))
    headers = {"Authorization": "Bearer x"}
    assert ask(server, headers).status_code == 200
    somebody.permitted = False
    time.sleep(seconds or 0)
    for more in ({"Cookie": "a=b"}, {}):  # Django's road, and the direct one
        assert ask(server, {**headers, **more}).status_code == 403


audited: list[str] = []


class Audited(ChatView):
    """A view of a host's own."""

    async def post(self, request: BodyRequest) -> HttpResponseBase:
        audited.append("post")
        return await super().post(request)


def audit(view: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of a host's own."""

    @wraps(view)
    async def inner(request: HttpRequest) -> Any:
        audited.append("decorator")
        return await view(request)

    return inner


class Counts(BaseThrottle):
    def allow_request(self, request: Any, view: Any) -> bool:
        audited.append("throttle")
        return True


def test_what_a_host_has_around_a_view_that_it_mounts_itself_is_called_each_time(
    provider: ProviderInstance, user: User, settings: Settings
) -> None:
    urls = ModuleType("urls_of_the_host")
    urls.urlpatterns = [  # type: ignore[attr-defined]
        route("api/ai/decorator", audit(ChatView.as_view())),
        route("api/ai/post", Audited.as_view()),
        route("api/ai/throttle", ChatView.as_view(throttle_classes=[Counts])),
    ]
    settings.ROOT_URLCONF = urls
    headers = bearer(user)
    with serving(asgi.serve(get_asgi_application())) as server:
        for name in ("decorator", "post", "throttle"):
            audited.clear()
            answers = [ask(server, headers, f"/api/ai/{name}", GOOD[f"{OPENAI}/chat/completions"]) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200] * 3
            assert audited == [name] * 3


def test_permission_classes_may_be_a_list(server: LiveServer, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = bearer(user)
    monkeypatch.setattr(View, "permission_classes", [IsAuthenticated])
    assert [ask(server, headers).status_code for _ in range(2)] == [200, 200]
    monkeypatch.setattr(View, "permission_classes", [IsAdminUser])
    assert [ask(server, bearer(user)).status_code for _ in range(2)] == [403, 403]


@pytest.mark.parametrize("middleware", [MIDDLEWARE, [name for name in MIDDLEWARE if "CommonMiddleware" not in name]])
@pytest.mark.usefixtures("clock")
def test_what_repeats_a_request_has_the_headers_of_the_first(
    provider: ProviderInstance, user: User, settings: Settings, direct: list[str], middleware: list[str]
) -> None:
    settings.MIDDLEWARE = middleware
    headers = bearer(user)
    with serving(asgi.serve(get_asgi_application())) as server:
        answers = [ask(server, headers) for _ in range(2)]
    assert len({tuple(sorted(answer.headers.keys())) for answer in answers}) == 1
    assert ("content-length" in answers[1].headers) is (middleware is MIDDLEWARE)
    assert direct == [TEXT]


def test_a_failure_leaves_nothing_for_the_garbage_collector(server: LiveServer, user: User) -> None:
    headers = bearer(user)
    assert ask(server, headers).status_code == 200
    gc.collect()
    gc.disable()
    try:
        assert ask(server, headers, json={"prompt": "a", "provider": "nobody"}).status_code == 404
        asyncio.run(until(lambda: not any(type(found) is _Repeated for found in gc.get_objects())))
    finally:
        gc.enable()


def test_throttles_count_each_request(server: LiveServer, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []

    class Two(BaseThrottle):
        def allow_request(self, request: Any, view: Any) -> bool:
            counted.append(request.user.pk)
            return len(counted) <= 2

    monkeypatch.setattr(View, "throttle_classes", (Two,))
    headers = bearer(user)
    assert [ask(server, headers).status_code for _ in range(3)] == [200, 200, 429]
    assert counted == [user.pk] * 3


def test_users_and_addresses_are_kept_apart(server: LiveServer, user: User, make_user: MakeUser) -> None:
    nobody = bearer(make_user("eve"))
    for _ in range(2):
        assert ask(server, bearer(user)).status_code == 200
        assert ask(server, nobody).status_code == 403


class SignsBodies(TokenAuthentication):  # type: ignore[misc]
    """Lets in whoever sends a prompt that it likes."""

    def authenticate(self, request: Any) -> Any:
        if request.data.get("prompt") != "signed":
            raise AuthenticationFailed
        return super().authenticate(request)


def test_an_authenticator_that_reads_the_body_is_asked_each_time(
    server: LiveServer, user: User, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "AUTH_CACHE_SECONDS": 1.0}
    monkeypatch.setattr(View, "authentication_classes", (SignsBodies,))
    headers = bearer(user)
    assert ask(server, headers, json={"prompt": "signed"}).status_code == 200
    assert ask(server, headers, json={"prompt": "forged"}).status_code == 401


SCOPE = {"type": "http", "method": "POST", "path": TEXT, "client": ("127.0.0.1", 1), "headers": [(b"authorization", b"x")]}


def find(known: Identities, scope: dict[str, Any], asked: Asked, seconds: float) -> Coroutine[Any, Any, Known]:
    """Who sends a request with this scope."""
    return known.find(identities.key(scope), asked, seconds)


class Asked:
    """Looks up, and counts how often; a test may hold it back."""

    def __init__(self, lasting: bool = True, error: Exception | None = None) -> None:
        self.count = 0
        self.lasting = lasting
        self.error = error
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self) -> Known:
        self.count += 1
        number = self.count
        assert self.go_on.wait(10)
        if self.error:
            raise self.error
        return Known(number, None, None, self.lasting)


async def test_the_age_counts_from_before_the_lookup(clock: list[float]) -> None:
    known, asked = Identities(), Asked()
    asked.go_on.clear()
    first = asyncio.ensure_future(find(known, SCOPE, asked, 1.0))
    await asyncio.sleep(0)
    clock[0] += 0.9
    joined = asyncio.ensure_future(find(known, SCOPE, asked, 1.0))
    await asyncio.sleep(0)
    clock[0] += 0.2
    late = asyncio.ensure_future(find(known, SCOPE, asked, 1.0))
    await asyncio.sleep(0)
    asked.go_on.set()
    assert (await first).user == (await joined).user != (await late).user
    assert asked.count == 2
    await find(known, SCOPE, asked, 1.0)
    assert asked.count == 2


@pytest.mark.parametrize("asked", [Asked(error=AuthenticationFailed()), Asked(lasting=False)])
async def test_what_does_not_last_is_not_remembered(asked: Asked) -> None:
    known = Identities()
    for _ in range(3):
        if asked.error:
            with pytest.raises(AuthenticationFailed):
                await find(known, SCOPE, asked, 1.0)
        else:
            await find(known, SCOPE, asked, 1.0)
    assert asked.count == 3


async def test_requests_that_wait_together_for_what_does_not_last_ask_for_themselves() -> None:
    known, asked = Identities(), Asked(lasting=False)
    found = await asyncio.gather(*(find(known, SCOPE, asked, 1.0) for _ in range(3)))
    assert len({each.user for each in found}) == 3


async def test_zero_seconds_switch_it_off() -> None:
    known, asked = Identities(), Asked()
    for _ in range(2):
        await find(known, SCOPE, asked, 0.0)
    assert asked.count == 2


@pytest.mark.parametrize("more", [{"tenant": "a"}, {"state": {"tenant": "a"}}, {"extensions": {"tls": {}}}])
async def test_what_an_application_around_told_may_count(more: dict[str, Any]) -> None:
    known, asked = Identities(), Asked()
    for _ in range(2):
        await find(known, {**SCOPE, **more}, asked, 1.0)
    assert asked.count == 2


class LeavesMore(TokenAuthentication):  # type: ignore[misc]
    """Of the host's own: it may do whatever it likes."""


def test_only_what_known_classes_found_is_remembered_unless_the_host_says_so(settings: Settings) -> None:
    known = (TokenAuthentication, SessionAuthentication)
    assert views._remembered_seconds(known) == 1.0
    assert views._remembered_seconds((*known, LeavesMore)) == 0.0
    settings.AI_MODELS = {**settings.AI_MODELS, "AUTH_CACHE_SECONDS": 0.5}
    assert views._remembered_seconds((LeavesMore,)) == 0.5


async def test_nobody_is_looked_up_for_clients_that_left() -> None:
    known, asked = Identities(), Asked()
    asked.go_on.clear()
    waiting = [asyncio.ensure_future(find(known, {**SCOPE, "path": str(number)}, asked, 1.0)) for number in range(50)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    asked.go_on.set()
    assert (await find(known, SCOPE, asked, 1.0)).user
    assert asked.count <= identities._LOOKUPS_AT_ONCE + 1


async def test_a_request_does_not_join_a_lookup_that_everybody_left() -> None:
    known, asked = Identities(), Asked()
    asked.go_on.clear()

    async def leave_as_another_comes() -> Known:
        try:
            return await find(known, SCOPE, asked, 1.0)
        except asyncio.CancelledError:
            asked.go_on.set()
            return await find(known, SCOPE, asked, 1.0)

    both = asyncio.ensure_future(leave_as_another_comes())
    await until(lambda: asked.count)
    both.cancel()
    assert (await both).user == 2


async def test_what_does_not_last_is_nobody_elses_in_the_moment_after_it_was_found() -> None:
    known, asked = Identities(), Asked(lasting=False)
    first = asyncio.ensure_future(find(known, SCOPE, asked, 1.0))
    await asyncio.sleep(0)
    (lookup,) = known._lookups.values()
    await lookup.task
    known._lookups[cast(bytes, identities.key(SCOPE))] = (
        lookup  # as it is until the event loop has called what waits for the task
    )
    assert (await find(known, SCOPE, asked, 1.0)).user == 2
    assert (await first).user == 1


async def test_an_empty_body_counts_as_looked_at() -> None:
    request = DirectRequest({**SCOPE, "query_string": b""}, Identities(), None)
    assert request.is_read
    request.arrived(b"{}")
    assert not request.is_read


@pytest.mark.parametrize(("length", "plain"), [(b"100", True), (b"3000000", False), (b"", False), (None, False)])
def test_large_bodies_go_to_django(length: bytes | None, plain: bool) -> None:
    headers = [(b"authorization", b"Bearer x"), (b"content-type", b"application/json")]
    assert _is_plain([*headers, *([(b"content-length", length)] if length is not None else [])]) is plain


@pytest.mark.parametrize(
    "other",
    [
        {"headers": [(b"authorization", b"y")]},
        {"headers": [(b"authorization", b"x"), (b"x-forwarded-for", b"1.2.3.4")]},
        {"headers": [(b"authorizationx", b"")]},
        {"client": ("127.0.0.2", 1)},
        {"path": f"{BASE}/embed"},
        {"method": "GET"},
        {"server": ("127.0.0.1", 8001)},
        {"headers": [(b"authorization", b"x"), (b"baggage", b"tenant=a")]},
    ],
)
async def test_whatever_an_authenticator_may_look_at_is_told_apart(other: dict[str, Any]) -> None:
    known, asked = Identities(), Asked()
    await find(known, SCOPE, asked, 1.0)
    await find(known, {**SCOPE, **other}, asked, 1.0)
    assert asked.count == 2
    await find(known, {**SCOPE, "client": ("127.0.0.1", 2), "headers": [*SCOPE["headers"], (b"traceparent", b"0")]}, asked, 1.0)
    assert asked.count == 2


async def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "REMEMBERED", 2)
    known, asked = Identities(), Asked()
    for path in "abc":
        await find(known, {**SCOPE, "path": path}, asked, 1.0)
    await find(known, {**SCOPE, "path": "c"}, asked, 1.0)
    assert asked.count == 3
    await find(known, {**SCOPE, "path": "a"}, asked, 1.0)
    assert asked.count == 4


async def test_a_client_that_leaves_takes_the_lookup_from_nobody() -> None:
    known, asked = Identities(), Asked()
    asked.go_on.clear()
    first, second = (asyncio.ensure_future(find(known, SCOPE, asked, 1.0)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    asked.go_on.set()
    assert (await second).user == 1
