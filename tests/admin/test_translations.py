"""The admin in other languages: catalogues that are complete, current and compiled, and pages that use them."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from gettext import GNUTranslations
from html import escape
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client
from django.utils import timezone, translation
from pytest_django import Settings

import ai_models
from ai_models import accounts
from ai_models.admin.words import ago
from ai_models.models import ProviderCapability
from tests.admin.conftest import PREFIX, SignIn
from tests.admin.forms import form_on
from tests.browser.gallery import PICTURES, Picture
from tests.javascript import node
from tests.state.conftest import MakeInstance, make_instance

__all__ = ["make_instance"]

APP = Path(ai_models.__file__).parent
LANGUAGES = sorted(folder.name for folder in (APP / "locale").iterdir())
GAPS = re.compile(r"%\(\w+\)[a-z]|%[a-z%]|\{\w*\}|</?\w+>")


@dataclass(frozen=True)
class Text:
    """One entry of a catalogue. ``translations`` has one text for each plural form of the language."""

    original: str
    plural: str
    translations: tuple[str, ...]
    is_fuzzy: bool

    @property
    def originals(self) -> tuple[str, ...]:
        return (self.original, self.plural) if self.plural else (self.original,)


Texts = dict[tuple[str, str], Text]
"""By context, empty for none, and original."""


def read(catalogue: Path) -> tuple[Texts, list[str]]:
    """The entries of a ``.po`` file, and the lines of those that it has no use for any more."""
    texts, content = {}, catalogue.read_text()
    for block in content.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if found := re.fullmatch(r'(?:(msg\w+(?:\[\d\])?) )?(".*")', line):
                name = found[1] or name
                fields[name] = fields.get(name, "") + ast.literal_eval(found[2])
        if fields.get("msgid"):
            translations = tuple(text for field, text in fields.items() if field.startswith("msgstr"))
            flags = "".join(line for line in block.splitlines() if line.startswith("#,"))
            key = fields.get("msgctxt", ""), fields["msgid"]
            texts[key] = Text(fields["msgid"], fields.get("msgid_plural", ""), translations, "fuzzy" in flags)
    return texts, [line for line in content.splitlines() if line.startswith("#~")]


def texts_of(language: str) -> Texts:
    return read(APP / "locale" / language / "LC_MESSAGES" / "django.po")[0]


# --- the catalogues --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language: str) -> None:
    texts, unused = read(APP / "locale" / language / "LC_MESSAGES" / "django.po")
    assert texts
    assert unused == []
    assert [text.original for text in texts.values() if text.is_fuzzy or not all(text.translations)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_gaps_and_the_markup_of_its_original(language: str) -> None:
    strange = [
        translated
        for text in texts_of(language).values()
        for translated in text.translations
        if sorted(GAPS.findall(translated)) not in [sorted(GAPS.findall(original)) for original in text.originals]
    ]
    assert strange == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_was_written(language: str) -> None:
    expected: dict[str | tuple[str, int], str] = {}
    for (context, original), text in texts_of(language).items():
        name = f"{context}\x04{original}" if context else original
        for form, translated in enumerate(text.translations):
            expected[(name, form) if text.plural else name] = translated
    with (APP / "locale" / language / "LC_MESSAGES" / "django.mo").open("rb") as compiled:
        found = GNUTranslations(compiled)._catalog  # type: ignore[attr-defined]
    assert {name: text for name, text in found.items() if name} == expected, "due: make messages"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogue_has_the_texts_of_the_code_and_compiles(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("xgettext") is None:
        node.unavailable("gettext is missing: as root, apt-get install gettext")
    here = shutil.copytree(APP, tmp_path / "ai_models", ignore=shutil.ignore_patterns("__pycache__", "static"))
    monkeypatch.chdir(here)
    call_command("makemessages", locale=[language], no_wrap=True, no_location=True, verbosity=0)
    texts, unused = read(here / "locale" / language / "LC_MESSAGES" / "django.po")
    assert unused == [], "due: make messages"
    assert texts == texts_of(language), "due: make messages"
    call_command("compilemessages", locale=[language], verbosity=0)


@pytest.mark.parametrize("template", sorted(APP.glob("templates/**/admin/**/*.html")), ids=lambda path: path.name)
def test_no_template_of_the_admin_has_a_text_that_is_not_marked(template: Path) -> None:
    content = re.sub(r"{#.*?#}|{% block bodyclass %}.*?{% endblock %}", "", template.read_text())
    unmarked = re.sub(r"{%\s*blocktranslate.*?endblocktranslate\s*%}", "", content, flags=re.DOTALL)
    bare = re.sub(r"{%.*?%}|{{.*?}}", "", unmarked)
    named = re.findall(r'(?:alt|aria-label|placeholder|title)="([^"]+)"', bare)
    said = re.sub(r"<code>.*?</code>|<[^>]*>|&\w+;", " ", bare)
    # Names that are the same in every language.
    assert set(re.findall(r"[^\W\d_]+", " ".join([said, *named]))) <= {"Python", "curl", "JavaScript"}


# --- the pages -------------------------------------------------------------------------------------------------------

SAID = {
    "providers": ("Anbieter zur Änderung auswählen", "Text erzeugen", "Nach Fähigkeit", "Als Standard festlegen"),
    "overview": ("Startprüfung", "Was die Zeichen bedeuten", "Abweichung von den Dateien"),
    "explain": ("Was würde eine Anfrage verwenden, und darf sie es?", "Schranken, in der Reihenfolge"),
    "explain-refused": ("grace hat ai_models.use_structured_output nicht", "Auf der Seite Zugriff erlauben"),
    "playground": ("Dasselbe als Code", "Warum ist der Himmel blau?", "Warten auf die Antwort\\u2026"),
    "access": ("Gruppen speichern", "Nach Namen oder E-Mail-Adresse suchen"),
    "access-tokens": ("Neues Dienstkonto", "Tage bis zum Ablauf", "gerade eben"),
    "access-account": ("Token erstellen", "Alle Dienstkonten und Tokens"),
    "checks": ("Jetzt prüfen", "Aufrufe, die Geld kosten"),
    "provider": ("Zugangsdaten", "Standardmodell", "Aktiviert", "Der Name, den Aufrufer verwenden", "Fingerabdruck"),
    "add": ("Von welcher Familie ist der Anbieter?",),
    "add-family": ("Nicht gesetzt.", "Anbieter hinzufügen"),
}
"""What pages say in German, beside what all of them do."""


@pytest.fixture
def german(settings: Settings, sign_in: SignIn) -> Iterator[Client]:
    """A superuser's browser that asks for German."""
    first, *others = settings.MIDDLEWARE
    settings.MIDDLEWARE = [first, "django.middleware.locale.LocaleMiddleware", *others]
    client = sign_in(superuser=True)
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    yield client
    # The middleware leaves the thread in the language of its last request.
    translation.deactivate()


