"""The task that carries video jobs through Django's Tasks framework. Importing this module needs the framework."""

from __future__ import annotations

from ai_models import steps, taskqueue


@taskqueue.framework().task(backend=taskqueue.alias(), queue_name=taskqueue.queue())  # type: ignore[untyped-decorator]
async def advance_video(job: str) -> None:
    """Do the next step of a video job."""
    await steps.advance(job)
