"""The API's routes: a host includes them with ``path("", include("ai_models.urls"))``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.urls import URLPattern, URLResolver, include, path, re_path
from django.utils.module_loading import import_string

from ai_models.api.deferred import DeferredView


def _view(name: str, **initial: Any) -> DeferredView:
    """A class of views by its dotted path, with the arguments of its ``as_view``."""
    return DeferredView(lambda: import_string(f"ai_models.{name}").as_view(**initial))


def _rows(view: str, table: str, *names: str) -> Iterator[URLPattern]:
    """A route for each row of a table of operations, served by one class of views."""
    for name in names:
        yield path(name, DeferredView(lambda name=name: _of_row(view, table, name)))  # type: ignore[misc]


def _of_row(view: str, table: str, name: str) -> Any:
    rows = {operation.name: operation for operation in import_string(f"ai_models.{table}")}
    return import_string(f"ai_models.{view}").as_view(operation=rows[name])


_CALLS = ("generate-text", "generate-object", "embed", "generate-image", "generate-speech", "transcribe", "resolve")

_v1 = [
    *_rows("api.views.CallView", "api.operations.CALLS", *_CALLS),
    *_rows("api.streams.StreamView", "api.operations.STREAMS", "stream-text", "stream-object"),
    path("stream-text/<str:id>/stream", _view("api.streams.RunningStreamView")),
    path("stream-text/<str:id>/cancel", _view("api.streams.CancelStreamView")),
    path("stream-object/<str:id>/stream", _view("api.streams.RunningStreamView", schema=None)),
    path("stream-object/<str:id>/cancel", _view("api.streams.CancelStreamView", schema=None)),
    path("ws-ticket", _view("api.information.TicketView")),
    path("generate-video", _view("api.videos.GenerateVideoView")),
    path("videos/<str:id>", _view("api.videos.VideoView")),
    path("videos/<str:id>/content", _view("api.videos.VideoContentView")),
    path("videos/<str:id>/cancel", _view("api.videos.CancelVideoView")),
    path("providers", _view("api.information.ProvidersView")),
    path("providers/<str:name>", _view("api.information.ProviderView")),
    path("providers/<str:name>/check", _view("api.information.ProviderCheckView")),
    path("models", _view("api.information.ModelsView")),
    path("schema", _view("api.information.SchemaView"), name="ai-schema"),
    path("docs", DeferredView(lambda: import_string("ai_models.api.docs.page")), name="ai-docs"),
    re_path(r"^(?P<path>.*)$", _view("api.information.UnknownPathView")),
]

_ENDPOINTS = ("embeddings", "images/generations", "audio/speech", "audio/transcriptions")
_nothing = re_path(r"^(?P<path>.*)$", _view("openai_api.views.NothingHereView"))
_openai_v1 = [
    path("chat/completions", _view("openai_api.views.ChatView")),
    *_rows("openai_api.views.EndpointView", "openai_api.endpoints.ENDPOINTS", *_ENDPOINTS),
    path("models", _view("openai_api.views.ModelsView")),
    path("models/<path:id>", _view("openai_api.views.ModelView")),
    _nothing,
]

urlpatterns = [
    path("api/ai/v1/", include(_v1)),
    path("api/ai/openai/v1/", include(_openai_v1)),
    path("api/ai/openai/", include([_nothing])),
]


def load(patterns: Sequence[URLPattern | URLResolver] = urlpatterns) -> None:
    """Import the views. A server does when it starts, so that no request waits for it."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            load(pattern.url_patterns)
        elif isinstance(pattern.callback, DeferredView):
            pattern.callback.view  # noqa: B018
