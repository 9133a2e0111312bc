"""Empty the database after a test.

Django's own makes content types and permissions anew each time, which takes longer than most tests. Here they stay for as long
as they are what Django makes, and no signal tells that they were made. Sequences go on.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.commands import flush
from django.db import connections

KEPT = (ContentType, Permission)


class Command(flush.Command):
    """``manage.py flush``.

    Attributes:
        made: what Django made, by database.
    """

    made: ClassVar[dict[str, list[Any]]] = {}

    def handle(self, **options: Any) -> None:
        alias = options["database"]
        if options.get("inhibit_post_migrate") or self.made.get(alias) != rows(alias):
            super().handle(**options)
            self.made.pop(alias, None)
            if not options.get("inhibit_post_migrate"):
                self.made[alias] = rows(alias)
            return
        connection = connections[alias]
        kept = {model._meta.db_table for model in KEPT}
        tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - kept
        # In one transaction, so that no order is right or wrong. PostgreSQL's TRUNCATE takes many times as long. It would wait
        # for the transactions of others too, but there are none: what a test started has ended.
        connection.ops.execute_sql_flush([f"DELETE FROM {connection.ops.quote_name(table)}" for table in sorted(tables)])


def rows(alias: str) -> list[Any]:
    """All rows of what is kept."""
    return [tuple(row) for model in KEPT for row in model._default_manager.using(alias).order_by("pk").values_list()]
