"""Facts that gates judge by and a snapshot does not hold: what a family can do, and what a user may."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import Error as DatabaseError

from ai_models import registry
from ai_models.capabilities import Capability
from ai_models.database import in_thread
from ai_models.exceptions import NotReady
from ai_models.snapshot import InstanceFacts

VIEW_PERMISSION = "ai_models.view_providerinstance"
CHECK_PERMISSION = "ai_models.change_providerinstance"
PERMISSIONS = (*(capability.permission for capability in Capability), VIEW_PERMISSION, CHECK_PERMISSION)
"""Every permission that the service asks for."""

_ANSWERS = "_ai_models_answers"
"""Attribute of a user: the permissions that were asked for."""


def supported_by(facts: InstanceFacts) -> frozenset[Capability]:
    """What the instance's family can do; nothing when the family is not installed."""
    family = registry.families().get(facts.family)
    return family.capabilities if family else frozenset()


@dataclass(slots=True)
class _Answers:
    """Permissions of a user that were asked for, and until when that counts: a host may keep the object of a user for ever."""

    until: float
    known: dict[str, bool] = field(default_factory=dict)


def remember(user: Any, seconds: float) -> None:
    """Ask for each permission of this user once, for so long."""
    with suppress(AttributeError):  # a class of the host's own, which takes no attributes
        setattr(user, _ANSWERS, _Answers(time.monotonic() + seconds))


async def may(user: Any, permission: str) -> bool:
    """Whether the user holds a permission.

    Raises:
        NotReady: the database cannot be asked.
    """
    answers: _Answers | None = getattr(user, _ANSWERS, None)
    if answers is None or time.monotonic() >= answers.until:
        return await _asked(user, permission)
    if (answer := answers.known.get(permission)) is None:
        answer = answers.known[permission] = await _asked(user, permission)
    return answer


async def _asked(user: Any, permission: str) -> bool:
    try:
        if hasattr(user, "ahas_perm"):
            return bool(await user.ahas_perm(permission))
        return bool(await in_thread(user.has_perm)(permission))
    except DatabaseError:
        raise NotReady("The user's permissions cannot be read from the database.") from None
