"""The overview: what it says of every part, what it does when a part is broken, and its two actions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.functions import Now
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from ai_models import store
from ai_models.encryption import generate_key
from ai_models.facts import stored_revision
from ai_models.keyring import configured_keys, key_ring
from ai_models.models import APIToken, ProviderCapability, ProviderInstance, Worker, bump_revision
from tests.admin.conftest import PREFIX, SignIn, address
from tests.conftest import Seed, WriteConfig
from tests.state.conftest import MakeInstance, make_instance, vendor_families

__all__ = ["make_instance", "vendor_families"]

PAGE = f"{PREFIX}overview/"
APPLY = ("add_providerinstance", "change_providerinstance", "delete_providerinstance", "change_providercapability")
SECRET = "sk-canary-5d1c"


def provider(name: str = "one", key: str = SECRET, **settings: Any) -> dict[str, Any]:
    return {name: {"type": "vendor", "apiKey": key, "defaultModels": {"text-generation": "m"}, **settings}}


def file(*providers: dict[str, Any], **ai: Any) -> str:
    """A configuration file; YAML takes JSON as it is."""
    return json.dumps({"ai": {"providers": {name: body for item in providers for name, body in item.items()}, **ai}})


def card(page: HttpResponse, name: str) -> str:
    """The markup of one card."""
    assert page.status_code == 200
    found = re.search(rf'<section class="ai-card" id="{name}".*?</section>', page.content.decode(), re.DOTALL)
    assert found, name
    return found[0]


def said(page: HttpResponse, name: str) -> str:
    """What a card says, without its heading, in one line."""
    text = re.sub(r"<[^>]*>", " ", card(page, name).split("</h2>")[1])
    return " ".join(unescape(text).split())


def glance(page: HttpResponse) -> dict[str, str]:
    """What is at a glance, by card."""
    nav = page.content.decode().split('class="ai-glance"')[1].split("</nav>")[0]
    found = re.findall(r'href="#(\w+)">.*?</a>(.*?)</li>', nav, re.DOTALL)
    return {name: unescape(re.sub(r"<[^>]*>", "", chip)).strip().replace("\xa0", " ") for name, chip in found}


def rows() -> list[Any]:
    """Everything that the actions could change."""
    return [*ProviderInstance.objects.values(), *ProviderCapability.objects.values(), LogEntry.objects.count()]


def told(page: HttpResponse) -> list[str]:
    return [str(message) for message in page.context["messages"]]


@pytest.fixture
def client(sign_in: SignIn) -> Client:
    """A browser of somebody who may do everything here."""
    return sign_in(*APPLY)


@pytest.fixture
def viewer(sign_in: SignIn) -> Client:
    return sign_in("view_providerinstance")


# --- the matrix -----------------------------------------------------------------------------------------------------


def cells(page: HttpResponse, name: str) -> list[str]:
    """What the cells of an instance say."""
    body = card(page, "matrix").split("</tbody>")[0]
    row = next(part for part in body.split("<tr ")[1:] if f">{name}</a>" in part)
    texts = (unescape(re.sub(r"<[^>]*>", " ", cell)) for cell in row.split("<td ")[1:])
    return [" ".join(text.split(">", 1)[1].split()) for text in texts]


def test_each_cell_says_how_a_capability_stands(client: Client, seed: Seed) -> None:
    models = {"defaultModels": {"text-generation": "big"}, "modelAliases": {"embeddings": {"a": "x", "b": "y"}}}
    seed(file(provider(**models), defaultProvider="one"))
    ProviderCapability.objects.filter(capability="text-generation").update(check_state="healthy")
    text, structured, embeddings, *others = cells(client.get(PAGE), "one")
    assert text == "Text generation verified big (on, and a call was made with success)"
    assert embeddings == "Embeddings on 2 aliases (on)"
    assert all(cell.endswith("not supported") for cell in (structured, *others))
    ProviderCapability.objects.get(capability="text-generation").delete()
    switched = ProviderCapability.objects.get()
    switched.enabled = False
    switched.save()
    text, _, embeddings, *_ = cells(client.get(PAGE), "one")
    assert text == "Text generation supported (supported, not configured)"
    assert embeddings == "Embeddings off 2 aliases (switched off)"


def test_states_and_capabilities_are_counted_and_lead_to_the_filtered_list(client: Client, make_instance: MakeInstance) -> None:
    for name in ("a", "b"):
        good = make_instance(name, secrets={"apiKey": SECRET})
        ProviderCapability.objects.create(instance=good, capability="embeddings", default_model="e")
    make_instance("c", enabled=False)
    make_instance("d")
    page = client.get(PAGE)
    assert "ready 2 disabled 1 credential missing 1" in said(page, "matrix")
    assert "Available for calls Embeddings 2" in said(page, "matrix")
    assert "Default provider none" in said(page, "matrix")
    assert glance(page)["matrix"] == "1 needs attention"
    for link in re.findall(rf'href="({PREFIX}\?[^"]*)"', card(page, "matrix")):
        assert client.get(link).status_code == 200
    assert f'href="{PREFIX}?state=credential-missing"' in card(page, "matrix")
    assert f'href="{address("d")}"' in card(page, "matrix")


def test_rows_that_are_broken_in_every_way_are_shown_with_what_is_wrong(client: Client, make_instance: MakeInstance) -> None:
    make_instance("options", options=[1])
    make_instance("family", family="retired")
    make_instance("secret", secrets={"apiKey": SECRET})
    make_instance("sealed", declaration_seal="garbage", managed=True)
    ProviderInstance.objects.filter(name="secret").update(credentials=[2])
    configured = ProviderInstance.objects.get(name="family")
    ProviderCapability.objects.create(instance=configured, capability="embeddings", default_model="e", aliases=[3])
    store.invalidate()
    page = client.get(PAGE)
    assert "Its connection settings are damaged." in said(page, "matrix")
    assert "Provider family retired is not installed." in said(page, "matrix")
    assert "credential undecryptable" in said(page, "matrix")
    assert cells(page, "family")[2] == "Embeddings blocked e (configured, and the family does not support it)"
    assert "none damaged 2 2" in said(page, "keys")
    assert "secret : credentials" in said(page, "keys")
    assert SECRET not in page.content.decode()


def test_five_hundred_instances_take_no_more_queries_than_five(client: Client, make_instance: MakeInstance) -> None:
    def queries() -> int:
        client.get(PAGE)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(PAGE).status_code == 200
        return len(captured)

    for number in range(5):
        make_instance(f"few{number}", secrets={"apiKey": SECRET})
    few = queries()
    made = [ProviderInstance(name=f"many{number:03}", family="vendor", credentials={"apiKey": "?"}) for number in range(495)]
    ProviderInstance.objects.bulk_create(made)
    ProviderCapability.objects.bulk_create(
        ProviderCapability(instance=row, capability="embeddings", default_model="e") for row in made
    )
    user = User.objects.get()
    for row in made[:30]:
        LogEntry.objects.log_actions(user.pk, [row], CHANGE, "Changed.", single_object=True)
    bump_revision()
    assert queries() <= few + 1
    assert few <= 30
    page = client.get(PAGE)
    assert "Page 1 of 10, 500 providers" in said(page, "matrix")
    assert ">many000</a>" in card(page, "matrix")
    assert ">few0</a>" not in card(page, "matrix")
    assert "and 475 more" in said(page, "keys")
    last = client.get(f"{PAGE}?page=10")
    assert ">few4</a>" in card(last, "matrix")
    assert client.get(f"{PAGE}?page=nonsense").status_code == 200


def test_without_any_provider_it_says_how_to_begin(client: Client, write_config: WriteConfig) -> None:
    write_config("ai: {providers: {}}")
    page = client.get(PAGE)
    assert "There is no provider yet." in said(page, "matrix")
    assert glance(page)["matrix"] == "none"


# --- validation and files -------------------------------------------------------------------------------------------


def test_validation_says_what_a_check_would_say(client: Client, write_config: WriteConfig) -> None:
    write_config(file(provider(regoin="north"), {"two": {"type": "ambient"}}))
    page = client.get(PAGE)
    for part in ("error ai_models.E004", "one.regoin: The key is not known.", "Did you mean region?", "to know ai_models.I001"):
        assert part in said(page, "validation")
    assert said(page, "validation").index("E004") < said(page, "validation").index("I001")
    assert glance(page)["validation"] == "1 error"
    assert SECRET not in page.content.decode()


def test_without_problems_it_says_so(client: Client, seed: Seed) -> None:
    seed(file(provider()))
    page = client.get(PAGE)
    assert said(page, "validation").startswith("No problems")
    assert glance(page)["validation"] == "no problems"


def test_files_and_names_of_variables_are_told_and_no_value(
    client: Client, write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_config(file(provider()))
    monkeypatch.setenv("APP_CONFIG_ai_providers_one_region", "north")
    monkeypatch.setenv("APP_CONFIG_ai_providers_one_apiKey", SECRET)
    (path.parent / ".env").write_text(f"APP_CONFIG_ai_providers_one_slots=7\nOTHER={SECRET}\n")
    page = client.get(PAGE)
    text = said(page, "files")
    assert f"{path} {path.stat().st_size} bytes, changed" in text.replace("\xa0", " ")
    for part in ("one_region", "one_apiKey", "one_slots", f"{path.parent / '.env'} in use"):
        assert part in text
    assert "OTHER" not in text
    assert SECRET not in page.content.decode()
    path.unlink()
    assert glance(client.get(PAGE))["files"] == "1 not there"


# --- drift ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def drifted(db: None, seed: Seed, write_config: WriteConfig) -> None:
    """Of three seeded instances one is changed in the file, one is as it was, one is gone; and there is a new one."""
    seed(file(provider(), provider("same"), provider("gone")))
    write_config(file(provider(key=f"{SECRET}-2", region="north"), provider("same"), provider("new")))


def form(client: Client, page: str = PAGE) -> dict[str, str]:
    """What the button below the shown plan sends."""
    markup = card(client.get(page), "drift")
    return {**dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', markup)), "action": "apply"}


@pytest.mark.usefixtures("drifted")
def test_the_plan_is_shown_and_applied_as_it_is_shown(client: Client) -> None:
    page = client.get(PAGE)
    for part in ("update one", "region: set apiKey: changed", "create new", "update gone gone from the file: disabled"):
        assert part in said(page, "drift")
    assert "same" not in said(page, "drift")
    assert "1 provider is gone from the files: gone." in said(page, "drift")
    assert glance(page)["drift"] == "3 changes"
    done = client.post(PAGE, form(client), follow=True)
    assert done.redirect_chain == [(f"{PAGE}#drift", 302)]
    assert told(done) == ["3 providers were brought in line with the configuration files."]
    assert glance(done)["drift"] == "none"
    one = ProviderInstance.objects.get(name="one")
    assert key_ring().decrypt(one.credentials["apiKey"], row=str(one.pk), name="apiKey").reveal() == f"{SECRET}-2"
    assert store.current().instances["one"].options == {"region": "north"}
    assert ProviderInstance.objects.get(name="gone").orphaned


@pytest.mark.usefixtures("drifted")
def test_each_changed_row_is_logged_with_who_and_what(client: Client) -> None:
    client.post(PAGE, form(client))
    logged = {log.object_repr: log for log in LogEntry.objects.all()}
    assert logged.keys() == {"one", "new", "gone"}
    assert {name: log.action_flag for name, log in logged.items()} == {"one": CHANGE, "new": ADDITION, "gone": CHANGE}
    for name, log in logged.items():
        assert (log.user, log.object_id) == (User.objects.get(), str(ProviderInstance.objects.get(name=name).pk))
    assert logged["one"].change_message == "From the configuration files: region: set; apiKey: changed."
    shown = client.get(address("one", "history")).content.decode()
    assert "region: set; apiKey: changed" in shown
    assert SECRET not in shown + str(list(LogEntry.objects.values()))


@pytest.mark.usefixtures("drifted")
def test_what_is_gone_is_deleted_only_by_a_plan_that_says_so(client: Client) -> None:
    gone = ProviderInstance.objects.get(name="gone")
    assert 'href="?prune=1#drift"' in card(client.get(PAGE), "drift")
    page = client.get(f"{PAGE}?prune=1")
    assert "delete gone gone from the file" in said(page, "drift")
    assert "Apply, and delete 1 provider" in said(page, "drift")
    shown = form(client, f"{PAGE}?prune=1")
    forged = client.post(PAGE, {**form(client), "prune": "1"}, follow=True)
    assert told(forged)[0].startswith("Nothing was applied")
    assert ProviderInstance.objects.filter(name="gone").exists()
    client.post(PAGE, shown)
    assert not ProviderInstance.objects.filter(name="gone").exists()
    log = LogEntry.objects.get(object_repr="gone")
    assert (log.action_flag, log.object_id) == (DELETION, str(gone.pk))


def change_the_same_lines(write_config: WriteConfig) -> None:
    write_config(file(provider(key=f"{SECRET}-3", region="north"), provider("same"), provider("new")))


def change_other_lines(write_config: WriteConfig) -> None:
    write_config(file(provider(region="north"), provider("same"), provider("new")))


def change_the_database(write_config: WriteConfig) -> None:
    row = ProviderInstance.objects.get(name="same")
    row.options = {"region": "south"}
    row.save()


@pytest.mark.parametrize("change", [change_the_same_lines, change_other_lines, change_the_database])
@pytest.mark.usefixtures("drifted")
def test_another_plan_than_the_shown_one_is_not_applied_but_shown(
    client: Client, write_config: WriteConfig, change: Callable[[WriteConfig], None]
) -> None:
    shown = form(client)
    change(write_config)
    before = rows()
    answer = client.post(PAGE, shown, follow=True)
    assert told(answer) == ["Nothing was applied: the plan is another one by now. This is the new one."]
    assert rows() == before
    assert form(client)["plan"] != shown["plan"]
    client.post(PAGE, form(client))
    assert glance(client.get(PAGE))["drift"] == "none"


@pytest.mark.parametrize("missing", APPLY)
@pytest.mark.usefixtures("drifted")
def test_to_apply_takes_every_permission_that_a_plan_may_need(client: Client, sign_in: SignIn, missing: str) -> None:
    shown = form(client)
    other = sign_in("view_providerinstance", *(name for name in APPLY if name != missing))
    before = rows()
    page = other.get(PAGE)
    assert "update one" in said(page, "drift")
    assert "Applying it needs the permissions" in said(page, "drift")
    assert "<form" not in card(page, "drift")
    assert "prune" not in card(page, "drift")
    assert other.post(PAGE, shown).status_code == 403
    assert other.post(PAGE, {**shown, "prune": "1"}).status_code == 403
    assert rows() == before


@pytest.mark.parametrize("broken", ["ai: [", "ai:\n  providers: {one: {type: vendr}}", "ai:\n\tproviders: {}"])
def test_broken_files_are_told_and_nothing_can_be_applied(
    client: Client, seed: Seed, write_config: WriteConfig, broken: str
) -> None:
    seed(file(provider()))
    write_config(broken)
    before = rows()
    page = client.get(PAGE)
    assert said(page, "drift") == "Nothing can be compared as long as startup validation finds errors."
    assert glance(page)["drift"] == "cannot be told"
    assert "E004" in said(page, "validation")
    answer = client.post(PAGE, {"action": "apply", "plan": ""}, follow=True)
    assert told(answer) == ["Nothing was changed, because something is not in order. See below."]
    assert rows() == before


def test_an_absent_declaration_takes_nothing_for_gone(client: Client, seed: Seed, write_config: WriteConfig) -> None:
    seed(file(provider()))
    shown = form_of_an_empty_declaration(client, write_config)
    write_config("other: 1")
    before = rows()
    page = client.get(PAGE)
    assert "No configuration file with the key ai is there, and 1 instances were seeded from one." in said(page, "drift")
    assert "<form" not in card(page, "drift")
    client.post(PAGE, shown)
    assert rows() == before


def form_of_an_empty_declaration(client: Client, write_config: WriteConfig) -> dict[str, str]:
    write_config("ai: {providers: {}}")
    return form(client)


def test_conflicts_are_told_and_nothing_can_be_applied(client: Client, seed: Seed, make_instance: MakeInstance) -> None:
    seed(file(provider("two")))
    make_instance("one")
    write = file(provider(), provider("two", region="north"))
    page = client.get(PAGE)
    assert glance(page)["drift"] == "none"
    with pytest.raises(Exception, match="was made in the admin"):
        seed(write)
    page = client.get(PAGE)
    assert "ai.providers.one: an instance of this name was made in the admin" in said(page, "drift")
    assert "region: set" in said(page, "drift")
    assert "<form" not in card(page, "drift")
    assert glance(page)["drift"] == "conflict"


def test_credentials_that_cannot_be_decrypted_are_a_warning_of_the_plan(
    client: Client, seed: Seed, set_ring: Callable[..., None]
) -> None:
    seed(file(provider()))
    set_ring(generate_key())
    page = client.get(PAGE)
    assert "one: its stored credentials cannot be decrypted" in said(page, "drift")
    assert "<form" not in card(page, "drift")
    assert glance(page)["drift"] == "with warnings"


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def older(make_instance: MakeInstance, set_ring: Callable[..., None]) -> tuple[str, str]:
    """Two instances under a key that is the second one by now. Gives the key ids in the ring's order."""
    for name in ("a", "b"):
        make_instance(name, secrets={"apiKey": SECRET, "headers": "{}"})
    set_ring(generate_key(), *configured_keys())
    first, second = key_ring().ids
    return first, second


