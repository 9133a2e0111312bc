"""What access logs show of an address: never its query, where clients put tokens that do not belong there."""

from __future__ import annotations

import logging
import re
from typing import Any

_QUERY = re.compile(r"(?<=\S)\?\S+")
_HIDDEN = "?***"


class QueryFilter(logging.Filter):
    """Hides the query of addresses in the records of access logs, which have them as arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(map(_without_query, record.args))
        return True


def _without_query(argument: Any) -> Any:
    return _QUERY.sub(_HIDDEN, argument) if isinstance(argument, str) else argument
