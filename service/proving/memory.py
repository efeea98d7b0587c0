"""What a reconciler remembers of the log: a wallet's readings and verdicts of the last days, read once."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from service.core.books import ReadingEntry, VerdictEntry
from service.core.wallet import Wallet
from service.ledger.reading import Reading
from service.proving.rounds import Round, rounds

VERDICTS_PER_PAGE = 500
VERDICTS_MAX = 2000


class ReadingsKept:
    """The readings of one wallet since a time, grown with the log. Used by one thread at a time.

    Args:
        reading: the log.
        wallet: whose; readings under its name with another key, of another host or another account are left out.
    """

    def __init__(self, reading: Reading, wallet: Wallet) -> None:
        self._reading = reading
        self._wallet = wallet
        self._kept: list[ReadingEntry] = []
        self._last: int | None = None
        self._others_until = -1

    def rounds(self, since: str) -> list[Round]:
        """Give the rounds that end after a time, a UTC text, oldest first; the last one before it, too."""
        self._grow(since)
        found = rounds(self._kept)
        old = [one for one in found[:-1] if one[-1].at < since]
        if len(old) > 1:
            begin = old[-1][0].index
            self._kept = [one for one in self._kept if one.index >= begin]
            found = found[len(old) - 1 :]
        return found

    def others_until(self, since: str) -> int:
        """Give the index of the last reading under this name that is not this wallet's; -1 if there is none."""
        self._grow(since)
        return self._others_until

    def _grow(self, since: str) -> None:
        if self._last is None:
            self._begin(since)
        while page := self._page():
            self._keep(page)

    def _begin(self, since: str) -> None:
        """Read backwards to the last round before a time."""
        found: list[ReadingEntry] = []
        before: int | None = None
        while page := self._reading.readings(self._wallet.name, before=before, newest=True, read_only=True):
            found += page
            before = page[-1].index
            if page[-1].at < since:
                break
        self._last = -1
        self._keep(found[::-1])

    def _page(self) -> list[ReadingEntry]:
        after = -1 if self._last is None else self._last
        return self._reading.readings(self._wallet.name, after=after, read_only=True)

    def _keep(self, page: Sequence[ReadingEntry]) -> None:
        self._others_until = max(
            (one.index for one in page if not is_of(one, self._wallet)), default=self._others_until
        )
        self._kept = of_account([*self._kept, *(one for one in page if is_of(one, self._wallet))])
        self._last = page[-1].index if page else self._last


def is_of(reading: ReadingEntry, wallet: Wallet) -> bool:
    """Tell whether a reading is of this very wallet and its key, and not of another that bore its name."""
    of = reading.provider, reading.simulated, reading.fingerprint
    same = of == (wallet.provider, wallet.simulated, wallet.fingerprint)
    return same and urlsplit(reading.endpoint).netloc.lower() == wallet.host


def of_account(readings: Sequence[ReadingEntry]) -> list[ReadingEntry]:
    """Leave out what was read before the wallet's key came to be another account's."""
    accounts = [(place, one.account) for place, one in enumerate(readings) if one.account is not None]
    begins = [place for place, account in accounts if account != accounts[-1][1]]
    return list(readings[begins[-1] + 1 :] if begins else readings)


def verdicts_since(reading: Reading, wallet: str, since: str, *, simulated: bool) -> list[VerdictEntry]:
    """Give the verdicts of a wallet since a time, a UTC text, newest first; VERDICTS_MAX of them at most."""
    found: list[VerdictEntry] = []
    before: int | None = None
    while len(found) < VERDICTS_MAX:
        page = reading.verdicts(wallet=wallet, before=before, limit=VERDICTS_PER_PAGE)
        found += [one for one in page if one.simulated is simulated]
        if len(page) < VERDICTS_PER_PAGE or page[-1].at < since:
            break
        before = page[-1].index
    return found
