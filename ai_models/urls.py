"""The API's routes: a host includes them with ``path("", include("ai_models.urls"))``."""

from __future__ import annotations

from django.urls import include, path, re_path

from ai_models.api import docs, views
from ai_models.api.operations import CALLS

_v1 = [
    *(path(call.name, views.CallView.as_view(operation=call)) for call in CALLS),
    path("stream-text", views.StreamTextView.as_view()),
    path("providers", views.ProvidersView.as_view()),
    path("providers/<str:name>", views.ProviderView.as_view()),
    path("providers/<str:name>/check", views.ProviderCheckView.as_view()),
    path("models", views.ModelsView.as_view()),
    path("schema", views.SchemaView.as_view(), name="ai-schema"),
    path("docs", docs.page, name="ai-docs"),
    re_path(r"^(?P<path>.*)$", views.UnknownPathView.as_view()),
]

urlpatterns = [path("api/ai/v1/", include(_v1))]
