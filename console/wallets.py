"""Wallets by their providers' own counters: what each last said, since when one says nothing, and what helps.

Pure, but for `fetch`. Money and quota never share a figure; a figure always stands with its time.
"""

from collections.abc import Iterable

import msgspec

from console.windows import ends
from console.words import plain
from service.core.books import Figure, ReadingEntry, VerdictEntry
from service.core.movement import speaks
from service.core.words import ReadingOutcome
from service.ledger.reading import PAGE_ROWS_MAX, Reading

_PERCENT = "percent"
_HTTP_UNAUTHORIZED, _HTTP_FORBIDDEN = 401, 403
_REMEDIES = {
    ReadingOutcome.REFUSED: "Read the provider's words; `exai doctor` asks each counter and says what helps.",
    ReadingOutcome.UNREADABLE: "The answer has a shape that this version does not know. A newer one may.",
    ReadingOutcome.UNREACHABLE: "Check this machine's way to the provider; it is tried again by itself.",
    ReadingOutcome.NOT_OFFERED: "The provider does not offer this counter to this account.",
}
_KEY = "The key may not read this counter. Check that it is valid and of this host's region: `exai doctor`."


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """One figure, written to be read. `at` is when it was true at the latest."""

    name: str
    text: str
    at: str
    index: int
    resets_at: str | None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a counter says nothing, and since when: the first failure that no success has interrupted."""

    counter: str
    said: str
    since: str
    remedy: str
    index: int


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """One wallet by its provider's own counters.

    Attributes:
        figures: of counters whose newest reading was read.
        failures: of the others; counters that are not offered are none, unless nothing else was read that says
            what was spent or is left.
        read_at: when a counter that says so was last read; None if none stands. What is left in token packages
            alone says nothing of money.
        verdict: the newest on a window of the wallet; not always on the newest window.
        opened_at, closed_at: when the readings at that window's ends were had; None without them.
    """

    wallet: str
    provider: str
    simulated: bool
    figures: tuple[Counted, ...]
    failures: tuple[Failure, ...]
    read_at: str | None
    verdict: VerdictEntry | None
    opened_at: str | None = None
    closed_at: str | None = None

    @property
    def blind(self) -> bool:
        """Whether no counter of it that confirms a charge can be read now."""
        return self.read_at is None and bool(self.failures)


def fetch(reading: Reading, wallets: Iterable[str]) -> tuple[Books, ...]:
    """Read where wallets stand; one of which no counter was ever asked is left out. Blocks."""
    found = (_fetch(reading, wallet) for wallet in wallets)
    return tuple(one for one in found if one is not None)


def newest(
    reading: Reading, wallet: str, *, before: int | None = None, counter: str | None = None, limit: int
) -> list[ReadingEntry]:
    """List a wallet's readings, newest first, failures included, a page at a time.

    Args:
        reading: the ledger.
        wallet: its name.
        before: an index; only older ones.
        counter: of this counter alone.
        limit: at most so many.
    """
    found: list[ReadingEntry] = []
    while len(found) < limit:
        size = min(limit - len(found), PAGE_ROWS_MAX)
        page = reading.readings(wallet, before=before, counter=counter, newest=True, limit=size)
        found += page
        if len(page) < size:
            break
        before = page[-1].index
    return found


def figure_text(figure: Figure) -> str:
    """Write a figure: its amount and its name."""
    return f"{amount_text(figure)} {plain(figure.name)}"


def amount_text(figure: Figure) -> str:
    """Write a figure's amount: with its unit, and of how much, where it ends somewhere."""
    if figure.unit == _PERCENT:
        return f"{figure.amount} %"
    of = f" of {figure.cap}" if figure.cap is not None else ""
    return f"{figure.amount}{of} {figure.unit}"


def failure_text(reading: ReadingEntry) -> str:
    """Say why a reading holds no figure."""
    status = f" (HTTP {reading.status})" if reading.status is not None else ""
    said = f": {reading.message}" if reading.message else ""
    return f"{plain(reading.outcome)}{status}{said}"


def remedy(reading: ReadingEntry) -> str:
    """Say what helps where a counter was not read; empty if it was."""
    if reading.outcome is ReadingOutcome.REFUSED and reading.status in (_HTTP_UNAUTHORIZED, _HTTP_FORBIDDEN):
        return _KEY
    return _REMEDIES.get(reading.outcome, "")


def _fetch(reading: Reading, wallet: str) -> Books | None:
    latest = reading.latest_readings(wallet)
    if not latest:
        return None
    counted = [one for one in latest if one.outcome is ReadingOutcome.READ and one.figures]
    failed = [one for one in latest if one.outcome is not ReadingOutcome.READ]
    speaking = [one.at for one in latest if speaks(one)]
    if speaking:
        failed = [one for one in failed if one.outcome is not ReadingOutcome.NOT_OFFERED]
    verdict = next(iter(reading.verdicts(wallet=wallet, limit=1)), None)
    opened_at, closed_at = (None, None) if verdict is None else ends(reading, verdict)
    return Books(
        wallet=wallet,
        provider=latest[0].provider,
        simulated=any(one.simulated for one in latest),
        figures=tuple(_counted(one, figure) for one in counted for figure in one.figures),
        failures=tuple(_failure(reading, one) for one in failed),
        read_at=max(speaking, default=None),
        verdict=verdict,
        opened_at=opened_at,
        closed_at=closed_at,
    )


def _counted(reading: ReadingEntry, figure: Figure) -> Counted:
    return Counted(
        name=figure.name,
        text=amount_text(figure),
        at=reading.at,
        index=reading.index,
        resets_at=figure.resets_at,
    )


def _failure(reading: Reading, failed: ReadingEntry) -> Failure:
    return Failure(
        counter=failed.counter,
        said=failure_text(failed),
        since=_since(reading, failed),
        remedy=remedy(failed),
        index=failed.index,
    )


def _since(reading: Reading, failed: ReadingEntry) -> str:
    """Find when the first of the failures came that no success has interrupted."""
    wallet, counter = failed.wallet, failed.counter
    read = reading.readings(wallet, counter=counter, read_only=True, newest=True, limit=1)
    first = reading.readings(wallet, counter=counter, after=read[0].index if read else -1, limit=1)
    return first[0].at if first else failed.at
