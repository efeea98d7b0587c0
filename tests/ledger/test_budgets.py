"""The keeper of budgets: limits hold within a batch and over windows, and warnings come once."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest

from service.core.budget import Cells
from service.core.entries import BudgetEntry, BudgetTerms
from service.core.periods import Window
from service.core.words import AttemptOutcome, BudgetEvent, BudgetPeriod
from service.errors import BudgetStopError
from service.ledger.budgets import BrokenBudgetError, Budgets, Draft
from service.ledger.store import AttemptRow

UNIT = 10**12
NOON = "2026-11-22T12:00:00.000000Z"
NEXT_DAY = "2026-11-23T00:00:00.000000Z"
WHOSE: Mapping[str, str] = {"client": "bob", "tool": "chat"}
CHAT: Mapping[str, str] = {"opened_at": NOON, **WHOSE}

OPEN = AttemptRow(
    attempt_id="a1",
    tool_call_id="c1",
    number=1,
    provider="kimi",
    wallet="work",
    model="kimi-k3",
    started_at=NOON,
    outcome=AttemptOutcome.OPEN,
    http_status=None,
    provider_request_id=None,
    simulated=False,
    currency="USD",
    cost_status=None,
    cost_pico=None,
    held_pico=UNIT,
    estimate_pico=None,
    uncached_input_tokens=None,
    cached_input_tokens=None,
    cache_write_tokens=None,
    output_tokens=None,
    reasoning_tokens=None,
    held_tokens=100,
    stated_tokens=None,
    duration_us=None,
)


def intent(**changed: Any) -> AttemptRow:  # noqa: ANN401 - any field
    """Intend an attempt that may cost 1 USD and 100 tokens."""
    return msgspec.structs.replace(OPEN, **changed)


def settled(row: AttemptRow, cost_pico: int, tokens: int = 10) -> AttemptRow:
    """Settle it."""
    return msgspec.structs.replace(
        row,
        outcome=AttemptOutcome.SETTLED,
        cost_pico=cost_pico,
        held_pico=None,
        held_tokens=None,
        uncached_input_tokens=tokens - 5,
        cached_input_tokens=1,
        cache_write_tokens=1,
        output_tokens=3,
        reasoning_tokens=2,
    )


def ended(row: AttemptRow) -> AttemptRow:
    """End it for nothing: refused, unsent or written off."""
    return msgspec.structs.replace(row, outcome=AttemptOutcome.REFUSED, held_pico=None, held_tokens=None)


def put(name: str = "daily", *, at: str = NOON, period: str = "day", **changed: Any) -> BudgetEntry:  # noqa: ANN401 - any field
    """Set a budget of 2 USD a day."""
    stated = {"name": name, "period": BudgetPeriod(period), "limits": {"USD": "2"}} | changed
    return BudgetEntry(
        event=BudgetEvent.SET, name=name, terms=BudgetTerms(**stated), warning=None, by="somebody", at=at
    )


def keeper(*entries: BudgetEntry, cells: Cells | None = None, at: str = NOON) -> Budgets:
    """Make a keeper over tables that say the same of every window."""
    return Budgets(lambda _terms, _window: cells or {}, entries=entries, at=at)


def run(budgets: Budgets, *rows: tuple[AttemptRow | None, AttemptRow]) -> tuple[BudgetEntry, ...]:
    """Commit changes of bob's chats, all admitted."""
    draft = budgets.draft()
    for before, after in rows:
        draft.change(before, after, opened_at=after.started_at, **WHOSE)
    return budgets.accept(draft)


def percents(warnings: Iterable[BudgetEntry]) -> list[int]:
    """Say of which thresholds it was warned."""
    return [entry.warning.percent for entry in warnings if entry.warning]


def stands(budgets: Budgets, at: str = NOON) -> list[tuple[str, int, int]]:
    """Say what is spent and reserved by unit, of one budget."""
    return [(state.unit, state.spent, state.reserved) for state in budgets.states(at).states]


def refused(draft: Draft, row: AttemptRow, **of: str) -> BudgetStopError:
    """Have an intent refused."""
    with pytest.raises(BudgetStopError) as caught:
        draft.change(None, row, **{"opened_at": row.started_at, **WHOSE, **of})
    return caught.value


