"""``ai_token``: service accounts and their tokens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.test import RequestFactory
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.models import AuthToken
from knox.settings import knox_settings
from pytest_django import Settings

from ai_models.capabilities import Capability
from ai_models.models import APIToken
from tests.commands.conftest import Run

pytestmark = pytest.mark.django_db


def permissions(name: str) -> set[str]:
    return set(User.objects.get(username=name).user_permissions.values_list("codename", flat=True))


def test_the_last_line_is_a_token_that_authenticates(run: Run) -> None:
    token = run("ai_token", "service").splitlines()[-1]
    request = RequestFactory().get("/", headers={"Authorization": f"{knox_settings.AUTH_HEADER_PREFIX} {token}"})
    user, _ = TokenAuthentication().authenticate(request)
    assert (user.username, user.is_active, user.is_staff, user.has_usable_password()) == ("service", True, False, False)
    assert AuthToken.objects.get().expiry is None
    assert token not in str(AuthToken.objects.values().get())


def test_a_new_account_may_use_every_capability(run: Run) -> None:
    run("ai_token", "service")
    assert permissions("service") == {capability.codename for capability in Capability}


def test_a_new_account_may_use_what_was_named(run: Run) -> None:
    run("ai_token", "service", "--capability", "embeddings", "--capability", "transcription")
    assert permissions("service") == {"use_embeddings", "use_transcription"}


def test_an_existing_account_keeps_what_it_has(run: Run) -> None:
    User.objects.create_user("ada", password="a password for tests")
    run("ai_token", "ada")
    assert permissions("ada") == set()
    run("ai_token", "ada", "--capability", "embeddings")
    assert permissions("ada") == {"use_embeddings"}
    assert User.objects.get(username="ada").has_usable_password()
    assert AuthToken.objects.count() == 2


def test_an_inactive_account_gets_no_token(run: Run) -> None:
    User.objects.create_user("gone", is_active=False)
    with pytest.raises(CommandError, match="not active"):
        run("ai_token", "gone")
    assert not AuthToken.objects.exists()


def test_a_label_tells_what_a_token_is_for(run: Run) -> None:
    run("ai_token", "service", "--label", "nightly report")
    run("ai_token", "service")
    assert list(APIToken.objects.order_by("pk").values_list("label", flat=True)) == ["nightly report", ""]
    with pytest.raises(CommandError, match="at most 64"):
        run("ai_token", "another", "--label", "a" * 65)
    assert not User.objects.filter(username="another").exists()


def test_a_token_expires_when_it_is_told_to(run: Run) -> None:
    run("ai_token", "service", "--days", "2")
    assert timedelta(days=1) < AuthToken.objects.get().expiry - timezone.now() <= timedelta(days=2)


@pytest.mark.parametrize("days", ["0", "-1", "1000000000"])
def test_days_that_no_token_lives_are_refused(run: Run, days: str) -> None:
    with pytest.raises(CommandError, match="days"):
        run("ai_token", "service", "--days", days)
    assert not User.objects.exists()


@pytest.mark.parametrize("name", ["", "a b", "a" * 151])
def test_a_name_no_account_can_have_is_refused(run: Run, name: str) -> None:
    with pytest.raises(CommandError):
        run("ai_token", name)
    assert not User.objects.exists()


def test_an_unknown_capability_is_refused(run: Run) -> None:
    with pytest.raises(CommandError, match="telepathy"):
        run("ai_token", "service", "--capability", "telepathy")


def test_without_knox_it_says_what_to_do(run: Run, settings: Settings) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "knox"]
    with pytest.raises(CommandError, match="django-rest-knox"):
        run("ai_token", "service")
