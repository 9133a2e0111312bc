"""Who gets in, and what each may do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from knox.models import AuthToken
from pytest_django import Settings

from ai_models.models import ProviderInstance
from tests.api.conftest import BASE, Api, MakeUser, bearer
from tests.api.scripted import Scripted

BODY = '{"prompt": "a"}'


@pytest.fixture
def browser(provider: ProviderInstance, user: User) -> Client:
    """A signed-in browser, with Django's CSRF protection on."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize(
    "path", ["generate-text", "stream-text", "generate-object", "embed", "resolve", "providers/main/check"]
)
def test_nobody_gets_in_without_a_credential(api: Api, path: str) -> None:
    response = api.client.post(f"{BASE}/{path}", BODY, content_type="application/json")
    assert code(response) == (401, "unauthenticated")
    assert response["WWW-Authenticate"] == "Bearer"


async def test_a_stream_that_is_not_permitted_is_refused_before_any_call(
    transactional_db: None, api: Api, make_user: MakeUser
) -> None:
    headers = await sync_to_async(lambda: bearer(make_user("eve", "use_transcription")))()
    response = await AsyncClient().post(
        "/api/ai/v1/stream-text", {"prompt": "a"}, content_type="application/json", headers=headers
    )
    assert code(response) == (403, "permission_denied")
    assert not Scripted.requests


def test_a_stream_is_refused_under_wsgi(api: Api) -> None:
    assert code(api.post("stream-text", {"prompt": "a"})) == (422, "unsupported_functionality")


@pytest.mark.parametrize("path", ["providers", "providers/main", "models"])
def test_nobody_looks_without_a_credential(api: Api, path: str) -> None:
    assert code(api.client.get(f"{BASE}/{path}")) == (401, "unauthenticated")


@pytest.mark.parametrize("header", ["Bearer", "Bearer nonsense", "Bearer a b", "Bearer " + "0" * 64, "Bearer \xff"])
def test_a_bad_token_is_refused_without_repeating_it(api: Api, header: str) -> None:
    response = api.client.post(
        f"{BASE}/generate-text", BODY, content_type="application/json", headers={"Authorization": header}
    )
    assert code(response) == (401, "unauthenticated")
    assert "nonsense" not in response.content.decode()


def test_an_expired_token_is_refused(api: Api, user: User) -> None:
    _, token = AuthToken.objects.create(user, expiry=timedelta(seconds=-1))
    assert code(api.post("generate-text", {"prompt": "a"}, Authorization=f"Bearer {token}")) == (401, "unauthenticated")


def test_the_token_of_an_inactive_user_is_refused(api: Api, user: User) -> None:
    user.is_active = False
    user.save()
    assert code(api.post("generate-text", {"prompt": "a"})) == (401, "unauthenticated")


def test_a_401_names_a_scheme_whichever_authenticator_comes_first(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from rest_framework.authentication import SessionAuthentication

    from ai_models.api.views import View

    monkeypatch.setattr(View, "authentication_classes", (SessionAuthentication,))
    response = api.client.post(f"{BASE}/generate-text", BODY, content_type="application/json")
    assert code(response) == (401, "unauthenticated")
    assert response["WWW-Authenticate"] == "Session"


def test_a_session_may_read(browser: Client) -> None:
    assert browser.get(f"{BASE}/providers").status_code == 200


def test_a_session_may_not_write_without_the_csrf_token(browser: Client) -> None:
    response = browser.post(f"{BASE}/generate-text", BODY, content_type="application/json")
    assert code(response) == (403, "permission_denied")
    assert not Scripted.requests


def test_a_session_writes_with_the_csrf_token(browser: Client) -> None:
    secret = "a" * 32
    browser.cookies["csrftoken"] = secret
    response = browser.post(f"{BASE}/generate-text", BODY, content_type="application/json", headers={"X-CSRFToken": secret})
    assert response.status_code == 200, response.content


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("generate-text", {"prompt": "a"}),
        ("generate-object", {"prompt": "a", "schema": {"type": "object"}}),
        ("embed", {"value": "a"}),
    ],
)
def test_a_capability_that_is_not_permitted_is_refused_before_any_call(
    api: Api, make_user: MakeUser, path: str, body: dict[str, Any]
) -> None:
    stranger = Api(api.client, bearer(make_user("eve", "use_transcription")))
    assert code(stranger.post(path, body)) == (403, "permission_denied")
    assert not Scripted.requests


@pytest.mark.parametrize("path", ["providers", "providers/main", "providers/nobody", "models"])
def test_looking_needs_some_permission(api: Api, make_user: MakeUser, path: str) -> None:
    assert code(Api(api.client, bearer(make_user("eve"))).get(path)) == (403, "permission_denied")


@pytest.mark.parametrize("codename", ["use_embeddings", "use_video_generation", "view_providerinstance"])
def test_any_of_these_permissions_is_enough_to_look(api: Api, make_user: MakeUser, codename: str) -> None:
    assert Api(api.client, bearer(make_user("eve", codename))).get("providers").status_code == 200


@pytest.mark.parametrize("name", ["main", "nobody"])
def test_a_check_needs_the_change_permission(api: Api, name: str) -> None:
    assert code(api.post(f"providers/{name}/check")) == (403, "permission_denied")


@pytest.mark.parametrize("path", ["schema", "docs"])
def test_the_description_of_the_api_is_open(api: Api, path: str) -> None:
    assert api.client.get(f"{BASE}/{path}").status_code == 200


def test_a_forged_host_is_refused(api: Api, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["localhost"]
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware", *settings.MIDDLEWARE]
    assert api.get("providers", Host="evil.example").status_code == 400