@pytest.fixture
def keys(make_instance: MakeInstance, django_user_model: type) -> dict[str, str]:
    """Of the rows that the pictures' addresses name."""
    openai = make_instance("openai", family="openai", secrets={"apiKey": "sk-1"}, is_default=True)
    groq = make_instance(
        "groq", family="openai-compatible", secrets={"apiKey": "gsk-1"}, options={"baseURL": "https://groq.example/v1"}
    )
    for row in (openai, groq):
        ProviderCapability.objects.create(instance=row, capability="text-generation", default_model="gpt-4o")
    ProviderCapability.objects.create(
        instance=groq, capability="structured-output", default_model="gpt-oss", aliases={"fast": "small"}
    )
    Group.objects.create(name="editors")
    django_user_model.objects.create_user("grace")
    crm, _ = accounts.service_account("crm")
    accounts.issue(crm, label="production")
    return {"openai": str(openai.pk), "groq": str(groq.pk), "crm": str(crm.pk)}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture[0])
def test_a_page_is_in_the_language_that_is_asked_for(german: Client, keys: dict[str, str], picture: Picture) -> None:
    name, address = picture
    page = german.get(f"/admin/{address.format(**keys)}").content.decode()
    assert '<html lang="de"' in page
    for text in ("KI-Modelle", "Anbieter", *SAID.get(name, ())):
        assert text in page
    sentences = [original for _, original in texts_of("de") if original.count(" ") > 2 and "%" not in original]
    assert [sentence for sentence in sentences if sentence in page or escape(sentence) in page] == []


