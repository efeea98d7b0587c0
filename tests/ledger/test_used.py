"""What of a budget is used: SQL, a loop over attempts, and the keeper agree, whatever became of the attempts."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import msgspec
import pytest

from service.core.entries import BudgetEntry, BudgetTerms, OfCall, WorstCase
from service.core.periods import FOR_EVER, window
from service.core.times import utc_text
from service.core.words import BudgetEvent, BudgetPeriod, CostStatus
from service.errors import BudgetStopError
from service.ledger.budgets import Budgets
from service.ledger.rows import columns
from service.ledger.sqlite import SqliteStore
from service.ledger.store import AttemptRow
from service.ledger.used import Execute, read_used, states_of, use, used_of
from service.ledger.writer import Append, Writer

if TYPE_CHECKING:
    from tests.conftest import Made

BEGUN_NS = 1_795_363_140_000_000_000  # 2026-11-22T15:59:00Z, a minute before midnight in Shanghai
END = utc_text(BEGUN_NS + 3 * 3600 * 10**9)
LIMITS = {"USD": "1000", "CNY": "1000", "tokens": "9000000"}
PERIODS = list(BudgetPeriod)
ONLY = [
    {},
    {"client": "ann"},
    {"wallet": "work", "model": "kimi-k3"},
    {"provider": "kimi", "tool": "chat"},
    {"provider": "nobody"},
]
APART = [(), ("client",), ("client", "provider", "wallet", "model", "tool")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An embedded store."""
    opened = SqliteStore(tmp_path, new_origin="exai/test")
    yield opened
    opened.close()


@pytest.fixture
def execute(store: SqliteStore) -> Iterator[Execute]:
    """A reader of its tables."""
    connection = apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READONLY)
    yield lambda query, values: list(connection.execute(query, values))
    connection.close()


Life = Callable[[random.Random, int], Iterator[list[OfCall]]]


@pytest.fixture
def life(made: "Made") -> Life:
    """Live one call: its attempts end in every way, some of them never, some again later."""

    def attempt(chance: random.Random, call_id: str, number: int, currency: str | None) -> Iterator[list[OfCall]]:
        of = {"tool_call_id": call_id, "attempt_id": f"{call_id[-20:]}{number:012x}"}
        worst = WorstCase(
            input_tokens=chance.randrange(900),
            output_tokens=chance.randrange(900),
            currency=currency,
            amount=None if currency is None else f"0.{chance.randrange(1, 999)}",
        )
        wallet = chance.choice(["work", "home"])
        yield [made.intent(number, **of, worst_case=worst, wallet=wallet, simulated=chance.random() < 0.2)]
        unpriced = currency is None or chance.random() < 0.2
        cost = made.cost(currency=currency, amount=None if currency is None else f"0.{chance.randrange(1, 999)}")
        if unpriced:
            cost = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
        usage = made.usage(output_tokens=chance.randrange(31, 900))
        if chance.random() < 0.3:
            yield [made.accepted(number, **of, headers={"exai-simulator": "1"})]
        match chance.randrange(5):
            case 0 | 1:
                yield [made.settlement(number, **of, cost=cost, usage=usage)]
            case 2:
                yield [made.refusal(number, **of)]
            case 3:
                yield [made.doubt(number, **of)]
                if chance.random() < 0.5:
                    yield [resolved(made, chance, number, of)]

    def living(chance: random.Random, number: int) -> Iterator[list[OfCall]]:
        call_id, currency = f"{number:032x}", chance.choice(["USD", "USD", "CNY", None])
        yield [made.tool_call(tool_call_id=call_id, client=chance.choice(["ann", "bob"]))]
        for one in range(1, chance.randrange(1, 4)):
            yield from attempt(chance, call_id, one, currency)
        yield [made.answer(tool_call_id=call_id)]  # refused, where something is open or nothing was tried

    return living


