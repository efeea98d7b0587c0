"""Assuring: how far the log is signed, and how far its bytes and tables were verified, at one moment."""

from collections.abc import Callable

import msgspec

from service.ledger.auditing import Audited
from service.ledger.checkpoints import Checkpoints
from service.ledger.notary import Notary
from service.ledger.reading import Reading


class Assurance(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log can be relied on.

    Attributes:
        public_key: what verifies checkpoints, in one line.
        entries: how many the log has.
        signed: how many of the first of them the newest checkpoint covers.
        signed_at: UTC text of when that was kept; None where it cannot be told.
        note: its text.
        failing: whether the last checkpoint could not be kept.
        failures: how many could not, since the start.
        witnessed: whether each is written to a witness file, too.
        audited: what the audit found.
    """

    origin: str
    public_key: str
    entries: int
    signed: int
    signed_at: str | None
    note: str
    failing: bool
    failures: int
    witnessed: bool
    audited: Audited

    @property
    def key_id(self) -> str:
        """The part of the public key that signatures name it by."""
        return self.public_key.split("+")[1]

    @property
    def unsigned(self) -> int:
        """How many entries nothing has signed yet."""
        return max(0, self.entries - self.signed)

    @property
    def waiting(self) -> int:
        """How many of the newest entries are not signed, or not verified."""
        return max(0, self.entries - min(self.signed, self.audited.verified or 0))


Assuring = Callable[[], Assurance]


def assuring(
    reading: Reading, notary: Notary, checkpoints: Checkpoints, audited: Callable[[], Audited]
) -> Assuring:
    """Make what tells how far a log can be relied on: it reads the disk, and any thread may ask it."""

    def assure() -> Assurance:
        signed, origin = notary.latest, notary.key.verifier.name  # before the log is read, which only grows
        return Assurance(
            origin=origin,
            public_key=notary.key.verifier.text,
            entries=reading.head().next_index,
            signed=signed.checkpoint.size if signed else 0,
            signed_at=checkpoints.kept_at(origin),
            note=signed.note if signed else "",
            failing=notary.failing,
            failures=notary.failures,
            witnessed=checkpoints.witnessed,
            audited=audited(),
        )

    return assure
