"""``manage.py ai_worker``"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections

from ai_models import scheduling, taskqueue, workers

SWEEP_SECONDS = 15.0
TASKS_BETWEEN_SWEEPS = 20
IDLE_SECONDS = 0.5
STOP_SECONDS = 25.0
"""A step that is under way at a stop signal may take so long; then the process ends, and another one does the step again."""


class Command(BaseCommand):
    """Works off the tasks of video jobs."""

    help = "Make videos: work off queued tasks until a signal ends it, and look after lost jobs and old videos."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sweep", action="store_true", help="Queue lost jobs again, delete old videos and jobs, and end.")
        parser.add_argument("--parent", type=int, help="End when the process of this id is no longer the parent.")

    def handle(self, *args: Any, sweep: bool, parent: int | None, **options: Any) -> None:
        if (problem := taskqueue.problem()) is not None:
            raise CommandError(problem)
        if sweep:
            found = scheduling.sweep()
            self.stdout.write(f"{found.revived} queued again, {found.expired} expired, {found.forgotten} forgotten")
            return
        if not taskqueue.is_database():
            raise CommandError(
                f'TASKS["{taskqueue.alias()}"] has a worker of its own, which is to run here. Have cron run: ai_worker --sweep'
            )
        with workers.reporting():
            Loop(self, parent).run()


class Loop:
    """The database backend's worker, in turns with sweeps, until a signal comes or the parent is gone."""

    def __init__(self, command: Command, parent: int | None) -> None:
        from django_tasks_db.management.commands.db_worker import Worker

        self._command, self._parent = command, parent
        self._stopped = False
        self._limit = threading.Timer(STOP_SECONDS, os._exit, (0,))
        self._limit.daemon = True
        self._worker = Worker(
            queue_names=[taskqueue.queue()],
            interval=0,
            batch=True,
            backend_name=taskqueue.alias(),
            startup_delay=False,
            max_tasks=None,
            worker_id=f"ai_worker-{os.getpid()}-{int(time.time())}",
            excluded_queue_names=[],
        )

    def run(self) -> None:
        """Work until it is to stop. A database that does not answer is waited for."""
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._stop)
        # It would tell every time that it begins and that nothing is left to do.
        logging.getLogger("django_tasks_db").setLevel(logging.WARNING)
        swept = float("-inf")
        while not self._stopped and self._parent in (None, os.getppid()):
            try:
                if time.monotonic() - swept >= SWEEP_SECONDS:
                    scheduling.sweep()
                    swept = time.monotonic()
                self._worker.max_tasks = self._worker._run_tasks + TASKS_BETWEEN_SWEEPS
                self._worker.run()
                close_old_connections()
            except DatabaseError as error:
                self._command.stderr.write(f"The database does not answer ({type(error).__name__}); trying again.")
                connections.close_all()
            time.sleep(IDLE_SECONDS)
        self._limit.cancel()

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        """End after the step that is under way; at once when it takes long, or when told twice. Nothing is lost by that."""
        if self._stopped:
            os._exit(0)
        self._stopped = True
        self._worker.running = False
        self._limit.start()