def test_without_budgets_nothing_is_counted() -> None:
    """Every attempt passes, and the draft stays empty."""
    budgets = Budgets()
    draft = budgets.draft()
    draft.change(None, intent(held_pico=None), **CHAT)
    assert (False, {}, (), ()) == (
        budgets.active,
        draft.deltas,
        budgets.accept(draft),
        budgets.states(NOON).states,
    )


@pytest.mark.parametrize("nested", [True, False])
def test_a_thousand_intents_of_one_batch(*, nested: bool) -> None:
    """A limit for ten admits exactly ten, whether each append has a draft of its own or not."""
    budgets, admitted = keeper(put(limits={"USD": "10"})), 0
    draft = budgets.draft()
    for _ in range(1000):
        own = draft.nested() if nested else draft
        try:
            own.change(None, intent(), **CHAT)
        except BudgetStopError:
            continue
        admitted += 1
        if nested:
            draft.merge(own)
    budgets.accept(draft)
    assert (10, [("USD", 0, 10 * UNIT)]) == (admitted, stands(budgets))


def test_an_append_that_is_refused_leaves_no_trace() -> None:
    """Its draft is dropped with all that was admitted in it; so is a batch that was not committed."""
    budgets = keeper(put())
    draft = budgets.draft()
    own = draft.nested()
    own.change(None, intent(), **CHAT)
    own.change(None, intent(), **CHAT)
    refused(own, intent())
    draft.change(None, intent(), **CHAT)
    assert [("USD", 0, 0)] == stands(budgets)
    budgets.accept(draft)
    assert [("USD", 0, UNIT)] == stands(budgets)


