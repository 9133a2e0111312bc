"""The stored credentials of an instance, as administrators may know them; and their replacement.

Nobody reads a credential back. What is shown instead is a fingerprint under a key that only this installation has: equal
credentials have equal fingerprints, and from a fingerprint nothing follows about the credential.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ai_models.encryption import CannotDecrypt, KeyRing
from ai_models.keyring import SEAL, opens, sealed_credentials
from ai_models.models import ProviderInstance


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """What may be known of one secret setting that has a value.

    Attributes:
        fingerprint: twelve hexadecimal digits; ``None`` when the credential cannot be decrypted.
        set_at: when it was stored; ``None`` when it was before this was kept.
    """

    name: str
    fingerprint: str | None
    set_at: datetime | None


def stored(row: ProviderInstance, ring: KeyRing) -> dict[str, StoredCredential]:
    """Every credential of an instance, by the name of its setting."""
    known = {}
    for name, ciphertext in sealed_credentials(row.credentials).items():
        try:
            fingerprint = ring.fingerprint(ring.decrypt(ciphertext, row=str(row.pk), name=name))
        except CannotDecrypt:
            fingerprint = None
        known[name] = StoredCredential(name, fingerprint, _set_at(row, name))
    return known


def write(row: ProviderInstance, changes: Mapping[str, str | None], ring: KeyRing, declared: Mapping[str, str]) -> None:
    """Replace or clear credentials as an administrator says. Does not save.

    Args:
        changes: plaintext by setting, a mapping as its text; ``None`` clears.
        declared: what the configuration file declares for the instance, in the same form. When the seal of the last seeding
            cannot be opened any more, it is made anew from this, so that seeding leaves alone what is entered now.

    Raises:
        InvalidKey: there is no encryption key.
    """
    for name, plaintext in changes.items():
        put(row, name, plaintext, ring)
    if row.managed and not opens(ring, row.pk, SEAL, row.declaration_seal):
        row.declaration_seal = seal(row, declared, ring)


def put(row: ProviderInstance, name: str, plaintext: str | None, ring: KeyRing) -> None:
    """Store one credential, or take it away. Does not save."""
    if row.pk is None:  # Django's forms take a new row's key back until it is saved, and ciphertexts are bound to it
        row.pk = row._meta.pk.get_default()
    kept = dict(row.credentials) if isinstance(row.credentials, dict) else {}
    times = dict(row.credentials_set_at) if isinstance(row.credentials_set_at, dict) else {}
    kept.pop(name, None)
    times.pop(name, None)
    if plaintext is not None:
        kept[name] = ring.encrypt(plaintext, row=str(row.pk), name=name)
        times[name] = timezone.now().isoformat()
    row.credentials, row.credentials_set_at = kept, times


def seal(row: ProviderInstance, declared: Mapping[str, str], ring: KeyRing) -> str:
    """What a row keeps of the credentials that the file has for it: their encrypted digests."""
    return ring.encrypt(as_text(digests(declared)), row=str(row.pk), name=SEAL)


def digests(declared: Mapping[str, str]) -> dict[str, str]:
    """A digest of each credential, to tell later whether it is another one."""
    return {name: hashlib.sha256(value.encode()).hexdigest() for name, value in declared.items()}


def as_text(values: Mapping[str, str]) -> str:
    """A secret mapping as the one text that is encrypted."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _set_at(row: ProviderInstance, name: str) -> datetime | None:
    moment = row.credentials_set_at.get(name) if isinstance(row.credentials_set_at, dict) else None
    try:
        return parse_datetime(moment) if isinstance(moment, str) else None
    except ValueError:
        return None
