"""Tickets for the websocket: browsers cannot put a token into a handshake, so they fetch a ticket with it and send that.

A ticket stands for the headers of the request that fetched it, for a minute and for one use. Only its hash is kept, with the
headers under the encryption key, so that whoever reads the cache can use neither.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ai_models.cache import shared_cache
from ai_models.encryption import CannotDecrypt, InvalidKey
from ai_models.exceptions import NotReady
from ai_models.keyring import key_ring, usable_key_ring

TICKET_SECONDS = 60
_FIELD = "websocket-ticket"

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as its user gets it.

    Attributes:
        ticket: send it as the subprotocol ``ticket.<ticket>``.
        expires_in: seconds.
    """

    ticket: str
    expires_in: int = TICKET_SECONDS


async def issue(headers: Mapping[str, str]) -> Ticket:
    """A new ticket for whomever these headers authenticate.

    Raises:
        NotReady: there is no encryption key, or no cache that keeps it.
    """
    ticket = secrets.token_urlsafe(32)
    key = _key(ticket)
    try:
        sealed = key_ring().encrypt(json.dumps(list(headers.items())), row=key, name=_FIELD)
    except InvalidKey as error:
        raise NotReady(str(error), retryable=False) from None
    await shared_cache().set_many({key: sealed}, TICKET_SECONDS)
    if await shared_cache().get(key) is None:
        raise NotReady("Tickets need a cache: CACHES has one that keeps nothing.", retryable=False)
    return Ticket(ticket)


async def redeem(ticket: str) -> Headers | None:
    """The headers that a ticket stands for; ``None`` when it is unknown, too old or used.

    Raises:
        NotReady: the cache does not answer.
    """
    key = _key(ticket)
    sealed = await shared_cache().get(key)
    # Of two that use it at once, one deletes it.
    if sealed is None or not await shared_cache().delete(key):
        return None
    try:
        opened = usable_key_ring().decrypt(sealed, row=key, name=_FIELD)
    except CannotDecrypt:
        return None
    return [(name, value) for name, value in json.loads(opened.reveal())]


def _key(ticket: str) -> str:
    return "ticket:" + hashlib.sha256(ticket.encode()).hexdigest()
