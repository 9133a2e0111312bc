"""A long run at a small rate with faults: ``python -m benchmarks.soak --seconds 3600 --out soak.json``.

Starts two server processes on ``DATABASE_URL`` and ``REDIS_URL`` (without them on SQLite, and without a shared cache), a
provider that now and then fails, and clients of every kind, some of which go away in the middle. Meanwhile the provider's
credential is changed, the encryption keys are rotated, an instance is switched off and on, and at half time one process is
replaced. Every ten seconds memory, open files, threads, tasks and database connections are noted; at the end their slopes are
told, and every error by its code.
"""
