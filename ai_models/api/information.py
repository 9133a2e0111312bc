"""The API's views of what there is: providers, models, the API itself, and addresses where nothing is."""

from __future__ import annotations

import asyncio

from django.http import HttpResponse
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from ai_models import service, tickets
from ai_models.api import errors, openapi, operations
from ai_models.api.operations import ModelList, ProviderList
from ai_models.api.views import View
from ai_models.exceptions import InvalidRequest
from ai_models.serialization import to_json


class ProvidersView(View):
    """``GET providers``."""

    operation = operations.LIST_PROVIDERS

    async def get(self, request: Request) -> Response:
        return Response(to_json(ProviderList(await service.aproviders(user=request.user))))


class ProviderView(View):
    """``GET providers/{name}``."""

    operation = operations.GET_PROVIDER

    async def get(self, request: Request, name: str) -> Response:
        return Response(to_json(await service.aprovider(name, user=request.user)))


class ProviderCheckView(View):
    """``POST providers/{name}/check``."""

    operation = operations.CHECK_PROVIDER

    async def post(self, request: Request, name: str) -> Response:
        return Response(to_json(await service.acheck(name, user=request.user)))


def require_parameters(request: Request, *known: str) -> None:
    """Refuse query parameters that an address does not have.

    Raises:
        InvalidRequest: names each of them.
    """
    if unknown := sorted(set(request.query_params) - set(known)):
        raise InvalidRequest("; ".join(f"{name}: this query parameter does not exist" for name in unknown))


class ModelsView(View):
    """``GET models?capability=``."""

    operation = operations.LIST_MODELS

    async def get(self, request: Request) -> Response:
        require_parameters(request, "capability")
        return Response(to_json(ModelList(await service.amodels(request.query_params.get("capability"), user=request.user))))


class TicketView(View):
    """``POST ws-ticket``: a ticket stands for the headers that this request was authenticated by."""

    operation = operations.ISSUE_TICKET

    async def post(self, request: Request) -> Response:
        return Response(to_json(await tickets.issue(request.headers)))


class SchemaView(View):
    """``GET schema``: the OpenAPI document, as JSON, or as YAML when ``Accept`` or ``?format=yaml`` asks for it."""

    schema = None
    permission_classes = (AllowAny,)

    async def get(self, request: Request) -> HttpResponse:
        as_yaml = "yaml" in request.query_params.get("format", request.headers.get("Accept", ""))
        prefix = request.path.removesuffix("/api/ai/v1/schema")
        return HttpResponse(*await asyncio.to_thread(openapi.rendered, prefix, as_yaml=as_yaml))


class UnknownPathView(View):
    """Every other address below the API's prefix."""

    schema = None
    authentication_classes = ()
    permission_classes = (AllowAny,)
    message = "Nothing is here. GET /api/ai/v1/schema lists what exists; no address ends in a slash."

    async def get(self, request: Request, path: str) -> Response:
        raise errors.UnknownPath(self.message)

    post = put = patch = delete = options = get
