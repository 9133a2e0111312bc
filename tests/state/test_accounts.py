"""Service accounts, what they may, and the rows that follow the host's tokens."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.models import AuthToken
from knox.settings import knox_settings
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.exceptions import AuthenticationFailed

from ai_models import accounts, tokenuse
from ai_models.capabilities import Capability
from ai_models.models import APIToken
from tests.state.test_store import environment

pytestmark = pytest.mark.django_db

EMBEDDINGS, SPEECH = Capability.EMBEDDINGS, Capability.SPEECH_GENERATION
EXPIRED = timedelta(seconds=-1)


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada", password="a password for tests")


@pytest.fixture
def without_knox(settings: Settings) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "knox"]


def states() -> list[str]:
    """The state of each token, oldest first."""
    return [token.state for token in accounts.tokens().order_by("pk")]


@contextmanager
def without_table(name: str) -> Iterator[None]:
    """A table that no migration has made."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {name} RENAME TO away")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE away RENAME TO {name}")


# --- accounts -------------------------------------------------------------------------------------------------------


def test_an_account_is_made_once() -> None:
    made, created = accounts.service_account("reporting")
    assert created
    assert accounts.is_service_account(made)
    assert not made.user_permissions.exists()
    assert accounts.service_account("reporting") == (made, False)


def test_names_that_look_alike_are_one_account() -> None:
    made, _ = accounts.service_account("ﬁle")
    assert made.username == "file"
    assert accounts.service_account("file") == (made, False)


def test_a_name_that_no_account_can_have_is_refused() -> None:
    with pytest.raises(accounts.Refused, match="valid username"):
        accounts.service_account("a b")


def test_an_account_that_another_process_makes_meanwhile_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(self: User, exclude: Any) -> None:
        User.objects.create(username="reporting", email="theirs@example.org")

    monkeypatch.setattr(User, "clean_fields", meanwhile)
    found, created = accounts.service_account("reporting")
    assert (found.email, created) == ("theirs@example.org", False)


@pytest.mark.parametrize("changed", [{"is_staff": True}, {"is_superuser": True}, {"password": "a password for tests"}])
def test_people_are_no_service_accounts(changed: dict[str, Any]) -> None:
    password = changed.pop("password", None)
    assert not accounts.is_service_account(User.objects.create_user("ada", password=password, **changed))


@pytest.mark.parametrize("kind", ["user", "group"])
def test_capabilities_are_granted_and_withdrawn(ada: User, kind: str) -> None:
    holder: Any = ada
    if kind == "group":
        holder = Group.objects.create(name="readers")
        ada.groups.add(holder)
    accounts.grant(holder, [EMBEDDINGS, SPEECH])
    accounts.withdraw(holder, iter([SPEECH, Capability.TRANSCRIPTION]))
    ada = User.objects.get()
    assert [item for item in Capability if ada.has_perm(item.permission)] == [EMBEDDINGS]


def test_a_permission_that_is_not_there_yet_is_told(ada: User) -> None:
    Permission.objects.get(codename=SPEECH.codename).delete()
    for change in (accounts.grant, accounts.withdraw):
        with pytest.raises(accounts.Refused, match="do not exist yet"):
            change(ada, [EMBEDDINGS, SPEECH])
    assert not ada.user_permissions.exists()


# --- rows follow tokens ---------------------------------------------------------------------------------------------


def test_a_token_made_anywhere_has_a_row(ada: User) -> None:
    made, token = AuthToken.objects.create(ada, expiry=timedelta(days=2))
    row = accounts.tokens().get()
    assert (row.digest, row.prefix, row.user) == (made.digest, token[:15], ada)
    assert (row.created_at, row.expires_at, row.revoked_at) == (made.created, made.expiry, None)
    assert (row.state, row.label, row.created_by, row.last_used_at) == ("active", "", None, None)


