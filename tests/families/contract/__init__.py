"""What every provider family does alike, proven on the wire against a scripted upstream.

A family's test class inherits :class:`FamilyContract` and says only how its vendor replies and what its requests look like.
"""

from tests.families.contract.answers import Answers
from tests.families.contract.credentials import Credentials
from tests.families.contract.failures import Failures
from tests.families.contract.retries import Retries
from tests.families.contract.streams import Streams

__all__ = ["FamilyContract"]


class FamilyContract(Answers, Credentials, Failures, Streams, Retries):
    """Everything."""