def test_the_ring_is_told_in_its_order_with_what_is_under_each_key(client: Client, older: tuple[str, str]) -> None:
    page = client.get(PAGE)
    first, second = older
    assert f"{first} encrypts and decrypts 0 0 {second} decrypts 4 2" in said(page, "keys")
    assert glance(page)["keys"] == "4 under an older key"
    assert not any(key in page.content.decode() for key in configured_keys())


def test_everything_is_encrypted_with_the_first_key_and_logged(client: Client, older: tuple[str, str]) -> None:
    done = client.post(PAGE, {"action": "rotate"}, follow=True)
    assert done.redirect_chain == [(f"{PAGE}#keys", 302)]
    assert told(done) == ["The credentials of 2 providers were encrypted with the first key."]
    assert f"{older[0]} encrypts and decrypts 4 2 {older[1]} decrypts 0 0" in said(done, "keys")
    assert "<form" not in card(done, "keys")
    assert {(log.object_repr, log.action_flag, log.change_message) for log in LogEntry.objects.all()} == {
        (name, CHANGE, f"Credentials encrypted again, with key {older[0]}.") for name in ("a", "b")
    }
    again = client.post(PAGE, {"action": "rotate"}, follow=True)
    assert told(again) == ["Everything that opens was encrypted with the first key already."]
    assert LogEntry.objects.count() == 2


