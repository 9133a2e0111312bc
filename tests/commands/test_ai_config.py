"""``ai_config``: what is read, what is valid, and both ways out."""

from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema
import pytest
import yaml
from django.core.management import CommandError
from django.db import OperationalError, connection

from ai_models.encryption import generate_key
from ai_models.models import ProviderCapability
from tests.commands.conftest import Run
from tests.conftest import Seed, WriteConfig
from tests.state.conftest import MakeInstance

SECRET = "sk-canary-2b7d"
TEXT = f"""
ai:
  defaultProvider: one
  providers:
    one:
      type: vendor
      apiKey: {SECRET}
      headers: {{x-team: {SECRET}}}
      region: north
      defaultModels: {{text-generation: m}}
      modelAliases: {{text-generation: {{fast: n}}}}
"""


def test_it_tells_the_files_and_that_they_are_valid(run: Run, write_config: WriteConfig) -> None:
    path = write_config(TEXT)
    told = run("ai_config")
    assert str(path) in told
    assert "provider: one (vendor)" in told
    assert told.endswith("The configuration is valid.\n")
    assert SECRET not in told


def test_it_stops_on_a_mistake(run: Run, write_config: WriteConfig) -> None:
    write_config(TEXT.replace("region", "regoin"))
    with pytest.raises(CommandError, match="regoin"):
        run("ai_config")


def test_the_schema_takes_a_valid_file_and_refuses_another(run: Run) -> None:
    schema = json.loads(run("ai_config", "--schema"))
    valid = yaml.safe_load(TEXT)
    jsonschema.validate(valid, schema)
    valid["ai"]["providers"]["one"]["regoin"] = "north"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(valid, schema)


@pytest.mark.django_db
def test_an_export_seeds_the_same_rows_again(
    run: Run, seed: Seed, make_instance: MakeInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(TEXT)
    mine = make_instance("mine", "ambient", {"apiKey": SECRET})
    ProviderCapability.objects.create(instance=mine, capability="embeddings", default_model="e")
    exported = run("ai_config", "--export")
    assert SECRET not in exported
    mine.delete()
    for variable in ("ONE_API_KEY", "ONE_HEADERS_X_TEAM", "MINE_API_KEY"):
        assert f"${{{variable}}}" in exported
        monkeypatch.setenv(variable, SECRET)
    plan = seed(exported)
    assert [str(change).splitlines()[0] for change in plan.changes] == ["create mine"]


@pytest.mark.django_db
def test_an_export_leaves_orphans_out(run: Run, seed: Seed) -> None:
    seed(TEXT)
    seed("{ai: {providers: {}}}")
    assert yaml.safe_load(run("ai_config", "--export")) == {"ai": {"providers": {}}}


@pytest.mark.django_db
def test_an_export_needs_no_key(run: Run, seed: Seed, set_ring: Callable[..., None]) -> None:
    seed(TEXT)
    set_ring(generate_key())
    assert "${ONE_API_KEY}" in run("ai_config", "--export")


@pytest.mark.django_db
def test_an_export_without_a_database_says_so(run: Run) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("connection to 10.0.0.1 refused")

    with connection.execute_wrapper(refuse), pytest.raises(CommandError, match="cannot be read"):
        run("ai_config", "--export")
