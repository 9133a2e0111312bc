"""How the service is seen from outside: spans, metrics and log lines of every call. ``docs/observability.md`` is for readers.

Importing a part imports neither OpenTelemetry nor Prometheus; each of them is imported by one module, when it is used.
"""
