"""The facade's views: read the request, call the service, write the answer. No view decides anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from ai_models import naming, service
from ai_models.api import requestid
from ai_models.api.answer import Answer, AnswerResponse
from ai_models.api.information import UnknownPathView
from ai_models.api.streams import require_asgi
from ai_models.api.views import BodyRequest, BodyView, View
from ai_models.capabilities import Capability
from ai_models.encoding import dump_bytes
from ai_models.exceptions import ModelNotFound
from ai_models.openai_api import completions, endpoints, errors, models, streaming
from ai_models.openai_api.chunks import Chunks
from ai_models.openai_api.endpoints import Endpoint
from ai_models.openai_api.fields import ask


class OpenAIView(View):
    """Base of the views: every failure in OpenAI's shape.

    Attributes:
        names: OpenAI's names of the request's fields that are called otherwise here.
    """

    schema = None
    names: Mapping[str, str] = errors.NO_NAMES

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponseBase]:
        return errors.handle


class EndpointView(OpenAIView, BodyView):
    """``POST``: one row of :data:`~ai_models.openai_api.endpoints.ENDPOINTS`."""

    operation: Endpoint

    async def post(self, request: BodyRequest) -> HttpResponseBase:
        return AnswerResponse(await self.answer(await self.fields(request), request.user))

    def is_whole(self, fields: Any) -> bool:
        return True

    async def answer(self, fields: Any, user: Any) -> Answer:
        asked = ask(self.kind, fields)
        self.names = asked.names
        call = await endpoints.prepare(self.operation.capability, asked, fields["model"], user)
        result = await call.result()
        if self.operation.is_large(result):
            return await asyncio.to_thread(self.operation.answer, fields, result, call.told)
        return self.operation.answer(fields, result, call.told)


class ChatView(OpenAIView, BodyView):
    """``POST chat/completions``."""

    operation = endpoints.CHAT

    async def post(self, request: BodyRequest) -> HttpResponseBase:
        fields: Any = await self.fields(request)
        if self.is_whole(fields):
            return AnswerResponse(await self.answer(fields, request.user))
        capability, call = await self._prepared(fields, request.user)
        require_asgi(request)
        chunks = Chunks(
            fields["model"],
            call.told,
            include_usage=fields.get("stream_options", {}).get("include_usage", False),
            is_object=capability is Capability.STRUCTURED_OUTPUT,
            request_id=requestid.current(),
        )
        return await streaming.respond(call.stream(), chunks.encode)

    def is_whole(self, fields: Any) -> bool:
        return not fields.get("stream")

    async def answer(self, fields: Any, user: Any) -> Answer:
        _, call = await self._prepared(fields, user)
        return Answer(completions.completion(fields["model"], await call.result(), call.told))

    async def _prepared(self, fields: Any, user: Any) -> tuple[Capability, endpoints.Call]:
        capability, asked, warnings = completions.asked(fields)
        self.names = asked.names
        return capability, await endpoints.prepare(capability, asked, fields["model"], user, warnings)


class ModelsView(OpenAIView):
    """``GET models``."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        found = models.listed(await service.amodels(user=request.user))
        return AnswerResponse(Answer(dump_bytes({"object": "list", "data": list(found.values())})))


class ModelView(OpenAIView):
    """``GET models/{id}``."""

    async def get(self, request: HttpRequest, id: str) -> HttpResponse:
        found = models.listed(await service.amodels(user=request.user)).get(await naming.full_name(id))
        if found is None:
            raise ModelNotFound("There is no such model among those that you may use. GET models lists them.")
        return AnswerResponse(Answer(dump_bytes({**found, "id": id})))


class NothingHereView(OpenAIView, UnknownPathView):
    """Every other address below the facade's prefix."""

    message = (
        "Nothing is here. Below /api/ai/openai/v1/ there are "
        f"{', '.join(operation.name for operation in (endpoints.CHAT, *endpoints.ENDPOINTS))} and models."
    )
