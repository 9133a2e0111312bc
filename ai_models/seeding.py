"""From the configuration file's declaration to rows: a plan that can be printed, and its application in one transaction.

What the file owns on an instance it declares: family, connection settings, models, aliases, and the default provider. What
administrators own: ``enabled``, of the instance and of each capability. A credential is written when the *file's* value
changed since the last seeding, so that a newer one, entered by an administrator, stays. To know that without keeping the
values, each row has a seal: the encrypted digests of the credentials as the file had them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from django.db import transaction
from django.utils.crypto import salted_hmac

from ai_models import credentials
from ai_models.capabilities import Capability
from ai_models.config.declarations import Declared, ProviderDeclaration
from ai_models.credentials import as_text
from ai_models.encryption import CannotDecrypt, InvalidKey, KeyRing, Secret
from ai_models.exceptions import ConfigurationError
from ai_models.keyring import SEAL, sealed_credentials, usable_key_ring
from ai_models.models import ProviderCapability, ProviderInstance, lock_revision


class PlanChanged(Exception):
    """The plan is not the one that was agreed to; nothing was changed."""


@dataclass(slots=True)
class Change:
    """What happens to one instance.

    Attributes:
        lines: what differs, for people; empty when nothing does. No line has a secret in it.
        warnings: what was left as it is and needs somebody's attention.
    """

    row: ProviderInstance = field(repr=False)
    action: Literal["create", "update", "delete"] = "update"
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    saved: list[ProviderCapability] = field(default_factory=list, repr=False)
    dropped: list[ProviderCapability] = field(default_factory=list, repr=False)

    def __str__(self) -> str:
        return "\n    ".join([f"{self.action} {self.row.name}", *self.lines])


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a seeding does. ``str()`` is the printed diff.

    Attributes:
        conflicts: why the plan cannot be applied at all.
        gone: names of the seeded instances that are not in the file any more, also of those that stay.
        declared: the declaration that the plan follows.
    """

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    conflicts: tuple[str, ...]
    gone: tuple[str, ...]
    declared: Declared = field(repr=False)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.changes), *(f"warning: {warning}" for warning in self.warnings)])

    def digest(self) -> str:
        """What tells this plan from another one, be it only by a value that is not printed. It is keyed, because secrets are
        among these values."""
        providers = {name: asdict(declaration) for name, declaration in self.declared.providers.items()}
        changes = [(change.action, change.row.name, change.lines) for change in self.changes]
        content = [providers, self.declared.default_provider, changes, self.warnings, self.conflicts]
        text = json.dumps(content, sort_keys=True, default=str)
        return salted_hmac("ai_models.seeding", text, algorithm="sha256").hexdigest()

    def apply(self, record: Callable[[Change], object] | None = None) -> None:
        """Write the changes; the caller holds the transaction.

        Args:
            record: called with each change right before it is written.
        """
        # Deletions and the old default go first: names and the default are unique.
        for change in sorted(self.changes, key=lambda change: (change.action != "delete", change.row.is_default)):
            if record is not None:
                record(change)
            if change.action == "delete":
                change.row.delete()
                continue
            change.row.save()
            for capability in change.dropped:
                capability.delete()
            for capability in change.saved:
                capability.save()


def seed(
    declared: Declared,
    *,
    prune: bool = False,
    replace_credentials: bool = False,
    dry_run: bool = False,
    agreed: str | None = None,
    record: Callable[[Change], object] | None = None,
) -> Plan:
    """Bring the rows in line with the declaration.

    Args:
        prune: delete instances that are gone from the file, instead of only disabling them.
        replace_credentials: where stored credentials cannot be decrypted, write the file's.
        dry_run: only plan.
        agreed: digest of the only plan that is to be applied.
        record: called with each change in the transaction, right before it is written.

    Raises:
        ConfigurationError: the declaration has mistakes or conflicts with rows made in the admin; nothing was changed.
        PlanChanged: the plan is another one than ``agreed``.
    """
    if declared.problems:
        raise ConfigurationError(declared.problems)
    try:
        with transaction.atomic():
            if not dry_run:
                # Another seeding waits here, and then plans against what this one wrote.
                lock_revision()
            plan = make_plan(declared, usable_key_ring(), prune=prune, replace_credentials=replace_credentials)
            if plan.conflicts:
                raise ConfigurationError(plan.conflicts)
            if agreed is not None and plan.digest() != agreed:
                raise PlanChanged
            if not dry_run:
                plan.apply(record)
    except InvalidKey as error:
        raise ConfigurationError([str(error)]) from None
    return plan


