"""Amazon Bedrock's Converse API. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from ai_models.capabilities import Capability
from ai_models.exceptions import CredentialUnavailable
from ai_models.families import fields
from ai_models.families.base import SettingProblem
from ai_models.families.translated import Translated

_KEYS = ("accessKeyId", "secretAccessKey")


class Bedrock(Translated):
    """Models of many vendors behind AWS's signature. Without keys of its own an instance uses the machine's AWS credentials."""

    type = "bedrock"
    label = "Amazon Bedrock"
    fields = (
        fields.ConfigField(name="region", help="AWS region, us-east-1.", required=True),
        fields.ConfigField(name="accessKeyId", help="Access key id; with secretAccessKey, or neither.", secret=True),
        fields.ConfigField(name="secretAccessKey", help="Secret access key; with accessKeyId, or neither.", secret=True),
        fields.ConfigField(name="sessionToken", help="Session token of temporary keys.", secret=True),
        fields.ConfigField(name="baseURL", help="Where the runtime API is; the region's own endpoint when absent.", kind="url"),
    )
    capabilities = Translated.capabilities | {Capability.EMBEDDINGS}
    # A model id, an inference profile's id, or the ARN of one of them.
    model_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*|arn:aws[a-z-]*:bedrock:[A-Za-z0-9:/._-]+")
    ambient_credentials = True
    litellm_provider = "bedrock"
    provider_options = frozenset({"guardrailConfig", "performanceConfig", "serviceTier", "additionalModelRequestFields"})
    no_usage = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
    finish_reasons = {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool-calls",
        "guardrail_intervened": "content-filter",
        "content_filtered": "content-filter",
    }

    @classmethod
    def check(cls, options: Mapping[str, Any], secrets: Iterable[str]) -> list[SettingProblem]:
        given = set(secrets)
        if not given:
            message = "It has no keys of its own and uses the machine's AWS credential chain."
            return [
                SettingProblem(
                    field="", message=message, remedy="Set accessKeyId and secretAccessKey to use others.", level="info"
                )
            ]
        missing = [name for name in _KEYS if name not in given]
        return [
            SettingProblem(
                field=name, message="accessKeyId and secretAccessKey belong together.", remedy=f"Set {name}, or neither."
            )
            for name in missing
        ]

    def finish_reason(self, payload: Mapping[str, Any]) -> str | None:
        # In an answer at the top, in a stream in its messageStop event.
        stop = payload.get("messageStop")
        return payload.get("stopReason") or (stop.get("stopReason") if isinstance(stop, Mapping) else None)

    async def arguments(self, model: str, capability: Capability) -> dict[str, Any]:
        region = self.connection.options["region"]
        endpoint = self.connection.options.get("baseURL") or f"https://bedrock-runtime.{region}.amazonaws.com"
        return {
            "model": model if capability is Capability.EMBEDDINGS else f"converse/{model}",
            "aws_region_name": region,
            "aws_bedrock_runtime_endpoint": endpoint.rstrip("/"),
            # With a bearer token litellm looks for no AWS credentials; authorize() puts the signature in its place.
            "api_key": "replaced",
        }

    async def authorize(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """AWS Signature Version 4."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method, url, headers={"content-type": "application/json"}, data=body)
        SigV4Auth(await self._credentials(), "bedrock", self.connection.options["region"]).add_auth(request)
        return {name.lower(): value for name, value in request.headers.items()}

    async def _credentials(self) -> Any:
        from botocore.credentials import Credentials

        secrets = self.connection.secrets
        if secrets:
            token = secrets.get("sessionToken")
            keys = (secrets[name].reveal() for name in _KEYS)
            return Credentials(*keys, token.reveal() if token else None)
        # Reading the chain can ask the machine's metadata service, and refreshes temporary keys.
        found = await asyncio.to_thread(lambda: self._chain and self._chain.get_frozen_credentials())
        if not found:
            raise CredentialUnavailable(
                "The instance has no keys of its own, and this machine has no AWS credentials.",
                config_path=f"ai.providers.{self.connection.name}.accessKeyId",
            )
        return found

    @cached_property
    def _chain(self) -> Any:
        from botocore.session import Session

        return Session().get_credentials()