def test_a_token_deleted_anywhere_is_revoked(ada: User) -> None:
    for _ in range(3):
        AuthToken.objects.create(ada)
    AuthToken.objects.first().delete()
    AuthToken.objects.all().delete()
    assert states() == ["revoked"] * 3
    revoked: list[datetime] = list(APIToken.objects.values_list("revoked_at", flat=True))
    assert all(timezone.now() - at < timedelta(minutes=1) for at in revoked)


def test_an_expired_token_stays_expired_when_it_is_cleared_away(ada: User) -> None:
    AuthToken.objects.create(ada, expiry=EXPIRED)
    assert states() == ["expired"]
    AuthToken.objects.all().delete()
    assert states() == ["expired"]
    assert APIToken.objects.get().revoked_at is None


def test_a_renewed_token_expires_later(ada: User) -> None:
    made, _ = AuthToken.objects.create(ada, expiry=timedelta(days=1))
    made.expiry += timedelta(days=30)
    made.save(update_fields=["expiry"])
    assert APIToken.objects.get().expires_at == made.expiry


def test_with_a_user_go_its_rows_and_not_those_it_made(ada: User) -> None:
    service, _ = accounts.service_account("reporting")
    kept, _ = accounts.issue(service, by=ada)
    accounts.issue(ada)
    ada.delete()
    assert accounts.tokens().get() == kept
    assert accounts.tokens().get().created_by is None
    User.objects.filter(pk=service.pk).delete()
    assert not APIToken.objects.exists()
    connection.check_constraints()


def test_what_was_dumped_can_be_loaded(ada: User, tmp_path: Path) -> None:
    accounts.issue(ada, label="dumped")
    file = str(tmp_path / "dump.json")
    call_command("dumpdata", "knox", "auth.user", "ai_models.apitoken", output=file)
    User.objects.all().delete()
    call_command("loaddata", file, verbosity=0)
    assert accounts.tokens().get().label == "dumped"


def test_tokens_from_before_this_app_get_rows_when_they_are_looked_at(ada: User) -> None:
    AuthToken.objects.create(ada)
    made, _ = AuthToken.objects.create(ada, expiry=EXPIRED)
    APIToken.objects.all().delete()
    assert sorted(states()) == ["active", "expired"]
    assert APIToken.objects.get(digest=made.digest).created_at == made.created


def test_tokens_that_went_without_a_signal_are_revoked(ada: User) -> None:
    for expiry in (EXPIRED, None):
        AuthToken.objects.create(ada, expiry=expiry)
    AuthToken.objects.all()._raw_delete(using="default")
    assert states() == ["expired", "revoked"]


@pytest.mark.django_db(transaction=True)
def test_a_page_of_tokens_costs_three_queries(ada: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for number in range(20):
        user, _ = accounts.service_account(f"service{number}")
        accounts.issue(user, by=ada)
    with django_assert_num_queries(3):
        shown = [(token.user.username, token.created_by.username, token.state) for token in accounts.tokens()]
    assert shown[0] == ("service19", "ada", "active")
    with django_assert_num_queries(3):
        assert [token.user for token in accounts.tokens_of([user])] == [user]


def test_a_host_that_is_not_migrated_loses_no_token(ada: User, caplog: pytest.LogCaptureFixture) -> None:
    with transaction.atomic(), without_table("ai_models_apitoken"):
        made, _ = AuthToken.objects.create(ada)
    assert "could not be kept" in caplog.text
    assert accounts.tokens().get().digest == made.digest
    with transaction.atomic(), without_table("ai_models_apitoken"):
        made.delete()
    assert states() == ["revoked"]


def test_tokens_can_be_looked_at_before_the_host_is_migrated(ada: User, caplog: pytest.LogCaptureFixture) -> None:
    AuthToken.objects.create(ada)
    with without_table("knox_authtoken"):
        assert states() == ["active"]
    assert "could not be kept" in caplog.text


# --- making and revoking --------------------------------------------------------------------------------------------


def opens(token: str) -> bool:
    """Whether the host authenticates the token."""
    try:
        TokenAuthentication().authenticate_credentials(token.encode())
    except AuthenticationFailed:
        return False
    return True


def test_a_token_is_issued_and_stored_nowhere(ada: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    service, _ = accounts.service_account("reporting")
    row, token = accounts.issue(service, label="nightly report", days=30, by=ada)
    assert opens(token)
    shown = accounts.tokens().get()
    assert (shown, shown.user, shown.label, shown.created_by, shown.state) == (row, service, "nightly report", ada, "active")
    assert timedelta(days=29) < shown.expires_at - timezone.now() <= timedelta(days=30)
    for kept in (*AuthToken.objects.values(), *APIToken.objects.values(), str(row), repr(row), caplog.text):
        assert token not in str(kept)
    assert f"made by {ada.pk}" in caplog.text
    assert row.prefix not in caplog.text


def test_without_days_a_token_never_expires(ada: User) -> None:
    row, token = accounts.issue(ada)
    assert row.expires_at is None
    assert opens(token)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"days": 0}, "1 to 36500 days"),
        ({"days": -1}, "1 to 36500 days"),
        ({"days": 10**9}, "1 to 36500 days"),
        ({"label": "a" * 65}, "label: .*at most 64 characters"),
    ],
)
def test_a_token_that_cannot_be_is_refused(ada: User, options: dict[str, Any], message: str) -> None:
    with pytest.raises(accounts.Refused, match=message):
        accounts.issue(ada, **options)
    assert not AuthToken.objects.exists()


