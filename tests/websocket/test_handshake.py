"""Who may open a socket: tokens, session cookies with an exact origin, and tickets."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import httpx
import pytest
import websockets
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.cache import caches
from django.test import Client
from knox.auth import TokenAuthentication
from knox.models import AuthToken
from pytest_django import Settings

from ai_models import accounts, tickets, tokenuse
from ai_models.api.views import View
from ai_models.cache import shared_cache
from ai_models.models import APIToken
from ai_models.types.frames import SUBPROTOCOL
from tests.api.conftest import BASE, LiveServer, MakeUser
from tests.polling import until
from tests.websocket.conftest import Connect, Socket, abearer


async def works(socket: Socket) -> bool:
    await socket.stream("a", {"prompt": "a"})
    return (await socket.until_end())[-1]["type"] == "finish"


async def cookie(user: User) -> dict[str, str]:
    """The header that a signed-in browser sends."""
    client = Client()
    await sync_to_async(client.force_login)(user)
    return {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}


async def ticket(server: LiveServer, headers: dict[str, str]) -> Any:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{server.url}{BASE}/ws-ticket", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


def with_ticket(value: str) -> tuple[str, ...]:
    return (SUBPROTOCOL, f"ticket.{value}")


async def test_a_token_opens_a_socket(connect: Connect) -> None:
    async with connect() as socket:
        assert await works(socket)


@pytest.mark.parametrize("ticketed", [False, True])
async def test_a_socket_tells_when_its_token_was_used(connect: Connect, server: LiveServer, user: User, ticketed: bool) -> None:
    row, token = await sync_to_async(accounts.issue)(user)
    headers: dict[str, str] = {"Authorization": f"Bearer {token}"}
    subprotocols: tuple[str, ...] = (SUBPROTOCOL,)
    if ticketed:
        headers, subprotocols = {}, with_ticket((await ticket(server, headers))["ticket"])
        await until_noted(row)
        await APIToken.objects.aupdate(last_used_at=None)
        tokenuse._uses.noted.clear()
    async with connect(headers, subprotocols=subprotocols):
        await until_noted(row)


async def until_noted(row: APIToken) -> None:
    """Wait until the database has the token's use."""
    async with asyncio.timeout(15):
        while row.last_used_at is None:
            await row.arefresh_from_db()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Bearer \xff"}])
async def test_a_stranger_is_told_so(connect: Connect, headers: dict[str, str]) -> None:
    async with connect(headers) as socket:
        code, reason = await socket.closed()
    assert code == 4401
    assert reason


async def test_an_expired_token_opens_nothing(connect: Connect, user: User) -> None:
    _, token = await sync_to_async(AuthToken.objects.create)(user, expiry=timedelta(seconds=-1))
    async with connect({"Authorization": f"Bearer {token}"}) as socket:
        assert (await socket.closed())[0] == 4401


@pytest.mark.parametrize("where", ["?token=secret", "?ticket=secret", "?a=b"])
async def test_credentials_never_stand_in_the_address(connect: Connect, where: str) -> None:
    async with connect(path=f"/ws/ai/v1/{where}") as socket:
        code, reason = await socket.closed()
    assert code == 4400
    assert "secret" not in reason


async def test_another_subprotocol_is_refused_and_none_is_taken(connect: Connect) -> None:
    async with connect(subprotocols=("ai-models.v9",)) as socket:
        assert (await socket.closed())[0] == 4400
    async with connect(subprotocols=()) as socket:
        assert await works(socket)


async def test_other_addresses_are_refused_quietly(connect: Connect) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with connect(path="/ws/elsewhere/"):
            pass
    assert refused.value.response.status_code == 403


# --- cookies and origins --------------------------------------------------------------------------------------------


