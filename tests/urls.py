"""The routes of the tests: what a host includes."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from ai_models.api import health, metrics

urlpatterns = [
    path("admin/", admin.site.urls),
    path("healthz", health.live),
    path("readyz", health.ready),
    path("metrics", metrics.read),
    path("", include("ai_models.urls")),
]
