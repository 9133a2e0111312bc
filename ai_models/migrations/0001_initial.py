import uuid

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="ConfigRevision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="ProviderInstance",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "name",
                    models.CharField(
                        help_text="The name callers use; the key below ai.providers.",
                        max_length=64,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
                                "Use letters, digits, - and _, beginning with a letter or digit.",
                            )
                        ],
                    ),
                ),
                ("family", models.CharField(help_text="The provider family, as in type.", max_length=64)),
                (
                    "enabled",
                    models.BooleanField(default=True, help_text="The administrator's switch. Seeding never turns it on."),
                ),
                (
                    "is_default",
                    models.BooleanField(
                        default=False, help_text="Used when a request names no provider.", verbose_name="default"
                    ),
                ),
                (
                    "managed",
                    models.BooleanField(default=False, editable=False, help_text="Declared in the configuration file."),
                ),
                (
                    "orphaned",
                    models.BooleanField(
                        default=False, editable=False, help_text="Managed, and gone from the configuration file."
                    ),
                ),
                ("options", models.JSONField(blank=True, default=dict, help_text="Connection settings that are no secrets.")),
                (
                    "credentials",
                    models.JSONField(blank=True, default=dict, editable=False, help_text="Encrypted secret settings."),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("unchecked", "unchecked"),
                            ("healthy", "healthy"),
                            ("unhealthy", "unhealthy"),
                            ("credential-rejected", "credential-rejected"),
                        ],
                        default="unchecked",
                        editable=False,
                        max_length=32,
                    ),
                ),
                ("state_message", models.TextField(blank=True, editable=False)),
                ("checked_at", models.DateTimeField(editable=False, null=True)),
                ("latency_ms", models.PositiveIntegerField(editable=False, null=True)),
                (
                    "declaration_seal",
                    models.TextField(
                        blank=True, editable=False, help_text="Encrypted digests of the credentials as last seeded."
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ("name",),
                "permissions": (
                    ("use_text_generation", "Can use text generation"),
                    ("use_structured_output", "Can use structured output"),
                    ("use_embeddings", "Can use embeddings"),
                    ("use_image_generation", "Can use image generation"),
                    ("use_speech_generation", "Can use speech generation"),
                    ("use_transcription", "Can use transcription"),
                    ("use_video_generation", "Can use video generation"),
                ),
                "constraints": [
                    models.UniqueConstraint(
                        django.db.models.functions.text.Lower("name"),
                        name="ai_models_instance_name",
                        violation_error_message="An instance with this name exists; case does not count.",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_default", True)),
                        fields=("is_default",),
                        name="ai_models_one_default",
                        violation_error_message="Another instance is the default provider.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ProviderCapability",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "capability",
                    models.CharField(
                        choices=[
                            ("text-generation", "Text generation"),
                            ("structured-output", "Structured output"),
                            ("embeddings", "Embeddings"),
                            ("image-generation", "Image generation"),
                            ("speech-generation", "Speech generation"),
                            ("transcription", "Transcription"),
                            ("video-generation", "Video generation"),
                        ],
                        max_length=32,
                    ),
                ),
                (
                    "default_model",
                    models.CharField(blank=True, help_text="Used when a request names no model.", max_length=256),
                ),
                ("aliases", models.JSONField(blank=True, default=dict, help_text="Names of your own for models.")),
                (
                    "enabled",
                    models.BooleanField(default=True, help_text="The administrator's switch. Seeding never turns it on."),
                ),
                (
                    "check_state",
                    models.CharField(
                        choices=[
                            ("unchecked", "unchecked"),
                            ("healthy", "healthy"),
                            ("unhealthy", "unhealthy"),
                            ("credential-rejected", "credential-rejected"),
                        ],
                        default="unchecked",
                        editable=False,
                        max_length=32,
                    ),
                ),
                ("check_message", models.TextField(blank=True, editable=False)),
                ("checked_at", models.DateTimeField(editable=False, null=True)),
                (
                    "instance",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="capabilities",
                        to="ai_models.providerinstance",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "provider capabilities",
                "ordering": ("capability",),
                "constraints": [
                    models.UniqueConstraint(fields=("instance", "capability"), name="ai_models_one_row_per_capability")
                ],
            },
        ),
    ]
