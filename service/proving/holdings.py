"""The holdings: what the log holds of an account, and how each of its attempts weighs in any window.

Whoever judges a window takes it from here, so that nobody judges one otherwise. They read and never write, they
block, and one thread uses them at a time.
"""

from collections.abc import Mapping, Sequence

import msgspec

from service.core.books import VerdictEntry
from service.core.movement import read
from service.core.record import Attempt
from service.core.shapes import Clock
from service.core.times import NS_PER_S, utc_text
from service.core.wallet import Wallet
from service.core.window import Ends, Piece, Settling
from service.core.words import AttemptOutcome
from service.ledger.reading import Reading
from service.ledger.store import AttemptRow
from service.proving.coverage import disagreed, disputed, first_proven, followed, holding, waiting
from service.proving.memory import ReadingsKept, verdicts_since
from service.proving.packages import unseen
from service.proving.pieces import UNSETTLED, Measure, pieces
from service.proving.rounds import Round
from service.proving.sharing import sharing

LOOKED_BACK_S = 48 * 3600
BEFORE_S = 2 * 3600  # a window may begin so much earlier: its other attempts must be known, too
ATTEMPTS_MAX = 10_000  # weighed at one time; the newest
RECORDS_MAX = 50  # attempts without a settlement whose records are read; the newest


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What the log holds of one wallet.

    Attributes:
        rows: its attempts, by the index of their intents.
        verdicts: on it, newest first.
        held: by attempt, the verdict of a window that holds.
        waits: the attempts that wait for a better verdict.
        doubts: those in doubt.
        known_from: UTC text; of attempts that ended later none is missing.
    """

    wallet: Wallet
    rows: tuple[AttemptRow, ...]
    verdicts: tuple[VerdictEntry, ...]
    held: dict[str, VerdictEntry]
    waits: tuple[AttemptRow, ...]
    doubts: tuple[AttemptRow, ...]
    known_from: str


class Holdings:
    """What the log holds, account by account.

    Args:
        reading: the log.
        clock: gives the time.
        wallets: all of them.
        measures: by wallet.
        settlings: by wallet, how the provider's books follow.
    """

    def __init__(
        self,
        reading: Reading,
        clock: Clock,
        wallets: Sequence[Wallet],
        measures: Mapping[str, Measure],
        settlings: Mapping[str, Settling],
    ) -> None:
        self.reading = reading
        self.clock = clock
        self.measures = measures
        self.settlings = settlings
        self._wallets = tuple(wallets)
        self._readings = {one.name: ReadingsKept(reading, one) for one in self._wallets}
        self._since: dict[str, str] = {}  # by wallet: before this there are more attempts than can be weighed

    def since(self) -> str:
        """Say from when on the log is looked at now, as UTC text."""
        return utc_text(self.clock.now_ns() - (LOOKED_BACK_S + BEFORE_S) * NS_PER_S)

    def group(self, wallet: Wallet, since: str) -> list[Books]:
        """Give the books of the wallets of one account since a time; those of the wallet itself last."""
        return [self.books(one, since) for one in sharing(self.reading, self._wallets, wallet)]

    def books(self, wallet: Wallet, since: str) -> Books:
        """Give the books of one wallet since a time."""
        since = max(since, self._since.get(wallet.name, since))
        # What a key before this one asked moved an account of its own.
        others_until = self._readings[wallet.name].others_until(since)
        rows = [
            one
            for one in self.reading.attempts_of([wallet.name], since=since)
            if _is_of(one, wallet) and one.intent_index > others_until
        ]
        if len(rows) > ATTEMPTS_MAX:
            left = rows[:-ATTEMPTS_MAX]
            since = self._since[wallet.name] = max([since, *(row.ended_at for row in left if row.ended_at)])
            rows = [*(row for row in left if row.ended_at is None), *rows[-ATTEMPTS_MAX:]]
        verdicts = verdicts_since(self.reading, wallet.name, since, simulated=wallet.simulated)
        held = holding(rows, verdicts)
        begin = utc_text(self.clock.now_ns() - LOOKED_BACK_S * NS_PER_S)
        recent = [row for row in rows if row.ended_at is not None and row.ended_at >= begin]
        return Books(
            wallet=wallet,
            rows=tuple(rows),
            verdicts=tuple(verdicts),
            held=held,
            waits=tuple(waiting(recent, held)),
            doubts=tuple(row for row in recent if row.outcome is AttemptOutcome.IN_DOUBT),
            known_from=since,
        )

    def rounds(self, wallet: Wallet, since: str) -> list[Round]:
        """Give a wallet's readings since a time, by rounds; the last one before it, too."""
        return self._readings[wallet.name].rounds(since)

    def weighed(self, group: Sequence[Books]) -> tuple[Piece, ...]:
        """Weigh the attempts of an account, by what earlier windows found of them."""
        rows = [row for books in group for row in books.rows]
        held = {name: one for books in group for name, one in books.held.items()}
        weighed = disputed(pieces(rows, self._records(rows), self.measures), held)
        proven = {n: one for books in group for n, one in first_proven(books.rows, books.verdicts).items()}
        weighed = followed(weighed, proven, held)
        for books in group:
            weighed = disagreed(weighed, books.rows, books.verdicts)
        return weighed

    def ends(self, group: Sequence[Books], opening: Round, closing: Round) -> Ends:
        """Make a window of an account between two rounds."""
        wallet = group[-1].wallet
        return Ends(
            provider=wallet.provider,
            wallet=wallet.name,
            simulated=wallet.simulated,
            opening=read(opening),
            closing=read(closing),
            shared_with=tuple(books.wallet.name for books in group[:-1]),
            unseen=unseen(self.reading, wallet, self.measures[wallet.name], opening, closing),
        )

    def _records(self, rows: Sequence[AttemptRow]) -> dict[str, Attempt]:
        found = {}
        for row in [one for one in rows if one.outcome in UNSETTLED][-RECORDS_MAX:]:
            call = self.reading.call(row.tool_call_id)
            if call is not None:
                found[row.attempt_id] = call.attempt(row.attempt_id)
        return found


def _is_of(row: AttemptRow, wallet: Wallet) -> bool:
    return (row.provider, row.simulated) == (wallet.provider, wallet.simulated)
