"""Conservation: what our own entries say, held against the simulators' books and against every view of them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from service.core import entries
from service.core.entries import (
    AnswerEntry,
    AnyEntry,
    DoubtEntry,
    End,
    IntentEntry,
    RefusalEntry,
    SettlementEntry,
    UnsentEntry,
)
from service.core.money import PICO_PER_UNIT, decimal_text, pico
from service.ledger.store import Line

_RELATIVE_ERROR_MAX = Fraction(1, 10**9)  # counters are floats; the ledger is not


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Two accounts of the same thing."""

    what: str
    ours: str
    theirs: str
    holds: bool


class _Sample(msgspec.Struct, frozen=True):
    """One series of `/metrics`."""

    name: str
    labels: dict[str, str]
    value: float


class Account:
    """What the ledger's entries say, added up from nothing but them."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.intents: dict[str, IntentEntry] = {}
        self.ends: dict[str, End] = {}
        self.closed = 0
        for line in lines:
            self._take(entries.decode(line.entry))

    def _take(self, entry: AnyEntry) -> None:
        match entry:
            case IntentEntry():
                self.intents[entry.attempt_id] = entry
            case SettlementEntry() | RefusalEntry() | UnsentEntry() | DoubtEntry():
                self.ends[entry.attempt_id] = entry
            case AnswerEntry():
                self.closed += 1
            case _:
                return

    def sent(self) -> list[IntentEntry]:
        """Give the intents of which a byte may have left."""
        unsent = {attempt for attempt, end in self.ends.items() if isinstance(end, UnsentEntry)}
        return [intent for attempt, intent in self.intents.items() if attempt not in unsent]

    def settled(self) -> dict[tuple[str, str], int]:
        """Add up the cost (pico-units) of settled attempts by wallet and currency."""
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for attempt, end in self.ends.items():
            if isinstance(end, SettlementEntry) and end.cost.amount is not None and end.cost.currency is not None:
                sums[self.intents[attempt].wallet, end.cost.currency] += pico(end.cost.amount)
        return sums


def unique_id(request: dict[str, Any]) -> str | None:
    """Name a request of the simulators' books as our intents do."""
    found: str | None = request["nonce"] or request["client_request_id"]
    return found


def against_books(account: Account, books: dict[str, Any]) -> list[Check]:
    """Hold the ledger against the simulators' own account, to the last digit."""
    ours = Counter(intent.nonce or intent.client_request_id for intent in account.sent())
    theirs = Counter(unique_id(request) for request in books["requests"])
    found = [
        Check(
            what="requests: our intents, the simulators' count",
            ours=str(ours.total()),
            theirs=str(theirs.total()),
            holds=ours == theirs,
        )
    ]
    in_doubt = {
        account.intents[attempt].nonce or account.intents[attempt].client_request_id
        for attempt, end in account.ends.items()
        if isinstance(end, DoubtEntry)
    }
    settled = account.settled()
    billed, doubted = _bills(books, lambda request: unique_id(request) in in_doubt)
    found.append(_held(account, books))
    for wallet, currency in sorted(settled.keys() | billed.keys() | doubted.keys()):
        key = (wallet, currency)
        note = f", and {decimal_text(doubted[key])} for attempts in doubt" if doubted[key] else ""
        found.append(
            Check(
                what=f"{wallet}, {currency}: settled, billed{' (in doubt apart)' if doubted[key] else ''}",
                ours=decimal_text(settled.get(key, 0)),
                theirs=decimal_text(billed[key]) + note,
                holds=settled.get(key, 0) == billed[key],
            )
        )
    return found


def against_views(account: Account, *, metrics: str, page: dict[str, Any], server_spans: int) -> list[Check]:
    """Hold the ledger against what is derived from it: counters, page, spans."""
    counted = _samples(metrics)
    calls, attempts = _sum(counted, "exai_tool_calls_total"), _sum(counted, "exai_attempts_total")
    return [
        _counts("attempts: ledger, /metrics", len(account.ends), attempts),
        _counts("tool calls closed: ledger, /metrics", account.closed, calls),
        _counts("tool calls closed: ledger, server spans received", account.closed, server_spans),
        *_spend(account, counted, page),
    ]


def _held(account: Account, books: dict[str, Any]) -> Check:
    """See that no attempt in doubt was billed above its worst case; one without a known price bounds nothing."""
    bills = {unique_id(request): request["billed"] for request in books["requests"]}
    doubts = [account.intents[attempt] for attempt, end in account.ends.items() if isinstance(end, DoubtEntry)]
    beyond = 0
    for intent in doubts:
        bill, worst = bills.get(intent.nonce or intent.client_request_id), intent.worst_case
        if bill is not None and worst.amount is not None:
            beyond += bill["currency"] != worst.currency or pico(bill["amount"]) > pico(worst.amount)
    return Check(
        what="attempts in doubt: all, those billed above what is held",
        ours=str(len(doubts)),
        theirs=str(beyond),
        holds=not beyond,
    )


def _counts(what: str, ours: int, theirs: float) -> Check:
    return Check(what=what, ours=str(ours), theirs=f"{theirs:g}", holds=ours == theirs)


def _spend(account: Account, counted: list[_Sample], page: dict[str, Any]) -> list[Check]:
    """Compare what was spent in each currency: two currencies are never added."""
    ours: dict[str, int] = defaultdict(int)
    for (_, currency), amount in account.settled().items():
        ours[currency] += amount
    shown: dict[str, int] = defaultdict(int)
    for total in page["totals"]:
        if total["currency"] is not None:
            shown[total["currency"]] += int(total["cost_pico"])
    found = []
    for currency in sorted(ours.keys() | shown.keys()):
        spent = _sum(counted, "exai_spend_total", currency=currency)
        for view, theirs, holds in (
            ("/metrics", f"{spent:.12g}", _close(spent, ours[currency])),
            ("page", decimal_text(shown[currency]), shown[currency] == ours[currency]),
        ):
            what = f"spend in {currency}: ledger, {view}"
            found.append(Check(what=what, ours=decimal_text(ours[currency]), theirs=theirs, holds=holds))
    return found


def _bills(
    books: dict[str, Any], in_doubt: Callable[[dict[str, Any]], bool]
) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
    """Add up the simulators' bills by wallet and currency: those of attempts in doubt apart from the rest."""
    plain: dict[tuple[str, str], int] = defaultdict(int)
    doubted: dict[tuple[str, str], int] = defaultdict(int)
    for request in books["requests"]:
        amount = pico(request["billed"]["amount"])
        if amount:
            sums = doubted if in_doubt(request) else plain
            sums[request["wallet"], request["billed"]["currency"]] += amount
    return plain, doubted


def _samples(metrics: str) -> list[_Sample]:
    families = text_string_to_metric_families(metrics)
    return [_Sample(one.name, one.labels, one.value) for family in families for one in family.samples]


def _sum(counted: list[_Sample], name: str, **labels: str) -> float:
    """Add up one counter over all labels that are not named."""
    return sum(one.value for one in counted if one.name == name and labels.items() <= one.labels.items())


def _close(counted: float, exact_pico: int) -> bool:
    exact = Fraction(exact_pico, PICO_PER_UNIT)
    return abs(Fraction(counted) - exact) <= exact * _RELATIVE_ERROR_MAX
