"""What a server process tells about itself: the revision that its calls get, that it is there, and nothing after its end."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.backends.signals import connection_created
from django.db.models import F
from pytest_django import Settings

from ai_models import store, workers
from ai_models.models import ProviderInstance, Worker, bump_revision
from tests.state.test_store import change_elsewhere, environment, eventually, in_thread, names

pytestmark = pytest.mark.django_db(transaction=True)

postgres = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one lock for all tables")


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat every twentieth of a second."""
    monkeypatch.setattr(workers, "BEAT_SECONDS", 0.05)


def revision() -> int | None:
    """What this process reports; it must be the only one."""
    (worker,) = workers.running()
    return worker.revision


def until_reported() -> Worker:
    eventually(lambda: len(workers.running()) == 1)
    return workers.running()[0]


def move(**by: float) -> None:
    """Let the rows have been written at another time."""
    Worker.objects.update(seen_at=F("seen_at") + timedelta(**by))


@contextmanager
def written() -> Iterator[list[str]]:
    """The statements that other threads send to the table, from connections that they open in the block."""
    statements: list[str] = []
    here = threading.get_ident()

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        if Worker._meta.db_table in sql:
            statements.append(sql.partition(" ")[0])
        return execute(sql, *rest)

    def watch(connection: Any, **_: Any) -> None:
        # It is the same object each time that a thread connects.
        if threading.get_ident() != here and note not in connection.execute_wrappers:
            connection.execute_wrappers.append(note)

    connection_created.connect(watch)
    try:
        yield statements
    finally:
        connection_created.disconnect(watch)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ai_models-worker"]


def test_a_process_is_reported_from_its_begin_to_its_end() -> None:
    bump_revision()
    with workers.reporting():
        found = until_reported()
        assert (found.pid, found.revision) == (os.getpid(), store.current().revision)
        assert found.host
        assert timedelta() <= found.seen_at - found.started_at < timedelta(seconds=10)
    assert not Worker.objects.exists()
    assert not threads()


def test_nobody_is_reported_who_only_uses_the_service() -> None:
    names()
    call_command("ai_check", stdout=io.StringIO())
    assert not threads()
    assert not Worker.objects.exists()


def test_a_change_is_reported_at_once_wherever_it_was_made() -> None:
    with workers.reporting():
        before = until_reported().revision
        ProviderInstance.objects.create(name="here", family="vendor")
        eventually(lambda: revision() != before)
        assert (revision(), names()) == (store.current().revision, {"here"})
        before = revision()
        change_elsewhere("elsewhere")
        eventually(lambda: revision() != before)
        assert names() == {"here", "elsewhere"}
        assert revision() == store.current().revision


def test_a_change_costs_one_write_and_none_is_made_without_one() -> None:
    with written() as statements, workers.reporting():
        until_reported()
        eventually(lambda: statements == ["UPDATE", "INSERT", "DELETE"])
        before = revision()
        ProviderInstance.objects.create(name="one", family="vendor")
        eventually(lambda: revision() != before)
        store.invalidate()
        eventually(lambda: store._store.snapshot is not None)
        assert statements == ["UPDATE", "INSERT", "DELETE", "UPDATE"]
    assert statements[4:] == ["DELETE"]


def test_an_uncommitted_change_is_not_reported_before_its_commit() -> None:
    with workers.reporting():
        before = until_reported().revision
        with transaction.atomic():
            ProviderInstance.objects.create(name="one", family="vendor")
            assert names() == {"one"}
            assert in_thread(revision) == before
        eventually(lambda: revision() == store.current().revision != before)


def test_without_polling_a_process_reports_the_old_revision_that_it_serves(settings: Settings, beats: None) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "REVISION_POLL_SECONDS": 0}
    with workers.reporting():
        before = until_reported()
        change_elsewhere("one")
        eventually(lambda: workers.running()[0].seen_at > before.seen_at + timedelta(seconds=0.2))
        assert revision() == before.revision
        assert names() == set()
        store.invalidate()
        eventually(lambda: revision() != before.revision)
        assert names() == {"one"}


