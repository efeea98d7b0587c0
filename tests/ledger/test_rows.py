"""Rows are a pure view of records: what each step changes, and nothing that is not known."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.core.entries import WorstCase
from service.core.evidence import Signature
from service.core.money import PICO_PER_UNIT
from service.core.record import SIMULATOR_HEADER, Step
from service.core.words import AttemptOutcome, CostStatus, ResolutionSource, ToolOutcome, ZeroReason
from service.ledger.reading import Reading
from service.ledger.rows import (
    AMOUNT_PICO_MAX,
    NOTHING,
    SUM_MAX,
    SUMMED,
    added,
    added_up_to_max,
    attempt_row,
    call_row,
    rolled_up,
    rows,
)
from service.ledger.sqlite import SqliteStore
from service.ledger.store import AttemptRow, RollupSums, Rows
from tests.conftest import AT

if TYPE_CHECKING:
    from service.core.entries import OfCall
    from tests.conftest import Made

UNBOUND = WorstCase(input_tokens=5, output_tokens=5, currency=None, amount=None)
HALF, QUARTER = 3 * PICO_PER_UNIT // 2, PICO_PER_UNIT // 4


def last_row(made: "Made", *entries: "OfCall") -> AttemptRow:
    """Show the only attempt of a call."""
    return attempt_row(made.call(*entries).attempts[-1])


def test_an_open_attempt_is_held(made: "Made") -> None:
    """Until it ends an attempt has no cost and no usage, and is held at its worst case."""
    row = last_row(made, made.intent())
    assert (AttemptOutcome.OPEN, HALF, "USD") == (row.outcome, row.held_pico, row.currency)
    unknown = {row.http_status, row.cost_pico, row.estimate_pico, row.output_tokens, row.duration_us}
    assert {None} == unknown


def test_a_settled_attempt_costs(made: "Made") -> None:
    """A settlement releases what was held and states cost and usage; the id of the request is the header's."""
    row = last_row(made, made.intent(), made.accepted(), made.settlement())
    assert (None, QUARTER, CostStatus.PRICED) == (row.held_pico, row.cost_pico, row.cost_status)
    assert (60, 40, 0, 50, 30) == (
        row.uncached_input_tokens,
        row.cached_input_tokens,
        row.cache_write_tokens,
        row.output_tokens,
        row.reasoning_tokens,
    )
    assert (200, "header-1", 20_250) == (row.http_status, row.provider_request_id, row.duration_us)


def test_an_attempt_knows_its_place_and_its_own_code(made: "Made") -> None:
    """Where the log holds its intent and its end, when that was, and what its record alone says of it."""
    signature = Signature(nonce="n", model="m", signature="s", timestamp="1")
    row = attempt_row(made.call(made.intent(), made.settlement(signature=signature)).attempts[0])
    assert (1, 2, AT, True, "M8") == (row.intent_index, row.end_index, row.ended_at, row.signed, row.code)
    row = attempt_row(made.call(made.intent()).attempts[0])
    assert (1, None, None, False, "U9") == (row.intent_index, row.end_index, row.ended_at, row.signed, row.code)
    row = attempt_row(made.call(made.intent(), made.doubt(), made.resolution()).attempts[0])
    assert (2, "U10") == (row.end_index, row.code)


def test_a_request_without_header_ids_is_known_by_its_body(made: "Made") -> None:
    """Where no header named the request, the body's id does; an id that was ours never does."""
    row = last_row(made, made.intent(), made.settlement(provider_ids={"id": "b-1", "request_id": "ours"}))
    assert row.provider_request_id == "b-1"


