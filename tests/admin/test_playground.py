"""The playground offers what its user may use and what some provider offers, and sends nothing itself."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_script_prefix
from django.urls import path
from pytest_django import Settings

from ai_models import types
from ai_models.admin.playground_forms import FORMS
from ai_models.capabilities import Capability
from ai_models.keyring import key_ring
from ai_models.models import ProviderCapability, ProviderInstance
from tests.service.conftest import Puppet, puppet

__all__ = ["puppet"]

PAGE = "/admin/ai_models/providerinstance/playground/"
USE_ALL = tuple(capability.codename for capability in Capability)
REQUESTS = {
    Capability.TEXT_GENERATION: types.TextRequest,
    Capability.STRUCTURED_OUTPUT: types.ObjectRequest,
    Capability.EMBEDDINGS: types.EmbedRequest,
    Capability.IMAGE_GENERATION: types.ImageRequest,
    Capability.SPEECH_GENERATION: types.SpeechRequest,
    Capability.TRANSCRIPTION: types.TranscribeRequest,
    Capability.VIDEO_GENERATION: types.VideoRequest,
}

urlpatterns = [path("admin/", admin.site.urls)]
"""Of a host that does not include the API."""


def signed_in(*codenames: str, **fields: Any) -> Client:
    """A browser of a member of the staff with these permissions."""
    user = User.objects.create_user("grace", **{"is_staff": True, **fields})
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def shown(client: Client, query: str = "") -> str:
    response = client.get(PAGE + query)
    assert response.status_code == 200
    return response.content.decode()


def data(page: str) -> dict[str, Any]:
    """What the page gives to its script."""
    found = re.search(r'<script id="playground-data" type="application/json">(.*?)</script>', page)
    assert found
    given: dict[str, Any] = json.loads(found[1])
    return given


def choices(page: str) -> list[str]:
    return re.findall(r'name="capability" value="([\w-]+)"', page)


def test_it_offers_what_the_user_may_use(puppet: type[Puppet]) -> None:
    page = shown(signed_in("use_embeddings"))
    assert choices(page) == list(data(page)["offers"]) == ["embeddings"]
    assert re.findall(r'data-capability="([\w-]+)"', page) == ["embeddings"]
    assert page.count("you may not use it") == 6


def test_it_offers_models_and_aliases_the_default_provider_first(puppet: type[Puppet]) -> None:
    ProviderInstance.objects.filter(name="main").update(is_default=False)
    other = ProviderInstance.objects.get(name="other")
    other.is_default = True
    other.save()
    assert data(shown(signed_in(*USE_ALL)))["offers"]["text-generation"] == [
        {"provider": "other", "isDefault": True, "defaultModel": "other-1", "models": ["other-1"]},
        {"provider": "main", "isDefault": False, "defaultModel": "big-1", "models": ["big-1", "fast"]},
    ]


def test_what_no_provider_offers_is_not_offered(puppet: type[Puppet]) -> None:
    client = signed_in(*USE_ALL)
    assert "video-generation" not in choices(shown(client))
    for switched in ProviderCapability.objects.filter(capability="embeddings"):
        switched.enabled = False
        switched.save()
    page = shown(client)
    assert "embeddings" not in choices(page)
    assert page.count("no provider offers it now") == 2
    for row in ProviderInstance.objects.all():
        row.enabled = False
        row.save()
    page = shown(client)
    assert choices(page) == []
    assert "Nothing can be tried now." in page
    assert "playground.js" not in page


def test_who_may_look_at_providers_is_led_to_the_explanation(puppet: type[Puppet]) -> None:
    link = "explain/?capability=video-generation"
    assert link not in shown(signed_in("use_embeddings"))
    User.objects.all().delete()
    assert link in shown(signed_in("use_embeddings", "view_providerinstance"))


def test_who_may_use_nothing_is_refused(puppet: type[Puppet]) -> None:
    assert signed_in("view_providerinstance", "change_providerinstance").get(PAGE).status_code == 403


def test_who_is_not_on_the_staff_is_sent_to_the_login(puppet: type[Puppet]) -> None:
    response = signed_in("use_embeddings", is_staff=False).get(PAGE)
    assert response.status_code == 302
    assert "/login/" in response["Location"]


def test_nothing_is_called_and_nothing_is_taken(puppet: type[Puppet]) -> None:
    client = signed_in(*USE_ALL)
    shown(client, "?provider=main&capability=text-generation&model=big-1")
    assert client.post(PAGE, {"capability": "text-generation", "prompt": "Hi"}).status_code == 405
    assert Puppet.calls == []


def test_no_credential_is_on_the_page(puppet: type[Puppet]) -> None:
    page = shown(signed_in(is_superuser=True))
    assert "canary-key" not in page
    for row in ProviderInstance.objects.all():
        assert row.credentials["apiKey"] not in page


def test_addresses_are_those_of_the_host(puppet: type[Puppet]) -> None:
    client = signed_in("use_embeddings")
    given = data(shown(client))
    assert (given["api"], given["socket"]) == ("/api/ai/v1/", "/ws/ai/v1/")
    with override_script_prefix("/mounted/"):
        given = data(shown(client))
    assert (given["api"], given["socket"]) == ("/mounted/api/ai/v1/", "/mounted/ws/ai/v1/")


def test_a_host_without_the_api_is_told_so(puppet: type[Puppet], settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    page = shown(signed_in("use_embeddings"))
    assert "ai_models.urls" in page
    assert 'id="playground"' not in page
    assert "playground.js" not in page


@pytest.mark.parametrize("capability", Capability)
def test_every_field_is_one_of_the_request(capability: Capability) -> None:
    fields = FORMS[capability].base_fields
    assert fields.keys() <= REQUESTS[capability].__annotations__.keys() | types.ModelRequest.__annotations__.keys()
    required = {name for name, field in fields.items() if field.required}
    assert types.requests.required_fields(REQUESTS[capability]) <= required


def test_the_number_of_queries_is_bounded(puppet: type[Puppet]) -> None:
    client = signed_in("view_providerinstance", *USE_ALL)
    shown(client)
    with CaptureQueriesContext(connection) as few:
        shown(client)
    for number in range(40):
        row = ProviderInstance(name=f"copy{number}", family="puppet")
        row.credentials = {"apiKey": key_ring().encrypt("canary-key", row=str(row.pk), name="apiKey")}
        row.save()
        for capability in Capability:
            ProviderCapability.objects.create(instance=row, capability=capability, default_model="m", aliases={"a": "b"})
    shown(client)
    with CaptureQueriesContext(connection) as many:
        assert "copy39" in shown(client)
    assert len(many) == len(few) <= 8
