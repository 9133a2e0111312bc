"""What somebody who means harm, or a bad moment, gets out of the admin: nothing."""

from __future__ import annotations

import contextlib
import logging
import string
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client
from django.views.debug import ExceptionReporter
from pytest_django import Settings

from ai_models import keyring
from ai_models.admin import actions, grid
from ai_models.admin.listing import facts_of
from ai_models.encryption import generate_key
from ai_models.keyring import key_ring
from ai_models.models import ProviderInstance
from ai_models.snapshot import InstanceState
from tests.admin.conftest import ALL, CHANGE, PREFIX, SignIn, address
from tests.admin.forms import form_on
from tests.admin.test_provider import KEY, fields_of, one, submit
from tests.state.conftest import MakeInstance, make_instance, vendor_families

ENTERED = "canary-77b0e9c3"

__all__ = ["make_instance", "one", "vendor_families"]


def test_the_list_is_not_asked_by_columns_until_it_has_told_a_ciphertext(sign_in: SignIn, one: ProviderInstance) -> None:
    client = sign_in("view_providerinstance")
    for column in ("credentials__apiKey__startswith", "declaration_seal__startswith", "options__baseURL__startswith"):
        answers = {client.get(PREFIX, {column: letter}).status_code for letter in string.ascii_letters[:3]}
        assert answers == {400}
    assert client.get(PREFIX, {"credentials__has_key": "apiKey"}).status_code == 400
    assert client.get(PREFIX, {"family": "a\0b"}).status_code in (302, 400)


