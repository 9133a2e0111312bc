"""The page of one provider: what it shows and takes, for whom, and what is kept of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from ai_models import admission, config
from ai_models.admin.listing import facts_of
from ai_models.calls import Limits
from ai_models.encryption import generate_key
from ai_models.exceptions import UpstreamError
from ai_models.keyring import key_ring
from ai_models.models import ProviderCapability, ProviderInstance
from ai_models.seeding import seed as seed_rows
from tests.admin.conftest import ALL, CHANGE, PREFIX, SignIn, address
from tests.admin.forms import form_on
from tests.conftest import Seed
from tests.state.conftest import MakeInstance, make_instance, vendor_families

__all__ = ["make_instance", "vendor_families"]

KEY = "canary-4f1d77a2"
DECLARED = """
ai:
  providers:
    declared: {type: vendor, apiKey: canary-declared, region: north, defaultModels: {text-generation: big}}
"""


@pytest.fixture
def one(make_instance: MakeInstance) -> ProviderInstance:
    """An instance made in the admin, with a key and a model."""
    row = make_instance("one", secrets={"apiKey": KEY}, options={"baseURL": "https://one.example/v1"})
    ProviderCapability.objects.create(
        instance=row, capability="text-generation", default_model="big", aliases={"fast": "small"}
    )
    return row


def submit(client: Client, name: str, /, **changes: Any) -> Any:
    """Open the page, change some fields, and send the form."""
    data = form_on(client.get(address(name)))
    return client.post(address(name), {field: value for field, value in {**data, **changes}.items() if value is not None})


def opened(row: ProviderInstance, name: str) -> str:
    return key_ring().decrypt(row.credentials[name], row=str(row.pk), name=name).reveal()


def fields_of(response: Any) -> dict[str, Any]:
    """The errors of the form that was answered."""
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


# --- adding ----------------------------------------------------------------------------------------------------------


def test_adding_begins_with_the_family_and_asks_for_what_it_declares(sign_in: SignIn, vendor_families: None) -> None:
    client = sign_in(*ALL)
    chooser = client.get(f"{PREFIX}add/").content.decode()
    assert "?family=vendor" in chooser
    assert "?family=openai-compatible" in chooser
    data = form_on(client.get(f"{PREFIX}add/?family=vendor"))
    assert {
        "name",
        "option_baseURL",
        "option_region",
        "option_slots",
        "credential_apiKey-value",
        "credential_headers-value",
    } <= set(data)
    data |= {
        "name": "mine",
        "option_region": "south",
        "option_slots": "3",
        "credential_apiKey-value": KEY,
        "credential_headers-value": "x-team: platform\nx-cost: 7",
        "capabilities-0-default_model": "big",
        "capabilities-0-aliases": "fast = small\nslow = big",
    }
    assert client.post(f"{PREFIX}add/?family=vendor", data).status_code == 302
    row = ProviderInstance.objects.get(name="mine")
    assert (row.family, row.managed, row.options) == ("vendor", False, {"region": "south", "slots": 3})
    assert (opened(row, "apiKey"), json.loads(opened(row, "headers"))) == (KEY, {"x-team": "platform", "x-cost": "7"})
    [capability] = row.capabilities.all()
    assert (capability.capability, capability.default_model, capability.aliases) == (
        "text-generation",
        "big",
        {"fast": "small", "slow": "big"},
    )


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "not a name", "Use letters, digits"),
        ("option_slots", "many", "whole number"),
        ("option_region", "west", "none of the allowed values"),
        ("option_baseURL", "http://169.254.169.254/v1", "never reached"),
        ("option_baseURL", "http://127.0.0.1:9000/v1", "private network"),
        ("option_baseURL", "https://user:pw@vendor.example/v1", "user name or password"),
        ("credential_headers-value", "no colon here", "Line 1"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_stored(
    sign_in: SignIn,
    vendor_families: None,
    field: str,
    value: str,
    said: str,
) -> None:
    client = sign_in(*ALL)
    data = form_on(client.get(f"{PREFIX}add/?family=vendor")) | {"name": "mine", "credential_apiKey-value": KEY, field: value}
    errors = fields_of(client.post(f"{PREFIX}add/?family=vendor", data))
    assert said in str(errors[field.removesuffix("-value")])
    assert not ProviderInstance.objects.exists()


def test_a_name_that_differs_only_in_case_is_taken(sign_in: SignIn, one: ProviderInstance) -> None:
    client = sign_in(*ALL)
    data = form_on(client.get(f"{PREFIX}add/?family=keyless")) | {"name": "ONE", "option_modelPath": "/models/a.gguf"}
    assert "exists" in str(fields_of(client.post(f"{PREFIX}add/?family=keyless", data)))


def test_a_family_that_is_not_installed_leads_back_to_the_choice(sign_in: SignIn) -> None:
    assert b"Of which family" in sign_in(*ALL).get(f"{PREFIX}add/?family=nope").content


# --- credentials -----------------------------------------------------------------------------------------------------


def test_an_empty_credential_is_kept_and_another_one_replaces_it(sign_in: SignIn, one: ProviderInstance) -> None:
    client = sign_in(*CHANGE)
    assert submit(client, "one", option_region="north").status_code == 302
    one.refresh_from_db()
    assert opened(one, "apiKey") == KEY
    response = submit(client, "one", **{"credential_apiKey-action": "replace", "credential_apiKey-value": "another-key"})
    assert response.status_code == 302
    one.refresh_from_db()
    assert (opened(one, "apiKey"), set(one.credentials_set_at)) == ("another-key", {"apiKey"})


def test_a_credential_is_cleared_only_on_purpose(sign_in: SignIn, one: ProviderInstance) -> None:
    client = sign_in(*CHANGE)
    assert submit(client, "one", **{"credential_apiKey-action": "clear"}).status_code == 302
    one.refresh_from_db()
    assert one.credentials == {}


@pytest.mark.parametrize("given", [{"credential_apiKey-value": "typed"}, {"credential_apiKey-action": "replace"}])
def test_a_half_given_replacement_is_a_mistake(sign_in: SignIn, one: ProviderInstance, given: dict[str, str]) -> None:
    client = sign_in(*CHANGE)
    assert "credential_apiKey" in fields_of(submit(client, "one", **given))
    one.refresh_from_db()
    assert opened(one, "apiKey") == KEY


def test_a_changed_address_wants_the_credential_again(sign_in: SignIn, one: ProviderInstance) -> None:
    client = sign_in(*CHANGE)
    elsewhere = {"option_baseURL": "https://elsewhere.example/v1"}
    assert "only where it was entered for" in str(fields_of(submit(client, "one", **elsewhere))["credential_apiKey"])
    one.refresh_from_db()
    assert one.options == {"baseURL": "https://one.example/v1"}
    again = {"credential_apiKey-action": "replace", "credential_apiKey-value": "for-elsewhere"}
    assert submit(client, "one", **elsewhere, **again).status_code == 302
    one.refresh_from_db()
    assert (one.options, opened(one, "apiKey")) == ({"baseURL": "https://elsewhere.example/v1"}, "for-elsewhere")


def test_an_address_that_is_cleared_to_its_default_wants_the_credential_again(sign_in: SignIn, one: ProviderInstance) -> None:
    assert "credential_apiKey" in fields_of(submit(sign_in(*CHANGE), "one", option_baseURL=""))


def test_equal_credentials_have_equal_fingerprints_and_no_page_has_more(
    sign_in: SignIn,
    one: ProviderInstance,
    make_instance: MakeInstance,
) -> None:
    make_instance("two", secrets={"apiKey": KEY})
    make_instance("three", secrets={"apiKey": "another"})
    client = sign_in(*ALL)
    prints = {}
    for name in ("one", "two", "three"):
        shown = client.get(address(name)).content.decode()
        prints[name] = shown.partition("<code>")[2].partition("</code>")[0]
        assert KEY not in shown
        assert ProviderInstance.objects.get(name=name).credentials["apiKey"] not in shown
    assert prints["one"] == prints["two"] != prints["three"]
    assert all(len(found) == 12 for found in prints.values())


def test_without_an_encryption_key_a_credential_is_not_taken(
    sign_in: SignIn, one: ProviderInstance, settings: Settings
) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "ENCRYPTION_KEYS": ()}
    changes = {"credential_apiKey-action": "replace", "credential_apiKey-value": "x"}
    errors = fields_of(submit(sign_in(*CHANGE), "one", **changes))
    assert "ai_keys generate" in str(errors["__all__"])


# --- broken rows -----------------------------------------------------------------------------------------------------


def test_a_credential_under_a_lost_key_is_replaced_and_works(
    sign_in: SignIn, one: ProviderInstance, settings: Settings
) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "ENCRYPTION_KEYS": (generate_key(),)}
    client = sign_in(*CHANGE)
    assert b"cannot be decrypted" in client.get(address("one")).content
    changes = {"credential_apiKey-action": "replace", "credential_apiKey-value": "fresh-key"}
    assert submit(client, "one", **changes).status_code == 302
    one.refresh_from_db()
    assert opened(one, "apiKey") == "fresh-key"
    assert b"cannot be decrypted" not in client.get(address("one")).content


def test_a_damaged_row_is_shown_and_can_be_repaired(sign_in: SignIn, make_instance: MakeInstance) -> None:
    row = make_instance("bent", options=[1, 2])
    ProviderInstance.objects.filter(pk=row.pk).update(credentials=["x"], credentials_set_at="?", report="?", state="gone")
    ProviderCapability.objects.create(instance=row, capability="telepathy", aliases=["x"])
    client = sign_in(*ALL)
    assert b"damaged" in client.get(address("bent")).content
    repaired = submit(client, "bent", **{"credential_apiKey-value": KEY, "option_region": "north"})
    assert repaired.status_code == 302, repaired.context["adminform"].form.errors
    row.refresh_from_db()
    assert (row.options, opened(row, "apiKey")) == ({"region": "north"}, KEY)


def test_a_row_whose_family_is_gone_can_be_looked_at_switched_off_and_deleted(
    sign_in: SignIn,
    make_instance: MakeInstance,
) -> None:
    make_instance("relic", family="retired")
    client = sign_in(*ALL)
    assert b"retired, not installed" in client.get(address("relic")).content
    assert submit(client, "relic", enabled=None).status_code == 302
    assert not ProviderInstance.objects.get(name="relic").enabled
    assert client.post(address("relic", "delete"), {"post": "yes"}).status_code == 302
    assert not ProviderInstance.objects.exists()


# --- who owns what ---------------------------------------------------------------------------------------------------


@pytest.fixture
def declared(db: None, seed: Seed, vendor_families: None) -> ProviderInstance:
    seed(DECLARED)
    return ProviderInstance.objects.get(name="declared")


def test_what_the_file_owns_is_shown_with_the_files_value_beside_it(
    sign_in: SignIn, declared: ProviderInstance, write_config: Any
) -> None:
    client = sign_in(*ALL)
    shown = client.get(address("declared")).content.decode()
    assert "ai.providers.declared" in shown
    assert "the file has" not in shown
    assert "option_region" not in form_on(client.get(address("declared")))
    write_config(DECLARED.replace("north", "south"))
    shown = client.get(address("declared")).content.decode()
    assert "the file has</span> south" in shown


def test_a_forged_post_changes_nothing_that_the_file_owns(sign_in: SignIn, declared: ProviderInstance) -> None:
    forged = {
        "name": "taken",
        "family": "keyless",
        "option_region": "south",
        "managed": "",
        "is_default": "on",
        "declaration_seal": "",
        "capabilities-0-default_model": "stolen",
        "capabilities-0-aliases": "fast = stolen",
    }
    assert submit(sign_in(*ALL), "declared", **forged).status_code == 302
    declared.refresh_from_db()
    assert (declared.name, declared.family, declared.options, declared.is_default) == (
        "declared",
        "vendor",
        {"region": "north"},
        False,
    )
    assert [item.default_model for item in declared.capabilities.all()] == ["big"]
    assert sign_in(*ALL).post(address("declared", "delete"), {"post": "yes"}).status_code == 403


def test_a_credential_entered_by_an_administrator_survives_the_next_seeding(
    sign_in: SignIn, declared: ProviderInstance
) -> None:
    changes = {"credential_apiKey-action": "replace", "credential_apiKey-value": "newer-key"}
    assert submit(sign_in(*CHANGE), "declared", **changes).status_code == 302
    assert not seed_rows(config.current()).changes
    declared.refresh_from_db()
    assert opened(declared, "apiKey") == "newer-key"


def test_after_a_lost_key_the_administrators_credential_survives_too(
    sign_in: SignIn, declared: ProviderInstance, settings: Settings
) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "ENCRYPTION_KEYS": (generate_key(),)}
    changes = {"credential_apiKey-action": "replace", "credential_apiKey-value": "newer-key"}
    assert submit(sign_in(*CHANGE), "declared", **changes).status_code == 302
    plan = seed_rows(config.current())
    assert (plan.changes, plan.warnings) == ((), ())
    declared.refresh_from_db()
    assert opened(declared, "apiKey") == "newer-key"


def test_a_capability_is_switched_off_and_no_other_is_smuggled_in(sign_in: SignIn, one: ProviderInstance) -> None:
    client = sign_in(*ALL)
    smuggled = {"capabilities-1-capability": "video-generation", "capabilities-1-default_model": "x"}
    assert submit(client, "one", **smuggled).status_code == 200
    assert (
        submit(client, "one", **{"capabilities-0-enabled": None, "capabilities-0-capability": "embeddings"}).status_code == 302
    )
    [capability] = one.capabilities.all()
    assert (capability.capability, capability.enabled) == ("text-generation", False)


def test_models_that_change_take_their_last_check_back(sign_in: SignIn, one: ProviderInstance) -> None:
    one.capabilities.update(check_state="healthy", check_message="It answered.")
    assert submit(sign_in(*CHANGE), "one", **{"capabilities-0-default_model": "bigger"}).status_code == 302
    assert one.capabilities.get().check_state == "unchecked"


def test_two_who_change_the_same_provider_do_not_overwrite_each_other(sign_in: SignIn, one: ProviderInstance) -> None:
    first, second = sign_in(*CHANGE), sign_in(*CHANGE)
    opened_before = form_on(first.get(address("one")))
    assert submit(second, "one", **{"capabilities-0-enabled": None}).status_code == 302
    late = first.post(address("one"), opened_before | {"option_region": "north"})
    assert "Somebody changed this provider" in str(fields_of(late))
    assert not one.capabilities.get().enabled
    assert "region" not in ProviderInstance.objects.get(name="one").options


# --- permissions -----------------------------------------------------------------------------------------------------


def test_who_may_only_view_sees_no_credential_field_and_changes_nothing(sign_in: SignIn, one: ProviderInstance) -> None:
    data = form_on(sign_in(*ALL).get(address("one")))
    client = sign_in("view_providerinstance", "view_providercapability")
    shown = client.get(address("one"))
    assert shown.status_code == 200
    assert b"credential_" not in shown.content
    assert b"fingerprint" not in shown.content
    assert b"https://one.example/v1" in shown.content
    for page in ("change", "delete"):
        assert client.post(address("one", page), {**data, "post": "yes", "enabled": ""}).status_code == 403
    assert client.post(f"{PREFIX}add/?family=vendor", data).status_code == 403
    assert client.get(f"{PREFIX}add/").status_code == 403
    assert ProviderInstance.objects.get(name="one").enabled


def test_who_may_not_change_capabilities_does_not_by_the_providers_form(sign_in: SignIn, one: ProviderInstance) -> None:
    data = form_on(sign_in(*ALL).get(address("one"))) | {"capabilities-0-default_model": "stolen"}
    data.pop("capabilities-0-enabled")
    client = sign_in("view_providerinstance", "change_providerinstance", "view_providercapability")
    assert client.post(address("one"), data | {"option_region": "north"}).status_code == 302
    capability = one.capabilities.get()
    assert (capability.default_model, capability.enabled) == ("big", True)


# --- history ---------------------------------------------------------------------------------------------------------


def test_the_history_says_what_changed_and_never_a_credential(sign_in: SignIn, one: ProviderInstance) -> None:
    client = sign_in(*ALL)
    changes = {
        "enabled": None,
        "option_region": "north",
        "credential_apiKey-action": "replace",
        "credential_apiKey-value": "canary-next",
        "capabilities-0-default_model": "bigger",
    }
    assert submit(client, "one", **changes).status_code == 302
    [entry] = LogEntry.objects.all()
    said = entry.get_change_message()
    for part in ("Enabled: on → off", "region: - → north", "apiKey replaced", "text-generation", "big → bigger"):
        assert part in said
    history = client.get(address("one", "history")).content.decode()
    assert "apiKey replaced" in history
    assert "canary" not in history + entry.change_message


# --- cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capabilities", [1, 2])
def test_the_page_asks_the_database_the_same_few_questions(
    sign_in: SignIn, one: ProviderInstance, capabilities: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    if capabilities == 2:
        ProviderCapability.objects.create(instance=one, capability="embeddings", default_model="vectors")
    client = sign_in(*ALL)
    client.get(address("one"))
    with django_assert_max_num_queries(12):
        client.get(address("one"))


# --- a circuit that is open -------------------------------------------------------------------------------------------


def test_an_instance_whose_calls_are_refused_says_so(sign_in: SignIn, one: ProviderInstance, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "BREAKER_FAILURES": 1}
    client = sign_in(*CHANGE)
    pages = (PREFIX, address("one"))
    assert not any("failed too often" in client.get(page).content.decode() for page in pages)

    async def dead() -> None:
        raise UpstreamError("It is dead.")

    with pytest.raises(UpstreamError), admission.of(facts_of(one)).passage(Limits.of({})) as passage:
        async_to_sync(passage.attempt)(dead)
    assert all("one failed too often just now" in client.get(page).content.decode() for page in pages)