def test_the_longest_days_and_label_are_taken(ada: User) -> None:
    assert opens(accounts.issue(ada, label="a" * 64, days=accounts.LONGEST_DAYS)[1])


def test_an_inactive_account_gets_no_token(ada: User) -> None:
    ada.is_active = False
    with pytest.raises(accounts.Refused, match="ada is not active"):
        accounts.issue(ada)


def test_a_revoked_token_opens_nothing_and_stays_known(ada: User) -> None:
    row, token = accounts.issue(ada)
    accounts.revoke(row, by=ada)
    first = row.revoked_at
    assert first is not None
    assert not opens(token)
    accounts.revoke(row)
    assert row.revoked_at == first
    assert states() == ["revoked"]


def test_an_expired_token_is_cleared_away_and_not_revoked(ada: User) -> None:
    AuthToken.objects.create(ada, expiry=EXPIRED)
    accounts.revoke(APIToken.objects.get())
    assert not AuthToken.objects.exists()
    assert states() == ["expired"]


def test_a_token_that_went_without_a_signal_can_be_revoked(ada: User) -> None:
    row, _ = accounts.issue(ada)
    AuthToken.objects.all()._raw_delete(using="default")
    accounts.revoke(row)
    assert row.revoked_at is not None


def test_the_hosts_prefix_of_tokens_is_shown(ada: User, settings: Settings) -> None:
    settings.REST_KNOX = {**settings.REST_KNOX, "TOKEN_PREFIX": "acme_"}
    assert knox_settings.TOKEN_PREFIX == "acme_"
    row, token = accounts.issue(ada)
    assert str(row) == f"{token[:15]}…"
    assert row.prefix.startswith("acme_")
    assert opens(token)


# --- without tokens, and with the host's own models -----------------------------------------------------------------


@pytest.mark.usefixtures("without_knox")
def test_without_knox_there_are_no_tokens(ada: User) -> None:
    row = APIToken.objects.create(digest="a", user=ada, prefix="a", created_at=timezone.now())
    assert accounts.token_model() is None
    assert not accounts.tokens().exists()
    assert not accounts.tokens_of([ada]).exists()
    for change in (lambda: accounts.issue(ada), lambda: accounts.revoke(row)):
        with pytest.raises(accounts.Refused, match="django-rest-knox"):
            change()
    accounts.reconcile()
    tokenuse.note(None)
    row.refresh_from_db()
    assert row.revoked_at is None


