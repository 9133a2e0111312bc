"""Credentials at rest: AES-256-GCM under a ring of keys, each ciphertext bound to its row and field.

A ciphertext reads ``v1.<key id>.<base64url of nonce, ciphertext and tag>``. The first key of the ring encrypts, every key
decrypts. The additional data names the row and the field, so a ciphertext that was copied elsewhere does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = "v1"


class InvalidKey(ValueError):
    """A key of the ring is not 32 bytes of base64, or stands in it twice. The message never contains the key."""


class CannotDecrypt(Exception):
    """The ciphertext does not open: unknown key, other row or field, or damaged. One message for all, on purpose."""

    def __init__(self) -> None:
        super().__init__("The credential cannot be decrypted with the configured keys.")


class Secret:
    """A plaintext credential that does not show itself in logs, reprs, pickles or error pages."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The plaintext. Call it where the request is built, and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("A Secret is never pickled.")


@dataclass(frozen=True, slots=True)
class _Key:
    id: str
    raw: bytes = field(repr=False)
    fingerprints: bytes = field(repr=False)

    def cipher(self) -> AESGCM:
        """What encrypts with it."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # a check, and most commands, encrypt nothing

        return AESGCM(self.raw)


def generate_key() -> str:
    """A new random key as the ring takes it: 32 bytes, base64url."""
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


def _parse(text: str, position: int) -> _Key:
    try:
        raw = base64.b64decode(text.strip().encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise InvalidKey(f"Encryption key {position} is not {KEY_BYTES} bytes of base64.")
    if len(set(raw)) < 8:
        raise InvalidKey(f"Encryption key {position} is a placeholder, not a random key.")
    identity = hmac.new(raw, b"ai_models key id", hashlib.sha256).hexdigest()[:8]
    return _Key(identity, raw, hmac.digest(raw, b"ai_models fingerprints", hashlib.sha256))


class KeyRing:
    """The keys in force. Immutable; build a new one when settings change.

    Raises:
        InvalidKey: a key is malformed, a placeholder, or listed twice.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys: dict[str, _Key] = {}
        for position, text in enumerate(keys, start=1):
            key = _parse(text, position)
            if key.id in self._keys:
                raise InvalidKey(f"Encryption key {position} is in the ring twice.")
            self._keys[key.id] = key

    @property
    def ids(self) -> tuple[str, ...]:
        """Key ids in ring order; the first one encrypts. An id tells nothing about its key."""
        return tuple(self._keys)

    def encrypt(self, plaintext: str, *, row: str, name: str) -> str:
        """Encrypt for one field of one row.

        Raises:
            InvalidKey: the ring is empty.
        """
        key = self._first()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + key.cipher().encrypt(nonce, plaintext.encode(), _additional_data(key.id, row, name))
        return f"{_VERSION}.{key.id}.{base64.urlsafe_b64encode(sealed).decode()}"

    def fingerprint(self, secret: Secret) -> str:
        """Twelve hexadecimal digits by which people tell credentials apart; others with another first key.

        Raises:
            InvalidKey: the ring is empty.
        """
        return hmac.new(self._first().fingerprints, secret.reveal().encode(), hashlib.sha256).hexdigest()[:12]

    def decrypt(self, ciphertext: str, *, row: str, name: str) -> Secret:
        """Open a ciphertext of this row and field.

        Raises:
            CannotDecrypt: for every reason alike.
        """
        from cryptography.exceptions import InvalidTag  # as in _Key.cipher

        try:
            version, identity, body = ciphertext.split(".")
            if version != _VERSION:
                raise CannotDecrypt
            sealed = base64.b64decode(body.encode("ascii"), altchars=b"-_", validate=True)
            key = self._keys[identity]
            plaintext = key.cipher().decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _additional_data(identity, row, name)
            )
            return Secret(plaintext.decode())
        except (AttributeError, KeyError, ValueError, InvalidTag):
            raise CannotDecrypt from None

    def _first(self) -> _Key:
        if not self._keys:
            raise InvalidKey("No encryption key is configured. Make one with: manage.py ai_keys generate")
        return next(iter(self._keys.values()))


def key_id(ciphertext: str) -> str | None:
    """The id of the key a ciphertext was made with, ``None`` when it is no ciphertext of ours."""
    parts = ciphertext.split(".") if isinstance(ciphertext, str) else []
    return parts[1] if len(parts) == 3 and parts[0] == _VERSION else None


def _additional_data(identity: str, row: str, name: str) -> bytes:
    # Length-prefixed, so that no two (row, name) pairs give the same bytes.
    return b"".join(
        len(part).to_bytes(4, "big") + part for part in (b"ai_models", identity.encode(), row.encode(), name.encode())
    )
