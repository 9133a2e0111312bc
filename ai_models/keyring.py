"""The key ring in force, and the ciphertexts stored under it: counting them, and moving them to the first key.

A stored ciphertext is named by its row, which is the instance's primary key, and its field, which is the secret setting's
name, or ``declaration`` for the seal of what was seeded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID

from django.core.signals import setting_changed
from django.db import transaction
from django.dispatch import receiver

from ai_models.conf import ENCRYPTION_KEYS_VARIABLE, conf
from ai_models.config import Refused, environment
from ai_models.encryption import CannotDecrypt, InvalidKey, KeyRing, key_id
from ai_models.models import ProviderInstance, lock_revision

SEAL = "declaration"
DAMAGED = ""
"""Stands for what is not text and so cannot be a ciphertext; it never opens."""


def key_ring() -> KeyRing:
    """The ring from the settings.

    Raises:
        InvalidKey: a key is malformed, a placeholder, or listed twice.
    """
    return KeyRing(configured_keys())


@cache
def configured_keys() -> tuple[str, ...]:
    """The ring's keys as text, not yet parsed; none when ``.env`` cannot be read, which validation tells."""
    if (keys := conf().ENCRYPTION_KEYS) is not None:
        return tuple(keys)
    try:
        listed = environment(conf().env_file).get(ENCRYPTION_KEYS_VARIABLE, "")
    except Refused:
        return ()
    return tuple(key for key in listed.split(",") if key.strip())


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    if setting == "AI_MODELS":
        configured_keys.cache_clear()


def usable_key_ring() -> KeyRing:
    """The ring from the settings; an empty one, which opens nothing, when the settings are wrong."""
    try:
        return key_ring()
    except InvalidKey:
        return KeyRing(())


def sealed_credentials(stored: Any) -> dict[str, str]:
    """Ciphertext by setting name, out of ``ProviderInstance.credentials``; whatever is damaged there cannot be opened."""
    if not isinstance(stored, dict):
        return {"credentials": DAMAGED}
    return {str(name): ciphertext if isinstance(ciphertext, str) else DAMAGED for name, ciphertext in stored.items()}


def ciphertexts(instance: ProviderInstance) -> Iterator[tuple[str, str]]:
    """Every (field, ciphertext) of a row."""
    yield from sealed_credentials(instance.credentials).items()
    if instance.declaration_seal:
        yield SEAL, instance.declaration_seal


@dataclass(slots=True)
class Census:
    """How the stored ciphertexts stand to the ring.

    Attributes:
        total: number of ciphertexts.
        by_key: number of ciphertexts by key id; ``None`` is the id of what is no ciphertext at all.
        rows_by_key: number of instances with a ciphertext under a key id.
        closed: (instance name, field) of each one that does not open.
        closed_keys: key ids of these, where they have one.
        closed_rows: primary keys of their instances, by name.
    """

    total: int = 0
    by_key: Counter[str | None] = field(default_factory=Counter)
    rows_by_key: Counter[str | None] = field(default_factory=Counter)
    closed: list[tuple[str, str]] = field(default_factory=list)
    closed_keys: set[str] = field(default_factory=set)
    closed_rows: dict[str, UUID] = field(default_factory=dict)


def census(ring: KeyRing) -> Census:
    """Try to open every stored ciphertext."""
    found = Census()
    for instance in ProviderInstance.objects.all():
        sealed = list(ciphertexts(instance))
        found.rows_by_key.update({key_id(ciphertext) for _, ciphertext in sealed})
        for name, ciphertext in sealed:
            identity = key_id(ciphertext)
            found.total += 1
            found.by_key[identity] += 1
            if not opens(ring, instance.pk, name, ciphertext):
                found.closed.append((instance.name, name))
                found.closed_keys.update({identity} if identity else ())
                found.closed_rows[instance.name] = instance.pk
    return found


def opens(ring: KeyRing, row: UUID, name: str, ciphertext: str) -> bool:
    """Whether the ring opens a ciphertext of this row and field."""
    try:
        ring.decrypt(ciphertext, row=str(row), name=name)
    except CannotDecrypt:
        return False
    return True


@dataclass(slots=True)
class Rotation:
    """What :func:`rotate` did: names of rows changed, and (instance name, field) of ciphertexts that do not open."""

    changed: list[str] = field(default_factory=list)
    closed: list[tuple[str, str]] = field(default_factory=list)


def rotate(ring: KeyRing, record: Callable[[ProviderInstance], object] | None = None) -> Rotation:
    """Encrypt everything again that is not under the ring's first key.

    Each row has a short transaction of its own, so that the work can stop anywhere, go on later, and run beside calls. What
    does not open is left as it is.

    Args:
        record: called with each changed row, in its transaction.
    """
    done = Rotation()
    for pk in ProviderInstance.objects.order_by("name").values_list("pk", flat=True):
        _rotate_row(ring, pk, done, record)
    return done


def _rotate_row(ring: KeyRing, pk: UUID, done: Rotation, record: Callable[[ProviderInstance], object] | None) -> None:
    with transaction.atomic():
        lock_revision()
        instance = ProviderInstance.objects.select_for_update().filter(pk=pk).first()
        if instance is None:
            return
        renewed = {}
        for name, ciphertext in ciphertexts(instance):
            if not opens(ring, pk, name, ciphertext):
                done.closed.append((instance.name, name))
            elif key_id(ciphertext) != ring.ids[0]:
                opened = ring.decrypt(ciphertext, row=str(pk), name=name)
                renewed[name] = ring.encrypt(opened.reveal(), row=str(pk), name=name)
        if renewed:
            instance.declaration_seal = renewed.pop(SEAL, instance.declaration_seal)
            if renewed:
                instance.credentials = {**instance.credentials, **renewed}
            instance.save(update_fields=["credentials", "declaration_seal", "updated_at"])
            if record is not None:
                record(instance)
            done.changed.append(instance.name)