def make_plan(declared: Declared, ring: KeyRing, *, prune: bool = False, replace_credentials: bool = False) -> Plan:
    """Compare the declaration with the rows."""
    changes = {row.name: Change(row) for row in ProviderInstance.objects.prefetch_related("capabilities")}
    conflicts: list[str] = []
    gone = [name for name, change in changes.items() if change.row.managed and name not in declared.providers]
    for name in gone:
        _gone(changes[name], prune)
    for name, declaration in declared.providers.items():
        conflict = _conflict(name, changes)
        if conflict:
            conflicts.append(conflict)
            continue
        if name not in changes:
            row = ProviderInstance(name=name, family=declaration.family, managed=True)
            changes[name] = Change(row, "create", [f"type: {declaration.family}"])
        _follow(changes[name], declaration, ring, replace_credentials)
    _choose_default(declared.default_provider, changes)
    return Plan(
        tuple(change for change in changes.values() if change.lines),
        tuple(warning for change in changes.values() for warning in change.warnings),
        tuple(conflicts),
        tuple(gone),
        declared,
    )


def _conflict(name: str, changes: Mapping[str, Change]) -> str | None:
    remedy = "Rename it in the file, or rename or delete the instance in the admin."
    for other, change in changes.items():
        if change.action == "delete" or other.casefold() != name.casefold():
            continue
        if other != name:
            return f"ai.providers.{name}: the instance {other} exists, and case does not make another name. {remedy}"
        if not change.row.managed:
            return f"ai.providers.{name}: an instance of this name was made in the admin; seeding leaves it alone. {remedy}"
    return None


def _gone(change: Change, prune: bool) -> None:
    if prune:
        change.action = "delete"
        change.lines.append("gone from the file")
    elif not change.row.orphaned:
        change.row.enabled, change.row.orphaned = False, True
        change.lines.append("gone from the file: disabled and orphaned")


def _choose_default(wanted: str | None, changes: Mapping[str, Change]) -> None:
    for name, change in changes.items():
        row = change.row
        chosen = name == wanted if wanted is not None else row.is_default and not row.orphaned
        if row.is_default != chosen and change.action != "delete":
            row.is_default = chosen
            change.lines.append("default provider: yes" if chosen else "default provider: no longer")


def _follow(change: Change, declaration: ProviderDeclaration, ring: KeyRing, replace_credentials: bool) -> None:
    row = change.row
    if row.orphaned:
        row.orphaned = False
        change.lines.append("back in the file; stays disabled until an administrator enables it")
    lines = len(change.lines)
    moved = row.family != declaration.family
    if moved:
        change.lines.append(f"type: {row.family} -> {declaration.family}")
        row.family = declaration.family
    _follow_options(change, declaration)
    _follow_credentials(change, declared_credentials(declaration), ring, moved=moved, replace=replace_credentials)
    if len(change.lines) > lines:
        row.forget_check()
    _follow_models(change, declaration)


def _follow_options(change: Change, declaration: ProviderDeclaration) -> None:
    row, new = change.row, declaration.options
    old = row.options if isinstance(row.options, dict) else {}
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new or old[name] != new[name]:
            change.lines.append(f"{name}: {_verb(name in old, name in new)}")
    row.options = dict(new)


def _verb(before: bool, after: bool) -> str:
    return ("changed" if before else "set") if after else "removed"


