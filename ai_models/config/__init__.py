"""``app-config.yaml``: its files are read, resolved, merged and checked here, and here only.

:func:`current` gives the declaration in force; :func:`load` and :func:`read` are its two halves.
"""

from ai_models.config.declarations import Declared, ProviderDeclaration, current, read
from ai_models.config.environment import environment
from ai_models.config.export import ExportedProvider, to_yaml
from ai_models.config.loader import Loaded, load
from ai_models.config.problems import Origin, Problem, Refused
from ai_models.config.schema import json_schema
from ai_models.config.sources import Source, Sources, sources

__all__ = [
    "Declared",
    "ExportedProvider",
    "Loaded",
    "Origin",
    "Problem",
    "ProviderDeclaration",
    "Refused",
    "Source",
    "Sources",
    "current",
    "environment",
    "json_schema",
    "load",
    "read",
    "sources",
    "to_yaml",
]