def test_a_process_that_has_no_configuration_reports_none(settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": ["tests.missing.Family"]}
    with workers.reporting():
        assert until_reported().revision is None
        settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": ()}
        eventually(lambda: revision() == store.current().revision)


def test_a_server_that_nobody_calls_goes_on_watching(monkeypatch: pytest.MonkeyPatch, beats: None) -> None:
    monkeypatch.setattr(store, "IDLE_SECONDS", 1.0)
    with workers.reporting():
        before = until_reported()
        poller = store._store.poller
        eventually(lambda: workers.running()[0].seen_at > before.seen_at + timedelta(seconds=1.5))
        assert poller is not None
        assert store._store.poller is poller


# --- who is gone ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("away", [workers.FRESH_SECONDS + 1, -workers.FRESH_SECONDS - 1])
def test_a_process_that_is_silent_is_not_counted_and_counted_again_when_it_is_heard(
    monkeypatch: pytest.MonkeyPatch, away: float
) -> None:
    monkeypatch.setattr(workers, "BEAT_SECONDS", 1.0)
    with workers.reporting():
        until_reported()
        move(seconds=away)
        assert not workers.running()
        until_reported()


@pytest.mark.parametrize("away", [workers.GONE_SECONDS + 1, -workers.GONE_SECONDS - 1])
def test_a_row_that_nobody_keeps_is_deleted_by_another_process(beats: None, away: float) -> None:
    with workers.reporting():
        kept = until_reported()
        Worker.objects.create(host="a", pid=1, started_at=kept.started_at, seen_at=kept.seen_at + timedelta(seconds=away))
        eventually(lambda: list(Worker.objects.all()) == [kept])


def test_a_process_whose_row_was_deleted_is_back_with_the_next_beat(beats: None) -> None:
    with workers.reporting():
        before = until_reported()
        Worker.objects.all().delete()
        after = until_reported()
        assert after.pk == before.pk
        # Both are the time of the database less the time that the process has been up.
        assert abs(after.started_at - before.started_at) < timedelta(seconds=1)


# --- faults -----------------------------------------------------------------------------------------------------------


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "ai_models.workers"]


def test_without_the_table_everything_else_goes_on_and_it_is_told_once(beats: None, caplog: pytest.LogCaptureFixture) -> None:
    with connection.schema_editor() as editor:
        editor.delete_model(Worker)
    try:
        with caplog.at_level(logging.WARNING), written() as statements, workers.reporting():
            eventually(lambda: len(statements) > 2)
            change_elsewhere("one")
            eventually(lambda: names() == {"one"})
            assert len(warnings(caplog)) == 1
            assert "trying again" in warnings(caplog)[0]
            with connection.schema_editor() as editor:
                editor.create_model(Worker)
            assert until_reported().revision == store.current().revision
        assert len(warnings(caplog)) == 1
    finally:
        if Worker._meta.db_table not in connection.introspection.table_names():
            with connection.schema_editor() as editor:
                editor.create_model(Worker)


@postgres
def test_a_report_that_waits_for_a_lock_holds_up_nothing(monkeypatch: pytest.MonkeyPatch, beats: None) -> None:
    monkeypatch.setattr(workers, "END_SECONDS", 0.1)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {Worker._meta.db_table} IN ACCESS EXCLUSIVE MODE")
        with workers.reporting():
            in_thread(lambda: eventually(lambda: store._store.snapshot is not None))
            change_elsewhere("one")
            eventually(lambda: in_thread(names) == {"one"})
        assert threads()
    eventually(lambda: not threads())
    assert not Worker.objects.exists()


def test_an_open_transaction_holds_up_neither_the_begin_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "END_SECONDS", 0.1)
    began = time.monotonic()
    with transaction.atomic():
        ProviderInstance.objects.create(name="one", family="vendor")
        with workers.reporting():
            assert names() == {"one"}
        assert time.monotonic() - began < 5
    eventually(lambda: not threads())
    assert not Worker.objects.exists()


# --- other processes ----------------------------------------------------------------------------------------------------

FORK = """
import os, sys, time, django
from django.conf import settings
# A connection of SQLite's that is reading at the moment of the fork would keep its lock in the child.
settings.AI_MODELS = {**settings.AI_MODELS, "REVISION_POLL_SECONDS": 0}
django.setup()
from ai_models import store, workers
from ai_models.models import Worker
from django.db import connections

def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)

with workers.reporting():
    until(lambda: len(workers.running()) == 1)
    (parent,) = workers.running()
    (watcher,) = store._store.watchers
    until(lambda: watcher._cond._waiters)
    connections.close_all()
    with watcher._cond:  # as if another thread were waking the reporter at the moment of the fork
        child = os.fork()
    if child == 0:
        try:
            store.invalidate()
            store.current()
            with workers.reporting():
                until(lambda: len(workers.running()) == 2)
                (mine,) = [worker for worker in workers.running() if worker.pid == os.getpid()]
                assert mine.pk != parent.pk
            assert list(Worker.objects.all()) == [parent]
        except BaseException:
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert workers.running() == [parent]
assert not Worker.objects.exists()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_reports_for_itself_or_not_at_all() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], env=environment(), timeout=60, check=True)


IN_MEMORY = """
import django, threading
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from ai_models import workers
with workers.reporting():
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(10)
    assert threading.active_count() == 1
    assert not workers.running()
"""


def test_a_database_in_memory_knows_of_no_process() -> None:
    subprocess.run(
        [sys.executable, "-c", IN_MEMORY], env={**os.environ, "DATABASE_URL": "sqlite://:memory:"}, check=True, timeout=60
    )