def test_who_may_only_view_encrypts_nothing(viewer: Client, older: tuple[str, str]) -> None:
    before = rows()
    assert "<form" not in card(viewer.get(PAGE), "keys")
    assert "needs the permission to change" in said(viewer.get(PAGE), "keys")
    assert viewer.post(PAGE, {"action": "rotate"}).status_code == 403
    assert rows() == before


def test_what_does_not_open_is_told_with_its_key_and_leads_to_its_provider(
    client: Client, older: tuple[str, str], set_ring: Callable[..., None]
) -> None:
    set_ring(configured_keys()[0])
    page = client.get(PAGE)
    assert f"{older[1]} not in the ring 4 2" in said(page, "keys")
    assert "a : apiKey a : headers b : apiKey b : headers" in said(page, "keys")
    assert f'href="{address("a")}"' in card(page, "keys")
    assert "<form" not in card(page, "keys")
    assert glance(page)["keys"] == "4 do not open"


def test_a_wrong_ring_is_told_and_rotates_nothing(
    client: Client, older: tuple[str, str], set_ring: Callable[..., None]
) -> None:
    set_ring("too-short-" + SECRET)
    before = rows()
    page = client.get(PAGE)
    assert "Encryption key 1 is not 32 bytes of base64." in said(page, "keys")
    assert told(client.post(PAGE, {"action": "rotate"}, follow=True))[0].startswith("Nothing was changed")
    assert rows() == before
    assert SECRET not in page.content.decode()


