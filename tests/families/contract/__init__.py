"""What every provider family does alike, proven on the wire against a scripted upstream.

A family's test class inherits :class:`FamilyContract`, and :class:`Embeddings` and :class:`ServerSentEvents` where its vendor
has them, and says only how the vendor replies and what its requests look like.
"""

from tests.families.contract.answers import Answers
from tests.families.contract.credentials import Credentials
from tests.families.contract.embeddings import Embeddings
from tests.families.contract.failures import Failures
from tests.families.contract.retries import Retries
from tests.families.contract.streams import ServerSentEvents, Streams

__all__ = ["Embeddings", "FamilyContract", "ServerSentEvents"]


class FamilyContract(Answers, Credentials, Failures, Streams, Retries):
    """What holds for all of them."""
