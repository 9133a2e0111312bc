"""What the playground asks for, for each capability.

Fields have the names of the methods' arguments. The script makes the request of them: numbers of number fields, and what
``data-kind`` says of the others, ``lines`` (a list, one text a line) or ``json``. Empty fields are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from django import forms
from django.utils.translation import gettext_lazy as _

from ai_models.capabilities import Capability
from ai_models.media import AUDIO_TYPES
from ai_models.types import ReasoningEffort

_SCHEMA = """{
  "type": "object",
  "properties": {
    "name": {"type": "string"},
    "age": {"type": "integer"}
  },
  "required": ["name", "age"],
  "additionalProperties": false
}"""


def _area(rows: int, kind: str = "", **attributes: str) -> forms.Textarea:
    return forms.Textarea({"rows": rows, "data-kind": kind, **attributes})


def _text(label: Any, **attributes: str) -> forms.CharField:
    return forms.CharField(label=label, required=False, widget=forms.TextInput({"autocomplete": "off", **attributes}))


def _size(label: Any, example: str) -> forms.CharField:
    return _text(label, placeholder=example, pattern=r"[1-9]\d{0,4}x[1-9]\d{0,4}", title=example)


class TextForm(forms.Form):
    """Text generation."""

    system = forms.CharField(label=_("System prompt"), required=False, widget=_area(2))
    prompt = forms.CharField(label=_("Prompt"), initial=_("Why is the sky blue?"), widget=_area(4))
    temperature = forms.FloatField(label=_("Temperature"), required=False, min_value=0, max_value=2, step_size=0.05)
    max_output_tokens = forms.IntegerField(label=_("Max output tokens"), required=False, min_value=1)
    reasoning = forms.ChoiceField(
        label=_("Reasoning"),
        required=False,
        choices=[("", _("as the model does")), *((effort, effort) for effort in get_args(ReasoningEffort))],
    )


class ObjectForm(TextForm):
    """Structured output."""

    prompt = forms.CharField(label=_("Prompt"), initial=_("A person named Ada, 36 years old."), widget=_area(3))
    schema = forms.CharField(label=_("JSON Schema"), initial=_SCHEMA, widget=_area(10, "json", spellcheck="false"))


class EmbeddingsForm(forms.Form):
    """Embeddings."""

    values = forms.CharField(
        label=_("Texts"),
        initial=_("a cat on a mat\na kitten on a rug\nthe quarterly report"),
        help_text=_("One a line."),
        widget=_area(6, "lines"),
    )


class ImageForm(forms.Form):
    """Image generation."""

    prompt = forms.CharField(label=_("Prompt"), initial=_("A cat in a hat, water colours"), widget=_area(3))
    size = _size(_("Size"), "1024x1024")
    n = forms.IntegerField(label=_("Number of images"), required=False, min_value=1, max_value=10)


class SpeechForm(forms.Form):
    """Speech generation."""

    text = forms.CharField(label=_("Text"), initial=_("Good morning, how are you today?"), widget=_area(3))
    voice = _text(_("Voice"))


class TranscriptionForm(forms.Form):
    """Transcription."""

    audio = forms.FileField(label=_("Recording"), widget=forms.FileInput({"accept": ",".join(("audio/*", *AUDIO_TYPES))}))
    language = _text(_("Language"), placeholder="en")


class VideoForm(forms.Form):
    """Video generation."""

    prompt = forms.CharField(label=_("Prompt"), initial=_("A cat walks over a roof"), widget=_area(3))
    duration = forms.FloatField(label=_("Seconds"), required=False, min_value=0, step_size=0.5)
    resolution = _size(_("Resolution"), "1280x720")


FORMS: Mapping[Capability, type[forms.Form]] = {
    Capability.TEXT_GENERATION: TextForm,
    Capability.STRUCTURED_OUTPUT: ObjectForm,
    Capability.EMBEDDINGS: EmbeddingsForm,
    Capability.IMAGE_GENERATION: ImageForm,
    Capability.SPEECH_GENERATION: SpeechForm,
    Capability.TRANSCRIPTION: TranscriptionForm,
    Capability.VIDEO_GENERATION: VideoForm,
}
