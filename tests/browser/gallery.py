"""``python -m tests.browser.gallery [PAGE ...]``: the admin with providers in every state, as pictures.

Each page is shown light and dark, wide and on a phone. The pictures go to ``docs/screenshots``, or to the folder that
``GALLERY`` names. No provider is called but the local one.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

WIDTHS = {"wide": 1280, "phone": 390}
THEMES = ("light", "dark")
COLOURS = 128
FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
CONFIG = """
ai:
  defaultProvider: local
  providers:
    local:
      type: local
      defaultModels: {text-generation: SmolLM2-135M-Instruct, structured-output: SmolLM2-135M-Instruct,
        embeddings: multilingual-e5-small, speech-generation: espeak-ng, transcription: pocketsphinx-en-us}
    openai:
      type: openai
      apiKey: sk-of-the-gallery
      defaultModels: {text-generation: gpt-4o, structured-output: gpt-4o, embeddings: text-embedding-3-large,
        image-generation: gpt-image-1}
      modelAliases: {text-generation: {fast: gpt-4.1-mini, flagship: gpt-4.1, reasoning: o4-mini}}
    anthropicInternal:
      type: anthropic
      apiKey: sk-of-the-gallery
      baseURL: https://anthropic.internal/v1
      defaultModels: {text-generation: claude-sonnet-4-5, structured-output: claude-sonnet-4-5}
    google:
      type: google
      defaultModels: {text-generation: gemini-2.5-flash}
    bedrock:
      type: bedrock
      region: eu-central-1
      defaultModels: {text-generation: eu.anthropic.claude-sonnet-4-5-20250929-v1:0}
"""

Picture = tuple[str, str]
"""Its name, and the page's address below the admin, with ``{openai}`` and the like for the keys of instances."""

LIST = "ai_models/providerinstance/"
PICTURES: tuple[Picture, ...] = (
    ("providers", LIST),
    ("overview", f"{LIST}overview/"),
    ("explain", f"{LIST}explain/?capability=text-generation&provider=openai&model=fast"),
    ("explain-refused", f"{LIST}explain/?user=grace&capability=structured-output&provider=groq"),
    ("playground", f"{LIST}playground/"),
    ("access", f"{LIST}access/"),
    ("access-tokens", f"{LIST}access/?part=tokens"),
    ("access-account", f"{LIST}access/?part=tokens&account={{crm}}"),
    ("checks", f"{LIST}checks/?instance={{openai}}"),
    ("checks-several", f"{LIST}checks/"),
    ("provider-managed", f"{LIST}{{openai}}/change/"),
    ("provider", f"{LIST}{{groq}}/change/"),
    ("add", f"{LIST}add/"),
    ("add-family", f"{LIST}add/?family=openai-compatible"),
    ("history", f"{LIST}{{groq}}/history/"),
)


REPORT = [
    {"rung": "configuration", "state": "passed", "message": "Its settings are complete.", "latency_ms": None},
    {"rung": "credential", "state": "passed", "message": "The credential can be decrypted.", "latency_ms": None},
    {"rung": "destination", "state": "passed", "message": "Its address can be reached.", "latency_ms": 38},
    {"rung": "authentication", "state": "passed", "message": "The provider lists 87 models.", "latency_ms": 212},
    {"rung": "models", "state": "warning", "message": "Not on the provider's list: o4-mini (text-generation)."},
]
"""Of a check that went well."""


def set_up(folder: Path) -> None:
    """A project of its own: settings, database, configuration."""
    (folder / "app-config.yaml").write_text(CONFIG)
    from ai_models.encryption import generate_key

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "SECRET_KEY": "a key for pictures that protects nothing",
        "AI_MODELS_ENCRYPTION_KEYS": ",".join([generate_key(), generate_key()]),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "REDIS_URL": "",
        "LOG_LEVEL": "ERROR",
    }
    from django.conf import settings

    settings.AI_MODELS = {"CONFIG_FILES": (folder / "app-config.yaml",), "ENV_FILE": folder / ".env"}
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("ai_seed", verbosity=0)


