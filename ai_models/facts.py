"""From rows to facts, and from facts to a connection. Bad rows become visible states; they never fail the whole snapshot."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from ai_models import registry
from ai_models.capabilities import Capability
from ai_models.conf import conf
from ai_models.destinations import DestinationBlocked, DestinationPolicy
from ai_models.encryption import CannotDecrypt, KeyRing, Secret
from ai_models.exceptions import CredentialUnavailable
from ai_models.families.base import Connection, Family
from ai_models.families.fields import MAX_CONCURRENCY, ConfigField
from ai_models.keyring import sealed_credentials, usable_key_ring
from ai_models.models import ConfigRevision, ProviderCapability, ProviderInstance
from ai_models.snapshot import CapabilityFacts, CheckState, CredentialState, InstanceFacts, Snapshot, fingerprint

_CAPABILITIES = frozenset(Capability)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "url": (str,), "path": (str,), "integer": (int,), "boolean": (bool,), "mapping": (dict,),
}  # fmt: skip


def stored_revision() -> int:
    """The revision in the database; 0 before the first change."""
    return ConfigRevision.objects.filter(pk=1).values_list("revision", flat=True).first() or 0


def load() -> Snapshot:
    """Read everything, in a fixed number of queries.

    Raises:
        ConfigurationError: the families cannot be loaded.
        django.db.Error: the database cannot be read.
    """
    revision = stored_revision()
    while True:
        rows = list(ProviderInstance.objects.prefetch_related("capabilities").order_by("name"))
        # The queries are not one transaction: when something changed between them, what was read may not fit together.
        if (now := stored_revision()) == revision:
            break
        revision = now
    ring, families = usable_key_ring(), registry.families()
    instances = {row.name: instance_facts(row, families.get(row.family), ring) for row in rows}
    return Snapshot(revision, MappingProxyType(instances), next((row.name for row in rows if row.is_default), None))


def instance_facts(row: ProviderInstance, family: type[Family] | None, ring: KeyRing) -> InstanceFacts:
    """The facts of one row with its capabilities; ``family`` is ``None`` when no installed family has its type."""
    options = row.options if isinstance(row.options, dict) else {}
    sealed = sealed_credentials(row.credentials)
    known = [item for item in row.capabilities.all() if item.capability in _CAPABILITIES]
    return InstanceFacts(
        id=str(row.pk),
        name=row.name,
        family=row.family,
        enabled=row.enabled,
        managed=row.managed,
        orphaned=row.orphaned,
        options=MappingProxyType(dict(options)),
        sealed=MappingProxyType(sealed),
        capabilities=MappingProxyType({Capability(item.capability): _capability_facts(item) for item in known}),
        credential=_credential_state(ring, str(row.pk), family, sealed),
        missing=_missing(family, sealed),
        problem=_problem(row, family, sealed),
        check=CheckState(row.state) if row.state in frozenset(CheckState) else CheckState.UNCHECKED,
        fingerprint=row_fingerprint(row),
    )


def row_fingerprint(row: ProviderInstance) -> str:
    """What :attr:`InstanceFacts.fingerprint` is for this row."""
    names = ("pk", "name", "family", "managed", "options", "credentials")
    return fingerprint(**{name: getattr(row, name) for name in names})


def _capability_facts(row: ProviderCapability) -> CapabilityFacts:
    aliases = row.aliases if isinstance(row.aliases, dict) else {}
    named = {name: model for name, model in aliases.items() if isinstance(model, str)}
    return CapabilityFacts(row.default_model or None, MappingProxyType(named), row.enabled)


def _credential_state(ring: KeyRing, row: str, family: type[Family] | None, sealed: Mapping[str, str]) -> CredentialState:
    try:
        _open(ring, row, family.fields if family else (), sealed)
    except CannotDecrypt:
        return CredentialState.UNDECRYPTABLE
    if _missing(family, sealed):
        return CredentialState.MISSING
    if family and any(field.secret and field.name in sealed for field in family.fields):
        return CredentialState.OK
    return CredentialState.AMBIENT if family and family.ambient_credentials else CredentialState.NOT_NEEDED


def _missing(family: type[Family] | None, sealed: Mapping[str, str]) -> str | None:
    needed = (field.name for field in family.fields if field.secret and field.required) if family else ()
    return next((name for name in needed if name not in sealed), None)


def _problem(row: ProviderInstance, family: type[Family] | None, sealed: Mapping[str, str]) -> str | None:
    if family is None:
        return f"Provider family {row.family} is not installed."
    if not isinstance(row.options, dict):
        return "Its connection settings are damaged."
    options, policy = with_defaults(family, row.options), destination_policy(row.managed)
    for field in family.fields:
        problem = None if field.secret else field_problem(field, options.get(field.name), policy)
        if problem is not None:
            return f"{field.name} {problem}."
    if (problem := borrowed_credential_problem(family, row.options, sealed, managed=row.managed)) is not None:
        return problem
    try:
        errors = [found for found in family.check(row.options, sealed) if found.level == "error"]
    except Exception:  # A family from outside must not take the other instances down with it.
        return f"Provider family {row.family} failed to check the settings."
    return " ".join(f"{error.field}: {error.message}" if error.field else error.message for error in errors) or None


def field_problem(field: ConfigField, value: Any, policy: DestinationPolicy) -> str | None:
    """What is wrong with the value of a setting, as the rest of a sentence that begins with the setting's name."""
    if value is None:
        return "is required" if field.required else None
    if not isinstance(value, _TYPES[field.kind]) or (field.kind == "integer" and isinstance(value, bool)):
        return f"is not of the type {field.kind}"
    if field.choices and value not in field.choices:
        return f"is not one of {', '.join(field.choices)}"
    if field.kind == "path" and not policy.private:
        return "names a file of this machine, which only the configuration file may do"
    if field.kind == "url":
        try:
            policy.check_url(str(value))
        except DestinationBlocked as blocked:
            return f"cannot be used: {blocked}"
    return None


