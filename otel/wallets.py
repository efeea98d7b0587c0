"""What is known of each wallet: our side of its account, and the provider's own, as committed readings say it.

Both sides have the same labels, so that a picture or a rule can lay one beside the other. What the provider says
is never mixed with what we count: a consumption here is the movement of its own counter between two readings.
"""

from collections.abc import Callable, Iterable

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from otel.series import (
    OF_WALLET,
    OTHER,
    SIMULATED,
    UNIT,
    WHOSE_WALLET,
    OfWallet,
    Values,
    simulated_word,
    stand,
    standing,
)
from otel.verdicts import VerdictMetrics
from service.core.books import Figure, ReadingEntry, VerdictEntry, VerificationEntry
from service.core.entries import ENDS, ResolutionEntry, SettlementEntry
from service.core.money import PICO_PER_UNIT, pico
from service.core.movement import sound, speaks
from service.core.record import Attempt
from service.core.times import NS_PER_S, utc_ns
from service.core.window import movements
from service.core.words import ReadingOutcome, VerificationOutcome

OUTCOMES = tuple(str(outcome) for outcome in ENDS.values())
_WINDOWS = {
    "credits_5h": "5h",
    "percent_5h": "5h",
    "credits_week": "week",
    "percent_week": "week",
    "package_tokens": "package",
}
_LEFT = frozenset({"package_tokens"})  # figures that say what is left; the others of a quota say what is used


