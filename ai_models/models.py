"""The rows behind every call: provider instances, their capabilities, and the revision that tells when they changed. Beside
them video jobs, API tokens and server processes.

Every write of configuration raises the revision in its own transaction, and always *before* it touches another row. That makes
the revision's row the one lock that all writers take first, so that they queue up instead of deadlocking.
"""

from __future__ import annotations

import uuid
from typing import Any, get_args

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import DEFAULT_DB_ALIAS, models, router, transaction
from django.db.models import F
from django.db.models.functions import Lower
from django.db.models.signals import pre_delete, pre_save
from django.dispatch import Signal, receiver
from django.utils.translation import gettext_lazy as _

from ai_models.capabilities import Capability
from ai_models.config.declarations import INSTANCE_NAME
from ai_models.snapshot import CheckState
from ai_models.types import VideoStatus

_CHECK_STATES = [(state.value, state.value) for state in CheckState]
_VIDEO_STATUSES = [(status, status) for status in get_args(VideoStatus)]

revision_raised = Signal()
"""Sent inside the transaction that raised the revision. Arguments: ``using``, the database alias."""


class ConfigRevision(models.Model):
    """The single row whose number changes whenever the configuration does. Processes watch it."""

    revision = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("config revision")
        verbose_name_plural = _("config revisions")

    def __str__(self) -> str:
        return f"revision {self.revision}"


def bump_revision(using: str = DEFAULT_DB_ALIAS) -> None:
    """Raise the revision, so that every process reloads the configuration.

    Saving and deleting rows does this. Bulk changes (``QuerySet.update``, ``bulk_create``, raw SQL) do not: whoever makes
    one calls this first, in the same transaction.
    """
    lock_revision(using=using, step=1)
    revision_raised.send(ConfigRevision, using=using)


def lock_revision(using: str = DEFAULT_DB_ALIAS, step: int = 0) -> None:
    """Make other writers of the configuration wait until this transaction ends. Call it first in a transaction."""
    rows = ConfigRevision.objects.using(using).filter(pk=1)
    while not rows.update(revision=F("revision") + step):
        ConfigRevision.objects.using(using).bulk_create([ConfigRevision(pk=1)], ignore_conflicts=True)


class _Revisioned(models.Model):
    """A row whose every change raises the revision."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        # The revision is raised by ``pre_save``; the two writes have to stand or fall together.
        with transaction.atomic(using=kwargs.get("using") or router.db_for_write(type(self), instance=self)):
            super().save(*args, **kwargs)


class ProviderInstance(_Revisioned):
    """One configured connection of a provider family.

    ``credentials`` maps each secret setting to its ciphertext, which opens for this row and that name only; a secret mapping
    is the ciphertext of its JSON object. Text representations never include it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(
        _("name"),
        max_length=64,
        validators=[RegexValidator(INSTANCE_NAME, _("Use letters, digits, - and _, beginning with a letter or digit."))],
        help_text=_("The name callers use; the key below ai.providers."),
    )
    family = models.CharField(_("family"), max_length=64, help_text=_("The provider family, as in type."))
    enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("The administrator's switch. Seeding never turns it on.")
    )
    is_default = models.BooleanField(_("default"), default=False, help_text=_("Used when a request names no provider."))
    managed = models.BooleanField(default=False, editable=False, help_text="Declared in the configuration file.")
    orphaned = models.BooleanField(default=False, editable=False, help_text="Managed, and gone from the configuration file.")
    options = models.JSONField(default=dict, blank=True, help_text="Connection settings that are no secrets.")
    credentials = models.JSONField(default=dict, blank=True, editable=False, help_text="Encrypted secret settings.")
    credentials_set_at = models.JSONField(default=dict, editable=False, help_text="When each secret setting was stored.")
    state = models.CharField(max_length=32, choices=_CHECK_STATES, default=CheckState.UNCHECKED.value, editable=False)
    state_message = models.TextField(blank=True, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False)
    latency_ms = models.PositiveIntegerField(null=True, editable=False)
    report = models.JSONField(default=list, editable=False, help_text="The rungs of the last check.")
    declaration_seal = models.TextField(
        blank=True, editable=False, help_text="Encrypted digests of the credentials as last seeded."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("provider instance")
        verbose_name_plural = _("provider instances")
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                Lower("name"),
                name="ai_models_instance_name",
                violation_error_message=_("An instance with this name exists; case does not count."),
            ),
            models.UniqueConstraint(
                fields=["is_default"],
                condition=models.Q(is_default=True),
                name="ai_models_one_default",
                violation_error_message=_("Another instance is the default provider."),
            ),
        )
        permissions = tuple((capability.codename, f"Can use {capability.label.lower()}") for capability in Capability)

    def __str__(self) -> str:
        return self.name

    def forget_check(self) -> None:
        """Take back the last health check; call it when connection settings change. Does not save."""
        self.state, self.state_message, self.checked_at, self.latency_ms = CheckState.UNCHECKED, "", None, None
        self.report = []