# --- processes and changes ------------------------------------------------------------------------------------------


def test_processes_are_told_with_the_revision_that_they_serve(client: Client, make_instance: MakeInstance) -> None:
    make_instance("one")
    now = stored_revision()
    for pid, revision in ((1, now), (2, now - 1), (3, None)):
        Worker.objects.create(host="web", pid=pid, revision=revision, started_at=Now(), seen_at=Now())
    page = client.get(PAGE)
    assert f"The database has revision {now}" in said(page, "workers")
    for part in (f"web 1 {now} current", f"web 2 {now - 1} behind", "web 3 none yet"):
        assert part in said(page, "workers")
    assert glance(page)["workers"] == "2 lag"
    Worker.objects.all().delete()
    assert "No process reports itself." in said(client.get(PAGE), "workers")


def log(row: Any, flag: int = CHANGE, message: str = "Changed.") -> None:
    user, _ = User.objects.get_or_create(username="ada", first_name="Ada", last_name="Lovelace")
    LogEntry.objects.log_actions(user.pk, [row], flag, message, single_object=True)


def test_recent_changes_are_told_with_who_and_what(viewer: Client, make_instance: MakeInstance) -> None:
    row, gone = make_instance("one"), make_instance("gone")
    log(ProviderCapability.objects.create(instance=row, capability="embeddings"), ADDITION, '[{"added": {}}]')
    log(row, CHANGE, '[{"changed": {"fields": ["Enabled"]}}]')
    log(gone, DELETION, "")
    log(User.objects.get(username="ada"))
    gone.delete()
    page = viewer.get(PAGE)
    text = said(page, "changes")
    for part in ("ada (Ada Lovelace) changed one Changed Enabled.", "deleted gone", "added capability embeddings Added."):
        assert part in text
    assert text.index("deleted gone") < text.index("changed one") < text.index("added capability")
    assert f'href="{address("one", "history")}">one</a>' in card(page, "changes")
    assert f'href="{address("one", "history")}">embeddings</a>' in card(page, "changes")
    assert card(page, "changes").count("href=") == 2
    for number in range(30):
        log(row, CHANGE, f"number {number}")
    assert said(viewer.get(PAGE), "changes").count("number ") == 20


