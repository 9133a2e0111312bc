"""The API's views: read the request, call the service, write the answer. No view decides anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from adrf.requests import AsyncRequest
from adrf.views import APIView
from django.db import close_old_connections, connections, transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.datastructures import MultiValueDict
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.schemas.inspectors import ViewInspector

from ai_models import access, tokenuse
from ai_models.api import downloads, errors, forms, openapi, requestid
from ai_models.api.answer import Answer, AnswerResponse
from ai_models.api.directrequest import DirectRequest
from ai_models.api.identities import Known
from ai_models.api.negotiation import JSONOnly
from ai_models.api.operation import Call, Operation
from ai_models.api.parsers import StrictJSONParser, parse_object
from ai_models.api.renderers import QuickJSONRenderer
from ai_models.capabilities import Capability
from ai_models.conf import conf
from ai_models.database import in_thread
from ai_models.encoding import dump_bytes
from ai_models.serialization import to_json, validate

INLINE_BYTES = 64 * 1024
"""A body up to this size is parsed on the event loop; a larger one in a thread, so that other requests go on."""


_KNOWN_AUTHENTICATORS = frozenset({"rest_framework.authentication", "knox.auth"})
"""Modules of the authentication classes that are known to give a user and nothing beside."""

_USUAL = frozenset[tuple[type[BasePermission], ...]]({(IsAuthenticated,), (AllowAny,)})

_REQUEST_ID = f"HTTP_{requestid.HEADER.upper().replace('-', '_')}"


def _remembered_seconds(authenticators: tuple[type, ...]) -> float:
    """For how long it is remembered who headers authenticate."""
    if (seconds := conf().AUTH_CACHE_SECONDS) is not None:
        return seconds
    return 1.0 if all(kind.__module__ in _KNOWN_AUTHENTICATORS for kind in authenticators) else 0.0


class BodyRequest(AsyncRequest):
    """A request whose body may come without a Content-Length; DRF takes such a body for an empty one."""

    _stream: Any

    def _load_stream(self) -> None:
        super()._load_stream()
        meta = self._request.META
        if self._stream is None and not meta.get("CONTENT_LENGTH") and meta.get("CONTENT_TYPE"):
            self._stream = self._request

    def _load_data_and_files(self) -> None:
        if not isinstance(self._request, DirectRequest) or self._request.is_empty:
            super()._load_data_and_files()
            return
        # The direct road takes JSON alone.
        self._files: MultiValueDict[str, Any] = MultiValueDict()
        self._data = self._full_data = parse_object(self._request.read())

    def is_sent_by(self, known: Known) -> None:
        """The sender is known without asking."""
        self.user, self.auth, self._authenticator = known.user, known.auth, known.authenticator

    @property
    def is_small(self) -> bool:
        """Whether the body is known to be small."""
        length = self._request.META.get("CONTENT_LENGTH") or ""
        return length.isdecimal() and int(length) <= INLINE_BYTES


class View(APIView):
    """Base of every API view: strict JSON in, JSON out, every failure in the one envelope, a request id on everything.

    Authentication and throttling are the host's (``REST_FRAMEWORK``); nothing else of the host's REST settings applies.
    """

    operation: Operation | None = None
    request: Request
    permission_classes: tuple[type[BasePermission], ...] = (IsAuthenticated,)
    parser_classes: tuple[type[BaseParser], ...] = (StrictJSONParser,)
    renderer_classes = (QuickJSONRenderer,)
    content_negotiation_class = JSONOnly
    versioning_class = None
    metadata_class = None
    schema: ViewInspector | None = openapi.Schema()

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        # Django refuses async views under ATOMIC_REQUESTS unless they say that they need no transaction, of any database.
        view = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(alias)(view)
        return cast(Callable[..., HttpResponseBase], view)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self.async_dispatch(request, *args, **kwargs)

    async def async_dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        requestid.bind(request.META.get(_REQUEST_ID))
        if not isinstance(request, DirectRequest):
            return cast(HttpResponseBase, await super().async_dispatch(request, *args, **kwargs))
        received = self._begin(request, *args, **kwargs)
        try:
            await self.admit(received, request)
            handler: Callable[..., Awaitable[HttpResponseBase]] = getattr(self, request.method.lower())
            response = await handler(received, *args, **kwargs)
        except Exception as error:
            response = self.handle_exception(error)
        return self._end(received, response)

    def respond(self, request: DirectRequest, known: Known, outcome: Answer | Exception) -> HttpResponseBase:
        """The response to a request that was handled before it was made."""
        received = self._begin(request)
        self._recognize(received, request, known)
        return self._end(received, AnswerResponse(outcome) if isinstance(outcome, Answer) else self.handle_exception(outcome))

    def _begin(self, request: DirectRequest, *args: Any, **kwargs: Any) -> BodyRequest:
        self.args, self.kwargs = args, kwargs
        self.request = received = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        return received

    def _end(self, request: BodyRequest, response: HttpResponseBase) -> HttpResponseBase:
        self.response = self.finalize_response(request, response, *self.args, **self.kwargs)
        return self.response

    def _recognize(self, request: BodyRequest, direct: DirectRequest, known: Known) -> None:
        request.is_sent_by(known)
        direct.known, direct.is_session_read = known, known.by_session

    @classmethod
    def is_repeatable(cls) -> bool:
        """Whether who was admitted is admitted again without being asked for more."""
        return not cls.throttle_classes and tuple(cls.permission_classes) in _USUAL

    def check_permissions(self, request: Request) -> None:
        if tuple(self.permission_classes) not in _USUAL:
            super().check_permissions(request)
            return
        # The base class looks first whether they are asynchronous, which takes longer than the check.
        self.check_sync_permissions(request, [permission() for permission in self.permission_classes])

    async def admit(self, request: BodyRequest, direct: DirectRequest) -> None:
        """What :meth:`initial` does, with who the headers authenticate remembered for a moment."""
        self.format_kwarg = request.version = request.versioning_scheme = None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        seconds = _remembered_seconds(tuple(self.authentication_classes))
        known = await direct.identities.find(direct.key, partial(self.look_up, request, direct, seconds), seconds)
        self._recognize(request, direct, known)
        self.check_permissions(request)
        if self.throttle_classes:
            await in_thread(self.check_throttles)(request)

    def look_up(self, request: BodyRequest, direct: DirectRequest, seconds: float) -> Known:
        """Ask the host's authenticators, and look the user's permissions up.

        Args:
            seconds: for so long it may be remembered.
        """
        try:
            direct.prepare()
            request.authenticators = self.get_authenticators()
            self.perform_authentication(request)
            user = request.user
            access.remember(user, seconds)
            # Cached on the user; the service's permission checks then need no query.
            user.has_perm(Capability.TEXT_GENERATION.permission)
            found = bool(user.is_authenticated) and not direct.is_read
            return Known(user, request.auth, request._authenticator, found, direct.is_session_accessed)
        finally:
            close_old_connections()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate. A model call may take minutes, so the database connection is given back before it."""
        try:
            super().initial(request, *args, **kwargs)
            # Cached on the user; the service's permission checks then need no query.
            request.user.has_perm(Capability.TEXT_GENERATION.permission)
        finally:
            close_old_connections()

    def perform_authentication(self, request: Request) -> None:
        """Find out who sends the request. Websockets ask here too."""
        try:
            super().perform_authentication(request)
        except UnicodeError:
            # knox decodes a token without care.
            raise AuthenticationFailed from None
        if request.user.is_authenticated and not request.user.is_active:
            raise AuthenticationFailed
        tokenuse.note(request.auth)

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response.headers[requestid.HEADER] = requestid.current()
        return cast(HttpResponseBase, super().finalize_response(request, response, *args, **kwargs))

    def get_authenticate_header(self, request: Request) -> str:
        """``WWW-Authenticate`` of the first authenticator that has one: a 401 needs it, and DRF would answer 403 without."""
        headers = (authenticator.authenticate_header(request) for authenticator in self.get_authenticators())
        return next((header for header in headers if header), "Session")

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponseBase]:
        return errors.handle

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> BodyRequest:
        if isinstance(request, DirectRequest) and not request.is_empty:
            return BodyRequest(request)  # what else there is to it is looked up when it is asked for
        return BodyRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )


