"""The host's addresses."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from ai_models.api import health, metrics, pages

urlpatterns = [
    path("", pages.landing, name="landing"),
    path("healthz", health.live, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.read, name="metrics"),
    path("admin/", admin.site.urls),
    path("", include("ai_models.urls")),
]