def resolved(made: "Made", chance: random.Random, number: int, of: dict[str, str]) -> OfCall:
    """Resolve a doubt: at a price, in another currency, with tokens or without, or write it off."""
    if chance.random() < 0.3:
        return made.resolution(number, **of, outcome="written_off", currency=None, amount=None, tokens=None)
    currency, tokens = chance.choice(["USD", "CNY"]), chance.choice([None, 77])
    return made.resolution(number, **of, currency=currency, amount="0.5", tokens=tokens)


def put(terms: BudgetTerms) -> BudgetEntry:
    """Set a budget."""
    return BudgetEntry(event=BudgetEvent.SET, name=terms.name, terms=terms, warning=None, by="somebody")


def write(writer: Writer, life: Life, seed: int, calls: int = 60) -> None:
    """Let calls live beside each other for three hours; batches are cut at random."""
    chance, at_ns = random.Random(seed), BEGUN_NS  # noqa: S311 - a history, no secret
    lives, batch = [life(chance, number) for number in range(calls)], list[Append]()
    while lives:
        one = chance.choice(lives[:8])
        said = next(one, None)
        if said is None:
            lives.remove(one)
            continue
        at_ns += chance.choice([10**6, 10**9, 100 * 10**9])
        batch.append(Append(tuple(said), utc_text(at_ns)))
        if chance.random() < 0.3:
            writer.write(batch)
            batch = []
    writer.write(batch)


@pytest.mark.parametrize("seed", range(4))
def test_three_ways_to_the_same_sums(store: SqliteStore, execute: Execute, life: Life, seed: int) -> None:
    """Of every period, filter and group: the tables, a loop over all attempts, and what was counted on the way."""
    stated = [
        BudgetTerms(
            name=f"b{number}-{place}",
            period=period,
            limits=LIMITS,
            zone=["UTC", "Asia/Shanghai"][number % 2],
            each=APART[(number + place) % 3],
            allow_unknown_price=True,
            **only,
        )
        for number, period in enumerate(PERIODS)
        for place, only in enumerate(ONLY)
    ]
    budgets = Budgets(lambda terms, within: read_used(execute, terms, within), entries=map(put, stated), at=END)
    write(Writer(store, budgets=budgets), life, seed)
    names = ", ".join(f"attempts.{name}" for name in columns(AttemptRow))
    found = execute(f"SELECT opened_at, client, tool, {names} FROM attempts JOIN calls USING (tool_call_id)", ())  # noqa: S608
    uses = [use(_row(row[3:]), opened_at=row[0], client=row[1], tool=row[2]) for row in found]
    assert len(uses) > 40
    for terms in stated:
        for at in {one.opened_at for one in uses} | {END}:
            within = window(terms.period, terms.zone, at)
            assert used_of(uses, terms, within) == read_used(execute, terms, within), (terms, within)
    assert states_of(execute, sorted(stated, key=lambda one: one.name), END) == budgets.states(END).states


def _row(values: tuple[object, ...]) -> AttemptRow:
    return msgspec.convert(dict(zip(columns(AttemptRow), values, strict=True)), AttemptRow, strict=False)


def test_sums_leave_64_bits(store: SqliteStore, execute: Execute, made: "Made") -> None:
    """A dozen of the largest amounts is added exactly."""
    writer, worst = Writer(store), WorstCase(input_tokens=1, output_tokens=1, currency="USD", amount="1000000")
    for number in range(12):
        call_id = f"{number:032x}"
        entries = made.tool_call(tool_call_id=call_id), made.intent(tool_call_id=call_id, worst_case=worst)
        cost = made.cost(amount="1000000")
        ends = made.settlement(tool_call_id=call_id, cost=cost), made.answer(tool_call_id=call_id)
        at = utc_text(BEGUN_NS + number * 3600 * 10**9)
        writer.write([Append((*entries, *(ends if number % 2 else ())), at)])
    terms = BudgetTerms(name="all", period=BudgetPeriod.TOTAL, limits={"USD": "1", "tokens": "1"})
    expected = {((), False, "USD"): (6 * 10**18, 6 * 10**18), ((), False, "tokens"): (6 * 150, 6 * 2)}
    assert expected == read_used(execute, terms, FOR_EVER)