class BodyView(View):
    """A view whose operation takes a body: JSON, and a form too where files are among the fields."""

    operation: Operation

    @property
    def kind(self) -> type[dict[str, Any]]:
        """The operation's request type."""
        return cast(type[dict[str, Any]], self.operation.request)

    def get_parsers(self) -> list[BaseParser]:
        parsers: list[BaseParser] = super().get_parsers()
        return [*parsers, forms.FormParser()] if forms.file_fields(self.kind) else parsers

    async def fields(self, request: BodyRequest) -> dict[str, Any]:
        """The validated fields, read in a thread unless the body is known to be small."""
        if isinstance(request._request, DirectRequest) and request._request.fields is not None:
            return request._request.fields
        return self.read(request) if request.is_small else await asyncio.to_thread(self.read, request)

    def read(self, request: BodyRequest) -> dict[str, Any]:
        """The validated fields."""
        body = request.data
        if isinstance(body, MultiValueDict):
            body = forms.to_request(self.kind, body, self.operation.aliases)
        return self.checked(body)

    def checked(self, body: Any) -> dict[str, Any]:
        """The fields of a parsed body, validated.

        Raises:
            InvalidRequest: names each field that is wrong.
        """
        return validate(self.kind, body, json_names=True)

    def is_whole(self, fields: dict[str, Any]) -> bool:
        """Whether what is asked for is an :class:`Answer`, and these fields are all that it takes."""
        return False

    async def answer(self, fields: dict[str, Any], user: Any) -> Answer:
        """The answer to validated fields, where it is whole."""
        raise NotImplementedError


class CallView(BodyView):
    """``POST``: one row of :data:`~ai_models.api.operations.CALLS`."""

    operation: Call

    async def post(self, request: BodyRequest) -> HttpResponseBase:
        fields = await self.fields(request)
        files = self.operation.files
        if files is None:
            return AnswerResponse(await self.answer(fields, request.user))
        accept = downloads.Accept(request.headers.get("Accept", "*/*"))
        downloads.require_one(accept, files.kind, fields.get("n", 1))
        result = await self.operation.run(user=request.user, **fields)
        if (file := downloads.chosen(accept, files.kind, files.of(result))) is not None:
            return downloads.respond(file, result, files.kind)
        return Response(await asyncio.to_thread(to_json, result))

    def is_whole(self, fields: dict[str, Any]) -> bool:
        return self.operation.files is None

    async def answer(self, fields: dict[str, Any], user: Any) -> Answer:
        return Answer(dump_bytes(to_json(await self.operation.run(user=user, **fields))))

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if self.operation.files is not None:
            patch_vary_headers(response, ["Accept"])
        return super().finalize_response(request, response, *args, **kwargs)
