"""``GET metrics`` for Prometheus. A host mounts it where it likes: ``path("metrics", metrics.read)``."""

from __future__ import annotations

from django.utils.module_loading import import_string

from ai_models.api.deferred import DeferredView

read = DeferredView(lambda: import_string("ai_models.api.exposition.MetricsView").as_view())
