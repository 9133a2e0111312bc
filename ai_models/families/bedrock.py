"""Amazon Bedrock's Converse API. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ai_models import transports, types
from ai_models.capabilities import Capability
from ai_models.exceptions import CredentialUnavailable, ModelNotFound, UnsupportedFunctionality
from ai_models.families import extended_thinking, fields
from ai_models.families.base import Connection, SettingProblem, listed
from ai_models.families.translated import Translated
from ai_models.transports import chat_requests
from ai_models.transports.blocks import Blocks

if TYPE_CHECKING:
    from ai_models.types import (
        Chunk,
        FilePart,
        Health,
        ImageRequest,
        ImageResult,
        NamedTool,
        ObjectRequest,
        ReasoningContent,
        TextContent,
        TextRequest,
        TextResult,
        Tool,
    )

_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+")
_KEYS = ("accessKeyId", "secretAccessKey")
_AMAZON = re.compile(r"(?:^|[./])amazon\.")  # after an inference profile's region, and in an ARN, too
_STABILITY = re.compile(r"(?:^|[./])stability\.")
_CLAUDE = re.compile(r"(?:^|[./])anthropic\.")
_COHERE = re.compile(r"(?:^|[./])cohere\.")

# What the Converse API calls a file: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
_OFFICE = "application/vnd.openxmlformats-officedocument"
_BLOCKS: Mapping[str, tuple[str, str]] = {
    "image/png": ("image", "png"),
    "image/jpeg": ("image", "jpeg"),
    "image/gif": ("image", "gif"),
    "image/webp": ("image", "webp"),
    "application/pdf": ("document", "pdf"),
    "text/csv": ("document", "csv"),
    "application/msword": ("document", "doc"),
    f"{_OFFICE}.wordprocessingml.document": ("document", "docx"),
    "application/vnd.ms-excel": ("document", "xls"),
    f"{_OFFICE}.spreadsheetml.sheet": ("document", "xlsx"),
    "text/html": ("document", "html"),
    "text/plain": ("document", "txt"),
    "text/markdown": ("document", "md"),
    "video/x-matroska": ("video", "mkv"),
    "video/quicktime": ("video", "mov"),
    "video/mp4": ("video", "mp4"),
    "video/webm": ("video", "webm"),
    "video/x-flv": ("video", "flv"),
    "video/mpeg": ("video", "mpeg"),
    "video/x-ms-wmv": ("video", "wmv"),
    "video/3gpp": ("video", "three_gp"),
}
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9()\[\]-]+")


class Bedrock(Translated):
    """Models of many vendors behind AWS's signature. Without keys of its own an instance uses the machine's AWS credentials."""

    type = "bedrock"
    label = "Amazon Bedrock"
    telemetry_name = "aws.bedrock"
    fields = (
        fields.ConfigField(name="region", help="AWS region, us-east-1.", required=True),
        fields.ConfigField(name="accessKeyId", help="Access key id; with secretAccessKey, or neither.", secret=True),
        fields.ConfigField(name="secretAccessKey", help="Secret access key; with accessKeyId, or neither.", secret=True),
        fields.ConfigField(name="sessionToken", help="Session token of temporary keys.", secret=True),
        fields.ConfigField(name="baseURL", help="Where the runtime API is; the region's own endpoint when absent.", kind="url"),
        fields.MAX_CONCURRENCY,
    )
    capabilities = Translated.capabilities | {Capability.EMBEDDINGS, Capability.IMAGE_GENERATION}
    # A model id, an inference profile's id, or the ARN of one of them.
    model_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*|arn:aws[a-z-]*:bedrock:[A-Za-z0-9:/._-]+")
    ambient_credentials = True
    litellm_provider = "bedrock"
    provider_options = {
        Capability.TEXT_GENERATION: frozenset(
            {"guardrailConfig", "performanceConfig", "serviceTier", "additionalModelRequestFields"}
        ),
        # The first four are for Amazon's models, the others for Stability's.
        Capability.IMAGE_GENERATION: frozenset(
            {"quality", "cfgScale", "negativeText", "similarityStrength", "negative_prompt", "strength", "output_format"}
        ),
    }
    files = "images (PNG, JPEG, GIF, WebP), documents (PDF, CSV, Word, Excel, HTML, text, Markdown) and videos, by data"
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
        region = options.get("region")
        if isinstance(region, str) and not _REGION.fullmatch(region):  # it becomes a part of the host's name
            return [SettingProblem(field="region", message="It is not the name of a region.", remedy="Write it as us-east-1.")]
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

    def __init__(self, connection: Connection) -> None:
        from ai_models.transports.bedrock import BedrockTransport

        super().__init__(connection)
        self.runtime = BedrockTransport(self._endpoint(), authorize=self.authorize, destinations=connection.destinations)

    async def supported_settings(self, capability: Capability, model: str) -> frozenset[str] | None:
        if capability is not Capability.IMAGE_GENERATION:
            return await super().supported_settings(capability, model)
        return frozenset({"seed", "aspect_ratio" if _STABILITY.search(model) else "size"})

    def embeddings_per_call(self, model: str) -> int | None:
        """96 with Cohere's models; the others take one text.

        https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
        """
        return 96 if _COHERE.search(model) else 1

    def images_per_call(self, model: str) -> int | None:
        """5 with Amazon's models; Stability's make one."""
        return 5 if _AMAZON.search(model) else 1

    async def do_stream_object(self, model: str, request: ObjectRequest) -> AsyncGenerator[Chunk]:
        """By a tool whose input is the object. In one piece where the model cannot be made to call it: litellm streams none."""
        settings = await self.supported_settings(Capability.STRUCTURED_OUTPUT, model) or ()
        if "tool_choice" not in settings or request.get("reasoning", "none") != "none":
            for piece in _pieces(await self.do_generate_object(model, request)):
                yield piece
            return
        from ai_models.transports.litellm import SCHEMA_TOOL

        tool: Tool = {"name": SCHEMA_TOOL, "input_schema": request["schema"]}
        if "schema_description" in request:
            tool["description"] = request["schema_description"]
        choice: NamedTool = {"type": "tool", "tool_name": SCHEMA_TOOL}
        calling: Any = {**request, "tools": [tool, *request.get("tools", ())], "tool_choice": choice}
        async with aclosing(self._stream(model, calling, structured=True)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def do_generate_image(self, model: str, request: ImageRequest) -> ImageResult:
        self._check_model(model)
        options = self.options(request)
        if _AMAZON.search(model):
            body = await asyncio.to_thread(transports.bedrock_media.amazon_body, request, options)  # a mask takes time
        elif _STABILITY.search(model):
            body = transports.bedrock_media.stability_body(model, request, options)
        else:
            raise UnsupportedFunctionality("model: of the models on Bedrock, Amazon's and Stability's make images.")
        return transports.bedrock_media.images(await self.runtime.invoke(model, body, request.get("headers")))

    def destination(self) -> str:
        return self._endpoint()

    async def health_check(self) -> Health:
        """List the region's models; at an address of the instance's own, which may be the runtime alone, ask that."""
        if not self.connection.options.get("baseURL"):
            return await listed(self.runtime.models(self._control_plane()))
        started = time.monotonic()
        try:
            await self.runtime.ask()
        except ModelNotFound:  # a gateway that has of the runtime what it needs
            return types.Health(healthy=True, message="Its own address has nothing to ask that costs nothing.")
        return types.Health(
            healthy=True, message="The runtime takes the instance's credential.", latency=time.monotonic() - started
        )

    def knows(self, model: str, names: frozenset[str]) -> bool | None:
        """Inference profiles have the name of their model, after a region. What is an account's own is not listed."""
        resource, _, name = model.rpartition("/")
        if resource and not resource.endswith((":foundation-model", ":inference-profile")):
            return None
        return name in names or name.partition(".")[2] in names

    async def aclose(self) -> None:
        await super().aclose()
        await self.runtime.aclose()

    def finish_reason(self, payload: Mapping[str, Any]) -> str | None:
        # In an answer at the top, in a stream in its messageStop event.
        stop = payload.get("messageStop")
        return payload.get("stopReason") or (stop.get("stopReason") if isinstance(stop, Mapping) else None)

    def content(self, payload: Mapping[str, Any]) -> Iterator[TextContent | ReasoningContent | None]:
        for block in payload["output"]["message"]["content"]:
            if "toolUse" in block:
                yield None
            elif "text" in block:
                yield types.TextContent(text=block["text"])
            elif "redactedContent" in block.get("reasoningContent", {}):
                yield self.thoughts("", "redactedData", block["reasoningContent"]["redactedContent"])
            elif "reasoningContent" in block:
                told = block["reasoningContent"]["reasoningText"]
                yield self.thoughts(told["text"], "signature", told.get("signature"))

    def file(self, part: FilePart) -> Mapping[str, Any] | None:
        kind, format = _BLOCKS.get(chat_requests.media_type(part), (None, None))
        if kind is None or "url" in part:
            return None
        block: dict[str, Any] = {"format": format, "source": {"bytes": chat_requests.encoded(part)}}
        return {kind: {**block, "name": _document_name(part)} if kind == "document" else block}

    def reasoning(self, text: str, metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if "redactedData" in metadata:
            return {"reasoningContent": {"redactedContent": metadata["redactedData"]}}
        if "signature" in metadata:
            return {"reasoningContent": {"reasoningText": {"text": text, "signature": metadata["signature"]}}}
        return None

    def outgoing(self, body: dict[str, Any]) -> dict[str, Any]:
        thinking = body.get("additionalModelRequestFields", {}).get("thinking")
        extended_thinking.require_room(thinking, body.get("inferenceConfig", {}).get("maxTokens"))
        return body

    def excluded(self, model: str, request: TextRequest) -> Mapping[str, str]:
        excluded = dict(
            extended_thinking.excluded(request)
            if _CLAUDE.search(model)
            else extended_thinking.excluded_by_a_forced_call(request)
        )
        if request.get("tool_choice") == "none" and _has_tool_parts(request):
            # Converse has no such choice, and wants to see the tools that the conversation tells of.
            excluded["tool_choice"] = "The model cannot be kept from tools that were called before."
        return excluded

    def _body(self, request: TextRequest) -> tuple[dict[str, Any], Blocks]:
        if request.get("tool_choice") == "none":
            without: Any = {name: value for name, value in request.items() if name not in {"tools", "tool_choice"}}
            request = without
        return super()._body(request)

    async def arguments(self, model: str, capability: Capability) -> dict[str, Any]:
        return {
            "model": model if capability is Capability.EMBEDDINGS else f"converse/{model}",
            "aws_region_name": self.connection.options["region"],
            "aws_bedrock_runtime_endpoint": self._endpoint(),
            # With a bearer token litellm looks for no AWS credentials; authorize() puts the signature in its place.
            "api_key": "replaced",
        }

    def _endpoint(self) -> str:
        region = self.connection.options["region"]
        endpoint: str = self.connection.options.get("baseURL") or f"https://bedrock-runtime.{region}.amazonaws.com"
        return endpoint.rstrip("/")

    def _control_plane(self) -> str:
        return f"https://bedrock.{self.connection.options['region']}.amazonaws.com"

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


def _has_tool_parts(request: TextRequest) -> bool:
    contents = (message["content"] for message in request.get("messages", ()))
    return any(part["type"] in {"tool-call", "tool-result"} for parts in contents if isinstance(parts, list) for part in parts)


def _document_name(part: FilePart) -> str:
    """A name in the characters that the API takes, and the same one only for the same bytes."""
    stem = _NOT_IN_A_NAME.sub("-", part.get("filename", "").rpartition(".")[0] or part.get("filename", ""))[:100].strip("-")
    return f"{stem or 'document'}-{hashlib.blake2s(part['data'], digest_size=4).hexdigest()}"


def _pieces(result: TextResult) -> Iterator[Chunk]:
    """A whole answer as the chunks of a stream."""
    for index, part in enumerate(result.content):
        match part:
            case types.TextContent():
                yield types.Chunk(text=part.text)
            case types.ReasoningContent():
                yield types.Chunk(reasoning=part.text, reasoning_metadata=part.provider_metadata)
            case types.ToolCall():
                call = types.ToolCallDelta(
                    index=index, id=part.tool_call_id, name=part.tool_name, arguments=json.dumps(part.input)
                )
                yield types.Chunk(tool_calls=(call,))
    yield types.Chunk(
        finish_reason=result.finish_reason,
        raw_finish_reason=result.raw_finish_reason,
        usage=result.usage,
        response=result.response,
        warnings=result.warnings,
    )
