"""The page of access: boxes that give and take permissions, service accounts, and tokens that are shown once."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django import db
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.models import AuthToken
from pytest_django import Settings
from rest_framework.exceptions import AuthenticationFailed

from ai_models import accounts
from ai_models.capabilities import Capability
from ai_models.models import APIToken
from tests.admin.conftest import PREFIX, SignIn

pytestmark = pytest.mark.django_db

PAGE = f"{PREFIX}access/"
TOKENS = f"{PAGE}?part=tokens"
GROUPS = ("view_group", "change_group")
USERS = ("view_user", "change_user")
MAKE = ("view_apitoken", "add_apitoken", "add_user", "change_user")
EMBEDDINGS, TEXT, SPEECH = Capability.EMBEDDINGS, Capability.TEXT_GENERATION, Capability.SPEECH_GENERATION


class Forms(HTMLParser):
    """The forms of a page, as a browser would send them untouched."""

    def __init__(self, page: HttpResponse) -> None:
        super().__init__()
        self.all: list[dict[str, list[str]]] = []
        self.feed(page.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        if tag == "form":
            self.all.append({})
        if tag == "input" and self.all and has.get("name") and (has.get("type") != "checkbox" or "checked" in has):
            self.all[-1].setdefault(str(has["name"]), []).append(has.get("value") or "")

    def named(self, do: str) -> dict[str, list[str]]:
        return next(form for form in self.all if form.get("do") == [do])


def form(client: Client, do: str, address: str = PAGE) -> dict[str, list[str]]:
    """What a browser that opens the page would send, if nobody touched the form."""
    page = client.get(address)
    assert page.status_code == 200
    return Forms(page).named(do)


def touched(sent: Mapping[str, list[str]], holder: User | Group, *capabilities: Capability) -> dict[str, list[str]]:
    """The form with these boxes of a row, and no others, ticked."""
    assert f"shown-{holder.pk}" in sent
    return {**sent, f"given-{holder.pk}": [item.value for item in capabilities]}


def held(holder: User | Group) -> set[str]:
    rows = holder.permissions if isinstance(holder, Group) else holder.user_permissions
    return set(rows.values_list("codename", flat=True))


def words(page: HttpResponse) -> str:
    """What a page says, in one line."""
    text = re.sub(r"<(script|style).*?</\1>", " ", page.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def row(page: HttpResponse, name: str) -> str:
    """The markup of the row that this is the heading of."""
    rows = re.findall(r"<tr>.*?</tr>", page.content.decode(), re.DOTALL)
    return next(item for item in rows if re.search(rf">\s*(<a [^>]*>)?(<code>)?{re.escape(name)}<", item))


def shown(page: HttpResponse, holder: User | Group) -> bool:
    return f'name="shown-{holder.pk}"' in page.content.decode()


def queries(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def person(name: str, **fields: Any) -> User:
    return User.objects.create_user(name, password="a password for tests", **fields)


def service(name: str, *capabilities: Capability) -> User:
    user, _ = accounts.service_account(name)
    accounts.grant(user, capabilities)
    return user


def logged() -> list[tuple[str, int, str]]:
    return [(log.object_repr, log.action_flag, log.get_change_message()) for log in LogEntry.objects.order_by("pk")]


def authenticates(token: str) -> bool:
    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
    try:
        return TokenAuthentication().authenticate(request) is not None
    except AuthenticationFailed:
        return False


def token_in(page: HttpResponse) -> str:
    found = re.search(r'id="token" value="([^"]+)"', page.content.decode())
    assert found
    return found[1]


# --- who may use what -----------------------------------------------------------------------------------------------


def test_a_group_is_given_and_loses_capabilities(sign_in: SignIn) -> None:
    group = Group.objects.create(name="editors")
    accounts.grant(group, [TEXT, SPEECH])
    client = sign_in(*GROUPS)
    answer = client.post(PAGE, touched(form(client, "groups"), group, TEXT, EMBEDDINGS), follow=True)
    assert held(group) == {TEXT.codename, EMBEDDINGS.codename}
    assert "Saved: editors was changed." in words(answer)
    assert logged() == [("editors", CHANGE, "Granted: Embeddings. Withdrawn: Speech generation.")]
    log = LogEntry.objects.get()
    assert (log.user, log.get_edited_object()) == (User.objects.get(is_staff=True), group)


def test_a_user_is_given_and_loses_capabilities(sign_in: SignIn) -> None:
    grace = person("grace")
    grace.user_permissions.set(Permission.objects.filter(codename__in=["use_embeddings", "view_group"]))
    client = sign_in(*USERS)
    client.post(PAGE, touched(form(client, "users"), grace, TEXT))
    assert held(grace) == {"use_text_generation", "view_group"}
    assert logged() == [("grace", CHANGE, "Granted: Text generation. Withdrawn: Embeddings.")]


def test_what_nobody_touched_is_not_written(sign_in: SignIn) -> None:
    editors, search = (Group.objects.create(name=name) for name in ("editors", "search"))
    accounts.grant(search, [EMBEDDINGS])
    client = sign_in(*GROUPS)
    answer = client.post(PAGE, form(client, "groups"), follow=True)
    assert "Nothing was changed." in words(answer)
    client.post(PAGE, touched(form(client, "groups"), editors, TEXT))
    assert (held(search), [entry[0] for entry in logged()]) == ({EMBEDDINGS.codename}, ["editors"])


def test_what_somebody_else_changed_meanwhile_stays(sign_in: SignIn) -> None:
    group = Group.objects.create(name="editors")
    accounts.grant(group, [TEXT])
    client = sign_in(*GROUPS)
    sent = form(client, "groups")
    accounts.withdraw(group, [TEXT])
    accounts.grant(group, [EMBEDDINGS, SPEECH])
    client.post(PAGE, touched(sent, group, TEXT, SPEECH))
    assert held(group) == {EMBEDDINGS.codename, SPEECH.codename}
    assert logged() == []  # what the person wanted was there already


def test_a_group_that_is_gone_meanwhile_is_no_error(sign_in: SignIn) -> None:
    group = Group.objects.create(name="editors")
    client = sign_in(*GROUPS)
    sent = touched(form(client, "groups"), group, TEXT)
    group.delete()
    assert client.post(PAGE, sent).status_code == 302


def test_users_are_shown_who_have_something_themselves_and_others_are_searched_for(sign_in: SignIn) -> None:
    group = Group.objects.create(name="editors")
    accounts.grant(group, [TEXT])
    direct, member = person("direct"), person("member", email="who@example.com")
    accounts.grant(direct, [TEXT])
    member.groups.add(group)
    program = service("program")
    client = sign_in(*USERS)
    assert [shown(client.get(PAGE), user) for user in (direct, program, member)] == [True, True, False]
    for search in ("EMB", "who@"):
        page = client.get(PAGE, {"users": search})
        assert [shown(page, user) for user in (direct, program, member)] == [False, False, True]
    assert "There are none." in words(client.get(PAGE, {"users": "nobody at all"}))


def test_it_is_told_what_a_user_has_otherwise(sign_in: SignIn) -> None:
    for name in ("editors", "writers"):
        accounts.grant(Group.objects.create(name=name), [TEXT])
    accounts.grant(Group.objects.get(name="writers"), [SPEECH])
    grace = person("grace", is_active=False)
    grace.groups.set(Group.objects.all())
    User.objects.create_superuser("root")
    page = sign_in(*USERS).get(PAGE, {"users": "r"})
    grace_row, root_row = row(page, "grace"), row(page, "root")
    assert "2 groups" in grace_row
    assert grace_row.count('<span class="visually-hidden">through the groups editors, writers</span>') == 1
    assert grace_row.count('title="through the group writers"') == 1
    assert "inactive" in grace_row
    assert root_row.count('<span class="visually-hidden">as a superuser, whatever is chosen here</span>') == len(Capability)
    assert "checked" not in grace_row + root_row


def test_a_search_stays_when_the_page_is_saved(sign_in: SignIn) -> None:
    grace = person("grace")
    client = sign_in(*USERS)
    address = f"{PAGE}?users=gra"
    answer = client.post(address, touched(form(client, "users", address), grace, TEXT))
    assert (answer.status_code, answer["Location"]) == (302, address)


def test_many_rows_come_in_pages(sign_in: SignIn) -> None:
    Group.objects.bulk_create(Group(name=f"group {number:03}") for number in range(60))
    client = sign_in(*GROUPS)
    first, second = client.get(PAGE), client.get(PAGE, {"groups-page": "2"})
    assert [len(re.findall(r'name="shown-', page.content.decode())) for page in (first, second)] == [50, 10]
    assert 'href="?groups-page=2"' in first.content.decode()
    found = client.get(PAGE, {"groups": "p 059"})
    assert re.findall(r">(group \d+)</a>", found.content.decode()) == ["group 059"]


def test_a_search_stays_in_its_part_and_keeps_the_other_one(sign_in: SignIn) -> None:
    client = sign_in(superuser=True)
    searches = [item for item in Forms(client.get(PAGE, {"groups": "edit", "users": "ada"})).all if "part" in item]
    assert searches == [
        {"part": ["grid"], "users": ["ada"], "groups": ["edit"]},
        {"part": ["grid"], "groups": ["edit"], "users": ["ada"]},
    ]
    search = next(item for item in Forms(client.get(TOKENS)).all if "tokens" in item)
    assert search == {"part": ["tokens"], "tokens": [""]}


@pytest.mark.parametrize("value", ["\0", "%", "'", "1e9", "-1", "999999999999999999999999"])
def test_odd_addresses_and_forms_do_no_harm(sign_in: SignIn, value: str) -> None:
    client = sign_in(superuser=True)
    for name in ("users", "groups", "users-page", "accounts", "tokens", "tokens-page", "state"):
        for part in ("grid", "tokens"):
            assert client.get(PAGE, {"part": part, name: value}).status_code == 200
    assert client.get(PAGE, {"part": "tokens", "account": value}).status_code == 404
    assert client.post(PAGE, {"do": "revoke", "token": value}).status_code == 404
    for do in ("groups", "users"):
        assert client.post(PAGE, {"do": do, f"shown-{value}": "x", f"given-{value}": ["embeddings", "x"]}).status_code == 302
    assert client.post(PAGE, {"do": value}).status_code == 400
    assert logged() == []


def test_names_are_text(sign_in: SignIn) -> None:
    Group.objects.create(name="<script>alert(1)</script>")
    assert "<script>alert" not in sign_in(*GROUPS).get(PAGE).content.decode()


# --- who may see and do ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codename", "parts"),
    [
        ("view_group", ["Groups"]),
        ("change_group", ["Groups"]),
        ("view_user", ["Users"]),
        ("change_user", ["Users"]),
        ("view_apitoken", ["Service accounts", "Tokens"]),
    ],
)
def test_each_sees_the_parts_that_they_may_see(sign_in: SignIn, codename: str, parts: list[str]) -> None:
    page = sign_in(codename).get(PAGE)
    assert re.findall(r"<h2[^>]*>([^<]*)</h2>", page.content.decode()) == parts


def test_who_may_see_no_part_does_not_see_the_page(sign_in: SignIn) -> None:
    client = sign_in("view_providerinstance", "change_providerinstance", "add_apitoken", "delete_apitoken", "add_user")
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get(PREFIX).content.decode()
    assert sign_in(*GROUPS).get(TOKENS).status_code == 403
    assert Client().get(PAGE).status_code == 302


@pytest.mark.parametrize(("do", "codenames"), [("groups", ("view_group", *USERS)), ("users", ("view_user", *GROUPS))])
def test_who_may_only_look_changes_nothing(sign_in: SignIn, do: str, codenames: tuple[str, ...]) -> None:
    holder: User | Group = Group.objects.create(name="editors") if do == "groups" else person("editors")
    accounts.grant(holder, [TEXT])
    client = sign_in(*codenames)
    page = client.get(PAGE)
    assert not any(form.get("do") == [do] for form in Forms(page).all)
    assert re.findall(r'"visually-hidden">(yes|no)<', row(page, "editors")) == ["yes", *["no"] * 6]
    forged = {"do": do, f"shown-{holder.pk}": "", f"given-{holder.pk}": ["embeddings"]}
    assert client.post(PAGE, forged).status_code == 403
    assert (held(holder), logged()) == ({TEXT.codename}, [])


@pytest.mark.parametrize("missing", ["add_apitoken", "add_user", "change_user"])
def test_an_account_is_made_by_those_who_may_all_of_it(sign_in: SignIn, missing: str) -> None:
    client = sign_in(*(set(MAKE) - {missing}))
    assert "New service account" not in words(client.get(TOKENS))
    assert client.post(TOKENS, {"do": "account", "name": "crm"}).status_code == 403
    assert not User.objects.filter(username="crm").exists()


def test_who_may_only_look_at_tokens_makes_and_revokes_none(sign_in: SignIn) -> None:
    crm = service("crm")
    token, _ = accounts.issue(crm)
    client = sign_in("view_apitoken", "view_user")
    page = client.get(f"{TOKENS}&account={crm.pk}")
    assert not any("do" in form for form in Forms(page).all)
    assert client.post(f"{TOKENS}&account={crm.pk}", {"do": "token"}).status_code == 403
    assert client.post(TOKENS, {"do": "revoke", "token": token.pk}).status_code == 403
    assert (AuthToken.objects.count(), logged()) == (1, [])


def test_a_form_without_its_csrf_token_is_refused(sign_in: SignIn) -> None:
    group = Group.objects.create(name="editors")
    client = sign_in(*GROUPS)
    sent = touched(form(client, "groups"), group, TEXT)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(PAGE, {**sent, "csrfmiddlewaretoken": "x" * 64}).status_code == 403
    assert held(group) == set()


# --- service accounts and tokens ------------------------------------------------------------------------------------


def new_account(client: Client, **fields: Any) -> dict[str, Any]:
    given = {"name": ["crm"], "label": ["production"], "days": ["30"], "capabilities": ["embeddings", "transcription"]}
    return {**form(client, "account", TOKENS), **given, **fields}


def test_a_service_account_is_made_with_what_it_may_use_and_a_token_shown_once(
    sign_in: SignIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    client = sign_in(*MAKE, "view_user")
    page = client.post(TOKENS, new_account(client))
    token = token_in(page)
    assert "no-store" in page["Cache-Control"]
    assert authenticates(token)
    crm = User.objects.get(username="crm")
    assert accounts.is_service_account(crm)
    assert held(crm) == {"use_embeddings", "use_transcription"}
    row = APIToken.objects.get()
    assert (row.user, row.label, row.created_by) == (crm, "production", User.objects.get(is_staff=True))
    assert timedelta(days=29) < row.expires_at - timezone.now() <= timedelta(days=30)
    assert logged() == [
        ("crm", ADDITION, "Service account. Granted: Embeddings, Transcription."),
        (str(row), ADDITION, "Made. Token of crm: production."),
    ]
    for address in (TOKENS, PAGE, f"{TOKENS}&account={crm.pk}", "/admin/"):
        assert token not in client.get(address).content.decode()
    stored = [*Session.objects.values_list("session_data", flat=True), *(str(dict(client.session)),)]
    cookies = [cookie.value for cookie in client.cookies.values()]
    assert not any(token in text for text in [*stored, *cookies, caplog.text, str(logged())])


def test_a_form_that_is_sent_again_makes_no_second_token(sign_in: SignIn) -> None:
    client = sign_in(*MAKE)
    sent = new_account(client)
    client.post(TOKENS, sent)
    again = client.post(TOKENS, sent, follow=True)
    assert "This form was sent before. No second token was made." in words(again)
    assert client.post(TOKENS, {**sent, "number": "guessed", "name": "other"}).status_code == 302
    assert (AuthToken.objects.count(), User.objects.filter(is_staff=False).count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_form_that_is_sent_twice_at_once_makes_one_token(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    crm = service("crm")
    client = sign_in(*MAKE)
    address = f"{TOKENS}&account={crm.pk}"
    sent, both, issue = form(client, "token", address), Barrier(2), accounts.issue

    def issue_together(*args: Any, **kwargs: Any) -> Any:
        """Waits for the other one, which would be here if nothing held it back."""
        with contextlib.suppress(BrokenBarrierError):
            both.wait(0.5)
        return issue(*args, **kwargs)

    def send(_: int) -> int:
        other = Client()
        other.cookies = client.cookies
        try:
            return other.post(address, sent).status_code
        finally:
            db.connections.close_all()

    monkeypatch.setattr(accounts, "issue", issue_together)
    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(send, range(2))) == [200, 302]
    assert AuthToken.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ["taken"]}, "There is an account with this name already."),
        ({"name": ["a b"]}, "Enter a valid username."),
        ({"name": [""]}, "This field is required."),
        ({"days": ["0"]}, "greater than or equal to 1"),
        ({"days": ["1000000"]}, "less than or equal to 36500"),
        ({"label": ["x" * 65]}, "at most 64 characters"),
        ({"capabilities": ["telepathy"]}, "telepathy is not one of the available choices"),
    ],
)
def test_what_cannot_be_is_refused_and_the_form_can_be_sent_again(sign_in: SignIn, fields: Any, said: str) -> None:
    person("taken")
    client = sign_in(*MAKE)
    sent = new_account(client)
    page = client.post(TOKENS, {**sent, **fields})
    assert said in words(page)
    assert (AuthToken.objects.count(), held(User.objects.get(username="taken")), logged()) == (0, set(), [])
    assert token_in(client.post(TOKENS, sent))


def test_a_token_is_made_for_a_service_account_and_for_oneself(sign_in: SignIn) -> None:
    crm = service("crm")
    client = sign_in("view_apitoken", "add_apitoken")
    me = User.objects.get(is_staff=True)
    for user in (crm, me):
        address = f"{TOKENS}&account={user.pk}"
        page = client.post(address, {**form(client, "token", address), "days": ""})
        assert authenticates(token_in(page))
    assert set(AuthToken.objects.values_list("user", "expiry")) == {(crm.pk, None), (me.pk, None)}


def test_nobody_gets_a_token_of_another_person(sign_in: SignIn) -> None:
    """People who come by single sign-on have no password either."""
    guest = User.objects.create_user("guest", last_login=timezone.now())
    staff, root = User.objects.create_user("staff", is_staff=True), User.objects.create_superuser("root")
    client = sign_in(*MAKE)
    sent = new_account(client)
    for user in (person("grace"), guest, staff, root):
        address = f"{TOKENS}&account={user.pk}"
        assert not any(form.get("do") == ["token"] for form in Forms(client.get(address)).all)
        assert client.post(address, {**sent, "do": "token"}).status_code == 403
    assert client.post(TOKENS, {**sent, "do": "token"}).status_code == 403
    assert AuthToken.objects.count() == 0


def test_an_inactive_account_gets_no_token(sign_in: SignIn) -> None:
    crm = service("crm")
    User.objects.update(is_active=False)
    client = sign_in(*MAKE)
    address = f"{TOKENS}&account={crm.pk}"
    assert "The account crm is not active." in words(client.post(address, form(client, "token", address)))
    assert AuthToken.objects.count() == 0


def test_a_token_is_revoked_once(sign_in: SignIn) -> None:
    token, text = accounts.issue(service("crm"), label="old")
    client = sign_in("view_apitoken", "delete_apitoken")
    sent = form(client, "revoke", TOKENS)
    answer = client.post(TOKENS, sent, follow=True)
    assert f"The token {token} of crm is revoked." in words(answer)
    assert not authenticates(text)
    assert "had ended already" in words(client.post(TOKENS, sent, follow=True))
    assert logged() == [(str(token), DELETION, "Revoked. Token of crm: old.")]
    assert not any(form.get("do") == ["revoke"] for form in Forms(client.get(TOKENS)).all)


def test_tokens_are_listed_with_their_state_newest_first(sign_in: SignIn) -> None:
    now, ada, crm = timezone.now(), person("ada"), service("crm", EMBEDDINGS)
    expired, _ = accounts.issue(crm, label="first", days=1, by=ada)
    revoked, _ = accounts.issue(crm, label="second", by=ada)
    active, _ = accounts.issue(ada, label="third")
    accounts.revoke(revoked)
    APIToken.objects.filter(pk=expired.pk).update(created_at=now - timedelta(days=9), expires_at=now - timedelta(days=8))
    APIToken.objects.filter(pk=revoked.pk).update(created_at=now - timedelta(days=3))
    APIToken.objects.filter(pk=active.pk).update(last_used_at=now - timedelta(hours=2))
    client = sign_in("view_apitoken")
    page = client.get(TOKENS)
    prefixes = [str(token) for token in (active, revoked, expired)]
    assert re.findall(r"<code>([^<]*)</code>", page.content.decode()) == prefixes
    told = [" ".join(re.sub(r"<[^>]*>", " ", row(page, prefix)).replace("\xa0", " ").split()) for prefix in prefixes]
    assert re.search(r"third Account ada State active Made just now Expires never Last used 2 hours ago", told[0])
    assert re.search(r"second Account crm State revoked Made 3 days ago by ada", told[1])
    assert re.search(r"first Account crm State expired Made 1 week ago by ada", told[2])
    for query, found in {"state=expired": [2], "tokens=ada": [0], "tokens=seco": [1], f"tokens={expired.prefix}": [2]}.items():
        shown = re.findall(r"<code>([^<]*)</code>", client.get(f"{TOKENS}&{query}").content.decode())
        assert shown == [prefixes[number] for number in found]
    assert "Embeddings" in row(page, "crm")


def test_one_account_has_its_tokens_and_their_history(sign_in: SignIn) -> None:
    crm, other = service("crm", EMBEDDINGS), service("other")
    accounts.issue(other, label="another's")
    client = sign_in(*MAKE, "delete_apitoken")
    address = f"{TOKENS}&account={crm.pk}"
    client.post(address, {**form(client, "token", address), "label": "mine"})
    client.post(address, form(client, "revoke", address))
    client.post(PAGE, touched(form(client, "users"), crm))
    said = words(client.get(address))
    assert "another's" not in said
    for told in ("Withdrawn: Embeddings.", "Revoked. Token of crm: mine.", "Made. Token of crm: mine."):
        assert told in said
    alone = sign_in("view_apitoken").get(address)
    assert "Withdrawn" not in words(alone)  # the history of users is for those who may see users


def test_who_may_not_see_users_sees_those_with_tokens_alone(sign_in: SignIn) -> None:
    grace, ada = person("grace", email="secret@example.com"), person("ada", email="hidden@example.com")
    accounts.issue(ada)
    client = sign_in("view_apitoken")
    assert client.get(f"{TOKENS}&account={grace.pk}").status_code == 404
    page = client.get(f"{TOKENS}&account={ada.pk}")
    assert (page.status_code, "hidden@" in words(page)) == (200, False)
    assert "secret@" in words(sign_in("view_apitoken", "view_user").get(f"{TOKENS}&account={grace.pk}"))


def test_without_knox_it_says_what_to_do(sign_in: SignIn, settings: Settings) -> None:
    client = sign_in(*MAKE, "delete_apitoken")
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "knox"]
    page = client.get(TOKENS)
    assert "django-rest-knox" in words(page)
    assert not any("do" in form for form in Forms(page).all)


# --- cost -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("address", "most"), [(PAGE, 16), (TOKENS, 18), (f"{TOKENS}&account={{crm}}", 16)])
def test_queries_do_not_grow_with_the_rows(sign_in: SignIn, address: str, most: int) -> None:
    def more(begin: int) -> None:
        for number in range(begin, begin + 10):
            group = Group.objects.create(name=f"group {number}")
            accounts.grant(group, Capability)
            user = service(f"service-{number}", TEXT, EMBEDDINGS)
            user.groups.set(Group.objects.all())
            for owner in (user, crm):
                accounts.issue(owner, by=user)

    crm = service("crm", TEXT)
    more(0)
    client = sign_in(superuser=True)
    few = queries(client, address.format(crm=crm.pk))
    more(10)
    assert queries(client, address.format(crm=crm.pk)) == few <= most
