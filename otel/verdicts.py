"""What verdicts on wallets say: all of them counted, and of each wallet the newest window shown.

The newest window is the one whose closing reading stands last in the log, whenever it was judged. That no reading
can be had is newer than every reading before it.
"""

from collections.abc import Collection, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from otel.series import OF_WALLET, OTHER, UNIT, WHOSE_WALLET, OfWallet, stand, standing
from service.core.books import VerdictEntry, WindowSums
from service.core.money import PICO_PER_UNIT, pico
from service.core.words import VerdictWord


class VerdictMetrics:
    """The metrics of verdicts, on a registry.

    One thread moves them, any may scrape.

    Args:
        registry: where they are shown.
        wallets: of this start.
    """

    def __init__(self, registry: CollectorRegistry, wallets: Iterable[OfWallet]) -> None:
        self._seen: dict[OfWallet, int] = {}  # where in the log the newest window closes
        self._units: dict[OfWallet, str] = {}  # of the difference that is shown
        self._accounts: dict[OfWallet, frozenset[OfWallet]] = {}  # the wallets that spend from one account
        self._define(registry, [(*of, word.value) for of in wallets for word in VerdictWord])

    def count(self, of: OfWallet, verdict: VerdictEntry) -> None:
        """Count a verdict on a window, or each attempt that it names."""
        series = *of, str(verdict.word)
        if verdict.attempts:
            standing(self._judged, self._judged_of, series).inc(len(verdict.attempts))
        else:
            standing(self._windows, self._windows_of, series).inc()

    def show(self, of: OfWallet, others: Collection[OfWallet], verdict: VerdictEntry) -> None:
        """Show a verdict if it is on the newest window; `others` share the account, as far as they are known."""
        if of[0] == OTHER or verdict.attempts:
            return
        seen = verdict.index if verdict.closed is None else verdict.closed
        if seen < self._seen.get(of, seen):
            return
        self._seen[of] = seen
        for word in VerdictWord:
            self._verdict.labels(*of, word.value).set(word is verdict.word)
        self._differ(of, verdict.sums)
        if verdict.closed is not None:  # without a reading nothing is known of others
            self._share(frozenset({of, *others}))

    def _differ(self, of: OfWallet, sums: WindowSums | None) -> None:
        """Show the difference, and no longer that of an earlier window."""
        before = self._units.pop(of, None)
        if sums is not None and sums.moved is not None:
            difference = pico(sums.moved) - pico(sums.surely)
            self._difference.labels(*of, sums.unit).set(difference / PICO_PER_UNIT)
            self._units[of] = sums.unit
        if before is not None and before != self._units.get(of):
            self._difference.remove(*of, before)

    def _share(self, account: frozenset[OfWallet]) -> None:
        """Take note of who spends from one account, and from no other any more."""
        for one, members in self._accounts.items():
            self._accounts[one] = members - account
        self._accounts.update(dict.fromkeys(account, account))
        for one, members in self._accounts.items():
            self._shared.labels(*one).set(len(members) > 1)

    def _define(self, registry: CollectorRegistry, words: list[tuple[str, ...]]) -> None:
        self._windows = Counter(
            "exai_windows_total",
            "Verdicts on windows between two readings; one that is judged anew counts again;"
            f" {WHOSE_WALLET}; verdict: its word.",
            (*OF_WALLET, "verdict"),
            registry=registry,
        )
        self._windows_of = stand(self._windows, words)
        self._judged = Counter(
            "exai_judged_attempts_total",
            f"Attempts that had a verdict of their own, beside their window's; {WHOSE_WALLET}; verdict: its word.",
            (*OF_WALLET, "verdict"),
            registry=registry,
        )
        self._judged_of = stand(self._judged, words)
        self._verdict = Gauge(
            "exai_wallet_verdict",
            "1 for the word of the verdict on the newest window, 0 for the others;"
            f" {WHOSE_WALLET}; verdict: the word.",
            (*OF_WALLET, "verdict"),
            registry=registry,
        )
        self._difference = Gauge(
            "exai_window_difference",
            "By how much more the provider's counter moved in the newest window than our attempts surely come to,"
            " those aside that are in doubt or at its edges; less than 0: by how much less; no series where that"
            f" cannot be told; {WHOSE_WALLET}; {UNIT}.",
            (*OF_WALLET, "currency"),
            registry=registry,
        )
        self._shared = Gauge(
            "exai_wallet_shared",
            "1 where the newest window counts the calls of another of our wallets in, for both spend from one"
            f" account; 0 where it does not; {WHOSE_WALLET}.",
            OF_WALLET,
            registry=registry,
        )
