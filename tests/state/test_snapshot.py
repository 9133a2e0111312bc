"""The facts that calls see."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries, Settings

from ai_models import store
from ai_models.capabilities import Capability
from ai_models.encryption import generate_key
from ai_models.exceptions import CredentialUnavailable
from ai_models.keyring import key_ring
from ai_models.models import ProviderCapability, ProviderInstance, bump_revision
from ai_models.snapshot import CheckState, CredentialState, InstanceFacts, InstanceState
from tests.state.conftest import MakeInstance

KEY = "sk-canary-19c2"


def facts(name: str = "one") -> InstanceFacts:
    return store.current().instances[name]


def overwrite(row: ProviderInstance, **fields: Any) -> None:
    """Write what no form would let through."""
    bump_revision()
    ProviderInstance.objects.filter(pk=row.pk).update(**fields)


def test_a_snapshot_tells_what_is_configured(make_instance: MakeInstance) -> None:
    row = make_instance("one", secrets={"apiKey": KEY}, is_default=True, options={"region": "north"})
    ProviderCapability.objects.create(
        instance=row, capability="text-generation", default_model="m", aliases={"fast": "n"}, enabled=False
    )
    make_instance("a-second", secrets={"apiKey": KEY})
    snapshot = store.current()
    assert list(snapshot.instances) == ["a-second", "one"]
    assert snapshot.default == "one"
    one = snapshot.instances["one"]
    assert (one.state, one.credential, one.problem) == (InstanceState.READY, CredentialState.OK, None)
    assert dict(one.options) == {"region": "north"}
    capability = one.capabilities[Capability.TEXT_GENERATION]
    assert (capability.default_model, dict(capability.aliases), capability.enabled) == ("m", {"fast": "n"}, False)


def test_nothing_in_a_snapshot_can_be_changed(make_instance: MakeInstance) -> None:
    row = make_instance("one", secrets={"apiKey": KEY}, options={"region": "north"})
    ProviderCapability.objects.create(instance=row, capability="embeddings", default_model="m")
    snapshot: Any = store.current()
    one = snapshot.instances["one"]
    for mapping in (snapshot.instances, one.options, one.sealed, one.capabilities, one.capabilities["embeddings"].aliases):
        with pytest.raises(TypeError):
            mapping["x"] = 1
    with pytest.raises(FrozenInstanceError):
        one.enabled = False


def test_a_snapshot_has_no_plaintext(make_instance: MakeInstance) -> None:
    make_instance("one", secrets={"apiKey": KEY, "headers": json.dumps({"x-key": KEY})})
    assert KEY not in repr(store.current())
    assert KEY not in repr(store.open_connection(facts()))


def test_loading_takes_the_same_number_of_queries_for_any_number_of_rows(
    make_instance: MakeInstance, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(10):
        row = make_instance(f"number{number}", secrets={"apiKey": KEY})
        ProviderCapability.objects.create(instance=row, capability="embeddings", default_model="m")
    with django_assert_num_queries(4):
        assert len(store.current().instances) == 10


@pytest.mark.parametrize(
    ("family", "secrets", "state"),
    [
        ("vendor", {"apiKey": KEY}, CredentialState.OK),
        ("vendor", {}, CredentialState.MISSING),
        ("vendor", {"headers": "{}"}, CredentialState.MISSING),
        ("keyless", {}, CredentialState.NOT_NEEDED),
        ("ambient", {}, CredentialState.AMBIENT),
        ("ambient", {"apiKey": KEY}, CredentialState.OK),
    ],
)
def test_the_state_of_a_credential_follows_the_familys_fields(
    make_instance: MakeInstance, family: str, secrets: dict[str, str], state: CredentialState
) -> None:
    make_instance("one", family, secrets)
    assert facts().credential is state


def test_states_have_an_order(make_instance: MakeInstance) -> None:
    make_instance("one", secrets={"apiKey": KEY})
    worst = replace(
        facts(), orphaned=True, enabled=False, problem="p", credential=CredentialState.MISSING, check=CheckState.REJECTED
    )
    seen = [worst.state]
    for change in ({"orphaned": False}, {"enabled": True}, {"problem": None}, {"credential": CredentialState.UNDECRYPTABLE}):
        worst = replace(worst, **change)
        seen.append(worst.state)
    worst = replace(worst, credential=CredentialState.OK)
    seen += [worst.state, replace(worst, check=CheckState.UNHEALTHY).state]
    assert seen == list(InstanceState)


@pytest.mark.parametrize(
    "credentials",
    [
        {"apiKey": ""},
        {"apiKey": KEY},
        {"apiKey": "v1.00000000.AAAA"},
        {"apiKey": None},
        {"apiKey": ["v1"]},
        [],
        "v1.x.y",
        5,
    ],
)
def test_damaged_credentials_are_a_state_of_their_own_row_only(make_instance: MakeInstance, credentials: Any) -> None:
    make_instance("sound", secrets={"apiKey": KEY})
    overwrite(make_instance("one", secrets={"apiKey": KEY}), credentials=credentials)
    assert facts("sound").state is InstanceState.READY
    assert facts().state is InstanceState.CREDENTIAL_UNDECRYPTABLE
    with pytest.raises(CredentialUnavailable) as caught:
        store.open_connection(facts())
    assert caught.value.config_path is not None
    assert KEY not in str(caught.value)


def test_a_ciphertext_of_another_row_or_field_is_undecryptable(make_instance: MakeInstance) -> None:
    other = make_instance("other", secrets={"apiKey": KEY, "headers": json.dumps({"x-key": KEY})})
    overwrite(make_instance("one"), credentials={"apiKey": other.credentials["apiKey"]})
    overwrite(other, credentials={"apiKey": other.credentials["headers"]})
    assert {item.credential for item in store.current().instances.values()} == {CredentialState.UNDECRYPTABLE}


@pytest.mark.parametrize("text", ["not json", "[]", '{"x-key": 5}', '"x"'])
def test_a_mapping_that_is_none_is_undecryptable(make_instance: MakeInstance, text: str) -> None:
    make_instance("one", secrets={"apiKey": KEY, "headers": text})
    assert facts().credential is CredentialState.UNDECRYPTABLE


def test_a_wrong_ring_is_visible_and_nothing_is_sent(make_instance: MakeInstance, set_ring: Any) -> None:
    make_instance("one", secrets={"apiKey": KEY})
    for keys in ((generate_key(),), (), ("malformed",)):
        set_ring(*keys)
        assert facts().state is InstanceState.CREDENTIAL_UNDECRYPTABLE
        with pytest.raises(CredentialUnavailable, match="cannot be decrypted"):
            store.open_connection(facts())


@pytest.mark.parametrize(
    ("family", "options", "managed", "problem"),
    [
        ("gone", {}, True, "Provider family gone is not installed."),
        ("vendor", "text", True, "Its connection settings are damaged."),
        ("vendor", {"region": "west"}, True, "region is not one of north, south."),
        ("vendor", {"slots": "5"}, True, "slots is not of the type integer."),
        ("vendor", {"slots": True}, True, "slots is not of the type integer."),
        ("vendor", {"baseURL": 5}, True, "baseURL is not of the type url."),
        ("vendor", {"baseURL": "http://127.0.0.1:9/v1"}, False, "baseURL cannot be used: it is an address of this machine"),
        ("vendor", {"baseURL": "http://169.254.169.254/"}, True, "baseURL cannot be used: it is a metadata"),
        ("keyless", {}, True, "modelPath is required."),
        ("fragile", {}, True, "Provider family fragile failed to check the settings."),
    ],
)
def test_what_cannot_work_is_misconfigured_and_says_why(
    make_instance: MakeInstance, family: str, options: Any, managed: bool, problem: str
) -> None:
    make_instance("sound", secrets={"apiKey": KEY})
    make_instance("one", family, {"apiKey": KEY}, options=options, managed=managed)
    assert facts("sound").state is InstanceState.READY
    assert facts().state is InstanceState.MISCONFIGURED
    assert (facts().problem or "").startswith(problem)
    with pytest.raises(CredentialUnavailable, match="misconfigured"):
        store.open_connection(facts())


def test_damaged_capabilities_do_no_harm(make_instance: MakeInstance) -> None:
    row = make_instance("one", secrets={"apiKey": KEY}, state="what")
    ProviderCapability.objects.create(instance=row, capability="telepathy", default_model="m")
    ProviderCapability.objects.create(instance=row, capability="embeddings", aliases=["a"])
    ProviderCapability.objects.create(instance=row, capability="text-generation", aliases={"a": 5, "b": "m"})
    assert {name: dict(item.aliases) for name, item in facts().capabilities.items()} == {
        "embeddings": {},
        "text-generation": {"b": "m"},
    }
    assert facts().check is CheckState.UNCHECKED


def test_a_connection_has_defaults_secrets_and_destinations(make_instance: MakeInstance, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "ALLOWED_HOSTS": ["10.0.0.0/8"]}
    make_instance("one", secrets={"apiKey": KEY, "headers": json.dumps({"x-key": "h"})}, options={"region": "south"})
    opened = store.open_connection(facts())
    assert opened.options == {"baseURL": "https://vendor.example/v1", "region": "south"}
    assert {name: secret.reveal() for name, secret in opened.secrets.items()} == {"apiKey": KEY}
    assert {name: secret.reveal() for name, secret in opened.mappings["headers"].items()} == {"x-key": "h"}
    assert (opened.destinations.private, opened.destinations.allowed) == (False, ("10.0.0.0/8",))


def test_a_missing_credential_is_told_with_the_key_to_set(make_instance: MakeInstance) -> None:
    make_instance("one")
    with pytest.raises(CredentialUnavailable) as caught:
        store.open_connection(facts())
    assert caught.value.config_path == "ai.providers.one.apiKey"


def test_the_fingerprint_follows_what_a_connection_depends_on(make_instance: MakeInstance) -> None:
    row = make_instance("one", secrets={"apiKey": KEY})
    seen = [facts().fingerprint]
    row.enabled = False
    row.save()
    ProviderCapability.objects.create(instance=row, capability="embeddings", default_model="m")
    assert facts().fingerprint == seen[0]
    sealed = key_ring().encrypt(KEY, row=str(row.pk), name="apiKey")
    for name, value in {
        "options": {"region": "north"},
        "credentials": {"apiKey": sealed},
        "managed": True,
        "family": "ambient",
    }.items():
        setattr(row, name, value)
        row.save()
        seen.append(facts().fingerprint)
    assert len(set(seen)) == 5


def test_a_health_check_raises_the_revision_only_when_the_state_changes(make_instance: MakeInstance) -> None:
    row = make_instance("one", secrets={"apiKey": KEY})
    store.record_check(facts(), CheckState.HEALTHY, "fine", 12, report=[{"rung": "configuration"}])
    row.refresh_from_db()
    assert row.report == [{"rung": "configuration"}]
    first = store.current().revision
    store.record_check(facts(), CheckState.HEALTHY, "still fine", 13)
    assert store.current().revision == first
    store.record_check(facts(), CheckState.REJECTED, "refused")
    assert store.current().revision > first
    assert facts().state is InstanceState.CREDENTIAL_REJECTED
    row.refresh_from_db()
    assert (row.state, row.state_message, row.latency_ms, row.report) == (CheckState.REJECTED, "refused", None, [])
    assert row.checked_at is not None


def test_a_health_check_of_settings_that_changed_meanwhile_is_dropped(make_instance: MakeInstance) -> None:
    row = make_instance("one", secrets={"apiKey": KEY})
    checked = facts()
    row.options = {"region": "north"}
    row.save()
    store.record_check(checked, CheckState.REJECTED, "refused")
    assert facts().check is CheckState.UNCHECKED
    row.delete()
    store.record_check(checked, CheckState.REJECTED, "refused")


def test_a_check_of_one_capability_leaves_the_instances_result_alone(make_instance: MakeInstance) -> None:
    row = make_instance("one", secrets={"apiKey": KEY})
    item = ProviderCapability.objects.create(instance=row, capability="embeddings", default_model="m")
    before = store.current().revision
    store.record_check(facts(), CheckState.UNHEALTHY, "down", 7, capability=Capability.EMBEDDINGS)
    item.refresh_from_db()
    assert (item.check_state, item.check_message, item.latency_ms) == (CheckState.UNHEALTHY, "down", 7)
    assert item.checked_at is not None
    assert (facts().check, store.current().revision) == (CheckState.UNCHECKED, before)


@pytest.mark.parametrize("change", [{"default_model": "n"}, {"aliases": {"small": "s"}}])
def test_a_check_of_other_models_than_the_capability_has_now_is_dropped(
    make_instance: MakeInstance, change: dict[str, Any]
) -> None:
    row = make_instance("one", secrets={"apiKey": KEY})
    item = ProviderCapability.objects.create(instance=row, capability="embeddings", default_model="m")
    checked = facts()
    for name, value in change.items():
        setattr(item, name, value)
    item.save()
    store.record_check(checked, CheckState.HEALTHY, "fine", capability=Capability.EMBEDDINGS)
    item.refresh_from_db()
    assert (item.check_state, item.checked_at) == (CheckState.UNCHECKED, None)
    item.delete()
    store.record_check(checked, CheckState.HEALTHY, "fine", capability=Capability.EMBEDDINGS)


def test_a_snapshot_is_read_again_when_the_configuration_changes_under_it(make_instance: MakeInstance) -> None:
    row = make_instance("one", secrets={"apiKey": KEY})
    changed: list[bool] = []

    def change_once(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if "providercapability" in sql and not changed:
            changed.append(True)
            ProviderCapability.objects.create(instance=row, capability="embeddings", default_model="m")
        return result

    with connection.execute_wrapper(change_once):
        snapshot = store.current()
    assert Capability.EMBEDDINGS in snapshot.instances["one"].capabilities