class WalletLabels(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet of this start, as labels know it.

    Attributes:
        currency: what it is billed in; None if that is not known.
        is_read: whether the provider's counters are asked at all.
        age_s_max: how old a reading may be while calls are made.
        idle_age_s_max: the same while none are.
    """

    name: str
    provider: str
    currency: str | None
    simulated: bool
    is_read: bool = True
    age_s_max: float = 900.0
    idle_age_s_max: float = 10_800.0


class BooksBefore(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger held of wallets before this start.

    Attributes:
        readings: the newest that was read of each wallet's counters.
        verdicts: the newest on a window of each wallet.
    """

    readings: tuple[ReadingEntry, ...] = ()
    verdicts: tuple[VerdictEntry, ...] = ()


class WalletMetrics(Collector):
    """The metrics of wallets, on a registry.

    One thread moves them, any may scrape.

    Args:
        registry: where they are shown.
        wallets: of this start; every other counts as `other`.
        counters: (provider, counter) of all that can be asked.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        wallets: Iterable[WalletLabels],
        counters: Iterable[tuple[str, str]],
    ) -> None:
        self._wallets = {(one.name, one.simulated): one for one in wallets}
        self._counters = frozenset(counters)
        self._providers = {one.provider for one in self._wallets.values()} | {name for name, _ in self._counters}
        self._last: dict[tuple[OfWallet, str], ReadingEntry] = {}
        self._said: dict[tuple[OfWallet, str], ReadingOutcome] = {}
        self._read_at_ns: dict[OfWallet, int] = {}
        self._now_ns: Callable[[], int] | None = None
        self._begun_ns = 0
        self._define_ours(registry)
        self._define_theirs(registry)
        self._verdicts = VerdictMetrics(registry, self._series())
        registry.register(self)

    def follow(self, before: BooksBefore, now_ns: Callable[[], int]) -> None:
        """Go on from what an earlier start knew, and show from now on how old readings are; call it once.

        What was consumed between the last reading of that start and the first of this one counts here, once.
        """
        for reading in before.readings:
            self._note(self._of(reading.wallet, reading.provider, simulated=reading.simulated), reading)
        for verdict in sorted(before.verdicts, key=lambda one: one.index):
            self._show(verdict)
        self._begun_ns, self._now_ns = now_ns(), now_ns

    def collect(self) -> Iterable[Metric]:
        """Say how old each wallet's newest reading is, since the start if there is none, and how old it may be."""
        ages = GaugeMetricFamily(
            "exai_wallet_reading_age_seconds",
            "Time since a counter of money or quota was last read; since the start if it never was; no series"
            f" where none is offered or asked; {WHOSE_WALLET}.",
            labels=OF_WALLET,
        )
        allowed = GaugeMetricFamily(
            "exai_wallet_reading_age_allowed_seconds",
            f"How old that reading may be, by how often counters are to be read; {WHOSE_WALLET}; during: calls, or"
            " quiet while none are made.",
            labels=(*OF_WALLET, "during"),
        )
        if self._now_ns is not None:
            now_ns = self._now_ns()
            for one in self._wallets.values():
                of = one.name, one.provider, simulated_word(simulated=one.simulated)
                if one.is_read and self._is_offered(of):
                    read_ns = self._read_at_ns.get(of, self._begun_ns)
                    ages.add_metric(of, max(0, now_ns - read_ns) / NS_PER_S)
                    allowed.add_metric((*of, "calls"), one.age_s_max)
                    allowed.add_metric((*of, "quiet"), one.idle_age_s_max)
        yield from (ages, allowed)

    def ended(self, attempt: Attempt) -> None:
        """Count an attempt's end, and what it cost."""
        of, end = self._of_attempt(attempt), attempt.end
        standing(self._attempts, self._attempts_of, (*of, attempt.outcome.value)).inc()
        if isinstance(end, SettlementEntry) and end.cost.amount is not None and end.cost.currency is not None:
            self._spent(of, end.cost.currency, end.cost.amount)

    def resolved(self, attempt: Attempt, said: ResolutionEntry) -> None:
        """Count what was stated for an attempt in doubt."""
        if said.amount is not None and said.currency is not None:
            self._spent(self._of_attempt(attempt), said.currency, said.amount)

    def read(self, reading: ReadingEntry) -> None:
        """Take what a counter said, or that it said nothing."""
        of = self._of(reading.wallet, reading.provider, simulated=reading.simulated)
        counter = reading.counter if (reading.provider, reading.counter) in self._counters else OTHER
        standing(self._readings, self._readings_of, (of[1], counter, of[2], str(reading.outcome))).inc()
        if of[0] == OTHER:
            return
        before = self._last.get((of, reading.counter))
        same = before is not None and before.fingerprint == reading.fingerprint
        if reading.outcome is ReadingOutcome.READ and before is not None and same:
            self._consumed_since(of, before, reading)
        self._note(of, reading)

    def verified(self, said: VerificationEntry) -> None:
        """Count what a provider said of a signature."""
        provider = said.provider if said.provider in self._providers else OTHER
        series = provider, simulated_word(simulated=said.simulated), str(said.outcome)
        standing(self._verifications, self._verifications_of, series).inc()

    def judged(self, verdict: VerdictEntry) -> None:
        """Take a verdict on a window, or on single attempts."""
        self._verdicts.count(self._of(verdict.wallet, verdict.provider, simulated=verdict.simulated), verdict)
        self._show(verdict)

    def _show(self, verdict: VerdictEntry) -> None:
        names = verdict.wallet, *verdict.shared_with
        of, *others = (self._of(name, verdict.provider, simulated=verdict.simulated) for name in names)
        self._verdicts.show(of, [one for one in others if one[0] != OTHER], verdict)

    def _note(self, of: OfWallet, reading: ReadingEntry) -> None:
        """Remember a reading, and show what it says is left."""
        if of[0] == OTHER:
            return
        key = of, reading.counter
        if speaks(reading) or reading.outcome is not ReadingOutcome.READ:
            self._said[key] = reading.outcome
        if reading.outcome is not ReadingOutcome.READ or not sound(reading.figures):
            return
        self._last[key] = reading
        for figure in reading.figures:
            self._left(of, figure)
        if speaks(reading):
            self._read_at_ns[of] = utc_ns(reading.at)

    def _left(self, of: OfWallet, figure: Figure) -> None:
        if figure.name == "available":
            standing(self._balance, self._balance_of, (*of, figure.unit)).set(pico(figure.amount) / PICO_PER_UNIT)
        window = _WINDOWS.get(figure.name)
        if window is None:
            return
        left = pico(figure.amount)
        if figure.name not in _LEFT:
            if figure.cap is None:
                return
            left = pico(figure.cap) - left
        self._quota.labels(*of, window, figure.unit).set(left / PICO_PER_UNIT)

    def _consumed_since(self, of: OfWallet, before: ReadingEntry, reading: ReadingEntry) -> None:
        for moved in movements((before,), (reading,)):
            consumed = standing(self._consumed, self._consumed_of, (*of, moved.unit))
            consumed.inc(moved.least / PICO_PER_UNIT)

    def _is_offered(self, of: OfWallet) -> bool:
        """Say whether there is a counter: not every one that was asked said that there is no such thing."""
        said = [outcome for (whose, _), outcome in tuple(self._said.items()) if whose == of]
        return not said or any(outcome is not ReadingOutcome.NOT_OFFERED for outcome in said)

    def _spent(self, of: OfWallet, currency: str, amount: str) -> None:
        standing(self._spend, self._spend_of, (*of, currency)).inc(pico(amount) / PICO_PER_UNIT)

    def _of_attempt(self, attempt: Attempt) -> OfWallet:
        return self._of(attempt.intent.wallet, attempt.intent.provider, simulated=attempt.simulated)

    def _of(self, name: str, provider: str, *, simulated: bool) -> OfWallet:
        known = self._wallets.get((name, simulated))
        if known is not None and known.provider == provider:
            return name, provider, simulated_word(simulated=simulated)
        whose = provider if provider in self._providers else OTHER
        return OTHER, whose, simulated_word(simulated=simulated)

    def _series(self) -> list[OfWallet]:
        return [self._of(one.name, one.provider, simulated=one.simulated) for one in self._wallets.values()]

    def _in_currency(self) -> list[Values]:
        return [
            (*self._of(one.name, one.provider, simulated=one.simulated), one.currency)
            for one in self._wallets.values()
            if one.currency is not None
        ]

    def _define_ours(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "exai_wallet_attempts_total",
            f"Attempts that ended, by the wallet that pays; {WHOSE_WALLET}; outcome: how the attempt ended.",
            (*OF_WALLET, "outcome"),
            registry=registry,
        )
        self._attempts_of = stand(self._attempts, ((*of, how) for of in self._series() for how in OUTCOMES))
        self._spend = Counter(
            "exai_wallet_spend_total",
            "Our side: cost of settled attempts, and what was stated or read for reconciled ones, by the wallet"
            f" that pays; {WHOSE_WALLET}; {UNIT}.",
            (*OF_WALLET, "currency"),
            registry=registry,
        )
        self._spend_of = stand(self._spend, self._in_currency())

    def _define_theirs(self, registry: CollectorRegistry) -> None:
        self._consumed = Counter(
            "exai_wallet_consumed_total",
            "The provider's side: what its own counter says was consumed between readings. A top-up never makes it"
            f" fall; of what a top-up hides it counts the least; {WHOSE_WALLET}; {UNIT}.",
            (*OF_WALLET, "currency"),
            registry=registry,
        )
        self._consumed_of = stand(self._consumed, self._in_currency())
        self._balance = Gauge(
            "exai_wallet_balance",
            f"What may still be spent, as last read from the provider; {WHOSE_WALLET}; {UNIT}.",
            (*OF_WALLET, "currency"),
            registry=registry,
        )
        self._balance_of: dict[Values, Gauge] = {}  # nothing stands: before a reading no balance is known
        self._quota = Gauge(
            "exai_wallet_quota_remaining",
            f"What a plan or a package has left, as last read; {WHOSE_WALLET}; window: of which quota; unit:"
            " credits, percent or tokens.",
            (*OF_WALLET, "window", "unit"),
            registry=registry,
        )
        self._readings = Counter(
            "exai_readings_total",
            "Times that a provider's counter was asked; provider: whose; counter: which; outcome: what came of it;"
            " simulated: whether a simulator stands in for the provider.",
            ("provider", "counter", SIMULATED, "outcome"),
            registry=registry,
        )
        modes = {(one.provider, simulated_word(simulated=one.simulated)) for one in self._wallets.values()}
        self._readings_of = stand(
            self._readings,
            (
                (provider, counter, mode, outcome.value)
                for provider, mode in sorted(modes)
                for whose, counter in sorted(self._counters)
                for outcome in ReadingOutcome
                if whose == provider
            ),
        )
        self._verifications = Counter(
            "exai_verifications_total",
            "Signatures of answers that the provider was asked about; provider: whose; outcome: what it said;"
            " simulated: whether a simulator stands in for the provider.",
            ("provider", SIMULATED, "outcome"),
            registry=registry,
        )
        self._verifications_of = stand(
            self._verifications, ((*of, outcome.value) for of in sorted(modes) for outcome in VerificationOutcome)
        )