def run(code: str, folder: Path, url: str = "sqlite://:memory:") -> None:
    """Run code in a process of its own, in which modules of the folder can be imported."""
    path = os.pathsep.join([str(folder), str(Path.cwd())])
    env = {**os.environ, "DATABASE_URL": url, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


WITHOUT_KNOX = """
from tests import settings
settings.INSTALLED_APPS.remove("knox")
settings.REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"].remove("knox.auth.TokenAuthentication")
import django, sys
django.setup()
from django.core.management import call_command
call_command("check")
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_superuser("ada"))
assert client.get("/api/ai/v1/providers").status_code == 200
assert "knox" not in sys.modules
"""


def test_the_app_works_without_knox(tmp_path: Path) -> None:
    run(WITHOUT_KNOX, tmp_path)


HOST_MODELS = """
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from knox.models import AbstractAuthToken

class Member(AbstractBaseUser, PermissionsMixin):
    USERNAME_FIELD = "email"
    email = models.EmailField(unique=True)
    badge = models.CharField(max_length=8, null=True, unique=True, default=None)
    objects = BaseUserManager()

class Token(AbstractAuthToken):
    note = models.TextField(default="the host's")
"""

HOST = """
from tests import settings
settings.INSTALLED_APPS.append("acme")
settings.AUTH_USER_MODEL, settings.KNOX_TOKEN_MODEL = "acme.Member", "acme.Token"
import django
django.setup()
from django.core.management import call_command
call_command("migrate", run_syncdb=True, verbosity=0)
from django.test import Client
from acme.models import Member, Token
from ai_models import accounts
from ai_models.capabilities import Capability
from ai_models.models import APIToken

member, created = accounts.service_account("reports@example.org")
assert created and type(member) is Member and accounts.is_service_account(member)
accounts.grant(member, Capability)
row, token = accounts.issue(member)
headers = {"Authorization": f"Bearer {token}"}
assert Client().get("/api/ai/v1/providers", headers=headers).status_code == 200
row.refresh_from_db()
assert row.last_used_at is not None
Token.objects.all().delete()
assert accounts.tokens().get().state == "revoked"
assert Client().get("/api/ai/v1/providers", headers=headers).status_code == 401

Member._meta.get_field("badge").default = ""
accounts.service_account("one@example.org")
try:
    accounts.service_account("two@example.org")
except accounts.Refused as error:
    assert "needs more than a name" in str(error)
else:
    raise AssertionError
"""


def test_the_hosts_own_users_and_tokens_are_taken(tmp_path: Path) -> None:
    package = tmp_path / "acme"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "models.py").write_text(HOST_MODELS)
    run(HOST, tmp_path)


# --- the use of tokens in other kinds of processes ------------------------------------------------------------------

IN_MEMORY = """
import django, threading
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.db import transaction
from knox.models import AuthToken
from ai_models import accounts, tokenuse
from ai_models.models import APIToken

user, _ = accounts.service_account("reporting")
row, _ = accounts.issue(user)
with transaction.atomic():
    tokenuse.note(AuthToken.objects.get())
row.refresh_from_db()
assert row.last_used_at is not None
assert threading.active_count() == 1
"""


def test_in_a_database_in_memory_a_use_is_written_at_once(tmp_path: Path) -> None:
    run(IN_MEMORY, tmp_path)


FORK = """
import os, sys, django
django.setup()
from django.db import connections
from knox.models import AuthToken
from ai_models import tokenuse
from ai_models.models import APIToken

auth = AuthToken.objects.get()
connections.close_all()
tokenuse._uses.writing = True  # as if a thread were writing at the moment of the fork
tokenuse._uses.lock.acquire()
child = os.fork()
if child == 0:
    tokenuse.note(auth)
    tokenuse._uses.writer.join(30)
    os._exit(0 if APIToken.objects.get().last_used_at else 3)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.django_db(transaction=True)
def test_a_forked_process_notes_for_itself(ada: User, tmp_path: Path) -> None:
    accounts.issue(ada)
    run(FORK, tmp_path, environment()["DATABASE_URL"])
