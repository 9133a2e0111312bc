"""Whether the service can work: what a load balancer asks before it sends requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import connections, router
from django.db.migrations.executor import MigrationExecutor

from ai_models import gates, store
from ai_models.access import supported_by
from ai_models.database import in_thread
from ai_models.exceptions import AIModelsError, NotReady
from ai_models.models import ProviderInstance
from ai_models.snapshot import CredentialState, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether the service can work. ``checks`` has ``ok`` or the reason for each thing that was looked at."""

    ready: bool
    checks: Mapping[str, str]


async def areadiness() -> Readiness:
    """Look at everything that calls depend on: database, migrations, credentials, default provider."""
    checks = await in_thread(_readiness)()
    return Readiness(ready=all(found == "ok" for found in checks.values()), checks=checks)


def _readiness() -> dict[str, str]:
    try:
        database = connections[router.db_for_write(ProviderInstance)]
        executor = MigrationExecutor(database)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return {"database": "ok", "migrations": "not applied; run manage.py migrate"}
        snapshot = store.current()
    except (DatabaseError, NotReady):
        return {"database": "cannot be read"}
    except AIModelsError as error:
        return {"database": "ok", "configuration": error.code}
    closed = sum(facts.credential is CredentialState.UNDECRYPTABLE for facts in snapshot.instances.values())
    return {
        "database": "ok",
        "migrations": "ok",
        "credentials": f"{closed} of {len(snapshot.instances)} providers cannot be decrypted" if closed else "ok",
        "defaultProvider": _default_provider(snapshot),
    }


def _default_provider(snapshot: Snapshot) -> str:
    if snapshot.default is None:
        return "none is set"
    facts = snapshot.instances[snapshot.default]
    usable = any(True for _ in gates.available(facts, supported_by(facts)))
    return "ok" if usable else f"not usable: {facts.state}"
