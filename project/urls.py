"""The host's addresses."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from ai_models.api import health, pages

urlpatterns = [
    path("", pages.landing, name="landing"),
    path("healthz", health.live, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("admin/", admin.site.urls),
    path("", include("ai_models.urls")),
]