def test_an_attempt_in_doubt_is_held_with_an_estimate(made: "Made") -> None:
    """In doubt: held at its worst case, an estimate beside it, no cost."""
    row = last_row(made, made.intent(), made.doubt())
    assert (HALF, PICO_PER_UNIT // 8, None) == (row.held_pico, row.estimate_pico, row.cost_pico)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, (PICO_PER_UNIT // 2, None, 700)),
        ({"tokens": None}, (PICO_PER_UNIT // 2, 1600, None)),
        ({"amount": "0", "tokens": None}, (0, None, 0)),
    ],
)
def test_a_reconciled_attempt_costs_what_was_stated(
    made: "Made", changed: dict[str, Any], expected: tuple[int, int | None, int | None]
) -> None:
    """No money is held any more; tokens are, if something was consumed and nobody said how much."""
    row = last_row(made, made.intent(), made.doubt(), made.resolution(**changed))
    assert (AttemptOutcome.RECONCILED, CostStatus.STATED) == (row.outcome, row.cost_status)
    assert (None, None) == (row.held_pico, row.estimate_pico)
    assert expected == (row.cost_pico, row.held_tokens, row.stated_tokens)


def test_an_amount_by_readings_is_nobodys_word(made: "Made") -> None:
    """Its status says so."""
    said = made.resolution(source=ResolutionSource.READINGS)
    assert CostStatus.RECONCILED is last_row(made, made.intent(), made.doubt(), said).cost_status


def test_a_written_off_attempt_holds_nothing(made: "Made") -> None:
    """Neither a cost nor anything held is left."""
    row = last_row(made, made.intent(), made.doubt(), made.written_off())
    assert (AttemptOutcome.WRITTEN_OFF, None, None) == (row.outcome, row.cost_status, row.cost_pico)
    assert (None, None, None) == (row.held_pico, row.held_tokens, row.stated_tokens)


def test_a_resolution_moves_the_sums(made: "Made") -> None:
    """What was added for the doubt is taken back, and what was stated is added: the attempt counts once."""
    intent, doubt, resolution = made.intent(), made.doubt(), made.resolution()
    closed = made.call(intent, doubt, made.answer())
    resolved = made.call(intent, doubt, made.answer(), resolution)
    assert (closed.answer, resolved.answer) != (None, None)
    answer = made.answer()
    ((key, before),) = rows([Step(answer, closed)]).rollups
    ((same, change),) = rows([Step(resolution, resolved)]).rollups
    ((also, at_once),) = rows([Step(answer, resolved), Step(resolution, resolved)]).rollups
    assert key == same == also
    assert at_once == added(before, change)
    assert (1, 1, 0, 1, 0, PICO_PER_UNIT // 2, 700) == (
        at_once.calls,
        at_once.attempts,
        at_once.in_doubt,
        at_once.reconciled,
        at_once.held_pico,
        at_once.cost_pico,
        at_once.stated_tokens,
    )


def test_a_resolution_before_the_answer_is_in_its_sums(made: "Made") -> None:
    """A call enters the roll-ups when it is closed, as it then stands."""
    early = made.call(made.intent(), made.doubt(), made.resolution())
    assert () == rows([Step(made.resolution(), early)]).rollups
    closed = made.call(made.intent(), made.doubt(), made.resolution(), made.answer())
    ((_, sums),) = rows([Step(made.answer(), closed)]).rollups
    assert (1, 0, PICO_PER_UNIT // 2) == (sums.reconciled, sums.in_doubt, sums.cost_pico)


def test_a_call_of_several_sums_is_in_none(made: "Made") -> None:
    """What asked two models is read by itself, so that no sum counts it twice; its row says so."""
    first, rest = (made.intent(1), made.refusal(1)), (made.settlement(2), made.answer())
    both = made.call(*first, made.intent(2, model="kimi-k9"), *rest)
    one = made.call(*first, made.intent(2), *rest)
    assert (None, False) == (rolled_up(both), call_row(both).rolled_up)
    assert call_row(one).rolled_up
    assert not call_row(made.call(made.intent())).rolled_up


def test_a_call_without_an_attempt_is_counted(made: "Made") -> None:
    """It has a place of its own: nobody was asked, and nobody is named."""
    found = rolled_up(made.call(made.answer(zero_reason=ZeroReason.CACHED)))
    assert found is not None
    key, sums = found
    assert (NOTHING, NOTHING, NOTHING, NOTHING) == (key.provider, key.wallet, key.model, key.currency)
    assert RollupSums(calls=1, calls_without_attempt=1, last_at=sums.last_at) == sums


def test_refused_and_unsent_hold_nothing(made: "Made") -> None:
    """Neither costs nor holds anything; an attempt that was never sent has no status."""
    refused, unsent = last_row(made, made.intent(), made.refusal()), last_row(made, made.intent(), made.unsent())
    assert [(None, None, 429), (None, None, None)] == [
        (row.held_pico, row.cost_pico, row.http_status) for row in (refused, unsent)
    ]


def test_an_unknown_price_is_not_zero(made: "Made") -> None:
    """Without a price the cost is None, and the quarter hour counts one unpriced attempt."""
    cost = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
    call = made.call(made.intent(worst_case=UNBOUND), made.settlement(cost=cost), made.answer())
    assert attempt_row(call.attempts[0]).cost_pico is None
    ((key, sums),) = rows([Step(made.answer(), call)]).rollups
    assert (NOTHING, 1, 0) == (key.currency, sums.unpriced, sums.cost_pico)


@pytest.mark.parametrize("simulated", [False, True])
def test_an_answer_moves_no_attempt_to_the_simulated_side(simulated: bool, made: "Made") -> None:  # noqa: FBT001 - the very flag
    """Rows say what the intent said: a gateway that plays simulator hides no spend of a real key."""
    call = made.call(made.intent(simulated=simulated), made.accepted(headers={SIMULATOR_HEADER: "1"}))
    assert (simulated, simulated) == (attempt_row(call.attempts[0]).simulated, call_row(call).simulated)


def test_a_settlement_without_a_price_stays_reserved(made: "Made") -> None:
    """What it cost is unknown, not nothing: its bound is held and its call read by itself. No bound, no hold."""
    cost = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
    worst = made.intent().worst_case
    for bound, expected in ((worst, (HALF, "USD", False)), (UNBOUND, (None, None, True))):
        call = made.call(made.intent(worst_case=bound), made.settlement(cost=cost), made.answer())
        row = attempt_row(call.attempts[0])
        assert expected == (row.held_pico, row.currency, call_row(call).rolled_up)
        assert (None, None) == (row.held_tokens, row.cost_pico)


def test_a_call_that_leaves_a_quarter_hour_is_taken_from_it(made: "Made") -> None:
    """A resolution that names the currency moves its call: the one sum loses it, the other gains it."""
    intent = made.intent(worst_case=UNBOUND)
    resolution = made.resolution(currency="CNY")
    resolved = made.call(intent, made.doubt(estimate=None), made.answer(), resolution)
    (left, less), (into, more) = rows([Step(resolution, resolved)]).rollups
    assert ((NOTHING, -1, ""), ("CNY", 1)) == (
        (left.currency, less.calls, less.last_at),
        (into.currency, more.calls),
    )


def test_a_call_row_shows_the_answer(made: "Made") -> None:
    """A call's row is open until its answer."""
    left, closed = made.call(made.intent()), made.call(made.intent(), made.settlement(), made.answer())
    assert [(None, None, 1), (ToolOutcome.OK, 21_000, 1)] == [
        (row.outcome, row.duration_us, row.attempts) for row in map(call_row, (left, closed))
    ]


@pytest.mark.parametrize(("minute", "bucket"), [("00", "00"), ("14", "00"), ("15", "15"), ("59", "45")])
def test_quarter_hours_begin_at_their_minute(made: "Made", minute: str, bucket: str) -> None:
    """A call belongs to the quarter hour in which it was opened."""
    call = made.call(made.intent(), made.settlement(), made.answer())
    opened = made.tool_call(at=f"2026-11-22T16:{minute}:59.999999Z")
    found = rolled_up(msgspec.structs.replace(call, opened=opened))
    assert found is not None
    assert f"2026-11-22T16:{bucket}:00Z" == found[0].bucket


def test_a_batch_sums_each_call_once(made: "Made") -> None:
    """Only the step that closes a call counts it; of a row's several states the last one is put."""
    entries: list[OfCall] = [made.intent(1), made.refusal(1), made.intent(2), made.settlement(2), made.answer()]
    call = made.call(*entries)
    written = [attempt.intent for attempt in call.attempts]
    ends = [attempt.end for attempt in call.attempts if attempt.end is not None]
    assert call.answer is not None
    found = rows([Step(entry, call) for entry in (call.opened, *written, *ends, call.answer)])
    assert (1, 2, 1) == (len(found.calls), len(found.attempts), len(found.rollups))
    assert (2, 1, QUARTER) == (
        found.rollups[0][1].attempts,
        found.rollups[0][1].settled,
        found.rollups[0][1].cost_pico,
    )


def test_sums_add_field_by_field() -> None:
    """Nothing is lost in an addition."""
    one = RollupSums(**{name: place for place, name in enumerate(SUMMED)}, last_at="2026-11-22")
    other = RollupSums(**{name: place for place, name in enumerate(SUMMED)}, last_at="2026-11-23")
    twice = RollupSums(**{name: 2 * place for place, name in enumerate(SUMMED)}, last_at="2026-11-23")
    assert added(one, other) == twice == added(other, one)


def test_a_sum_that_cannot_be_held_does_not_stop_the_ledger(made: "Made", folder: Path) -> None:
    """Where a quarter hour's sum would leave 64 bits, it stays at the most they hold, on the disk as in memory."""
    closed = made.call(made.intent(), made.settlement(), made.answer())
    ((key, sums),) = rows([Step(made.answer(), closed)]).rollups
    sums = msgspec.structs.replace(sums, cost_pico=AMOUNT_PICO_MAX)
    expected = RollupSums()
    store = SqliteStore(folder, new_origin="exai/test")
    for _ in range(12):
        expected = added_up_to_max(expected, sums)
        store.append([], Rows((), (), ((key, sums),)))
    store.close()
    reading = Reading(folder)
    assert {key: expected} == reading.rollups()
    assert (SUM_MAX, 12) == (expected.cost_pico, expected.settled)
    reading.close()


@pytest.mark.parametrize("amount", ["-0.1", f"{AMOUNT_PICO_MAX // PICO_PER_UNIT}.1", "NaN"])
def test_an_amount_beyond_any_price_is_refused(made: "Made", amount: str) -> None:
    """It is refused before it is written."""
    with pytest.raises(ValueError, match="amount"):
        last_row(made, made.intent(), made.settlement(cost=made.cost(amount=amount)))
