"""Where a job stands."""

from __future__ import annotations

from typing import Literal

VideoStatus = Literal["queued", "in_progress", "completed", "failed", "cancelled", "expired"]
