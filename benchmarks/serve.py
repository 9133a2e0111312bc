"""``python -m benchmarks.serve PORT``: the host project, served as ``make run`` serves it."""

from __future__ import annotations

import os
import sys

import uvicorn

from ai_models.conf import conf
from project import run


def main(port: int) -> None:
    """Serve until the process is ended."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.host_settings")
    config = uvicorn.Config(
        "project.asgi:application",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=run.DRAIN_SECONDS,
        ws_max_size=conf().WS_MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
    )
    uvicorn.Server(config).run(sockets=[run.reserve(str(port))])


if __name__ == "__main__":
    main(int(sys.argv[1]))
