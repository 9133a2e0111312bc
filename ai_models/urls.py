"""The API's routes: a host includes them with ``path("", include("ai_models.urls"))``."""

from __future__ import annotations

from django.urls import include, path, re_path

from ai_models.api import docs, streams, videos, views
from ai_models.api.operations import CALLS, STREAMS
from ai_models.openai_api import views as openai
from ai_models.openai_api.endpoints import CHAT, ENDPOINTS

_v1 = [
    *(path(call.name, views.CallView.as_view(operation=call)) for call in CALLS),
    *(path(stream.name, streams.StreamView.as_view(operation=stream)) for stream in STREAMS),
    path("stream-text/<str:id>/stream", streams.RunningStreamView.as_view()),
    path("stream-text/<str:id>/cancel", streams.CancelStreamView.as_view()),
    path("stream-object/<str:id>/stream", streams.RunningStreamView.as_view(schema=None)),
    path("stream-object/<str:id>/cancel", streams.CancelStreamView.as_view(schema=None)),
    path("ws-ticket", views.TicketView.as_view()),
    path("generate-video", videos.GenerateVideoView.as_view()),
    path("videos/<str:id>", videos.VideoView.as_view()),
    path("videos/<str:id>/content", videos.VideoContentView.as_view()),
    path("videos/<str:id>/cancel", videos.CancelVideoView.as_view()),
    path("providers", views.ProvidersView.as_view()),
    path("providers/<str:name>", views.ProviderView.as_view()),
    path("providers/<str:name>/check", views.ProviderCheckView.as_view()),
    path("models", views.ModelsView.as_view()),
    path("schema", views.SchemaView.as_view(), name="ai-schema"),
    path("docs", docs.page, name="ai-docs"),
    re_path(r"^(?P<path>.*)$", views.UnknownPathView.as_view()),
]

_nothing = re_path(r"^(?P<path>.*)$", openai.NothingHereView.as_view())
_openai_v1 = [
    path(CHAT.name, openai.ChatView.as_view()),
    *(path(endpoint.name, openai.EndpointView.as_view(operation=endpoint)) for endpoint in ENDPOINTS),
    path("models", openai.ModelsView.as_view()),
    path("models/<path:id>", openai.ModelView.as_view()),
    _nothing,
]

urlpatterns = [
    path("api/ai/v1/", include(_v1)),
    path("api/ai/openai/v1/", include(_openai_v1)),
    path("api/ai/openai/", include([_nothing])),
]