def furnish() -> dict[str, str]:
    """Rows as administrators and time make them. Gives the keys of instances by name."""
    from datetime import timedelta

    from django.contrib.admin.models import CHANGE, LogEntry
    from django.contrib.auth.models import Group, Permission, User
    from django.utils import timezone

    from ai_models.encryption import KeyRing
    from ai_models.keyring import configured_keys
    from ai_models.models import ProviderCapability, ProviderInstance

    now = timezone.now()
    User.objects.create_superuser("ada", "ada@example.com", "ada")
    for name, codenames in {"editors": ["use_text_generation"], "search": ["use_embeddings"]}.items():
        Group.objects.create(name=name).permissions.set(Permission.objects.filter(codename__in=codenames))
    User.objects.create_user("grace", "grace@example.com", "grace").groups.set(Group.objects.all())
    groq = ProviderInstance(name="groq", family="openai-compatible", options={"baseURL": "https://api.groq.com/openai/v1"})
    older = KeyRing(configured_keys()[1:])
    groq.credentials = {"apiKey": older.encrypt("gsk-of-the-gallery", row=str(groq.pk), name="apiKey")}
    groq.credentials_set_at = {"apiKey": (now - timedelta(days=40)).isoformat()}
    groq.save()
    ProviderCapability.objects.create(
        instance=groq,
        capability="text-generation",
        default_model="llama-3.3-70b-versatile",
        aliases={"fast": "llama-3.1-8b-instant"},
    )
    ProviderCapability.objects.create(
        instance=groq, capability="structured-output", default_model="openai/gpt-oss-20b", enabled=False
    )
    lost = ProviderInstance(name="mistral", family="openai-compatible", options={"baseURL": "https://api.mistral.ai/v1"})
    lost.credentials = {"apiKey": "v1.00000000.AAAA"}
    lost.save()
    ProviderCapability.objects.create(instance=lost, capability="text-generation", default_model="mistral-large-latest")
    ProviderInstance.objects.create(
        name="oldVendor", family="retired-family", options=[], enabled=False, managed=True, orphaned=True
    )
    ProviderInstance.objects.create(name="lab", family="openai-compatible", options={"baseURL": "http://10.0.0.9/v1"})
    openai = ProviderInstance.objects.get(name="openai")
    ProviderInstance.objects.filter(pk=openai.pk).update(
        state="healthy",
        state_message="The endpoint lists 87 models.",
        latency_ms=212,
        checked_at=now - timedelta(minutes=3),
        report=REPORT,
    )
    openai.capabilities.filter(capability="text-generation").update(
        check_state="healthy", check_message="It answered.", checked_at=now - timedelta(minutes=3), latency_ms=640
    )
    ProviderInstance.objects.filter(name="anthropicInternal").update(
        state="credential-rejected", state_message="The provider refused the credential.", checked_at=now - timedelta(hours=2)
    )
    ada = User.objects.get(username="ada")
    for row, message in ((groq, "Changed Enabled."), (openai, "From the configuration files: apiKey: changed.")):
        LogEntry.objects.log_actions(ada.pk, [row], CHANGE, message, single_object=True)
    ProviderCapability.objects.filter(instance__name="anthropicInternal").update(default_model="claude-opus-4-1")
    return {row.name: str(row.pk) for row in ProviderInstance.objects.all()} | {"crm": give_access()}


