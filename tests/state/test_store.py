"""The snapshot of a process: warm calls, changes here and elsewhere, transactions, faults of the database, forks."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.db import OperationalError, connection, connections, transaction
from pytest_django import DjangoAssertNumQueries, Settings

from ai_models import facts, store
from ai_models.exceptions import NotReady
from ai_models.models import ProviderInstance, bump_revision
from tests.state.conftest import MakeInstance

DEADLINE = 10.0  # seconds

CREATE = """
import sys, django
django.setup()
from ai_models.models import ProviderInstance
ProviderInstance.objects.create(name=sys.argv[1], family="vendor")
"""


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it holds, at most for the deadline."""
    end = time.monotonic() + DEADLINE
    waiting = threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        waiting.wait(0.01)


def names() -> set[str]:
    return set(store.current().instances)


def in_thread(call: Callable[[], Any]) -> Any:
    """The result of the call in a thread of its own, with a database connection of its own."""

    def run() -> Any:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(DEADLINE)


def change_elsewhere(name: str) -> None:
    """Change the configuration as another process does: nothing in this one is told."""
    subprocess.run([sys.executable, "-c", CREATE, name], env=environment(), check=True, timeout=60)


def environment() -> dict[str, str]:
    """Settings of another process on the tests' database."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{found['NAME']}"
    else:
        url = f"postgres://{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{found['PORT']}/{found['NAME']}"
    keys = ",".join(django_settings.AI_MODELS["ENCRYPTION_KEYS"])
    return {**os.environ, "DATABASE_URL": url, "AI_MODELS_ENCRYPTION_KEYS": keys}


@contextmanager
def database_down() -> Iterator[list[str]]:
    """The database answers no query of this thread. Yields what was tried."""
    tried: list[str] = []

    def refuse(execute: Any, sql: str, *rest: Any) -> Any:
        tried.append(sql)
        raise OperationalError("connection to 10.0.0.1 refused")

    with connection.execute_wrapper(refuse):
        yield tried


def test_a_warm_call_in_an_open_transaction_makes_no_query(
    make_instance: MakeInstance, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_instance("one")
    first = store.current()
    with django_assert_num_queries(0):
        assert store.current() is first


@pytest.mark.django_db(transaction=True)
def test_a_warm_call_makes_no_query_and_takes_no_lock(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    first = store.current()
    with django_assert_num_queries(0), store._store.lock:
        assert store.current() is first
        assert asyncio.run(store.acurrent()) is first


@pytest.mark.django_db(transaction=True)
async def test_a_cold_async_call_loads_and_a_change_is_seen_by_the_next_one() -> None:
    assert not (await store.acurrent()).instances
    await ProviderInstance.objects.acreate(name="one", family="vendor")
    assert set((await store.acurrent()).instances) == {"one"}


@pytest.mark.django_db(transaction=True)
def test_an_uncommitted_change_is_seen_by_its_own_thread_only() -> None:
    assert names() == set()
    with transaction.atomic():
        ProviderInstance.objects.create(name="one", family="vendor")
        assert names() == {"one"}
        assert in_thread(names) == set()
    assert in_thread(names) == names() == {"one"}


@pytest.mark.django_db(transaction=True)
def test_a_rollback_takes_back_what_was_seen() -> None:
    with transaction.atomic():
        ProviderInstance.objects.create(name="one", family="vendor")
        assert names() == {"one"}
        transaction.set_rollback(True)
    assert names() == set()


@pytest.mark.django_db(transaction=True)
def test_a_rollback_to_a_savepoint_takes_back_what_came_after_it(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with transaction.atomic():
        ProviderInstance.objects.create(name="one", family="vendor")
        before = store.current()
        with transaction.atomic():
            ProviderInstance.objects.create(name="two", family="vendor")
            assert names() == {"one", "two"}
            transaction.set_rollback(True)
        with django_assert_num_queries(0):
            assert store.current() is before
    assert names() == {"one"}


@pytest.mark.django_db(transaction=True)
async def test_async_code_sees_the_transaction_of_the_thread_that_its_database_work_runs_in() -> None:
    def begin() -> transaction.Atomic:
        block = transaction.atomic()
        block.__enter__()
        ProviderInstance.objects.create(name="one", family="vendor")
        return block

    block = await sync_to_async(begin)()
    assert set((await store.acurrent()).instances) == {"one"}
    await sync_to_async(transaction.set_rollback)(True)
    await sync_to_async(block.__exit__)(None, None, None)
    assert not (await store.acurrent()).instances


@pytest.mark.django_db(transaction=True)
def test_a_carried_snapshot_goes_with_the_context() -> None:
    with transaction.atomic():
        ProviderInstance.objects.create(name="one", family="vendor")
        with store.carried() as snapshot:
            assert asyncio.run(store.acurrent()) is snapshot
            ProviderInstance.objects.create(name="two", family="vendor")
            assert store.current() is snapshot
        assert names() == {"one", "two"}


@pytest.mark.django_db(transaction=True)
def test_a_change_of_another_process_is_noticed(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    assert names() == set()
    change_elsewhere("one")
    with django_assert_num_queries(0):
        eventually(lambda: names() == {"one"})


@pytest.mark.django_db(transaction=True)
def test_without_polling_another_process_goes_unnoticed_until_the_snapshot_is_dropped(settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "REVISION_POLL_SECONDS": 0}
    assert names() == set()
    assert store._store.poller is None
    change_elsewhere("one")
    assert names() == set()
    store.invalidate()
    assert names() == {"one"}


@pytest.mark.django_db(transaction=True)
def test_the_poller_ends_without_use_and_the_next_call_loads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "IDLE_SECONDS", 0.0)
    first = store.current()
    eventually(lambda: store._store.poller is None)
    assert store._store.snapshot is None
    monkeypatch.undo()
    assert store.current() is not first
    assert store._store.poller is not None


@pytest.mark.django_db(transaction=True)
def test_the_poller_survives_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    tried = []

    def away() -> int:
        tried.append(True)
        raise OperationalError("connection to 10.0.0.1 refused")

    first = store.current()
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(store, "stored_revision", away)
        eventually(lambda: len(tried) > 2)
        assert store.current() is first
    warnings = [record.getMessage() for record in caplog.records if record.name == "ai_models.store"]
    assert len(warnings) == 1
    assert "10.0.0.1" not in warnings[0]
    change_elsewhere("one")
    eventually(lambda: names() == {"one"})


@pytest.mark.django_db(transaction=True)
def test_nothing_polls_after_it_was_stopped() -> None:
    store.current()
    assert [thread for thread in threading.enumerate() if thread.name == "ai_models-revision"]
    store.stop_polling()
    assert not [thread for thread in threading.enumerate() if thread.name == "ai_models-revision"]
    store.stop_polling()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_down_is_not_ready_and_not_asked_by_every_caller() -> None:
    with database_down() as tried:
        with pytest.raises(NotReady) as caught:
            store.current()
        assert caught.value.retryable
        assert "10.0.0.1" not in str(caught.value)
        asked = len(tried)
        with pytest.raises(NotReady, match="a moment ago"):
            store.current()
        assert len(tried) == asked
    store.invalidate()
    assert names() == set()


@pytest.mark.django_db(transaction=True)
def test_what_is_loaded_goes_on_working_while_the_database_is_down() -> None:
    first = store.current()
    with database_down():
        assert store.current() is first


@pytest.mark.django_db(transaction=True)
def test_many_cold_callers_load_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load() -> Any:
        loaded.append(True)
        return facts.load()

    monkeypatch.setattr(store, "load", load)
    together = threading.Barrier(8)

    def call() -> object:
        together.wait(DEADLINE)
        try:
            return store.current()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        found = [future.result(DEADLINE) for future in [pool.submit(call) for _ in range(8)]]
    assert len(loaded) == 1
    assert all(snapshot is found[0] for snapshot in found)


@pytest.mark.django_db(transaction=True)
def test_a_changed_setting_drops_the_snapshot(settings: Settings) -> None:
    first = store.current()
    settings.AI_MODELS = {**settings.AI_MODELS, "ALLOWED_HOSTS": ["10.0.0.1"]}
    assert store.current() is not first


FORK = """
import os, sys, threading, django
django.setup()
from ai_models import store
from ai_models.models import ProviderInstance
from django.db import connections

parent = store.current()
connections.close_all()
store._store.lock.acquire()  # as if another thread were loading at the moment of the fork
child = os.fork()
if child == 0:
    ProviderInstance.objects.create(name="child", family="vendor")
    watched = "child" in store.current().instances and store._store.poller.is_alive()
    os._exit(0 if watched else 3)
store._store.lock.release()
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.django_db(transaction=True)
def test_a_forked_process_loads_and_polls_for_itself() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], env=environment(), timeout=60, check=False)
    assert done.returncode == 0


IN_MEMORY = """
import django, threading
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from ai_models import store
store.current()
assert store._store.poller is None
assert threading.active_count() == 1
"""


def test_a_database_in_memory_is_not_polled() -> None:
    subprocess.run(
        [sys.executable, "-c", IN_MEMORY], env={**os.environ, "DATABASE_URL": "sqlite://:memory:"}, check=True, timeout=60
    )


@pytest.mark.django_db(transaction=True)
def test_a_bulk_change_is_seen_when_the_revision_was_raised_with_it() -> None:
    ProviderInstance.objects.create(name="one", family="vendor")
    assert names() == {"one"}
    with transaction.atomic():
        bump_revision()
        ProviderInstance.objects.update(name="two")
    assert names() == {"two"}
