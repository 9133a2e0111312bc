"""What a cold call leaves behind in the thread that it asks the database in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from ai_models import store

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_cold_async_call_leaves_no_connection_in_the_thread_that_asked() -> None:
    store.invalidate()
    await store.acurrent()
    assert await sync_to_async(lambda: connection.connection)() is None


def test_a_cold_call_leaves_no_connection_in_a_thread_that_had_none() -> None:
    def cold_call() -> object:
        store.invalidate()
        store.current()
        return connection.connection

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cold_call).result(10) is None


def test_a_cold_call_leaves_a_connection_that_was_open() -> None:
    connection.ensure_connection()
    found = connection.connection
    store.invalidate()
    store.current()
    assert connection.connection is found
