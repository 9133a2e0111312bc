"""Users as hosts have them: by e-mail address and UUID, with Django's permissions and without."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models


class Person(AbstractBaseUser):
    """Signs in by e-mail address."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    address = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)
    is_admin = models.BooleanField(default=False)

    USERNAME_FIELD = "address"
    EMAIL_FIELD = "address"
    objects = BaseUserManager()

    class Meta:
        abstract = True

    @property
    def is_staff(self) -> bool:
        return self.is_admin


class Member(Person, PermissionsMixin):
    """Has Django's permissions."""


class Guest(Person):
    """Has a rule of its own instead."""

    def has_perm(self, permission: str, obj: Any = None) -> bool:
        return self.is_admin

    def has_perms(self, permissions: Any, obj: Any = None) -> bool:
        return self.is_admin

    def has_module_perms(self, label: str) -> bool:
        return self.is_admin
