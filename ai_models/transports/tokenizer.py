"""litellm's tokenizer, left out until somebody counts with it.

litellm gives one to each of its calls, for answers that do not tell their usage. What it counts then is not used here, and its
table takes some 30 MB of a process and a second to load. Whoever counts with litellm in the same process finds it as ever.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any

_MODULE = "litellm.litellm_core_utils.default_encoding"


def postpone() -> None:
    """Have the table loaded at its first use, and not at the first call."""
    if _MODULE not in sys.modules:
        stand_in = ModuleType(_MODULE)
        stand_in.encoding = _Tokenizer()  # type: ignore[attr-defined]
        sys.modules[_MODULE] = stand_in


class _Tokenizer:
    """Stands for the one that is named here."""

    name = "cl100k_base"

    def __getattr__(self, attribute: str) -> Any:
        return getattr(_real(), attribute)


_lock = threading.Lock()


def _real() -> Any:
    with _lock:
        if isinstance(getattr(sys.modules.get(_MODULE), "encoding", None), _Tokenizer):
            del sys.modules[_MODULE]
        return import_module(_MODULE).encoding
