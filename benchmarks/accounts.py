"""``python -m benchmarks.accounts COUNT``: prepares the database as an operator does, and prints that many API tokens."""

from __future__ import annotations

import io
import sys

import django
from django.core.management import call_command


def main(count: int) -> None:
    """Migrate, seed, and make service accounts."""
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("ai_seed", verbosity=0)
    for number in range(count):
        output = io.StringIO()
        call_command("ai_token", f"bench-{number}", stdout=output)
        sys.stdout.write(f"{output.getvalue().splitlines()[-1]}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