def test_a_page_is_in_english_where_its_language_has_no_catalogue(german: Client, keys: dict[str, str]) -> None:
    assert "What the marks mean" in german.get(f"{PREFIX}overview/", HTTP_ACCEPT_LANGUAGE="eo").content.decode()


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(seconds=5), "gerade eben"),
        (timedelta(minutes=1), "vor 1 Minute"),
        (timedelta(hours=5), "vor 5 Stunden"),
        (timedelta(days=1), "vor 1 Tag"),
        (timedelta(days=3), "vor 3 Tagen"),
        (timedelta(days=70), "vor 2 Monaten"),
        (timedelta(days=800), "vor 2 Jahren"),
    ],
)
def test_ages_are_declined(age: timedelta, said: str) -> None:
    with translation.override("de"):
        assert ago(timezone.now() - age).replace("\xa0", " ") == said


def test_permissions_have_the_names_of_django(db: None) -> None:
    found = Permission.objects.filter(content_type__app_label="ai_models").values_list("name", flat=True)
    assert {"Can change provider instance", "Can view API token", "Can use text generation"} <= set(found)


# --- the history -----------------------------------------------------------------------------------------------------


def test_the_history_is_stored_in_english_and_shown_in_the_language_of_the_reader(german: Client, keys: dict[str, str]) -> None:
    german.post(PREFIX, {"action": "disable", "_selected_action": keys["openai"]})
    assert "Enabled: on \\u2192 off" in LogEntry.objects.get().change_message
    history = f"{PREFIX}{keys['openai']}/history/"
    assert "Aktiviert: an → aus" in german.get(history).content.decode()
    assert "Enabled: on → off" in german.get(history, HTTP_ACCEPT_LANGUAGE="en").content.decode()


def test_a_form_that_is_sent_in_german_is_logged_in_english(german: Client, keys: dict[str, str]) -> None:
    page = f"{PREFIX}{keys['groq']}/change/"
    data = form_on(german.get(page)) | {"credential_apiKey-action": "replace", "credential_apiKey-value": "gsk-2"}
    del data["enabled"]
    data |= {"capabilities-0-default_model": "llama"}
    assert german.post(page, data).status_code == 302
    with translation.override(None):
        said = LogEntry.objects.get().get_change_message()
    assert "Enabled: on → off" in said
    assert "apiKey replaced" in said
    assert "Default model: gpt-4o → llama for capability “text-generation”" in said


def test_what_is_granted_and_made_is_logged_in_english(german: Client, keys: dict[str, str]) -> None:
    group = Group.objects.get()
    access = f"{PREFIX}access/"
    german.post(access, {"do": "groups", f"shown-{group.pk}": "", f"given-{group.pk}": "embeddings"})
    assert LogEntry.objects.latest("pk").change_message == "Granted: Embeddings."
    address = f"{access}?part=tokens&account={keys['crm']}"
    number = german.get(address).context["number"]
    made = german.post(address, {"do": "token", "number": number, "label": "shop", "days": "7"})
    assert "Das neue Token von crm" in made.content.decode()
    assert LogEntry.objects.latest("pk").change_message == "Made. Token of crm: shop."


def test_the_api_speaks_english_to_everybody(german: Client, keys: dict[str, str]) -> None:
    refused = german.post("/api/ai/v1/generate-text", {"prompt": 3}, content_type="application/json").json()
    stranger = Client(headers={"Accept-Language": "de"}).get("/api/ai/v1/models").json()
    assert refused["error"]["message"].startswith("prompt")
    assert stranger["error"]["message"].startswith("Authentication is needed")
