"""What was last heard: of each provider, each wallet and the log itself. A view of committed entries."""

import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from service.checks.against import Against
from service.core.entries import AcceptedEntry, DoubtEntry, End, RefusalEntry, SettlementEntry, UnsentEntry
from service.core.record import Step
from service.core.times import NS_PER_S, dated_ns, utc_ns
from service.core.words import DoubtCause, RefusalReason, UnsentReason
from service.errors import StoreBrokenError
from service.ledger.reading import Reading

PAST_STEPS = 500
# Ends that say nothing of the provider: somebody here ended the attempt.
_OURS = frozenset({UnsentReason.CANCELLED, UnsentReason.STOPPING, UnsentReason.SERVICE_FAILED}) | frozenset(
    {DoubtCause.CANCELLED, DoubtCause.STOPPING, DoubtCause.CRASH, DoubtCause.SERVICE_FAILED}
)
# Refusals that a request brought on itself: the provider works.
_REQUEST = frozenset(
    {
        RefusalReason.INVALID_REQUEST,
        RefusalReason.UNKNOWN_MODEL,
        RefusalReason.CONTEXT_TOO_LONG,
        RefusalReason.CONTENT_FILTERED,
        RefusalReason.DUPLICATE_REQUEST,
    }
)
# Refusals of the key itself, or of the account behind it.
_KEY_REFUSALS = frozenset({RefusalReason.AUTHENTICATION, RefusalReason.NO_BALANCE, RefusalReason.QUOTA_EXHAUSTED})


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the attempts at one provider, or with one wallet.

    Attributes:
        last: how the last attempt ended that was not ended here (cancelled, stopped, crashed).
        answer: the provider's last complete answer, a settlement or a refusal; None if there was none.
        of_key: the last answer that shows whether the key is taken; who is overloaded may not have read it.
        failures: how many attempts in a row, up to the last, failed by the provider or on the way to it.
    """

    last: End
    answer: SettlementEntry | RefusalEntry | None
    of_key: SettlementEntry | RefusalEntry | None
    failures: int


class Skew(msgspec.Struct, frozen=True, kw_only=True):
    """By how much this machine's clock was ahead of a provider's `Date`; negative: behind.

    Attributes:
        at: when this was seen, by this machine's clock.
        epoch: the start during which it was seen.
    """

    ahead_s: int
    at: str
    epoch: int


class Watching:
    """A listener that keeps the last of each. It is written by the feed's thread and read by any.

    Attributes:
        against: what was judged MISMATCH apart from any window.
    """

    def __init__(self) -> None:
        self.against = Against()
        self._guard = threading.Lock()
        self._providers: dict[str, Heard] = {}
        self._wallets: dict[tuple[str, str], Heard] = {}
        self._skews: dict[str, Skew] = {}
        self._last_at: str | None = None

    def take(self, steps: Sequence[Step]) -> None:
        """Note what each step says."""
        with self._guard:
            for step in steps:
                self._last_at = step.entry.at
                self._note(step)
        for step in steps:
            self.against.take(step)

    @property
    def last_at(self) -> str | None:
        """When the log's last entry was written; None if it has none."""
        with self._guard:
            return self._last_at

    def provider(self, name: str) -> Heard | None:
        """Say what was last heard of a provider; None if nothing was."""
        with self._guard:
            return self._providers.get(name)

    def wallet(self, name: str, host: str) -> Heard | None:
        """Say what last came of attempts with a wallet at a host, `Wallet.host`; None if nothing did."""
        with self._guard:
            return self._wallets.get((name, host))

    def skews(self, epoch: int) -> dict[str, Skew]:
        """Say how far this machine's clock was off at the last answer of each provider during a start."""
        with self._guard:
            return {name: skew for name, skew in self._skews.items() if skew.epoch == epoch}

    def _note(self, step: Step) -> None:
        if step.call is None:
            return
        entry = step.entry
        if isinstance(entry, AcceptedEntry):
            skew = _skew(entry)
            if skew is not None:
                self._skews[step.call.attempt(entry.attempt_id).intent.provider] = skew
        elif isinstance(entry, SettlementEntry | RefusalEntry | UnsentEntry | DoubtEntry) and not _is_ours(entry):
            intent = step.call.attempt(entry.attempt_id).intent
            self._providers[intent.provider] = _after(self._providers.get(intent.provider), entry)
            wallet = (intent.wallet, urlsplit(intent.endpoint).netloc.lower())
            self._wallets[wallet] = _after(self._wallets.get(wallet), entry)


def watched(reading: Reading, *, next_index: int) -> Watching:
    """Begin with what the log's last `PAST_STEPS` entries say, so that a start does not forget a refused key.

    Raises:
        StoreBrokenError: they cannot be read.
    """
    watching, first = Watching(), max(0, next_index - PAST_STEPS)
    try:
        watching.take(reading.steps(first, PAST_STEPS))
    except ValueError as error:
        raise StoreBrokenError(
            f"the ledger's entries from {first} on cannot be read: {error}",
            remedy="Run `exai ledger verify`; restore the data folder from a backup, or name a new one.",
        ) from error
    return watching


def word(end: End) -> str:
    """Say in one word or two how an attempt ended: its outcome, and why if it did not settle."""
    match end:
        case SettlementEntry():
            return "settled"
        case RefusalEntry():
            return f"refused, {end.reason}"
        case UnsentEntry():
            return f"unsent, {end.reason}"
        case _:
            return f"in doubt, {end.cause}"


def _after(before: Heard | None, end: End) -> Heard:
    answer, of_key = (before.answer, before.of_key) if before else (None, None)
    works = isinstance(end, SettlementEntry) or (isinstance(end, RefusalEntry) and end.reason in _REQUEST)
    if isinstance(end, SettlementEntry | RefusalEntry):
        answer = end
        if works or (isinstance(end, RefusalEntry) and end.reason in _KEY_REFUSALS):
            of_key = end
    failures = 0 if works else 1 + (before.failures if before else 0)
    return Heard(last=end, answer=answer, of_key=of_key, failures=failures)


def _is_ours(end: End) -> bool:
    if isinstance(end, UnsentEntry):
        return end.reason in _OURS
    return isinstance(end, DoubtEntry) and end.cause in _OURS


def _skew(accepted: AcceptedEntry) -> Skew | None:
    """Compare an answer's `Date`, of whole seconds, with the time at which its headers were written down."""
    stated_ns = dated_ns(accepted.headers.get("date"))
    if stated_ns is None:
        return None
    ahead_s = (utc_ns(accepted.at) - stated_ns) // NS_PER_S
    return Skew(ahead_s=ahead_s, at=accepted.at, epoch=accepted.epoch)