async def test_a_session_opens_a_socket_from_this_sites_own_pages(connect: Connect, server: LiveServer, user: User) -> None:
    headers = await cookie(user)
    async with connect(headers, origin=server.url) as socket:
        assert await works(socket)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1",
        "http://127.0.0.1:{port}.evil.example",
        "http://localhost:{port}",
        "http://127.0.0.1:{port}/",
        "null",
        "",
        None,
    ],
)
async def test_a_session_opens_nothing_from_elsewhere(
    connect: Connect, server: LiveServer, user: User, origin: str | None
) -> None:
    headers = await cookie(user)
    if origin is not None:
        headers["Origin"] = origin.format(port=server.port)
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with connect(headers):
            pass
    assert refused.value.response.status_code == 403


async def test_a_trusted_origin_is_taken_exactly(connect: Connect, server: LiveServer, user: User, settings: Settings) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://app.example", "https://*.wild.example"]
    headers = await cookie(user)
    async with connect(headers, origin="https://app.example") as socket:
        assert await works(socket)
    for origin in ("http://app.example", "https://app.example:444", "https://a.wild.example"):
        with pytest.raises(websockets.InvalidStatus):
            async with connect(headers, origin=origin):
                pass


async def test_a_foreign_page_learns_nothing_about_a_cookie(connect: Connect) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with connect({"Cookie": "sessionid=nonsense", "Origin": "http://evil.example"}):
            pass
    assert refused.value.response.status_code == 403


async def test_a_cookie_that_is_no_session_is_told_to_this_sites_own_pages(connect: Connect, server: LiveServer) -> None:
    async with connect({"Cookie": "sessionid=nonsense"}, origin=server.url) as socket:
        assert (await socket.closed())[0] == 4401


async def test_a_token_needs_no_origin_whatever_cookies_come_along(connect: Connect, user: User) -> None:
    async with connect({**await abearer(user), "Cookie": "sessionid=nonsense"}) as socket:
        assert await works(socket)


async def test_a_foreign_page_gets_nothing_with_what_a_browser_sends_by_itself(connect: Connect, user: User) -> None:
    """Browsers remember the names and passwords of Basic authentication, too."""
    with pytest.raises(websockets.InvalidStatus):
        async with connect({**await abearer(user), "Origin": "http://evil.example"}):
            pass


async def test_who_signs_out_loses_the_socket(connect: Connect, server: LiveServer, user: User) -> None:
    client = Client()
    await sync_to_async(client.force_login)(user)
    headers = {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}
    async with connect(headers, origin=server.url) as socket:
        assert await works(socket)
        await sync_to_async(client.logout)()
        closed = asyncio.create_task(socket.closed())

        async def begin() -> bool:
            if not closed.done():
                await socket.stream("b", {"prompt": "a"})
            return closed.done()

        for _ in range(100):
            if await begin():
                break
            await asyncio.wait({closed}, timeout=0.1)
        assert (await closed)[0] == 4401


# --- tickets --------------------------------------------------------------------------------------------------------


async def test_a_ticket_opens_one_socket(connect: Connect, server: LiveServer, user: User) -> None:
    told = await ticket(server, await abearer(user))
    assert set(told) == {"ticket", "expiresIn"}
    assert told["expiresIn"] == 60
    async with connect({}, subprotocols=with_ticket(told["ticket"]), origin="https://elsewhere.example") as socket:
        assert socket.connection.subprotocol == SUBPROTOCOL
        assert await works(socket)
    async with connect({}, subprotocols=with_ticket(told["ticket"])) as socket:
        assert (await socket.closed())[0] == 4401


async def test_two_that_use_a_ticket_at_once_get_one_socket(connect: Connect, server: LiveServer, user: User) -> None:
    value = (await ticket(server, await abearer(user)))["ticket"]

    async def opened() -> bool:
        async with connect({}, subprotocols=with_ticket(value)) as socket:
            try:
                return await works(socket)
            except websockets.ConnectionClosed:
                return False

    assert sorted(await asyncio.gather(*(opened() for _ in range(5)))) == [False] * 4 + [True]


