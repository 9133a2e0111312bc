"""``ai_seed``: prints the plan, applies it, and stops on mistakes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.management import CommandError
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import Settings

from ai_models.encryption import generate_key
from ai_models.models import ProviderInstance
from tests.commands.conftest import Run
from tests.conftest import WriteConfig

pytestmark = pytest.mark.django_db

SECRET = "sk-canary-e1f0"
ONE = f"{{ai: {{defaultProvider: one, providers: {{one: {{type: vendor, apiKey: {SECRET}}}}}}}}}"
NONE = "{ai: {providers: {}}}"


def names() -> set[str]:
    return set(ProviderInstance.objects.values_list("name", flat=True))


def test_it_prints_what_it_does_and_does_it_once(run: Run, write_config: WriteConfig) -> None:
    write_config(ONE)
    assert run("ai_seed").splitlines() == ["create one", "    type: vendor", "    apiKey: set", "    default provider: yes"]
    assert names() == {"one"}
    assert run("ai_seed") == "Nothing to change.\n"


def test_a_dry_run_prints_the_plan_and_changes_nothing(run: Run, write_config: WriteConfig) -> None:
    write_config(ONE)
    assert run("ai_seed", "--dry-run").splitlines()[0] == "create one"
    assert names() == set()


def test_pruning_deletes_what_is_gone(run: Run, write_config: WriteConfig) -> None:
    write_config(ONE)
    run("ai_seed")
    write_config(NONE)
    assert "disabled and orphaned" in run("ai_seed")
    assert names() == {"one"}
    assert run("ai_seed", "--prune").startswith("delete one")
    assert names() == set()


def test_a_configuration_file_that_vanished_takes_no_instance_with_it(
    run: Run, write_config: WriteConfig, settings: Settings
) -> None:
    write_config(ONE)
    run("ai_seed")
    settings.AI_MODELS = {**settings.AI_MODELS, "CONFIG_FILES": ()}
    with pytest.raises(CommandError, match=r"(?s)Nothing was changed.*key ai is there, and 1 instances"):
        run("ai_seed", "--prune")
    for content in ("", "providers: {one: {type: vendor}}"):
        write_config(content)
        with pytest.raises(CommandError, match="Nothing was changed"):
            run("ai_seed", "--prune")
    assert ProviderInstance.objects.get().enabled


def test_a_wrong_key_is_told_and_mended_on_request(run: Run, write_config: WriteConfig, set_ring: Callable[..., None]) -> None:
    write_config(ONE)
    run("ai_seed")
    set_ring(generate_key())
    assert "warning: one: its stored credentials cannot be decrypted" in run("ai_seed")
    assert "credentials: replaced" in run("ai_seed", "--replace-credentials")
    assert run("ai_seed") == "Nothing to change.\n"


def test_every_mistake_stops_it_at_once_and_no_value_is_told(
    run: Run, write_config: WriteConfig, set_ring: Callable[..., None]
) -> None:
    write_config(f"{{ai: {{defaultProvider: x, providers: {{one: {{type: vendor, apiKey: {SECRET}, what: 1}}}}}}}}")
    set_ring("short")
    with pytest.raises(CommandError) as caught:
        run("ai_seed")
    for part in ("ai.defaultProvider", "ai.providers.one.what", "Encryption key 1", "E004", "E006"):
        assert part in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.returncode == 1
    assert names() == set()


def test_a_conflict_with_the_admin_stops_it(run: Run, write_config: WriteConfig) -> None:
    ProviderInstance.objects.create(name="one", family="vendor")
    write_config(ONE)
    with pytest.raises(CommandError, match="made in the admin"):
        run("ai_seed")


def test_a_database_that_is_not_migrated_stops_it(run: Run, write_config: WriteConfig) -> None:
    write_config(ONE)
    MigrationRecorder.Migration.objects.filter(app="ai_models").delete()
    with pytest.raises(CommandError, match=r"manage\.py migrate"):
        run("ai_seed")