def test_a_thousand_calls_at_once_on_a_limit_for_ten(store: SqliteStore, execute: Execute, made: "Made") -> None:
    """In one transaction exactly ten are written; what is refused can be answered in the next."""
    terms = BudgetTerms(name="ten", period=BudgetPeriod.DAY, limits={"USD": "15"})
    budgets = Budgets(lambda terms, within: read_used(execute, terms, within), entries=[put(terms)], at=END)
    writer, at = Writer(store, budgets=budgets), utc_text(BEGUN_NS)
    ids = [f"{number:032x}" for number in range(1000)]
    outcomes = writer.write(
        [Append((made.tool_call(tool_call_id=one), made.intent(tool_call_id=one)), at) for one in ids]
    )
    assert 990 == sum(isinstance(outcome, BudgetStopError) for outcome in outcomes)
    assert {((), False, "USD"): (0, 15 * 10**12)} == read_used(execute, terms, window(terms.period, "UTC", at))
    assert states_of(execute, [terms], at) == budgets.states(at).states


def test_no_answer_frees_what_it_may_have_cost(store: SqliteStore, execute: Execute, made: "Made") -> None:
    """Settled without a price, or by what calls itself a simulator: the limit holds, now and after a start."""
    terms = BudgetTerms(name="two", period=BudgetPeriod.DAY, limits={"USD": "3"})
    writer, at = Writer(store, budgets=keeper(execute, terms)), utc_text(BEGUN_NS)
    unpriced = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
    for number, cost in enumerate((unpriced, made.cost(amount="1.5"))):
        call_id = f"{number:032x}"
        accepted = made.accepted(tool_call_id=call_id, headers={"exai-simulator": "1"})
        ends = accepted, made.settlement(tool_call_id=call_id, cost=cost), made.answer(tool_call_id=call_id)
        for entries in ((made.tool_call(tool_call_id=call_id), made.intent(tool_call_id=call_id)), ends):
            assert [True] == [isinstance(one, tuple) for one in writer.write([Append(entries, at)])]
    third = Append((made.tool_call(tool_call_id="3" * 32), made.intent(tool_call_id="3" * 32)), at)
    expected = {((), False, "USD"): (15 * 10**11, 15 * 10**11)}
    assert expected == read_used(execute, terms, window(terms.period, "UTC", at))
    for budgets in (writer.budgets, keeper(execute, terms)):
        assert [(15 * 10**11, 15 * 10**11)] == [(one.spent, one.reserved) for one in budgets.states(at).states]
        (refused,) = Writer(store, budgets=budgets).write([third])
        assert isinstance(refused, BudgetStopError)


def keeper(execute: Execute, terms: BudgetTerms) -> Budgets:
    """Take up one budget, as a start does."""
    return Budgets(
        lambda terms, within: read_used(execute, terms, within), entries=[put(terms)], at=utc_text(BEGUN_NS)
    )


@pytest.mark.parametrize("period", PERIODS)
def test_nothing_is_read_in_full(store: SqliteStore, execute: Execute, period: BudgetPeriod) -> None:
    """However long the log is, calls are found by an index, and attempts by their calls."""
    assert store.next_index == 0
    plans: list[str] = []

    def plan(query: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        plans.extend(str(row[3]) for row in execute(f"EXPLAIN QUERY PLAN {query}", values))
        return []

    at = utc_text(BEGUN_NS)
    terms = BudgetTerms(name="a", period=period, limits={"USD": "1"}, client="bob", each=("wallet",))
    assert {} == read_used(plan, terms, window(period, "UTC", at))
    read = [step for step in plans if step.startswith(("SCAN", "SEARCH"))]
    assert len(read) in {2, 3}
    assert [] == [step for step in read if step.startswith("SCAN")]
