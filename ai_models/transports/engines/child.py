"""An engine's side: one request is read from standard input, one answer written to standard output.

Both are a line of JSON and bytes after it. Nothing here may import what takes long to import.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ai_models.exceptions import AIModelsError

Work = Callable[[Mapping[str, Any], bytes], tuple[Mapping[str, Any], bytes]]


def serve(work: Work) -> None:
    """Do the one thing this process is there for. An error of ours is told by its code and message."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what an engine prints is no part of the answer
    request, data = json.loads(sys.stdin.buffer.readline()), sys.stdin.buffer.read()
    try:
        answer, produced = work(request, data)
    except AIModelsError as error:
        answer, produced = {"error": error.code, "message": error.message}, b""
    with answers:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.write(produced)