def give_access() -> str:
    """People, service accounts and tokens in every state. Gives the key of one account."""
    from datetime import timedelta

    from django.contrib.admin.models import CHANGE, DELETION, LogEntry
    from django.contrib.auth.models import Permission, User
    from django.utils import timezone

    from ai_models import accounts
    from ai_models.capabilities import Capability
    from ai_models.models import APIToken

    now, ada = timezone.now(), User.objects.get(username="ada")
    everything = Permission.objects.filter(codename__in=[item.codename for item in Capability])
    ada.user_permissions.set(everything.filter(codename="use_text_generation"))
    User.objects.get(username="grace").user_permissions.set(everything.filter(codename="use_speech_generation"))
    User.objects.create_user("mallory", "m@example.com", "m", is_active=False).user_permissions.set(everything)
    crm, _ = accounts.service_account("crm")
    accounts.grant(crm, [Capability.TEXT_GENERATION, Capability.EMBEDDINGS])
    accounts.service_account("nightly-report")
    crawler, _ = accounts.service_account("website-crawler-of-the-search-team")
    accounts.grant(crawler, [Capability.EMBEDDINGS])
    accounts.issue(ada, label="laptop", days=30, by=ada)
    used, _ = accounts.issue(crm, label="production", days=365, by=ada)
    expired, _ = accounts.issue(crm, label="the first weeks", days=1, by=ada)
    revoked, _ = accounts.issue(crm, label="sent by mistake", by=ada)
    accounts.issue(crawler, by=ada)
    accounts.revoke(revoked, by=ada)
    for token, days in ((used, 12), (expired, 80), (revoked, 40)):
        APIToken.objects.filter(pk=token.pk).update(created_at=now - timedelta(days=days))
    APIToken.objects.filter(pk=used.pk).update(last_used_at=now - timedelta(minutes=4))
    APIToken.objects.filter(pk=expired.pk).update(expires_at=now - timedelta(days=50), last_used_at=now - timedelta(days=51))
    LogEntry.objects.log_actions(ada.pk, [crm], CHANGE, "Granted: Text generation, Embeddings.", single_object=True)
    LogEntry.objects.log_actions(ada.pk, [revoked], DELETION, "Revoked. Token of crm: sent by mistake.", single_object=True)
    return str(crm.pk)


async def take(base: str, keys: dict[str, str], pictures: tuple[Picture, ...], folder: Path) -> None:
    """Open each page as an administrator and keep what it looks like."""
    from PIL import Image
    from playwright.async_api import async_playwright

    from tests.browser.conftest import CHROMIUM

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for theme in THEMES:
            for size, width in WIDTHS.items():
                options: dict[str, Any] = {"viewport": {"width": width, "height": 800}, "color_scheme": theme}
                context = await browser.new_context(**options)
                page = await context.new_page()
                await page.goto(f"{base}/admin/login/")
                await page.fill("[name=username]", "ada")
                await page.fill("[name=password]", "ada")
                await page.click("[type=submit]")
                for name, address in pictures:
                    await page.goto(f"{base}/admin/{address.format(**keys)}", wait_until="networkidle")
                    path = folder / f"{name}-{size}-{theme}.png"
                    if name == "playground":
                        await page.get_by_role("spinbutton", name="Max output tokens").fill("40")
                        await page.get_by_role("button", name="Send").click()
                        await page.get_by_text("Finish reason").first.wait_for()
                        await page.evaluate("scrollTo(0, 0)")
                    shot = Image.open(io.BytesIO(await page.screenshot(full_page=True)))
                    shot.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
                    overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
                    print(path, f"{overflow} px too wide" if overflow > 0 else "")
                await context.close()
        await browser.close()


def main(names: list[str]) -> None:
    """Take the named pictures, or all of them."""
    pictures = tuple(picture for picture in PICTURES if not names or picture[0] in names)
    folder = Path(os.environ.get("GALLERY", FOLDER))
    folder.mkdir(parents=True, exist_ok=True)
    socket.gethostname = lambda: "web-1"
    with tempfile.TemporaryDirectory(prefix="project-") as home:
        set_up(Path(home))
        keys = furnish()
        from project.asgi import application
        from tests.api.conftest import serving

        with serving(application) as server:
            asyncio.run(take(server.url, keys, pictures, folder))


if __name__ == "__main__":
    main(sys.argv[1:])