class Reports(logging.Handler):
    """Reports of failed requests, as Django mails them to ``ADMINS`` and as services that watch for errors make them."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: Any) -> None:
        reporter = ExceptionReporter(record.request, *record.exc_info, is_email=True)
        self.texts += [reporter.get_traceback_text(), reporter.get_traceback_html()]


@pytest.fixture
def reports() -> Iterator[Reports]:
    handler, logger = Reports(), logging.getLogger("django.request")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def in_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_models.credentials.put", fails)


def before_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE auth_user RENAME TO gone")


@pytest.mark.parametrize("failure", [in_the_form, before_the_view])
@pytest.mark.parametrize("debug", [True, False])
def test_an_error_report_has_nothing_of_what_was_entered(
    sign_in: SignIn,
    one: ProviderInstance,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    reports: Reports,
    failure: Callable[[pytest.MonkeyPatch], None],
    debug: bool,
) -> None:
    settings.DEBUG = debug
    client = sign_in(*CHANGE)
    client.raise_request_exception = False
    changes = {"credential_apiKey-action": "replace", "credential_apiKey-value": ENTERED}
    target, entered = address("one"), {**form_on(client.get(address("one"))), **changes}
    failure(monkeypatch)
    response = client.post(target, entered)
    assert response.status_code == 500
    shown = [*reports.texts, response.content.decode()]
    assert "credential_apiKey-value" in shown[0]
    assert all(ENTERED not in text for text in shown)


def test_no_frame_of_a_rotation_that_fails_has_a_credential(
    one: ProviderInstance, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = (generate_key(), *settings.AI_MODELS["ENCRYPTION_KEYS"])
    settings.AI_MODELS = {**settings.AI_MODELS, "ENCRYPTION_KEYS": newer}
    monkeypatch.setattr(ProviderInstance, "save", fails)
    with pytest.raises(RuntimeError) as caught:
        keyring.rotate(key_ring())
    seen = [repr(value) for entry in caught.traceback for value in entry.frame.f_locals.values()]
    assert all(KEY not in text for text in seen)


def fails(*given: Any, **more: Any) -> None:
    raise RuntimeError("The disk is full.")


# --- where a credential may go ---------------------------------------------------------------------------------------


def add(client: Client, family: str, **fields: str) -> Any:
    page = f"{PREFIX}add/?family={family}"
    return client.post(page, {**form_on(client.get(page)), **fields})


def test_a_region_is_not_made_into_another_host(sign_in: SignIn) -> None:
    client = sign_in(*ALL)
    keys = {"credential_accessKeyId-value": "AKIA", "credential_secretAccessKey-value": KEY}
    assert add(client, "bedrock", name="aws", option_region="us-east-1", **keys).status_code == 302
    moved = submit(client, "aws", option_region="x.attacker.example/")
    assert "not the name of a region" in str(fields_of(moved)["option_region"])


def test_the_machines_credential_does_not_go_to_an_administrators_address(sign_in: SignIn) -> None:
    response = add(sign_in(*ALL), "bedrock", name="aws", option_region="us-east-1", option_baseURL="https://attacker.example")
    assert "another address only where the configuration file says so" in str(fields_of(response)["__all__"])
    row = ProviderInstance(name="aws", family="bedrock", options={"region": "us-east-1", "baseURL": "https://attacker.example"})
    assert facts_of(row).state is InstanceState.MISCONFIGURED
    row.managed = True
    assert facts_of(row).state is InstanceState.READY


@pytest.mark.parametrize("path", ["/etc/passwd", "/nowhere", "a" * 5000])
def test_an_administrator_names_no_file_of_the_server(sign_in: SignIn, path: str) -> None:
    errors = fields_of(add(sign_in(*ALL), "local", name="mine", option_modelPath=path))
    assert "only the configuration file" in str(errors["option_modelPath"])


# --- rows that are odd -----------------------------------------------------------------------------------------------


def test_a_null_character_in_an_alias_is_refused(sign_in: SignIn, one: ProviderInstance) -> None:
    assert submit(sign_in(*CHANGE), "one", **{"capabilities-0-aliases": "a\0b = c"}).status_code == 200


@pytest.mark.parametrize("legacy", ["v1.deadbeef.xxxx", None])
def test_a_credential_that_the_family_no_longer_asks_for_goes_with_the_next_save(
    sign_in: SignIn, one: ProviderInstance, legacy: str | None
) -> None:
    stored = legacy or key_ring().encrypt("x", row=str(one.pk), name="legacyKey")
    one.credentials = {**one.credentials, "legacyKey": stored}
    one.save()
    again = {"credential_apiKey-action": "replace", "credential_apiKey-value": "next"}
    assert submit(sign_in(*CHANGE), "one", option_baseURL="https://two.example/v1", **again).status_code == 302
    one.refresh_from_db()
    assert set(one.credentials) == {"apiKey"}
    assert facts_of(one).state is InstanceState.READY


def test_what_is_gone_from_the_file_is_not_enabled_on_its_page_either(sign_in: SignIn, make_instance: MakeInstance) -> None:
    make_instance("gone", secrets={"apiKey": KEY}, managed=True, orphaned=True, enabled=False)
    assert "enabled" in fields_of(submit(sign_in(*CHANGE), "gone", enabled="on"))
    assert not ProviderInstance.objects.get(name="gone").enabled


def test_a_default_that_went_away_meanwhile_is_told(
    sign_in: SignIn, one: ProviderInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = actions.lock_revision

    def vanish() -> None:
        lock()
        ProviderInstance.objects.filter(pk=one.pk).delete()

    monkeypatch.setattr(actions, "lock_revision", vanish)
    chosen = {"action": "make_default", "_selected_action": [str(one.pk)]}
    assert "It is gone" in sign_in(*ALL).post(PREFIX, chosen, follow=True).content.decode()


# --- requests that no page sends -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["overview", "explain", "access", "checks", "playground"])
@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(sign_in: SignIn, page: str, method: str) -> None:
    client = sign_in("view_providerinstance", "view_apitoken", "use_embeddings")
    assert getattr(client, method)(f"{PREFIX}{page}/").status_code == 405


@pytest.mark.parametrize("page", ["", "add/?family=vendor", "overview/", "access/", "checks/"])
def test_a_form_of_another_site_is_refused(sign_in: SignIn, vendor_families: None, page: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = sign_in(*ALL).cookies
    assert client.post(f"{PREFIX}{page}", {"action": "rotate"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_change_each_other_do_not_lock_each_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    users = [User.objects.create_superuser(f"admin{number}", password="x") for number in range(2)]
    both = threading.Barrier(2, timeout=5)
    record, answers = grid.record, {}

    def waiting(*given: Any, **more: Any) -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):  # where writers queue up anyway
            both.wait()
        return record(*given, **more)

    def change(me: User, other: User) -> None:
        client = Client(raise_request_exception=False)
        client.force_login(me)
        sent = {"do": "users", f"shown-{other.pk}": "", f"given-{other.pk}": ["embeddings"]}
        try:
            answers[me.pk] = client.post(f"{PREFIX}access/?part=grid", sent).status_code
        finally:
            connections.close_all()

    monkeypatch.setattr(grid, "record", waiting)
    threads = [threading.Thread(target=change, args=pair) for pair in (users, users[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert list(answers.values()) == [302, 302]
