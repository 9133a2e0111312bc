"""The database as configuration: rows back to a file, with a placeholder in the place of every secret."""

from __future__ import annotations

from django.db import Error

from ai_models.config import ExportedProvider, to_yaml
from ai_models.exceptions import NotReady
from ai_models.facts import load, mapping_names
from ai_models.snapshot import InstanceFacts


def export() -> str:
    """YAML that declares every instance in the database, also those made in the admin, but for orphans.

    Raises:
        NotReady: the database cannot be read.
    """
    try:
        snapshot = load()
    except Error:
        raise NotReady("The database cannot be read. It must be reachable, and migrated with: manage.py migrate") from None
    providers = [_exported(facts) for facts in snapshot.instances.values() if not facts.orphaned]
    return to_yaml(snapshot.default, providers)


def _exported(facts: InstanceFacts) -> ExportedProvider:
    mappings, configured = mapping_names(facts), facts.capabilities
    return ExportedProvider(
        name=facts.name,
        family=facts.family,
        options=facts.options,
        secrets=tuple(name for name in facts.sealed if name not in mappings),
        mappings=mappings,
        default_models={name: item.default_model for name, item in configured.items() if item.default_model},
        model_aliases={name: item.aliases for name, item in configured.items() if item.aliases},
    )