async def test_a_ticket_ends_in_time(connect: Connect, server: LiveServer, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "TICKET_SECONDS", 1)
    value = (await ticket(server, await abearer(user)))["ticket"]
    key = "ai_models:" + tickets._key(value)
    await until(lambda: caches["default"].get(key) is None)
    async with connect({}, subprotocols=with_ticket(value)) as socket:
        assert (await socket.closed())[0] == 4401


@pytest.mark.parametrize("value", ["nonsense", "", "a" * 1000])
async def test_a_ticket_that_is_none_opens_nothing(connect: Connect, value: str) -> None:
    async with connect({}, subprotocols=with_ticket(value)) as socket:
        assert (await socket.closed())[0] == 4401


async def test_a_ticket_of_a_token_that_is_gone_opens_nothing(connect: Connect, server: LiveServer, user: User) -> None:
    value = (await ticket(server, await abearer(user)))["ticket"]
    await AuthToken.objects.filter(user=user).adelete()
    async with connect({}, subprotocols=with_ticket(value)) as socket:
        assert (await socket.closed())[0] == 4401


async def test_a_ticket_is_nobody_elses(connect: Connect, server: LiveServer, user: User, make_user: MakeUser) -> None:
    other = await sync_to_async(make_user)("eve")
    value = (await ticket(server, await abearer(user)))["ticket"]
    async with connect(await abearer(other), subprotocols=with_ticket(value)) as socket:
        assert (await socket.closed())[0] == 4401


async def test_a_ticket_of_a_session_needs_its_csrf_token(server: LiveServer, user: User) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{server.url}{BASE}/ws-ticket", headers=await cookie(user))
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["error"]["message"]


async def test_what_is_kept_of_a_ticket_is_of_no_use_to_who_reads_it(
    server: LiveServer, user: User, settings: Settings
) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "tickets"}}
    headers = await abearer(user)
    value = (await ticket(server, headers))["ticket"]
    stored = str(await sync_to_async(lambda: caches["default"]._cache)())
    assert tickets._key(value) in stored
    assert value not in stored
    assert headers["Authorization"].removeprefix("Bearer ") not in stored


async def test_without_a_key_there_are_no_tickets(server: LiveServer, user: User, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "ENCRYPTION_KEYS": ()}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{server.url}{BASE}/ws-ticket", headers=await abearer(user))
    assert answer.status_code == 503
    assert "ai_keys generate" in answer.json()["error"]["message"]


async def test_a_cache_that_keeps_nothing_is_told(server: LiveServer, user: User, settings: Settings) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    assert not shared_cache().between_processes
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{server.url}{BASE}/ws-ticket", headers=await abearer(user))
    assert answer.status_code == 503
    assert "CACHES" in answer.json()["error"]["message"]


class Slow(TokenAuthentication):
    """Takes its time with one client, as a directory service may."""

    goes_on = threading.Event()
    waiting = 0

    def authenticate(self, request: Any) -> Any:
        if "X-Slow" in request.headers:
            Slow.waiting += 1
            assert self.goes_on.wait(10)
        return super().authenticate(request)


async def test_a_lookup_that_takes_long_holds_up_nobody(
    connect: Connect, server: LiveServer, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(View, "authentication_classes", [Slow])
    Slow.goes_on.clear()
    Slow.waiting = 0
    headers = await abearer(user)

    async def opened() -> bool:
        async with connect({**headers, "X-Slow": "yes"}) as socket:
            return await works(socket)

    slow = [asyncio.create_task(opened()) for _ in range(3)]
    async with connect(headers) as socket:
        await until(lambda: Slow.waiting == 3)
        assert await works(socket)
        assert not any(task.done() for task in slow)
        Slow.goes_on.set()
        assert await asyncio.gather(*slow) == [True] * 3


class Failing(TokenAuthentication):
    """Asks a service that is gone."""

    def authenticate(self, request: Any) -> Any:
        raise ConnectionError("canary")


async def test_an_authentication_class_that_fails_is_a_fault_of_the_server(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(View, "authentication_classes", [Failing])
    async with connect() as socket:
        code, reason = await socket.closed()
    assert code == 1011
    assert "canary" not in reason
