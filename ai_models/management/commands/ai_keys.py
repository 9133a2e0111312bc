"""``manage.py ai_keys``"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from ai_models.encryption import InvalidKey, generate_key
from ai_models.keyring import census, key_ring, rotate


class Command(BaseCommand):
    """Makes, counts and changes the keys that credentials are encrypted with."""

    help = "Encryption keys: generate one, show their status, or encrypt everything again with the first one."
    requires_system_checks = ()  # It has to work while there is no valid key.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("generate", "status", "rotate"))

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")()
        except InvalidKey as error:
            raise CommandError(str(error)) from None
        except Error:
            raise CommandError("The database cannot be read. It must be reachable, and migrated: manage.py migrate") from None

    def _generate(self) -> None:
        self.stdout.write(generate_key())

    def _status(self) -> None:
        ring = key_ring()
        found = census(ring)
        for position, identity in enumerate(ring.ids):
            use = "encrypts and decrypts" if position == 0 else "decrypts"
            self.stdout.write(f"{identity}  {use:22}  {found.by_key[identity]} ciphertexts")
        for identity in sorted(str(key) for key in found.by_key.keys() - set(ring.ids) if key):
            self.stdout.write(f"{identity}  {'not in the ring':22}  {found.by_key[identity]} ciphertexts")
        self._report(found.closed)

    def _rotate(self) -> None:
        done = rotate(key_ring())
        for name in done.changed:
            self.stdout.write(f"{name}: encrypted with the first key")
        if not done.changed:
            self.stdout.write("Nothing to change.")
        self._report(done.closed)

    def _report(self, closed: list[tuple[str, str]]) -> None:
        if closed:
            listed = "\n".join(f"    {name}: {field}" for name, field in closed)
            raise CommandError(f"{len(closed)} ciphertexts cannot be decrypted with the ring:\n{listed}")