def declared_credentials(declaration: ProviderDeclaration) -> dict[str, str]:
    """Plaintext by secret setting; a mapping as its JSON."""
    mappings = {name: as_text(values) for name, values in declaration.mappings.items() if values}
    return {**declaration.secrets, **mappings}


def _follow_credentials(change: Change, wanted: dict[str, str], ring: KeyRing, *, moved: bool, replace: bool) -> None:
    row = change.row
    digests = credentials.digests(wanted)
    try:
        seeded, stored = _open_seal(row, ring), _open_credentials(row, ring)
    except CannotDecrypt:
        if not replace:
            change.warnings.append(
                f"{row.name}: its stored credentials cannot be decrypted with the configured keys and were left as they are. "
                "Bring the right key back, or write the file's with: manage.py ai_seed --replace-credentials"
            )
            return
        seeded, stored, row.credentials, row.credentials_set_at = {}, {}, {}, {}
        change.lines.append("credentials: replaced, because they cannot be decrypted")
    # A family never gets a credential that was entered for another one.
    in_question = stored.keys() | wanted.keys() if moved else {*seeded, *wanted}
    changed = {name for name in in_question if moved or seeded.get(name) != digests.get(name)}
    for name in sorted(changed):
        _write_credential(change, name, wanted.get(name), stored.get(name), ring)
    if changed and seeded != digests:
        row.declaration_seal = credentials.seal(row, wanted, ring) if wanted else ""


def _write_credential(change: Change, name: str, wanted: str | None, stored: Secret | None, ring: KeyRing) -> None:
    row = change.row
    if wanted is None:
        credentials.put(row, name, None, ring)
        change.lines.append(f"{name}: removed")
    elif stored is None or stored != Secret(wanted):
        credentials.put(row, name, wanted, ring)
        change.lines.append(f"{name}: {_verb(stored is not None, True)}")
    else:
        change.lines.append(f"{name}: already as in the file")


def _open_credentials(row: ProviderInstance, ring: KeyRing) -> dict[str, Secret]:
    sealed = sealed_credentials(row.credentials)
    return {name: ring.decrypt(ciphertext, row=str(row.pk), name=name) for name, ciphertext in sealed.items()}


def _open_seal(row: ProviderInstance, ring: KeyRing) -> dict[str, str]:
    """Digest by secret setting, as last seeded."""
    if not row.declaration_seal and not row.credentials:
        return {}
    try:
        opened = json.loads(ring.decrypt(row.declaration_seal, row=str(row.pk), name=SEAL).reveal())
    except ValueError:
        raise CannotDecrypt from None
    return {str(name): str(digest) for name, digest in opened.items()}


def _follow_models(change: Change, declaration: ProviderDeclaration) -> None:
    existing = {} if change.action == "create" else {item.capability: item for item in change.row.capabilities.all()}
    for capability in Capability:
        model = declaration.default_models.get(capability, "")
        aliases = dict(declaration.model_aliases.get(capability, {}))
        item = existing.get(capability)
        if item is None:
            if not model and not aliases:
                continue
            item = ProviderCapability(instance=change.row, capability=capability.value)
        lines = _model_lines(item, model, aliases)
        if not model and not aliases and item.enabled:
            change.dropped.append(item)
            change.lines.append(f"{capability}: removed")
        elif lines:
            item.default_model, item.aliases = model, aliases
            item.forget_check()
            change.saved.append(item)
            change.lines.extend(lines)


def _model_lines(item: ProviderCapability, model: str, aliases: dict[str, str]) -> list[str]:
    lines = []
    if item.default_model != model:
        lines.append(f"{item.capability}: default model {model or 'removed'}")
    old = item.aliases if isinstance(item.aliases, dict) else {}
    changed = sorted(name for name in old.keys() | aliases.keys() if old.get(name) != aliases.get(name))
    for name in changed:
        target = f"-> {aliases[name]}" if name in aliases else "removed"
        lines.append(f"{item.capability}: alias {name} {target}")
    return lines
