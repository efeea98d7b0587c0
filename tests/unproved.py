"""A proof that found no reading, as several rooms hand it on."""

from service.core.proving import Proof
from service.core.words import VerdictWord

UNPROVED = Proof(
    wallet="w",
    provider="kimi",
    simulated=True,
    model="kimi-k2.6",
    unit=None,
    calls=0,
    spent=None,
    opening=None,
    closing=None,
    verdict=None,
    word=VerdictWord.UNVERIFIED,
    code="U4",
    sentence="No reading can be had.",
)