class ProviderCapability(_Revisioned):
    """What an instance offers for one capability."""

    instance = models.ForeignKey(ProviderInstance, on_delete=models.CASCADE, related_name="capabilities")
    capability = models.CharField(
        _("capability"), max_length=32, choices=[(capability.value, capability.label) for capability in Capability]
    )
    default_model = models.CharField(
        _("default model"), max_length=256, blank=True, help_text=_("Used when a request names no model.")
    )
    aliases = models.JSONField(_("aliases"), default=dict, blank=True, help_text=_("Names of your own for models."))
    enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("The administrator's switch. Seeding never turns it on.")
    )
    check_state = models.CharField(max_length=32, choices=_CHECK_STATES, default=CheckState.UNCHECKED.value, editable=False)
    check_message = models.TextField(blank=True, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False)
    latency_ms = models.PositiveIntegerField(null=True, editable=False)

    class Meta:
        verbose_name = _("provider capability")
        verbose_name_plural = _("provider capabilities")
        ordering = ("capability",)
        constraints = (models.UniqueConstraint(fields=["instance", "capability"], name="ai_models_one_row_per_capability"),)

    def __str__(self) -> str:
        return self.capability

    def forget_check(self) -> None:
        """Take back the last check; call it when models change. Does not save."""
        self.check_state, self.check_message, self.checked_at, self.latency_ms = CheckState.UNCHECKED, "", None, None


class VideoJob(models.Model):
    """The making of videos. This row alone tells where the work stands; a lost task or process loses nothing of it.

    It has no credential in it: what connects to the provider is looked up anew for every step.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    provider = models.CharField(max_length=64, help_text="The instance's name when the job was made.")
    instance_id = models.UUIDField(help_text="The instance. No foreign key: a job may outlive it, and then fails.")
    model = models.CharField(max_length=256)
    request = models.JSONField(help_text="What the provider is asked for, without the image.")
    image = models.BinaryField(null=True, help_text="The image that the video begins with, until the provider has it.")
    warnings = models.JSONField(default=list)
    status = models.CharField(max_length=16, choices=_VIDEO_STATUSES, default="queued")
    progress = models.PositiveSmallIntegerField(null=True, help_text="Percent.")
    reference = models.JSONField(null=True, help_text="What the family needs to ask the provider for it again.")
    videos = models.JSONField(default=list, help_text="Of each video its media type, and once it is stored its file and size.")
    error = models.JSONField(null=True, help_text="Code and message.")
    submissions = models.PositiveSmallIntegerField(default=0, help_text="How often the provider was asked to make it.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Steps that failed since the last one that did not.")
    due_at = models.DateTimeField(null=True, help_text="When the next step is due; empty when none is left.")
    lease = models.UUIDField(null=True, help_text="Who is doing a step now.")
    leased_until = models.DateTimeField(null=True, help_text="The step's worker is taken for dead after this.")
    deadline_at = models.DateTimeField(help_text="The job fails when it has not ended by then.")
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, help_text="When the videos are deleted.")

    class Meta:
        verbose_name = _("video job")
        verbose_name_plural = _("video jobs")
        ordering = ("-created_at",)
        default_permissions = ("view",)
        indexes = (
            models.Index(fields=["due_at"], condition=models.Q(due_at__isnull=False), name="ai_models_video_due"),
            models.Index(fields=["ended_at"], name="ai_models_video_ended"),
        )

    def __str__(self) -> str:
        return f"{self.id} ({self.status})"


class APIToken(models.Model):
    """What is known of an API token beside its hash, and stays known when it is revoked. The token itself is stored nowhere."""

    digest = models.CharField(max_length=128, unique=True, editable=False, help_text="The hash by which the host finds it.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    prefix = models.CharField(max_length=32, help_text="Its first characters, to tell it from others.")
    label = models.CharField(max_length=64, blank=True, help_text="What it is for.")
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ("-created_at",)
        default_permissions = ("add", "view", "delete")

    def __str__(self) -> str:
        return f"{self.prefix}…"


class Worker(models.Model):
    """A server process, and the revision of the configuration that it serves. A row that is old is a process gone."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    revision = models.PositiveBigIntegerField(null=True, help_text="None while it has not loaded any.")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ("host", "pid")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


@receiver([pre_save, pre_delete], sender=ProviderInstance)
@receiver([pre_save, pre_delete], sender=ProviderCapability)
def _raise_revision(*, using: str, **_: Any) -> None:
    bump_revision(using=using)
