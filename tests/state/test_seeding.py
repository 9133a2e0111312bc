"""Who owns what: the file, administrators, and what seeding never does."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from pytest_django import Settings

from ai_models import store
from ai_models.encryption import generate_key
from ai_models.exceptions import ConfigurationError
from ai_models.facts import stored_revision
from ai_models.keyring import key_ring
from ai_models.models import ProviderCapability, ProviderInstance
from ai_models.seeding import Change, PlanChanged
from ai_models.snapshot import CheckState, InstanceState
from tests.conftest import Seed, WriteConfig
from tests.state.conftest import MakeInstance
from tests.state.processes import at_once

pytestmark = pytest.mark.django_db

OLD, NEW, ADMINS = "sk-old-93ab", "sk-new-41cd", "sk-admins-77ef"


def provider(name: str = "one", key: str = OLD, **settings: Any) -> dict[str, Any]:
    return {name: {"type": "vendor", "apiKey": key, "defaultModels": {"text-generation": "m"}, **settings}}


def file(*providers: dict[str, Any], default: str | None = None) -> str:
    """A configuration file; YAML takes JSON as it is."""
    ai: dict[str, Any] = {"providers": {name: body for item in providers for name, body in item.items()}}
    return json.dumps({"ai": {**ai, **({"defaultProvider": default} if default else {})}})


def row(name: str = "one") -> ProviderInstance:
    return ProviderInstance.objects.get(name=name)


def credential(name: str = "apiKey", of: str = "one") -> str:
    found = row(of)
    return key_ring().decrypt(found.credentials[name], row=str(found.pk), name=name).reveal()


def enter(secret: str, name: str = "apiKey") -> None:
    """An administrator enters a credential."""
    found = row()
    found.credentials[name] = key_ring().encrypt(secret, row=str(found.pk), name=name)
    found.save()


def rows() -> list[Any]:
    """Everything stored, but for the time of the last change."""
    instances = ProviderInstance.objects.values()
    return [{**item, "updated_at": None} for item in instances] + list(ProviderCapability.objects.values())


def test_a_declared_instance_becomes_a_managed_row(seed: Seed) -> None:
    seed(
        file(provider(region="north", headers={"x-team": "a"}, modelAliases={"text-generation": {"fast": "n"}}), default="one")
    )
    found = row()
    assert (found.family, found.managed, found.enabled, found.is_default, found.orphaned) == ("vendor", True, True, True, False)
    assert found.options == {"region": "north"}
    assert credential() == OLD
    assert json.loads(credential("headers")) == {"x-team": "a"}
    capability = found.capabilities.get()
    assert (capability.capability, capability.default_model, capability.aliases) == ("text-generation", "m", {"fast": "n"})
    assert store.current().instances["one"].state is InstanceState.READY


def test_seeding_twice_changes_nothing(seed: Seed) -> None:
    text = file(provider(headers={"x-team": "a"}), provider("two"), default="two")
    seed(text)
    before, revision = rows(), stored_revision()
    plan = seed(text)
    assert (str(plan), rows(), stored_revision()) == ("", before, revision)


def test_a_dry_run_changes_nothing(seed: Seed) -> None:
    seed(file(provider()))
    before, revision = rows(), stored_revision()
    plan = seed(file(provider(key=NEW, region="north"), provider("two")), dry_run=True)
    assert len(plan.changes) == 2
    assert (rows(), stored_revision()) == (before, revision)


def test_a_plan_says_what_changes_and_never_a_secret(seed: Seed) -> None:
    first = str(seed(file(provider(headers={"x-team": OLD}, baseURL="https://vendor.example/v2"))))
    second = str(seed(file(provider(key=NEW, region="north", defaultModels={"embeddings": "e"}))))
    assert first.splitlines() == [
        "create one",
        "    type: vendor",
        "    baseURL: set",
        "    apiKey: set",
        "    headers: set",
        "    text-generation: default model m",
    ]
    assert second.splitlines() == [
        "update one",
        "    baseURL: removed",
        "    region: set",
        "    apiKey: changed",
        "    headers: removed",
        "    text-generation: removed",
        "    embeddings: default model e",
    ]
    assert not [secret for secret in (OLD, NEW) if secret in first + second]


def test_models_and_aliases_follow_the_file(seed: Seed) -> None:
    seed(file(provider(modelAliases={"text-generation": {"fast": "n", "old": "o"}})))
    found = row().capabilities.get()
    found.default_model, found.aliases = "admins", {"mine": "x"}
    found.save()
    plan = seed(file(provider(modelAliases={"text-generation": {"fast": "n2"}})))
    found.refresh_from_db()
    assert (found.default_model, found.aliases) == ("m", {"fast": "n2"})
    assert "    text-generation: alias fast -> n2" in str(plan).splitlines()
    assert "    text-generation: alias mine removed" in str(plan).splitlines()


def test_seeding_never_turns_anything_on(seed: Seed) -> None:
    text = file(provider())
    seed(text)
    ProviderInstance.objects.update(enabled=False)
    ProviderCapability.objects.update(enabled=False)
    seed(file(provider(key=NEW, region="south", defaultModels={"text-generation": "other"})))
    assert not row().enabled
    assert not row().capabilities.get().enabled


def test_a_switch_of_an_administrator_outlives_the_capability_in_the_file(seed: Seed) -> None:
    seed(file(provider()))
    ProviderCapability.objects.update(enabled=False)
    seed(file(provider(defaultModels={})))
    kept = row().capabilities.get()
    assert (kept.default_model, kept.enabled) == ("", False)
    assert str(seed(file(provider(defaultModels={})))) == ""
    seed(file(provider()))
    kept.refresh_from_db()
    assert (kept.default_model, kept.enabled) == ("m", False)


def test_a_newer_credential_of_an_administrator_stays(seed: Seed) -> None:
    seed(file(provider()))
    enter(ADMINS)
    assert str(seed(file(provider()))) == ""
    assert credential() == ADMINS


def test_a_change_elsewhere_in_the_file_does_not_bring_an_older_credential_back(seed: Seed) -> None:
    seed(file(provider()))
    enter(ADMINS)
    seed(file(provider(region="north", headers={"x-team": "a"}, defaultModels={"embeddings": "e"})))
    assert credential() == ADMINS
    assert row().options == {"region": "north"}


def test_a_credential_that_changed_in_the_file_is_written_and_the_others_are_not(seed: Seed) -> None:
    seed(file(provider(headers={"x-team": "a"})))
    enter(ADMINS)
    sealed = row().credentials["apiKey"]
    seed(file(provider(headers={"x-team": "b"})))
    assert json.loads(credential("headers")) == {"x-team": "b"}
    assert row().credentials["apiKey"] == sealed
    seed(file(provider(key=NEW, headers={"x-team": "b"})))
    assert credential() == NEW


def test_the_same_credential_in_file_and_row_is_not_written_again(seed: Seed) -> None:
    seed(file(provider()))
    enter(NEW)
    sealed = row().credentials["apiKey"]
    plan = seed(file(provider(key=NEW)))
    assert "    apiKey: already as in the file" in str(plan).splitlines()
    assert row().credentials["apiKey"] == sealed
    assert str(seed(file(provider(key=NEW)))) == ""


def test_another_family_never_gets_a_credential_entered_for_the_former_one(seed: Seed) -> None:
    seed(file(provider()))
    enter(ADMINS)
    seed(file({"one": {"type": "ambient", "apiKey": OLD}}))
    assert credential() == OLD


def test_a_setting_that_changes_takes_the_last_health_check_back(seed: Seed) -> None:
    seed(file(provider()))
    store.record_check(store.current().instances["one"], CheckState.REJECTED, "refused")
    seed(file(provider(defaultModels={"text-generation": "other"})))
    assert row().state == CheckState.REJECTED
    seed(file(provider(key=NEW, defaultModels={"text-generation": "other"})))
    assert (row().state, row().state_message, row().checked_at) == (CheckState.UNCHECKED, "", None)


def test_the_database_has_no_digest_that_a_weak_secret_could_be_guessed_from(seed: Seed) -> None:
    seed(file(provider(key="hunter2")))
    digest = hashlib.sha256(b"hunter2").hexdigest()
    assert digest not in json.dumps(rows(), default=str)
    assert "hunter2" not in json.dumps(rows(), default=str)


@pytest.mark.parametrize(
    "damage",
    [
        {"credentials": {"apiKey": "garbage"}},
        {"credentials": {"apiKey": ""}},
        {"credentials": {"apiKey": OLD}},
        {"credentials": ["a"]},
        {"declaration_seal": "garbage"},
        {"declaration_seal": ""},
    ],
)
def test_what_cannot_be_decrypted_is_left_alone_and_told(seed: Seed, damage: dict[str, Any]) -> None:
    seed(file(provider()))
    ProviderInstance.objects.update(**damage)
    before = rows()
    plan = seed(file(provider()))
    assert not plan.changes
    assert "cannot be decrypted" in plan.warnings[0]
    assert rows() == before
    plan = seed(file(provider()), replace_credentials=True)
    assert not plan.warnings
    assert credential() == OLD
    assert str(seed(file(provider()))) == ""


def test_a_lost_key_leaves_a_visible_state_and_models_still_follow(seed: Seed, set_ring: Callable[..., None]) -> None:
    seed(file(provider()))
    set_ring(generate_key())
    plan = seed(file(provider(key=NEW, defaultModels={"text-generation": "other"})))
    assert plan.warnings
    assert row().capabilities.get().default_model == "other"
    assert store.current().instances["one"].state is InstanceState.CREDENTIAL_UNDECRYPTABLE
    seed(file(provider(key=NEW)), replace_credentials=True)
    assert credential() == NEW


def test_replacing_credentials_spares_those_that_can_be_decrypted(seed: Seed) -> None:
    seed(file(provider()))
    enter(ADMINS)
    assert str(seed(file(provider()), replace_credentials=True)) == ""
    assert credential() == ADMINS


def test_an_instance_of_the_admin_with_a_declared_name_stops_everything(seed: Seed, make_instance: MakeInstance) -> None:
    make_instance("one", secrets={"apiKey": ADMINS})
    before = rows()
    for text in (file(provider("zero"), provider()), file(provider("ONE"))):
        with pytest.raises(ConfigurationError, match=r"ai\.providers\.(one|ONE)"):
            seed(text)
    assert rows() == before


def test_instances_of_the_admin_are_not_touched(seed: Seed, make_instance: MakeInstance) -> None:
    make_instance("mine", secrets={"apiKey": ADMINS})
    before = rows()
    seed(file(provider()), prune=True)
    assert [item for item in rows() if item in before] == before


def test_an_instance_gone_from_the_file_is_disabled_and_orphaned(seed: Seed) -> None:
    seed(file(provider(), provider("two"), default="one"))
    seed(file(provider("two")))
    assert (row().enabled, row().orphaned, row().is_default) == (False, True, False)
    assert credential() == OLD
    assert store.current().default is None
    assert str(seed(file(provider("two")))) == ""


def test_only_pruning_deletes_and_only_orphans(seed: Seed, make_instance: MakeInstance) -> None:
    make_instance("mine")
    seed(file(provider(), provider("two"), provider("three")))
    seed(file(provider("two"), provider("three")))
    plan = seed(file(provider("two")), prune=True)
    assert {str(change).split()[1] for change in plan.changes if change.action == "delete"} == {"one", "three"}
    assert set(ProviderInstance.objects.values_list("name", flat=True)) == {"mine", "two"}


def test_an_orphan_that_comes_back_stays_disabled(seed: Seed) -> None:
    seed(file(provider()))
    seed(file())
    plan = seed(file(provider()))
    assert (row().enabled, row().orphaned) == (False, False)
    assert "stays disabled" in str(plan)


def test_pruning_makes_room_for_a_name_in_another_case(seed: Seed) -> None:
    seed(file(provider()))
    with pytest.raises(ConfigurationError, match="case does not make another name"):
        seed(file(provider("One")))
    seed(file(provider("One")), prune=True)
    assert set(ProviderInstance.objects.values_list("name", flat=True)) == {"One"}


def test_the_default_provider_of_the_file_wins_and_without_one_it_stays(seed: Seed, make_instance: MakeInstance) -> None:
    make_instance("mine", is_default=True)
    seed(file(provider()))
    assert row("mine").is_default
    seed(file(provider(), provider("two"), default="one"))
    seed(file(provider(), provider("two"), default="two"))
    assert [item.name for item in ProviderInstance.objects.filter(is_default=True)] == ["two"]
    seed(file(provider(), provider("two")))
    assert row("two").is_default


def test_a_file_with_mistakes_changes_nothing(seed: Seed) -> None:
    with pytest.raises(ConfigurationError):
        seed(file(provider(), {"two": {"type": "unknown"}}))
    assert not rows()


def test_secrets_without_a_key_change_nothing(seed: Seed, set_ring: Callable[..., None]) -> None:
    set_ring()
    with pytest.raises(ConfigurationError, match="ai_keys generate"):
        seed(file({"zero": {"type": "keyless", "modelPath": "m.gguf"}}, provider()))
    assert not rows()


def test_instances_without_secrets_need_no_key(seed: Seed, set_ring: Callable[..., None]) -> None:
    set_ring()
    text = file({"zero": {"type": "keyless", "modelPath": "m.gguf"}})
    seed(text)
    assert row("zero").declaration_seal == ""
    assert str(seed(text)) == ""


def test_only_the_plan_that_was_agreed_to_is_applied(seed: Seed) -> None:
    text = file(provider())
    agreed = seed(text, dry_run=True).digest()
    before = rows()
    for other in (file(provider(key=NEW)), file(provider(region="north")), file(provider(), default="one")):
        assert seed(other, dry_run=True).digest() != agreed
        with pytest.raises(PlanChanged):
            seed(other, agreed=agreed)
    assert rows() == before
    assert seed(text, agreed=agreed).digest() == agreed
    assert credential() == OLD


def test_a_digest_of_a_plan_tells_nothing_without_the_installations_key(seed: Seed, settings: Settings) -> None:
    digest = seed(file(provider()), dry_run=True).digest()
    settings.SECRET_KEY = "another"
    assert seed(file(provider()), dry_run=True).digest() != digest


def test_each_change_is_recorded_in_its_transaction_before_it_is_written(seed: Seed) -> None:
    seed(file(provider(), provider("two"), provider("three")))
    gone = row("three").pk
    told: list[tuple[str, str, object]] = []

    def record(change: Change) -> None:
        told.append((change.action, change.row.name, change.row.pk))
        if change.row.name == "two":
            raise KeyboardInterrupt

    before = rows()
    with pytest.raises(KeyboardInterrupt):
        seed(file(provider(region="north"), provider("two", region="north")), prune=True, record=record)
    assert told == [("delete", "three", gone), ("update", "one", row().pk), ("update", "two", row("two").pk)]
    assert rows() == before


def test_a_plan_tells_what_is_gone_also_when_it_stays(seed: Seed) -> None:
    seed(file(provider(), provider("two")))
    assert seed(file(provider())).gone == ("two",)
    again = seed(file(provider()))
    assert (again.gone, again.changes) == (("two",), ())
    assert seed(file(provider()), prune=True).gone == ("two",)
    assert seed(file(provider())).gone == ()


def run_seeds(text: str, path: Path, count: int) -> None:
    """Several processes seed at the same moment."""
    path.write_text(text)
    imports = "from ai_models import config; from ai_models.seeding import seed"
    at_once(imports, "seed(config.current())", count, files=(str(path),))


@pytest.mark.django_db(transaction=True)
def test_processes_that_seed_at_once_leave_one_set_of_rows(tmp_path: Path, write_config: WriteConfig) -> None:
    providers = [provider(f"number{number}", headers={"x-team": "a"}) for number in range(5)]
    run_seeds(file(*providers, default="number1"), tmp_path / "seeds.yaml", 4)
    assert ProviderInstance.objects.count() == ProviderCapability.objects.count() == 5
    assert {credential(of=f"number{number}") for number in range(5)} == {OLD}
    revision = stored_revision()
    run_seeds(file(*providers, default="number1"), tmp_path / "seeds.yaml", 2)
    assert stored_revision() == revision


@pytest.mark.postgres
@pytest.mark.skipif("postgres" not in os.environ.get("DATABASE_URL", ""), reason="DATABASE_URL names no PostgreSQL server")
@pytest.mark.django_db(transaction=True)
def test_seeding_and_saving_at_once_do_not_deadlock_on_postgresql(tmp_path: Path, seed: Seed) -> None:
    providers = [provider(f"number{number}") for number in range(5)]
    seed(file(*providers))
    assert connection.vendor == "postgresql"

    def save(position: int) -> None:
        try:
            for item in ProviderInstance.objects.order_by("name" if position % 2 else "-name"):
                item.enabled = not item.enabled
                item.save()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        saving = [pool.submit(save, position) for position in range(4)]
        run_seeds(file(*[provider(f"number{number}", key=NEW) for number in range(5)]), tmp_path / "seeds.yaml", 2)
        for future in saving:
            future.result(60)
    assert ProviderInstance.objects.count() == 5
