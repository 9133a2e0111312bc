"""An instance sends its own credential, and nothing that lies about in the environment."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async

from ai_models import service
from ai_models.exceptions import CredentialUnavailable, InvalidRequest
from ai_models.models import ProviderInstance
from tests.families.contract.base import CANARY, NAME, Contract, finish_of, streamed
from tests.upstreams.server import Upstream

DECOY = "decoy-51b9"
DECOYS = (
    "OPENAI_API_KEY", "OPENAI_ORGANIZATION", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID",
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GEMINI_API_KEY", "GOOGLE_API_KEY",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME", "AWS_PROFILE", "AWS_PROFILE_NAME", "AWS_ROLE_NAME",
    "AWS_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN", "AWS_EXTERNAL_ID", "LITELLM_API_KEY",
)  # fmt: skip
ADDRESS_DECOYS = (
    "OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE", "GEMINI_API_BASE",
    "AWS_BEDROCK_RUNTIME_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_STS_ENDPOINT",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy",
)  # fmt: skip


class Credentials(Contract):
    """Which credential travels, where, and what happens without one."""

    credential_field: ClassVar[str] = "apiKey"
    """The setting that an instance without a credential is told to set."""

    async def test_the_credential_is_where_the_vendor_looks(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.text(), self.vendor.stream("Hello"))
        await service.agenerate_text("Hi")
        await finish_of(streamed())
        for request in upstream.requests:
            self.check_credential(request)
            assert CANARY not in request.target
            assert CANARY not in request.body.decode()

    async def test_a_good_call_logs_neither_credential_nor_content(
        self, upstream: Upstream, everything_logged: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        upstream.script(self.vendor.text("An answer"), self.vendor.stream("An answer"))
        result = await service.agenerate_text("A question")
        from_stream = await finish_of(streamed(prompt="A question"))
        for told in (everything_logged.text, *capfd.readouterr()):
            for kept in (CANARY, "A question", "An answer", upstream.url):
                assert kept not in told
        assert CANARY not in repr((result, from_stream))

    async def test_nothing_of_the_environment_is_used(self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
        with_decoys(monkeypatch)
        upstream.script(self.vendor.text(), self.vendor.stream("Hello"))
        await service.agenerate_text("Hi")
        await finish_of(streamed())
        for request in upstream.requests:
            self.check_credential(request)
            assert DECOY not in request.everything

    async def test_without_a_credential_nothing_is_sent(self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
        with_decoys(monkeypatch)
        await sync_to_async(take_credentials)()
        upstream.always(self.vendor.text())
        with pytest.raises(CredentialUnavailable) as caught:
            await service.agenerate_text("Hi")
        assert caught.value.config_path == f"ai.providers.{NAME}.{self.credential_field}"
        assert upstream.connections == []

    async def test_a_changed_credential_is_used_from_the_next_call_on(self, upstream: Upstream, reconfigure: Any) -> None:
        upstream.always(self.vendor.text())
        await service.agenerate_text("Hi")
        await reconfigure(**self.other_credential)
        await service.agenerate_text("Hi")
        before, after = (request.everything for request in upstream.requests)
        assert "another-one" not in before
        assert "another-one" in after

    other_credential: ClassVar[dict[str, str]] = {"apiKey": "another-one"}
    """Other values of the credential, of which ``another-one`` is seen on the wire."""

    @pytest.mark.parametrize(
        "name", ["Authorization", "x-api-key", "X-Goog-Api-Key", "api-key", "X-Amz-Security-Token", "Host"]
    )
    async def test_a_caller_cannot_replace_the_credential(self, upstream: Upstream, name: str) -> None:
        with pytest.raises(InvalidRequest):
            await service.agenerate_text("Hi", headers={name: "x"})
        assert upstream.connections == []

    async def test_a_callers_other_headers_are_sent(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.text(), self.vendor.stream("Hello"))
        await service.agenerate_text("Hi", headers={"X-Trace": "t1"})
        await finish_of(streamed(headers={"X-Trace": "t1"}))
        for request in upstream.requests:
            assert request.headers["x-trace"] == "t1"
            self.check_credential(request)


def with_decoys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DECOYS:
        monkeypatch.setenv(name, DECOY)
    for name in ADDRESS_DECOYS:
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def take_credentials() -> None:
    """As after a restore without secrets: the row is there, its credentials are not."""
    row = ProviderInstance.objects.get(name=NAME)
    row.credentials = {}
    row.save()
