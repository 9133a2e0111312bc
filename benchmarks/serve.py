"""``python -m benchmarks.serve PORT``: the host project, served as ``make run`` serves it."""

from __future__ import annotations

import os
import sys

import uvicorn

from project import run


def main(port: int) -> None:
    """Serve until the process is ended."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.host_settings")
    uvicorn.Server(run.server_config()).run(sockets=[run.reserve(str(port))])


if __name__ == "__main__":
    main(int(sys.argv[1]))