def test_changes_of_tokens_are_told_to_those_who_may_see_tokens(viewer: Client, sign_in: SignIn) -> None:
    log(APIToken(pk=7, prefix="abcd"), ADDITION)
    assert "abcd" not in viewer.get(PAGE).content.decode()
    assert "added API token abcd…" in said(sign_in("view_providerinstance", "view_apitoken").get(PAGE), "changes")


# --- who may, and what is broken ------------------------------------------------------------------------------------


def test_without_permission_there_is_nothing(sign_in: SignIn) -> None:
    assert sign_in().get(PAGE).status_code == 403
    assert sign_in("view_providercapability", "add_providerinstance").post(PAGE, {"action": "rotate"}).status_code == 403
    assert sign_in("change_providerinstance").get(PAGE).status_code == 200
    assert Client().get(PAGE).status_code == 302


@pytest.mark.usefixtures("drifted")
def test_another_site_can_make_nobody_act(client: Client) -> None:
    shown, before = form(client), rows()
    foreign = Client(enforce_csrf_checks=True)
    foreign.force_login(User.objects.get())
    assert foreign.post(PAGE, shown).status_code == 403
    assert rows() == before
    assert client.post(PAGE, {"action": "delete-everything"}).status_code == 400


@pytest.mark.usefixtures("drifted")
def test_the_page_has_no_secret_in_any_form(client: Client) -> None:
    page = client.get(PAGE).content.decode()
    row = ProviderInstance.objects.get(name="one")
    hidden = (SECRET, SECRET[::-1], row.credentials["apiKey"], row.declaration_seal, *configured_keys())
    assert not [secret for secret in hidden if secret in page]


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("ai_models_worker", ["workers"]),
        ("django_admin_log", ["changes"]),
        ("ai_models_providercapability", ["matrix", "drift"]),
    ],
)
def test_a_missing_table_costs_the_cards_that_read_it(client: Client, seed: Seed, table: str, names: list[str]) -> None:
    seed(file(provider()))
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_gone")
    store.invalidate()
    page = client.get(PAGE)
    assert [name for name, chip in glance(page).items() if chip == "cannot be told"] == names
    for name in names:
        assert "The database cannot be read." in said(page, name)


