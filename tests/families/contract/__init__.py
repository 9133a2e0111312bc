"""What every provider family does alike, proven on the wire against a scripted upstream.

A family's test class inherits :class:`FamilyContract`, the classes of the further capabilities that its family lists, and
:class:`ServerSentEvents` where its vendor has them, and says only how the vendor replies and what its requests look like.
"""

from tests.families.contract.answers import Answers
from tests.families.contract.checks import Checks
from tests.families.contract.conversations import Conversations
from tests.families.contract.credentials import Credentials
from tests.families.contract.embeddings import Embeddings
from tests.families.contract.failures import Failures
from tests.families.contract.images import Images
from tests.families.contract.retries import Retries
from tests.families.contract.speech import Speech
from tests.families.contract.streams import ServerSentEvents, Streams
from tests.families.contract.transcription import Transcription
from tests.families.contract.video import Video

__all__ = ["Embeddings", "FamilyContract", "Images", "ServerSentEvents", "Speech", "Transcription", "Video"]


class FamilyContract(Answers, Checks, Conversations, Credentials, Failures, Streams, Retries):
    """What holds for all of them."""
