"""Budgets under random histories: admitted is exactly what a model allows that adds everything up anew."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.core.budget import Cells, Use
from service.core.entries import BudgetEntry, BudgetTerms
from service.core.periods import Window
from service.core.times import utc_ns, utc_text
from service.core.words import AttemptOutcome, BudgetEvent, BudgetPeriod
from service.errors import BudgetStopError
from service.ledger.budgets import Budgets, Draft
from service.ledger.store import AttemptRow
from service.ledger.used import use, used_of

BEGUN = "2026-11-30T15:30:00.000000Z"
SHANGHAI_H = 8
ENDED = {"held_pico": None, "held_tokens": None}
TERMS = st.builds(
    BudgetTerms,
    name=st.sampled_from(["a", "b"]),
    period=st.sampled_from(list(BudgetPeriod)),
    limits=st.sampled_from([{"USD": "10"}, {"USD": "10", "tokens": "2000"}, {"CNY": "10", "USD": "20"}]),
    zone=st.sampled_from(["UTC", "Asia/Shanghai"]),
    client=st.sampled_from([None, None, "ann"]),
    wallet=st.sampled_from([None, None, "work"]),
    each=st.sampled_from([(), (), ("client",), ("wallet", "tool")]),
    allow_unknown_price=st.booleans(),
)


class Made(NamedTuple):
    """One attempt of the model."""

    row: AttemptRow
    client: str
    tool: str


class Budgeting(RuleBasedStateMachine):
    """Batches of appends over two budgets; what is committed is the model's, and the keeper's only source."""

    def __init__(self) -> None:
        super().__init__()
        self.at = BEGUN
        self.committed: dict[str, Made] = {}
        self.drafted: dict[str, Made] = {}
        self.terms: dict[str, BudgetTerms] = {}
        self.budgets = Budgets(self.source)
        self.draft: Draft | None = None

    def source(self, terms: BudgetTerms, window: Window) -> Cells:
        """Read what is committed."""
        return used_of((of(one) for one in self.committed.values()), terms, window)

    def begin(self) -> Draft:
        """Begin a batch unless one is under way."""
        if self.draft is None:
            self.draft = self.budgets.draft()
        return self.draft

    @initialize(terms=TERMS, other=TERMS)
    def first(self, terms: BudgetTerms, other: BudgetTerms) -> None:
        """Begin with budgets, or nothing would be worth a look."""
        for one in (terms, other):
            self.state(terms=one, again=False)

    @rule(minutes=st.sampled_from([0, 1, 1, 2, 20, 600, 24 * 60, 31 * 24 * 60, -1]))
    def time_passes(self, minutes: int) -> None:
        """Let the wall clock go on, or step back a little."""
        moved = datetime.fromisoformat(self.at) + timedelta(minutes=minutes, seconds=7)
        self.at = utc_text(utc_ns(moved.isoformat()))

    @precondition(lambda self: self.committed)
    @rule(choice=st.data())
    def the_clock_is_put_back(self, choice: st.DataObject) -> None:
        """Come again to a time at which something was intended, however long ago."""
        self.at = self.committed[choice.draw(st.sampled_from(sorted(self.committed)))].row.started_at

    @rule(
        client=st.sampled_from(["ann", "bob"]),
        wallet=st.sampled_from(["work", "home"]),
        currency=st.sampled_from(["USD", "USD", "USD", "CNY", None]),
        units=st.integers(min_value=0, max_value=5),
        tokens=st.integers(min_value=0, max_value=300),
        count=st.integers(min_value=1, max_value=3),
        lost=st.booleans(),
    )
    def intend(
        self, *, client: str, wallet: str, currency: str | None, units: int, tokens: int, count: int, lost: bool
    ) -> None:
        """Write intents in one append: all are admitted, or none is; it may be lost for other reasons."""
        draft, made = self.begin().nested(), dict(self.drafted)
        for _ in range(count):
            row = AttemptRow(
                **dict.fromkeys(AttemptRow.__struct_fields__),  # type: ignore[arg-type] # the rest is None
            )
            row = msgspec.structs.replace(
                row,
                attempt_id=f"a{len(self.committed)}-{len(made)}",
                provider="kimi",
                model="kimi-k3",
                wallet=wallet,
                started_at=self.at,
                outcome=AttemptOutcome.OPEN,
                simulated=False,
                currency=currency,
                held_pico=None if currency is None else units * 10**12,
                held_tokens=tokens,
            )
            one = Made(row, client, "chat")
            expected = self.allows(one, made)
            try:
                draft.change(None, row, opened_at=self.at, client=client, tool="chat")
            except BudgetStopError:
                assert not expected
                return
            assert expected
            made[row.attempt_id] = one
        if not lost:
            self.begin().merge(draft)
            self.drafted = made

    @precondition(lambda self: self.committed or self.drafted)
    @rule(choice=st.data(), to=st.sampled_from(["settle", "refuse", "doubt", "simulate", "reconcile"]))
    def end(self, choice: st.DataObject, to: str) -> None:
        """End an attempt, of this batch or of a long time ago; or resolve it, or learn that it was simulated."""
        known = self.committed | self.drafted
        one = known[choice.draw(st.sampled_from(sorted(known)))]
        row = one.row
        if row.outcome not in (AttemptOutcome.OPEN, AttemptOutcome.IN_DOUBT):
            return
        if to == "settle" and row.outcome is AttemptOutcome.OPEN:
            cost = None if row.currency is None else choice.draw(st.integers(0, 9)) * 10**12
            counts = {"uncached_input_tokens": 100, "cached_input_tokens": 0, "cache_write_tokens": 5}
            changed = msgspec.structs.replace(
                row, outcome=AttemptOutcome.SETTLED, cost_pico=cost, **ENDED, **counts, output_tokens=17
            )
        elif to == "reconcile" and row.outcome is AttemptOutcome.IN_DOUBT:
            stated = {"currency": "CNY", "cost_pico": 10**12, "held_pico": None}
            changed = msgspec.structs.replace(row, outcome=AttemptOutcome.RECONCILED, **stated)
        elif to == "refuse":
            changed = msgspec.structs.replace(row, outcome=AttemptOutcome.REFUSED, **ENDED)
        else:
            outcome = AttemptOutcome.IN_DOUBT if to == "doubt" else row.outcome
            changed = msgspec.structs.replace(row, outcome=outcome, simulated=row.simulated or to == "simulate")
        self.begin().change(row, changed, opened_at=row.started_at, client=one.client, tool=one.tool)
        self.drafted[row.attempt_id] = one._replace(row=changed)

    @rule(written=st.sampled_from([True, True, True, False]))
    def commit(self, *, written: bool) -> None:
        """Commit the batch, or lose it all to a full disk."""
        if self.draft is not None and written:
            self.committed |= self.drafted
            self.budgets.accept(self.draft)
        self.draft, self.drafted = None, {}

    @precondition(lambda self: self.draft is None)
    @rule(terms=TERMS, again=st.booleans())
    def state(self, terms: BudgetTerms, *, again: bool) -> None:
        """Set a budget or remove it, or start anew."""
        if again:
            entries = [entry(one) for one in self.terms.values()]
            self.budgets = Budgets(self.source, entries=entries, at=self.at)
        elif terms.name in self.terms and terms.period is self.terms[terms.name].period:
            del self.terms[terms.name]
            self.budgets.take(msgspec.structs.replace(entry(terms, at=self.at), terms=None))
        else:
            self.terms[terms.name] = terms
            self.budgets.take(entry(terms, at=self.at))

    @precondition(lambda self: self.draft is None)
    @invariant()
    def the_keeper_agrees_with_the_tables(self) -> None:
        """Of every window that it holds, and so of the one that holds now if anything was intended in it."""
        for name, terms in self.terms.items():
            for kept in self.budgets._rules[name].windows.values():
                assert self.source(terms, kept.window) == kept.cells

    def allows(self, one: Made, made: dict[str, Made]) -> bool:
        """Add up everything anew, for one more attempt."""
        others = [
            other for other in (self.committed | made).values() if other.row.attempt_id != one.row.attempt_id
        ]
        return all(self.fits(terms, one, others) for terms in self.terms.values() if matches(terms, one))

    @staticmethod
    def fits(terms: BudgetTerms, one: Made, others: list[Made]) -> bool:
        """Compare the sums of one budget with its limits."""
        money = [unit for unit in terms.limits if unit != "tokens"]
        priceless = one.row.currency not in money and one.row.held_pico != 0  # what costs nothing, a plan pays
        if not terms.allow_unknown_price and priceless:
            return False
        near = [other for other in others if matches(terms, other) and share(terms, other) == share(terms, one)]
        return all(
            sum(amount(other.row, unit) for other in (*near, one))
            <= int(limit) * (1 if unit == "tokens" else 10**12)
            for unit, limit in terms.limits.items()
        )


def entry(terms: BudgetTerms, at: str = BEGUN) -> BudgetEntry:
    """Set a budget."""
    return BudgetEntry(event=BudgetEvent.SET, name=terms.name, terms=terms, warning=None, by="x", at=at)


def of(one: Made) -> Use:
    """Look at an attempt as the tables do."""
    return use(one.row, opened_at=one.row.started_at, client=one.client, tool=one.tool)


def matches(terms: BudgetTerms, one: Made) -> bool:
    """Tell whether a budget is about an attempt."""
    return (terms.client or one.client) == one.client and (terms.wallet or one.row.wallet) == one.row.wallet


def share(terms: BudgetTerms, one: Made) -> tuple[object, ...]:
    """Say with which others an attempt shares a limit: by group, by whether it is simulated, and by time."""
    hours = SHANGHAI_H if terms.zone != "UTC" and terms.period is not BudgetPeriod.MINUTE else 0
    local = (datetime.fromisoformat(one.row.started_at) + timedelta(hours=hours)).isoformat()
    digits = {BudgetPeriod.TOTAL: 0, BudgetPeriod.MONTH: 7, BudgetPeriod.DAY: 10, BudgetPeriod.MINUTE: 16}
    group = {"client": one.client, "wallet": one.row.wallet, "tool": one.tool}
    return (*(group[word] for word in terms.each), one.row.simulated, local[: digits[terms.period]])


def amount(row: AttemptRow, unit: str) -> int:
    """Say how much of a unit an attempt uses or reserves."""
    if unit == "tokens":
        return row.held_tokens or 0 if row.output_tokens is None else sum(counts(row))
    return ((row.cost_pico or 0) + (row.held_pico or 0)) if row.currency == unit else 0


def counts(row: AttemptRow) -> Iterator[int]:
    """Give the disjoint classes of tokens."""
    for count in (row.uncached_input_tokens, row.cached_input_tokens, row.cache_write_tokens, row.output_tokens):
        yield count or 0


Budgeting.TestCase.settings = settings(max_examples=250, stateful_step_count=50)
TestBudgeting = Budgeting.TestCase