def borrowed_credential_problem(
    family: type[Family], options: Mapping[str, Any], secrets: Collection[str], *, managed: bool
) -> str | None:
    """Why an instance may not use the machine's credential: to an address of an administrator's own it would go unasked."""
    if managed or secrets or not family.ambient_credentials:
        return None
    moved = any(options.get(field.name) for field in family.fields if field.kind == "url" and not field.secret)
    return "The machine's credential goes to another address only where the configuration file says so." if moved else None


def max_concurrency(facts: InstanceFacts) -> int | None:
    """How many calls at once the instance takes from a process, where it says so or its family does."""
    family = registry.families().get(facts.family)
    options = with_defaults(family, facts.options) if family else facts.options
    found: int | None = options.get(MAX_CONCURRENCY.name)
    return found


def with_defaults(family: type[Family], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the family's defaults filled in; a setting with neither is absent."""
    defaults = {field.name: field.default for field in family.fields if not field.secret and field.default is not None}
    return {**defaults, **options}


def open_connection(facts: InstanceFacts) -> Connection:
    """Decrypt an instance's credentials and hand everything its family needs to connect.

    Raises:
        CredentialUnavailable: a credential is missing or cannot be decrypted, or the instance is misconfigured.
    """
    path = f"ai.providers.{facts.name}"
    family = registry.families().get(facts.family)
    if family is None or facts.problem is not None:
        raise CredentialUnavailable(f"Provider {facts.name} is misconfigured: {facts.problem}", config_path=path)
    if facts.missing:
        raise CredentialUnavailable(f"Provider {facts.name} has no {facts.missing}.", config_path=f"{path}.{facts.missing}")
    try:
        secrets, mappings = _open(usable_key_ring(), facts.id, family.fields, facts.sealed)
    except CannotDecrypt:
        message = f"The credentials of provider {facts.name} cannot be decrypted with the configured encryption keys."
        raise CredentialUnavailable(message, config_path=path) from None
    return Connection(facts.name, with_defaults(family, facts.options), secrets, mappings, destination_policy(facts.managed))


def destination_policy(managed: bool) -> DestinationPolicy:
    """What an instance may reach: what the file declares is the operator's word."""
    return DestinationPolicy(private=managed, allowed=tuple(conf().ALLOWED_HOSTS))


def _open(
    ring: KeyRing, row: str, fields: tuple[ConfigField, ...], sealed: Mapping[str, str]
) -> tuple[dict[str, Secret], dict[str, dict[str, Secret]]]:
    """Open every ciphertext, and keep those of declared settings: single secrets, and mappings."""
    opened = {name: ring.decrypt(ciphertext, row=row, name=name) for name, ciphertext in sealed.items()}
    declared = {field.name: field.kind for field in fields if field.secret and field.name in opened}
    secrets = {name: opened[name] for name, kind in declared.items() if kind != "mapping"}
    mappings = {name: _mapping(opened[name]) for name, kind in declared.items() if kind == "mapping"}
    return secrets, mappings


def mapping_names(facts: InstanceFacts) -> dict[str, tuple[str, ...]]:
    """The names in each secret mapping that is set (header names), by setting; none where it cannot be decrypted."""
    family = registry.families().get(facts.family)
    declared = [field.name for field in family.fields if field.secret and field.kind == "mapping"] if family else []
    return {name: _names(facts, name) for name in declared if name in facts.sealed}


def _names(facts: InstanceFacts, name: str) -> tuple[str, ...]:
    try:
        return tuple(_mapping(usable_key_ring().decrypt(facts.sealed[name], row=facts.id, name=name)))
    except CannotDecrypt:
        return ()


def _mapping(secret: Secret) -> dict[str, Secret]:
    try:
        values = json.loads(secret.reveal())
    except ValueError:
        raise CannotDecrypt from None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise CannotDecrypt
    return {name: Secret(value) for name, value in values.items()}
