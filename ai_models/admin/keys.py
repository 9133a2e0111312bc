"""Encryption keys: how the stored credentials stand to the ring, and their encryption with its first key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.contrib.admin import AdminSite
from django.contrib.admin.models import CHANGE
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ai_models.admin.links import change_url
from ai_models.admin.pages import may
from ai_models.admin.recent import record
from ai_models.admin.words import chip
from ai_models.encryption import InvalidKey, KeyRing
from ai_models.keyring import SEAL, Census, Rotation, census, key_ring, rotate
from ai_models.models import ProviderInstance

SHOWN = 20
"""So many ciphertexts that do not open are listed; the others are counted."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key id.

    Attributes:
        id: empty for what is no ciphertext at all.
        use: what the key does, as a small mark.
        rows: instances with a ciphertext under it.
    """

    id: str
    use: SafeString
    ciphertexts: int
    rows: int


@dataclass(frozen=True, slots=True)
class Closed:
    """A ciphertext that does not open."""

    instance: str
    url: str
    field: str


@dataclass(frozen=True, slots=True)
class Keys:
    """What the card shows.

    Attributes:
        problem: what is wrong with the ring; empty when nothing is.
        older: how many ciphertexts are under another key of the ring than the first.
        closed: those that do not open, up to ``SHOWN``.
        more_closed: how many beyond these.
    """

    problem: str
    keys: Sequence[Key]
    total: int
    older: int
    closed: Sequence[Closed]
    more_closed: int
    may_rotate: bool

    def chip(self) -> SafeString:
        """Whether everything opens."""
        number = len(self.closed) + self.more_closed
        if number:
            return chip(ngettext("%(number)d does not open", "%(number)d do not open", number) % {"number": number}, "bad")
        if self.problem:
            return chip(_("wrong key"), "bad")
        if self.older:
            return chip(_("%(number)d under an older key") % {"number": self.older}, "warn")
        return chip(_("all open"), "good") if self.total else chip(_("nothing encrypted"), "idle")


def may_rotate(request: HttpRequest) -> bool:
    """Whether the user may encrypt credentials again."""
    return may(request, "change_providerinstance")


def keys(request: HttpRequest, site: AdminSite) -> Keys:
    """Open every ciphertext, and count.

    Raises:
        django.db.Error: the database cannot be read.
    """
    try:
        ring, problem = key_ring(), ""
    except InvalidKey as error:
        ring, problem = KeyRing(()), str(error)
    found = census(ring)
    return Keys(
        problem=problem,
        keys=list(_keys(ring, found)),
        total=found.total,
        older=sum(found.by_key[identity] for identity in ring.ids[1:]),
        closed=[_closed(site, found, name, field) for name, field in found.closed[:SHOWN]],
        more_closed=max(0, len(found.closed) - SHOWN),
        may_rotate=may_rotate(request),
    )


def _keys(ring: KeyRing, found: Census) -> Iterator[Key]:
    uses = {identity: chip(_("decrypts"), "idle") for identity in ring.ids}
    if ring.ids:
        uses[ring.ids[0]] = chip(_("encrypts and decrypts"), "good")
    strange = sorted(identity for identity in found.by_key if identity and identity not in uses)
    uses |= {identity: chip(_("not in the ring"), "bad") for identity in strange}
    for identity, use in uses.items():
        yield Key(identity, use, found.by_key[identity], found.rows_by_key[identity])
    if found.by_key[None]:
        yield Key("", chip(_("damaged"), "bad"), found.by_key[None], found.rows_by_key[None])


def _closed(site: AdminSite, found: Census, name: str, field: str) -> Closed:
    shown = _("what the file had, as last seeded") if field == SEAL else field
    return Closed(name, change_url(site, found.closed_rows[name]), shown)


def encrypt_again(request: HttpRequest) -> Rotation:
    """Encrypt everything with the first key, and log each row that is changed.

    Raises:
        InvalidKey: the ring is wrong.
        django.db.Error: the database cannot be written; rows that were done stay done.
    """
    ring = key_ring()

    def log(row: ProviderInstance) -> None:
        record(request, row, CHANGE, f"Credentials encrypted again, with key {ring.ids[0]}.")

    return rotate(ring, log)


def encrypted(done: Rotation) -> str:
    """What is told afterwards."""
    number = len(done.changed)
    if not number:
        return _("Everything that opens was encrypted with the first key already.")
    text = ngettext(
        "The credentials of %(number)d provider were encrypted with the first key.",
        "The credentials of %(number)d providers were encrypted with the first key.",
        number,
    )
    return text % {"number": number}
