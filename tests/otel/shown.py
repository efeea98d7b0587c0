"""The metrics of wallets as a scrape shows them, and entries that move them."""

from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from otel.wallets import BooksBefore, WalletLabels, WalletMetrics
from service.core.books import Figure, ReadingEntry, VerdictEntry, WindowSums
from service.core.times import utc_ns
from service.core.words import ReadingCause, ReadingOutcome, VerdictWord

AT = "2026-11-22T16:21:00.000000Z"
NOW_NS = utc_ns(AT)
REAL = ("kimi", "false", "kimi-main")  # label values in the order of the labels' names
WALLETS = (
    WalletLabels(name="kimi-main", provider="kimi", currency="USD", simulated=False),
    WalletLabels(
        name="kimi-b", provider="kimi", currency="USD", simulated=False, age_s_max=60, idle_age_s_max=600
    ),
    WalletLabels(name="glm-plan", provider="glm", currency="CNY", simulated=False),
    WalletLabels(name="glm-played", provider="glm", currency="CNY", simulated=True),
    WalletLabels(name="unread", provider="kimi", currency=None, simulated=False, is_read=False),
)
COUNTERS = (("kimi", "balance"), ("kimi", "account"), ("glm", "account_report"), ("glm", "packages"))
Readings = dict[tuple[str, ...], float]


class Shown:
    """The metrics of wallets, at a time that stands still until it is moved."""

    def __init__(self, before: BooksBefore | None = None) -> None:
        self.now_ns = NOW_NS
        self._registry = CollectorRegistry()
        self.wallets = WalletMetrics(self._registry, WALLETS, COUNTERS)
        self.wallets.follow(before or BooksBefore(), lambda: self.now_ns)

    def read(self, name: str) -> Readings:
        """Read one metric's series, by label values in the order of the labels' names."""
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in self._registry.collect()
            for sample in family.samples
            if sample.name == name
        }

    def moved(self, name: str) -> Readings:
        """Read those of a metric's series that are not 0."""
        return {series: value for series, value in self.read(name).items() if value}

    def ages(self) -> dict[str, float]:
        """Read the ages, by wallet."""
        return {series[-1]: value for series, value in self.read("exai_wallet_reading_age_seconds").items()}


def money(name: str, amount: str, unit: str = "USD") -> Figure:
    """State an amount to five decimals."""
    return Figure(name=name, amount=amount, unit=unit, resolution="0.00001")


def balance(available: str, *, voucher: str = "0", **changed: Any) -> ReadingEntry:  # noqa: ANN401 - any field
    """Read Kimi's balance, all of it cash but the voucher."""
    cash = f"{float(available) - float(voucher):.5f}"
    figures = (money("available", available), money("voucher", voucher), money("cash", cash))
    entry = ReadingEntry(
        at=AT,
        provider="kimi",
        wallet="kimi-main",
        counter="balance",
        endpoint="https://api.moonshot.ai/v1/users/me/balance",
        cause=ReadingCause.SCHEDULE,
        outcome=ReadingOutcome.READ,
        status=200,
        asked_at=AT,
        figures=figures,
        tells={},
        message="",
        provider_ids={},
        simulated=False,
    )
    return msgspec.structs.replace(entry, **changed)


def failed(outcome: ReadingOutcome, **changed: Any) -> ReadingEntry:  # noqa: ANN401 - any field
    """Fail to read Kimi's balance."""
    return balance("0", **{"outcome": outcome, "status": 401, "figures": (), **changed})


def verdict(word: VerdictWord, **changed: Any) -> VerdictEntry:  # noqa: ANN401 - any field
    """Judge a window in which 0.3 USD moved and our calls come to 0.25."""
    sums = WindowSums(
        unit="USD",
        opening="10",
        closing="9.7",
        moved="0.3",
        added=None,
        surely="0.25",
        straddling="0",
        in_doubt="0",
        tolerance="0.00003",
        attempts=2,
    )
    entry = VerdictEntry(
        rule=1,
        provider="kimi",
        wallet="kimi-main",
        simulated=False,
        word=word,
        code="U3",
        sentence="Said.",
        after=1,
        until=9,
        sums=sums,
    )
    return msgspec.structs.replace(entry, **changed)
