"""What the script of the playground says, in the reader's language. It fills gaps of the form ``%(name)s`` itself."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

WORDS: Mapping[str, Promise] = {
    # The form.
    "default": _("default"),
    "notJSON": _("This is not JSON."),
    "notOffered": _("%(provider)s does not offer this to you now."),
    "record": _("Record again"),
    "stopRecording": _("Stop recording"),
    "noMicrophone": _("There is no microphone, or this page may not use it."),
    # How far it is.
    "waiting": _("Waiting for the answer…"),
    "receiving": _("The answer arrives…"),
    "done": _("Done."),
    "stopped": _("Stopped."),
    "failed": _("Failed."),
    "job_queued": _("The video is queued…"),
    "job_in_progress": _("The video is being made…"),
    "job_completed": _("completed"),
    "job_failed": _("failed"),
    "job_cancelled": _("cancelled"),
    "job_expired": _("expired"),
    # Facts about the answer.
    "firstToken": _("Time to first token"),
    "totalTime": _("Total time"),
    "speed": _("Tokens per second"),
    "inputTokens": _("Input tokens"),
    "cachedTokens": _("of these cached"),
    "outputTokens": _("Output tokens"),
    "reasoningTokens": _("of these reasoning"),
    "tokens": _("Tokens"),
    "finishReason": _("Finish reason"),
    "provider": _("Provider"),
    "model": _("Model"),
    "dimensions": _("Dimensions"),
    "texts": _("Texts"),
    "duration": pgettext_lazy("of a recording", "Duration"),
    "format": _("Format"),
    "language": _("Language"),
    "job": _("Job"),
    "status": _("Status"),
    "configPath": _("Configuration"),
    "requestId": _("Request"),
    # Parts of the answer.
    "reasoning": _("Reasoning"),
    "object": _("Object"),
    "rawText": _("As the model wrote it"),
    "cosine": _("Cosine similarity: 1 is the same meaning."),
    "nearest": _("Most alike are %(one)s and %(other)s, with %(cosine)s."),
    "firstTexts": _("The picture has the first %(number)s texts."),
    "image": _("Image %(number)s: %(prompt)s"),
    "notDrawn": _("The browser cannot draw this image."),
    "download": _("Download"),
    "play": _("Play"),
    "stop": _("Stop"),
    "waveform": _("Waveform of %(duration)s"),
    "notPlayed": _("The browser cannot play this recording."),
    "nothingSaid": _("Nothing was understood."),
    "from": _("From"),
    "to": _("To"),
    "text": _("Text"),
    "progress": _("How far the video is"),
    "video": _("Video %(number)s"),
    # What went wrong.
    "warning": _("warning"),
    "remedy_caller": _("Change what is asked for."),
    "remedy_admin": _("An administrator has to change something."),
    "remedy_provider": _("The provider has to mend this."),
    "remedy_retry": _("Try again later."),
    "retryAfter": _("Try again in %(seconds)s seconds."),
    "noConnection": _("The server cannot be reached."),
    "noAnswer": _("The server gave no answer that this page understands."),
    "noSocket": _(
        "Text streams over the websocket at %(address)s. If nothing is there, the host's ASGI application lacks the routes of "
        "ai_models.routing."
    ),
    "copied": _("Copied."),
    "notCopied": _("The browser did not copy. The text is selected."),
}