def test_a_database_that_is_not_migrated_is_told(client: Client, seed: Seed) -> None:
    seed(file(provider()))
    recorder = MigrationRecorder(connection)
    for app, name in recorder.applied_migrations():
        if app == "ai_models" and not name.startswith("0001"):
            recorder.record_unapplied(app, name)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ai_models_videojob RENAME TO gone")
    page = client.get(PAGE)
    assert "error ai_models.E010 The database has not all tables of ai_models." in said(page, "validation")
    assert ">one</a>" in card(page, "matrix")
    assert "<form" not in card(page, "drift")
    assert told(client.post(PAGE, {"action": "apply", "plan": ""}, follow=True))[0].startswith("Nothing was changed")


def test_a_family_that_cannot_be_loaded_is_told(client: Client, settings: Settings, write_config: WriteConfig) -> None:
    write_config(file(provider()))
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": ["tests.missing.Family"]}
    page = client.get(PAGE)
    assert 'The provider family from AI_MODELS["FAMILIES"], tests.missing.Family cannot be loaded' in said(page, "matrix")
    assert "E003" in said(page, "validation")


def test_settings_that_nothing_can_be_done_with_are_told_alone(client: Client, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "TIMEOUT": 30}
    page = client.get(PAGE)
    assert glance(page) == {"validation": "1 error"}
    assert 'AI_MODELS["TIMEOUT"] has a wrong value.' in said(page, "validation")
    assert told(client.post(PAGE, {"action": "apply", "plan": ""}, follow=True))[0].startswith("Nothing was changed")
