"""Processes that do the same thing at the same moment."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.state.test_store import environment

SET_UP = (
    "import sys, django; from django.conf import settings; settings.AI_MODELS.update("
    "CONFIG_FILES={files!r}, FAMILIES=('tests.state.vendor.Vendor',));"
    "django.setup(); {imports};"
    "print('ready', flush=True); sys.stdin.readline(); {work}"
)


def at_once(imports: str, work: str, count: int, *, files: tuple[str, ...] = ()) -> list[str]:
    """Have so many processes do the work on the tests' database, and return what each printed.

    Args:
        imports: statements that are done before, each process in its own time.
        files: the configuration files of the processes.
    """
    command = [sys.executable, "-c", SET_UP.format(files=files, imports=imports, work=work)]
    started = [
        subprocess.Popen(
            command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(count) as pool:
        ends = list(pool.map(lambda process: process.communicate("\n", timeout=60), started))
    assert [process.returncode for process in started] == [0] * count, [end[1] for end in ends]
    return [end[0] for end in ends]
