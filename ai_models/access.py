"""Facts that gates judge by and a snapshot does not hold: what a family can do, and what a user may."""

from __future__ import annotations

from contextlib import suppress
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


def remember(user: Any) -> None:
    """Ask for each permission of this user once from now on. For those who forget the user within a second."""
    with suppress(AttributeError):  # a class of the host's own, which takes no attributes
        setattr(user, _ANSWERS, {})


async def may(user: Any, permission: str) -> bool:
    """Whether the user holds a permission.

    Raises:
        NotReady: the database cannot be asked.
    """
    answers: dict[str, bool] | None = getattr(user, _ANSWERS, None)
    if answers is not None and permission in answers:
        return answers[permission]
    answer = await _asked(user, permission)
    if answers is not None:
        answers[permission] = answer
    return answer


async def _asked(user: Any, permission: str) -> bool:
    try:
        if hasattr(user, "ahas_perm"):
            return bool(await user.ahas_perm(permission))
        return bool(await in_thread(user.has_perm)(permission))
    except DatabaseError:
        raise NotReady("The user's permissions cannot be read from the database.") from None
