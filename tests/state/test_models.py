"""The rows: what they enforce, what they show, and that every change of them raises the revision."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction

from ai_models.capabilities import Capability
from ai_models.facts import stored_revision
from ai_models.models import ConfigRevision, ProviderCapability, ProviderInstance, bump_revision, lock_revision
from tests.state.conftest import MakeInstance

CANARY = "sk-canary-77aa"


def test_names_are_unique_and_case_does_not_count(make_instance: MakeInstance) -> None:
    make_instance("openai")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_instance("OpenAI")
    with pytest.raises(ValidationError, match="case does not count"):
        ProviderInstance(name="OPENAI", family="vendor").full_clean()


@pytest.mark.parametrize("name", ["", "a/b", "a b", "-a", "ä", "a" * 65, "a\x00"])
@pytest.mark.django_db
def test_a_name_that_cannot_stand_in_an_address_is_refused(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ProviderInstance(name=name, family="vendor").full_clean()
    assert "name" in caught.value.message_dict


def test_at_most_one_instance_is_the_default(make_instance: MakeInstance) -> None:
    make_instance("one", is_default=True)
    make_instance("two")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_instance("three", is_default=True)


def test_a_capability_stands_once_on_an_instance(make_instance: MakeInstance) -> None:
    row = make_instance("one")
    ProviderCapability.objects.create(instance=row, capability="embeddings")
    with pytest.raises(IntegrityError), transaction.atomic():
        ProviderCapability.objects.create(instance=row, capability="embeddings")


@pytest.mark.django_db
def test_every_capability_has_its_permission() -> None:
    held = Permission.objects.filter(content_type__app_label="ai_models", codename__startswith="use_")
    assert {permission.codename for permission in held} == {capability.codename for capability in Capability}


def test_no_representation_and_no_dump_has_a_credential(make_instance: MakeInstance) -> None:
    row = make_instance("one", secrets={"apiKey": CANARY, "headers": json.dumps({"x-key": CANARY})})
    assert row.credentials["apiKey"] not in f"{row} {row!r}"
    out = StringIO()
    call_command("dumpdata", "ai_models", stdout=out)
    assert row.credentials["apiKey"] in out.getvalue()
    assert CANARY not in out.getvalue()


def test_every_change_raises_the_revision(make_instance: MakeInstance) -> None:
    row = make_instance("one")
    capability = ProviderCapability.objects.create(instance=row, capability="embeddings")

    def rename() -> None:
        row.name = "two"
        row.save(update_fields=["name"])

    changes: list[Callable[[], object]] = [
        rename,
        capability.save,
        capability.delete,
        lambda: ProviderCapability.objects.create(instance=row, capability="embeddings"),
        lambda: ProviderCapability.objects.all().delete(),
        bump_revision,
        lambda: ProviderInstance.objects.filter(name="two").delete(),
    ]
    for change in changes:
        before = stored_revision()
        change()
        assert stored_revision() > before


@pytest.mark.django_db
def test_a_change_that_fails_leaves_the_revision_as_it_was() -> None:
    ProviderInstance.objects.create(name="one", family="vendor")
    before = stored_revision()
    with pytest.raises(IntegrityError):
        ProviderInstance.objects.create(name="one", family="vendor")
    assert stored_revision() == before


@pytest.mark.django_db
def test_the_lock_changes_nothing_and_works_without_a_revision() -> None:
    ConfigRevision.objects.all().delete()
    lock_revision()
    assert stored_revision() == 0
    bump_revision()
    assert stored_revision() == 1
    assert str(ConfigRevision.objects.get()) == "revision 1"


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    call_command("makemigrations", "ai_models", check=True, dry_run=True, verbosity=0)
