"""What was found of an attempt after its call was written down: the committed verdicts that decide it."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from service.core.books import VerdictEntry, VerificationEntry


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The entries beside a call's own that speak of one of its attempts.

    Attributes:
        own: the verdict on this very attempt; None if there is none.
        window: of the verdicts of windows that decide it, the one that holds: the newest, but one that is PROVEN
            stays whatever comes later, and one that is MISMATCH is not covered by one that is UNVERIFIED.
        history: all of them, own and windows', oldest first.
        verification: what the provider last said of its signature.
    """

    own: VerdictEntry | None = None
    window: VerdictEntry | None = None
    history: tuple[VerdictEntry, ...] = ()
    verification: VerificationEntry | None = None


NOTHING = Judged()
UNJUDGED: Mapping[str, Judged] = MappingProxyType({})
"""Of no attempt anything was found."""
