"""The facade's views: read the request, call the service, write the answer. No view decides anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from ai_models import naming, service
from ai_models.api import requestid
from ai_models.api.streams import require_asgi
from ai_models.api.views import BodyRequest, BodyView, UnknownPathView, View
from ai_models.capabilities import Capability
from ai_models.encoding import dump_bytes
from ai_models.exceptions import ModelNotFound
from ai_models.openai_api import completions, endpoints, errors, models, streaming
from ai_models.openai_api.answers import Answer
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

    async def post(self, request: BodyRequest) -> HttpResponse:
        body = await self.fields(request)
        asked = ask(self.kind, body)
        self.names = asked.names
        call = await endpoints.prepare(self.operation.capability, asked, body["model"], request.user)
        result = await call.result()
        if self.operation.is_large(result):
            return _respond(await asyncio.to_thread(self.operation.answer, body, result, call.told))
        return _respond(self.operation.answer(body, result, call.told))


class ChatView(OpenAIView, BodyView):
    """``POST chat/completions``."""

    operation = endpoints.CHAT

    async def post(self, request: BodyRequest) -> HttpResponseBase:
        body: Any = await self.fields(request)
        capability, asked, warnings = completions.asked(body)
        self.names = asked.names
        call = await endpoints.prepare(capability, asked, body["model"], request.user, warnings)
        if not body.get("stream"):
            result = await call.result()
            return _respond(Answer(completions.completion(body["model"], result, call.told)))
        require_asgi(request)
        chunks = Chunks(
            body["model"],
            call.told,
            include_usage=body.get("stream_options", {}).get("include_usage", False),
            is_object=capability is Capability.STRUCTURED_OUTPUT,
            request_id=requestid.current(),
        )
        return await streaming.respond(call.stream(), chunks.encode)


class ModelsView(OpenAIView):
    """``GET models``."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        found = models.listed(await service.amodels(user=request.user))
        return _respond(Answer(dump_bytes({"object": "list", "data": list(found.values())})))


class ModelView(OpenAIView):
    """``GET models/{id}``."""

    async def get(self, request: HttpRequest, id: str) -> HttpResponse:
        found = models.listed(await service.amodels(user=request.user)).get(await naming.full_name(id))
        if found is None:
            raise ModelNotFound("There is no such model among those that you may use. GET models lists them.")
        return _respond(Answer(dump_bytes({**found, "id": id})))


class NothingHereView(OpenAIView, UnknownPathView):
    """Every other address below the facade's prefix."""

    message = (
        "Nothing is here. Below /api/ai/openai/v1/ there are "
        f"{', '.join(operation.name for operation in (endpoints.CHAT, *endpoints.ENDPOINTS))} and models."
    )


def _respond(answer: Answer) -> HttpResponse:
    return HttpResponse(answer.content, content_type=answer.content_type, headers=dict(answer.headers))
