"""The websocket's client for the tests of a host."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from django.contrib.auth.models import Permission, User

from ai_models.consumers import AIModelsConsumer
from ai_models.routing import websocket_urlpatterns
from ai_models.testing import scripted_models
from ai_models.testing.websocket import SocketClosed, WebsocketClient, text_of
from tests.api.conftest import bearer

pytestmark = pytest.mark.django_db(transaction=True)

APPLICATION = URLRouter(websocket_urlpatterns)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.fixture
def ada() -> User:
    user = User.objects.create_user("ada")
    codenames = ("use_text_generation", "use_structured_output")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


async def test_a_host_tests_what_its_page_gets(ada: User) -> None:
    with scripted_models("Hello yourself.", {"a": 1}):
        async with WebsocketClient(APPLICATION, user=ada) as socket:
            events = await socket.stream_text({"prompt": "Hello"})
            assert text_of(events) == "Hello yourself."
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
            events = await socket.stream_object({"prompt": "Hello", "schema": SCHEMA})
            assert [event["data"] for event in events if event["type"] == "data-object"][-1] == {"a": 1}
            await socket.send(type="ping")
            assert await socket.receive() == {"type": "pong"}


async def test_what_a_user_may_not_is_an_error(ada: User) -> None:
    await sync_to_async(ada.user_permissions.clear)()
    with scripted_models("Hello yourself.") as models:
        async with WebsocketClient(APPLICATION, user=ada) as socket:
            assert (await socket.stream_text({"prompt": "Hello"}))[-1]["error"]["code"] == "permission_denied"
    assert not models.asked


async def test_headers_and_paths_can_be_others(ada: User) -> None:
    token = await sync_to_async(bearer)(ada)
    consumer: Any = AIModelsConsumer.as_asgi()
    with scripted_models("Hi"):
        async with WebsocketClient(consumer, headers=token, path="/ws/elsewhere/") as socket:
            assert text_of(await socket.stream_text({"prompt": "a"}, streamId="mine")) == "Hi"


async def test_a_stranger_is_closed_out() -> None:
    async with WebsocketClient(APPLICATION) as socket:
        with pytest.raises(SocketClosed, match="4401") as closed:
            await socket.receive()
        assert closed.value.code == 4401


async def test_a_foreign_page_is_refused(ada: User) -> None:
    with pytest.raises(SocketClosed) as closed:
        async with WebsocketClient(APPLICATION, headers={"cookie": "sessionid=a", "origin": "http://evil.example"}):
            pass
    assert closed.value.code == 1008
