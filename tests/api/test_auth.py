"""Who gets in, and what each may do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken
from pytest_django import Settings

from ai_models import accounts, tokenuse
from ai_models.models import APIToken, ProviderInstance
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


# --- the use of tokens ----------------------------------------------------------------------------------------------


def written() -> None:
    """Wait until every use is written."""
    if tokenuse._uses.writer is not None:
        tokenuse._uses.writer.join(30)


def used(**which: Any) -> datetime | None:
    """When a token was last used."""
    written()
    return APIToken.objects.get(**which).last_used_at


@pytest.mark.parametrize("address", ["/api/ai/v1/providers", "/api/ai/openai/v1/models", "/api/ai/v1/providers/nobody"])
def test_a_call_tells_when_its_token_was_used(api: Api, address: str) -> None:
    assert used() is None
    before = datetime.now().astimezone()
    api.client.get(address, headers=api.headers)
    at = used()
    assert at is not None
    assert before <= at <= datetime.now().astimezone()


def test_a_session_uses_no_token(api: Api, browser: Client) -> None:
    assert browser.get(f"{BASE}/providers").status_code == 200
    assert used() is None


def test_a_token_that_is_refused_was_not_used(api: Api, user: User) -> None:
    user.is_active = False
    user.save()
    assert api.get("providers").status_code == 401
    assert used() is None


def test_within_a_minute_nothing_more_is_written(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.get("providers")
    assert used() is not None
    APIToken.objects.update(last_used_at=None)
    with CaptureQueriesContext(connection) as queries:
        assert api.get("providers").status_code == 200
    assert not [query["sql"] for query in queries if "ai_models_apitoken" in query["sql"]]
    assert used() is None
    monkeypatch.setattr(tokenuse, "NOTE_SECONDS", 0.0)
    api.get("providers")
    assert used() is not None


def test_what_was_noted_is_forgotten_after_a_minute(api: Api, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    api.get("providers")
    monkeypatch.setattr(tokenuse, "NOTE_SECONDS", 0.0)
    row, token = accounts.issue(user)
    api.get("providers", Authorization=f"Bearer {token}")
    assert list(tokenuse._uses.noted) == [row.digest]


def test_a_token_from_before_this_app_is_noted_too(api: Api) -> None:
    APIToken.objects.all().delete()
    api.get("providers")
    assert used() is not None


def test_a_revoked_token_gets_nobody_in(api: Api) -> None:
    token = accounts.tokens().get()
    assert api.get("providers").status_code == 200
    accounts.revoke(token)
    assert code(api.get("providers")) == (401, "unauthenticated")
    assert accounts.tokens().get().state == "revoked"
    assert used() is not None


def test_an_expired_token_is_known_to_be_expired(api: Api, user: User) -> None:
    made, token = AuthToken.objects.create(user, expiry=timedelta(seconds=-1))
    assert code(api.get("providers", Authorization=f"Bearer {token}")) == (401, "unauthenticated")
    assert not AuthToken.objects.filter(pk=made.pk).exists()
    assert accounts.tokens().get(digest=made.pk).state == "expired"


@contextmanager
def locked_rows() -> Iterator[None]:
    """Somebody else has written to the rows, and not committed yet."""
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                APIToken.objects.update(label="locked")
                locked.set()
                done.wait(30)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert locked.wait(30)
        try:
            yield
        finally:
            done.set()
            holding.result(30)


def test_a_locked_row_holds_no_call_up(api: Api) -> None:
    with locked_rows():
        assert api.get("providers").status_code == 200
        assert tokenuse._uses.writer is not None
        assert tokenuse._uses.writer.is_alive()
        assert APIToken.objects.get().last_used_at is None
    assert used() is not None
    assert APIToken.objects.get().label == "locked"


@contextmanager
def table_away() -> Iterator[None]:
    """The table of the rows is not there."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ai_models_apitoken RENAME TO away")
    try:
        yield
    finally:
        written()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO ai_models_apitoken")


def test_a_use_that_cannot_be_written_fails_no_call_and_is_told_once(
    api: Api, user: User, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenuse, "_uses", tokenuse._Uses())
    headers = [api.headers, bearer(user), bearer(user)]
    with table_away():
        for header in headers:
            assert api.get("providers", **header).status_code == 200
            written()
    assert [record.getMessage() for record in caplog.records if record.name == "ai_models.tokenuse"] == [
        "The use of API tokens cannot be noted (OperationalError)."
        if connection.vendor == "sqlite"
        else "The use of API tokens cannot be noted (ProgrammingError)."
    ]
    monkeypatch.setattr(tokenuse, "NOTE_SECONDS", 0.0)
    for header in headers:
        api.get("providers", **header)
    assert all(used(pk=row.pk) for row in APIToken.objects.all())


def test_a_process_that_can_have_no_more_threads_notes_later(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(tokenuse, "_uses", tokenuse._Uses())
    monkeypatch.setattr(tokenuse, "NOTE_SECONDS", 0.0)
    with monkeypatch.context() as limited:
        limited.setattr(tokenuse, "threading", SimpleNamespace(Thread=NoThread))
        assert api.get("providers").status_code == 200
    assert APIToken.objects.get().last_used_at is None
    api.get("providers")
    assert used() is not None