def test_what_a_settlement_leaves_is_free_at_once() -> None:
    """Even for the next intent of the same batch; a doubt leaves nothing, until it is resolved."""
    budgets = keeper(put())
    first, second = intent(), intent(attempt_id="a2")
    run(budgets, (None, first), (None, second), (first, settled(first, UNIT // 4)))
    assert [("USD", UNIT // 4, UNIT)] == stands(budgets)
    doubt = msgspec.structs.replace(second, outcome=AttemptOutcome.IN_DOUBT)
    draft = budgets.draft()
    draft.change(second, doubt, **CHAT)
    refused(draft, intent())
    draft.change(doubt, ended(doubt), **CHAT)
    draft.change(None, intent(), **CHAT)
    budgets.accept(draft)
    assert [("USD", UNIT // 4, UNIT)] == stands(budgets)


def test_a_bill_above_the_worst_case_counts_in_full() -> None:
    """It passes the limit; then nothing more is admitted, were it free."""
    budgets, first = keeper(put(client="bob")), intent()
    run(budgets, (None, first), (first, settled(first, 3 * UNIT)))
    assert [("USD", 3 * UNIT, 0)] == stands(budgets)
    assert "3 USD spent" in str(refused(budgets.draft(), intent(held_pico=0)))


def test_every_unit_and_every_budget_must_allow_it() -> None:
    """Tokens of a budget stop what its money allows; of several stops the longest speaks."""
    budgets = keeper(
        put("a-day", limits={"USD": "9", "tokens": "150"}),
        put("b-month", period="month", limits={"tokens": "120"}, client="bob"),
    )
    draft = budgets.draft()
    draft.change(None, intent(), **CHAT)
    stopped = refused(draft, intent())
    assert str(stopped).startswith(
        "Budget 'b-month' allows 120 tokens a month: 0 tokens spent, 100 tokens reserved"
    )
    assert ("2026-12-01T00:00:00.000000Z", True) == (stopped.resets_at, stopped.retryable)
    run(budgets, (None, (first := intent())), (first, settled(first, 5)))
    assert [("USD", 5, 0), ("tokens", 10, 0), ("tokens", 10, 0)] == stands(budgets)


def test_what_never_fits_speaks_before_what_waits() -> None:
    """A price that nobody knows is no matter of waiting."""
    budgets = keeper(put("tokens", limits={"tokens": "1"}), put("usd"))
    stopped = refused(budgets.draft(), intent(held_pico=None, held_tokens=1))
    assert "no price is known" in str(stopped)
    assert not stopped.retryable


def test_an_unknown_price_may_be_let_pass() -> None:
    """It then uses no money, as far as is known."""
    budgets = keeper(put(allow_unknown_price=True))
    run(budgets, (None, intent(currency=None, held_pico=None)))
    assert [("USD", 0, 0)] == stands(budgets)


def test_an_intent_must_bound_its_tokens() -> None:
    """A limit of tokens cannot hold without."""
    with pytest.raises(BrokenBudgetError):
        keeper(put(limits={"tokens": "1"})).draft().change(None, intent(held_tokens=None), **CHAT)


def test_groups_and_simulated_use_stand_apart() -> None:
    """Each client has the whole limit for itself; a simulator's answer moves its attempt to the other side."""
    budgets = keeper(put(each=("client",), wallet="work"))
    draft = budgets.draft()
    for client in ("ann", "bob"):
        for _ in range(2):
            draft.change(None, intent(), opened_at=NOON, client=client, tool="chat")
        assert f"'daily' for client {client} allows" in str(refused(draft, intent(), client=client))
    draft.change(None, intent(wallet="home"), **CHAT)
    draft.change(intent(), intent(simulated=True), **CHAT)
    draft.change(None, intent(), **CHAT)
    budgets.accept(draft)
    assert [(("ann",), False, 2), (("bob",), False, 2), (("bob",), True, 1)] == [
        (state.group, state.simulated, state.reserved // UNIT) for state in budgets.states(NOON).states
    ]


def test_a_window_turns_with_the_calls_that_are_opened() -> None:
    """The new one is empty; the end of an attempt of the old one counts where its call was opened."""
    budgets, old = keeper(put()), intent()
    run(budgets, (None, old))
    new = intent(started_at=NEXT_DAY)
    run(budgets, (None, new), (old, settled(old, 7)))
    assert ([("USD", 7, 0)], [("USD", 0, UNIT)]) == (stands(budgets), stands(budgets, NEXT_DAY))
    draft = budgets.draft()
    draft.change(None, new, **CHAT)  # a retry after midnight is of the call's day
    budgets.accept(draft)
    assert ([("USD", 7, UNIT)], [("USD", 0, UNIT)]) == (stands(budgets), stands(budgets, NEXT_DAY))


def test_windows_that_are_over_are_forgotten_and_read_again() -> None:
    """Memory is bounded; a clock that steps far back finds what the tables say, with this batch on top."""
    asked: list[str] = []

    def source(_terms: BudgetTerms, window: Window) -> Cells:
        asked.append(window.begins[:16])
        return {((), False, "USD"): (UNIT, UNIT)} if len(asked) > 3 else {}

    budgets, old = Budgets(source, entries=[put(period="minute", client="bob")], at=NOON), intent()
    run(budgets, (None, old))
    for minute in ("01", "02"):
        run(budgets, (None, intent(started_at=f"2026-11-22T12:{minute}:59.000000Z")))
    assert ((), ["daily"]) == (budgets.states(NOON).states, [one.name for one in budgets.states(NOON).unheld])
    draft = budgets.draft()
    draft.change(old, settled(old, UNIT // 4), **CHAT)
    assert "1.25 USD spent, 0 USD reserved" in str(refused(draft, intent(held_pico=2 * UNIT)))
    assert ["2026-11-22T12:00", "2026-11-22T12:01", "2026-11-22T12:02", "2026-11-22T12:00"] == asked


def test_a_late_end_of_a_forgotten_window_changes_nothing_here() -> None:
    """The tables have it."""
    budgets, old = keeper(put(period="minute")), intent()
    run(budgets, (None, old))
    for minute in ("01", "02"):
        run(budgets, (None, intent(started_at=f"2026-11-22T12:{minute}:00.000000Z")))
    assert () == run(budgets, (old, settled(old, UNIT)))
    assert ((), 1) == (budgets.states(NOON).states, len(budgets.states(NOON).unheld))


def test_the_newest_window_is_never_forgotten() -> None:
    """Retries of calls that were opened before may look at any number of older ones."""
    budgets = keeper(put(period="minute"))
    for minute in ("09", "03", "04", "05"):
        run(budgets, (None, intent(started_at=f"2026-11-22T12:{minute}:59.000000Z")))
    for minute, expected in (("09", [("USD", 0, UNIT)]), ("05", [("USD", 0, UNIT)]), ("04", [])):
        assert expected == stands(budgets, f"2026-11-22T12:{minute}:00.000000Z")


def test_warnings_come_once() -> None:
    """Of the highest threshold that was passed, spent and reserved together, and again only above it."""
    budgets, first = keeper(put(limits={"USD": "10"})), intent(held_pico=55 * UNIT // 10)
    (half,) = run(budgets, (None, first))
    assert half.warning is not None
    assert (BudgetEvent.WARNED, "daily", None, "service") == (half.event, half.name, half.terms, half.by)
    assert (50, "5.5", "10", "USD", "2026-11-22T00:00:00.000000Z") == (
        half.warning.percent,
        half.warning.used,
        half.warning.limit,
        half.warning.unit,
        half.warning.window,
    )
    assert () == run(budgets, (first, settled(first, UNIT)), (None, intent(held_pico=5 * UNIT)))
    assert [95] == percents(run(budgets, (None, intent(held_pico=4 * UNIT))))
    assert () == budgets.due()


def test_a_start_gives_the_warnings_that_a_crash_swallowed() -> None:
    """What was written is not said again, neither of this window nor under the terms that hold."""
    used: Cells = {((), False, "USD"): (17 * UNIT // 10, 0)}
    (lost,) = keeper(put(), cells=used).due()
    assert lost.warning is not None
    assert [80] == percents([lost])
    assert () == keeper(put(), lost, cells=used).due()
    old = msgspec.structs.replace(lost, warning=msgspec.structs.replace(lost.warning, window="before"))
    assert (lost,) == keeper(put(), old, cells=used).due()
    assert (lost,) == keeper(put(), lost, put(), cells=used).due()
    noted = keeper(put(), cells=used)
    assert ((), ()) == (noted.take(lost), noted.due())


def test_a_window_that_is_read_on_the_way_does_not_warn_of_the_past() -> None:
    """Only a further threshold does."""
    budgets = keeper(put(period="minute"), cells={((), False, "USD"): (UNIT, 0)})
    later = intent(started_at="2026-11-22T12:05:00.000000Z", held_pico=UNIT // 10)
    assert () == run(budgets, (None, later))
    assert [80] == percents(run(budgets, (None, msgspec.structs.replace(later, held_pico=UNIT // 2))))


def test_terms_are_set_changed_and_removed() -> None:
    """From the next batch on; what is used already counts, and warns at once."""
    budgets = keeper(cells={((), False, "USD"): (UNIT, 0)})
    assert not budgets.active
    (due,) = budgets.take(put(client="bob"))
    assert (True, 50) == (budgets.active, due.warning and due.warning.percent)
    assert "1 USD spent" in str(refused(budgets.draft(), intent(held_pico=UNIT + 1)))
    assert () == budgets.take(put(limits={"USD": "3"}))
    run(budgets, (None, intent(held_pico=UNIT + 1)))
    assert () == budgets.take(
        BudgetEntry(event=BudgetEvent.REMOVED, name="daily", terms=None, warning=None, by="x")
    )
    assert (False, ()) == (budgets.active, budgets.states(NOON).states)


def test_a_warning_of_nothing_in_force_is_passed_over() -> None:
    """Its budget may have been removed since."""
    budgets = keeper(put(limits={"USD": "1"}), cells={((), False, "USD"): (UNIT, 0)})
    (due,) = budgets.due()
    assert () == keeper().take(due)


def test_less_than_nothing_is_a_fault() -> None:
    """An end that had no intent here stops the keeper; nothing more may be admitted on such sums."""
    budgets = keeper(put())
    draft = budgets.draft()
    draft.change(intent(), ended(intent()), **CHAT)
    with pytest.raises(BrokenBudgetError, match="would have"):
        budgets.accept(draft)
