"""What stops the start: every mistake with its id and its remedy, and never a value."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import fields
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import ERROR, run_checks
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import Settings

from ai_models import validation
from ai_models.conf import Conf
from ai_models.encryption import generate_key
from ai_models.exceptions import ConfigurationError
from ai_models.expectations import EXPECTED
from ai_models.models import ProviderInstance, bump_revision
from tests.conftest import WriteConfig
from tests.state.conftest import MakeInstance
from tests.state.vendor import PATHS, Vendor

SECRET = "sk-canary-88bd"
VALID = f'{{"ai": {{"defaultProvider": "one", "providers": {{"one": {{"type": "vendor", "apiKey": "{SECRET}"}}}}}}}}'


def ids() -> list[str]:
    return [finding.id for finding in validation.problems()]


def said() -> str:
    return "\n".join(map(str, validation.problems()))


def configure(settings: Settings, **values: Any) -> None:
    settings.AI_MODELS = {**django_settings.AI_MODELS, **values}


def test_a_valid_configuration_has_no_problems(write_config: WriteConfig) -> None:
    write_config(VALID)
    assert validation.problems() == []
    validation.require_valid()


def test_an_unknown_setting_is_told(write_config: WriteConfig, settings: Settings) -> None:
    write_config(VALID)
    configure(settings, TIMEOUTS=SECRET)
    assert ids() == ["ai_models.E001"]
    assert 'AI_MODELS["TIMEOUTS"]' in said()
    assert SECRET not in said()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONFIG_FILES", "app-config.yaml"),
        ("CONFIG_FILES", [None]),
        ("ENV_FILE", 5),
        ("FAMILIES", "tests.Family"),
        ("ENCRYPTION_KEYS", SECRET),
        ("ALLOWED_HOSTS", "localhost"),
        ("ALLOWED_HOSTS", ["10.0.0.0/99"]),
        ("ON_UNSUPPORTED", "ignore"),
        ("TIMEOUT", 30),
        ("TIMEOUT", {"total": 0}),
        ("TIMEOUT", {"totals": 5}),
        ("TIMEOUT", {"total": float("nan")}),
        ("MAX_RETRIES", -1),
        ("MAX_RETRIES", True),
        ("MAX_REQUEST_BYTES", 0),
        ("MAX_RESPONSE_BYTES", "1"),
        ("MAX_EVENT_BYTES", 1.5),
        ("MAX_PARALLEL", 0),
        ("MAX_VIDEO_BYTES", 0),
        ("VIDEO_TIMEOUT", 0),
        ("VIDEO_POLL_SECONDS", -1),
        ("VIDEO_EXPIRY_HOURS", "a day"),
        ("VIDEO_RETENTION_DAYS", None),
        ("DRAIN_NOTICE_SECONDS", -1),
        ("DRAIN_SECONDS", float("inf")),
        ("REVISION_POLL_SECONDS", "0.5"),
        ("REVISION_POLL_SECONDS", float("inf")),
    ],
)
def test_a_setting_of_the_wrong_type_is_told_without_its_value(
    write_config: WriteConfig, settings: Settings, name: str, value: Any
) -> None:
    write_config(VALID)
    configure(settings, **{name: value})
    assert ids() == ["ai_models.E002"]
    assert f'AI_MODELS["{name}"]' in said()
    assert SECRET not in said()


def test_settings_that_are_no_dictionary_are_told(settings: Settings) -> None:
    settings.AI_MODELS = [SECRET]
    assert ids() == ["ai_models.E002"]


def test_every_setting_has_a_type() -> None:

    assert set(EXPECTED) == {field.name for field in fields(Conf)}
    for declared, (is_valid, _) in ((getattr(Conf(), name), check) for name, check in EXPECTED.items()):
        assert is_valid(declared)


def test_metrics_without_what_they_take_are_told(
    write_config: WriteConfig, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_config(VALID)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "none"))
    assert not ids()
    configure(settings, PROMETHEUS=True)
    assert ids() == ["ai_models.E014"]
    (tmp_path / "none").mkdir()
    assert not ids()
    monkeypatch.setattr(validation, "find_spec", lambda name: None)
    assert ids() == ["ai_models.E014"]
    assert "django-ai-models[prometheus]" in said()


def test_a_cache_that_is_not_shared_is_told_of_with_deploy_alone(
    write_config: WriteConfig, settings: Settings, tmp_path: Path
) -> None:
    write_config(VALID)
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    told = {deploy: {message.id for message in run_checks(include_deployment_checks=deploy)} for deploy in (True, False)}
    assert told[True] >= {"ai_models.W002"}
    assert "ai_models.W002" not in told[False]
    files = {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path)}
    settings.CACHES = {**settings.CACHES, "ai_models": files}
    assert not validation.deployment_problems()


def test_families_that_cannot_be_loaded_are_told_once(write_config: WriteConfig, settings: Settings) -> None:
    write_config(VALID)
    configure(settings, FAMILIES=[*PATHS, "tests.missing.Family", "tests.state.test_validation.Twin"])
    assert ids() == ["ai_models.E003", "ai_models.E003"]
    assert "tests.missing.Family" in said()
    assert "tests.state.vendor.Vendor" in said()
    assert "tests.state.test_validation.Twin" in said()


class Twin(Vendor):
    """Claims the type of another family."""


def test_every_mistake_of_the_file_is_told_at_once(write_config: WriteConfig) -> None:
    path = write_config(
        "ai:\n  defaultProvider: nobody\n  providers:\n"
        f"    one: {{type: vendor, apiKey: {SECRET}, regoin: north}}\n"
        "    two: {type: vendr}\n"
        "    three: {type: vendor, apiKey: '${A_VARIABLE_NOBODY_SET}'}\n"
        "    four: {type: keyless, modelPath: m.gguf, defaultModels: {video-generation: v}}\n"
    )
    assert {finding.id for finding in validation.problems() if finding.level == "error"} == {"ai_models.E004"}
    text = said()
    for part in (
        "defaultProvider",
        "one.regoin",
        "region",
        "two.type",
        "vendor",
        "A_VARIABLE_NOBODY_SET",
        "video-generation",
        path.name,
    ):
        assert part in text
    assert SECRET not in text
    with pytest.raises(ConfigurationError) as caught:
        validation.require_valid()
    assert len(caught.value.problems) == ids().count("ai_models.E004")


def test_what_a_family_says_of_an_instance_is_information(write_config: WriteConfig) -> None:
    write_config("{ai: {providers: {one: {type: ambient}}}}")
    (finding,) = validation.problems()
    assert (finding.id, finding.level) == ("ai_models.I001", "info")
    assert "machine's credentials" in finding.message
    assert finding.remedy == "Set apiKey to use others."
    validation.require_valid()


def test_no_configuration_file_is_a_warning() -> None:
    (finding,) = validation.problems()
    assert (finding.id, finding.level) == ("ai_models.W001", "warning")
    validation.require_valid()


def test_credentials_without_a_key_are_told(write_config: WriteConfig, set_ring: Callable[..., None]) -> None:
    write_config(VALID)
    set_ring()
    assert ids() == ["ai_models.E005"]
    assert "ai_keys generate" in said()


def test_no_key_is_needed_without_credentials(write_config: WriteConfig, set_ring: Callable[..., None]) -> None:
    write_config("{ai: {providers: {one: {type: keyless, modelPath: m.gguf}}}}")
    set_ring()
    assert ids() == []


@pytest.mark.parametrize("key", ["short", base64.b64encode(b"x" * 32).decode(), "change-me"])
def test_a_bad_key_is_told_and_not_repeated(write_config: WriteConfig, set_ring: Callable[..., None], key: str) -> None:
    write_config(VALID)
    set_ring(generate_key(), key)
    assert ids() == ["ai_models.E006"]
    assert key not in said()


def test_a_key_listed_twice_is_told(write_config: WriteConfig, set_ring: Callable[..., None]) -> None:
    write_config(VALID)
    key = generate_key()
    set_ring(key, key)
    assert ids() == ["ai_models.E006"]


SECRET_KEY = "a-secret-key-of-a-project-which-is-long-enough-0123456789"


@pytest.mark.parametrize(
    "raw",
    [
        SECRET_KEY.encode()[:32],
        hashlib.sha256(SECRET_KEY.encode()).digest(),
        hashlib.sha512(SECRET_KEY.encode()).digest()[:32],
        hashlib.sha256(SECRET_KEY.encode()).hexdigest().encode()[:32],
        hashlib.md5(SECRET_KEY.encode(), usedforsecurity=False).hexdigest().encode(),
        hashlib.blake2b(SECRET_KEY.encode(), digest_size=32).digest(),
    ],
)
@pytest.mark.parametrize("setting", ["SECRET_KEY", "SECRET_KEY_FALLBACKS"])
def test_a_key_made_from_the_secret_key_is_refused(
    write_config: WriteConfig, set_ring: Callable[..., None], settings: Settings, raw: bytes, setting: str
) -> None:
    write_config(VALID)
    setattr(settings, setting, SECRET_KEY if setting == "SECRET_KEY" else [SECRET_KEY])
    key = base64.urlsafe_b64encode(raw).decode()
    set_ring(generate_key(), key)
    assert ids() == ["ai_models.E007"]
    assert key not in said()
    assert SECRET_KEY not in said()


def test_the_secret_key_itself_is_refused(write_config: WriteConfig, set_ring: Callable[..., None], settings: Settings) -> None:
    write_config(VALID)
    settings.SECRET_KEY = generate_key()
    set_ring(settings.SECRET_KEY)
    assert ids() == ["ai_models.E007"]


@pytest.mark.parametrize("release", sorted(validation.MALICIOUS_LITELLM))
def test_a_malicious_release_of_litellm_is_refused(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    write_config(VALID)
    monkeypatch.setattr(validation, "version", lambda name: release)
    assert ids() == ["ai_models.E008"]


def test_without_litellm_there_is_nothing_to_refuse(write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    write_config(VALID)
    monkeypatch.setattr(validation, "version", missing)
    assert ids() == []


def test_the_system_checks_tell_the_same_with_level_id_and_hint(
    write_config: WriteConfig, set_ring: Callable[..., None]
) -> None:
    write_config("{ai: {defaultProvider: x, providers: {one: {type: ambient}}}}")
    set_ring("short")
    messages = run_checks(tags=["ai_models"])
    assert [(message.id, message.level >= ERROR) for message in messages] == [
        ("ai_models.E004", True),
        ("ai_models.I001", False),
        ("ai_models.E006", True),
    ]
    assert all(message.hint for message in messages)


def test_the_checks_without_databases_make_no_query(write_config: WriteConfig) -> None:
    # Without the database mark, a query fails the test.
    write_config(VALID)
    assert run_checks(tags=["ai_models"]) == []


def test_credentials_that_do_not_open_are_an_error_of_the_database_check(
    make_instance: MakeInstance, set_ring: Callable[..., None]
) -> None:
    row = make_instance("one", secrets={"apiKey": SECRET})
    make_instance("two", secrets={"apiKey": SECRET, "headers": "{}"})
    bump_revision()
    ProviderInstance.objects.filter(name="two").update(credentials={"apiKey": SECRET, "headers": row.credentials["apiKey"]})
    (message,) = run_checks(tags=["database"], databases=["default"])
    assert (message.id, message.level) == ("ai_models.E009", ERROR)
    assert message.msg.startswith("2 of 3 credentials cannot be decrypted")
    assert "two" in message.msg
    set_ring(generate_key())
    (message,) = run_checks(tags=["database"], databases=["default"])
    assert message.msg.startswith("3 of 3 credentials")
    assert row.credentials["apiKey"].split(".")[1] in message.msg
    assert SECRET not in f"{message.msg} {message.hint}"


@pytest.mark.django_db
def test_a_database_without_tables_or_connection_is_told() -> None:
    assert validation.storage_problems() == []
    MigrationRecorder.Migration.objects.filter(app="ai_models").delete()
    assert [finding.id for finding in validation.storage_problems()] == ["ai_models.E010"]

    def refuse(*_: Any) -> Any:
        raise OperationalError("connection to 10.0.0.1 refused")

    with connection.execute_wrapper(refuse):
        assert [finding.id for finding in validation.storage_problems()] == ["ai_models.E011"]
        assert validation.credential_problems() == []
    with pytest.raises(ConfigurationError, match="E010"):
        validation.require_valid(storage=True)
