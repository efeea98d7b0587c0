"""Rows are a pure view of records: what each step changes, and nothing that is not known."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.core.money import PICO_PER_UNIT
from service.core.record import SIMULATOR_HEADER, Step
from service.core.words import AttemptOutcome, CostStatus, ToolOutcome
from service.ledger.reading import Reading
from service.ledger.rows import (
    AMOUNT_PICO_MAX,
    NO_CURRENCY,
    SUM_MAX,
    added,
    added_up_to_max,
    attempt_row,
    call_row,
    rollup_key,
    rows,
)
from service.ledger.sqlite import SqliteStore
from service.ledger.store import AttemptRow, RollupSums, Rows

if TYPE_CHECKING:
    from service.core.entries import OfCall
    from tests.conftest import Made

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


def test_a_request_without_header_ids_is_known_by_its_body(made: "Made") -> None:
    """Where no header named the request, the body's id does; an id that was ours never does."""
    row = last_row(made, made.intent(), made.settlement(provider_ids={"id": "b-1", "request_id": "ours"}))
    assert row.provider_request_id == "b-1"


def test_an_attempt_in_doubt_is_held_with_an_estimate(made: "Made") -> None:
    """In doubt: held at its worst case, an estimate beside it, no cost."""
    row = last_row(made, made.intent(), made.doubt())
    assert (HALF, PICO_PER_UNIT // 8, None) == (row.held_pico, row.estimate_pico, row.cost_pico)


def test_refused_and_unsent_hold_nothing(made: "Made") -> None:
    """Neither costs nor holds anything; an attempt that was never sent has no status."""
    refused, unsent = last_row(made, made.intent(), made.refusal()), last_row(made, made.intent(), made.unsent())
    assert [(None, None, 429), (None, None, None)] == [
        (row.held_pico, row.cost_pico, row.http_status) for row in (refused, unsent)
    ]


def test_an_unknown_price_is_not_zero(made: "Made") -> None:
    """Without a price the cost is None, and the quarter hour counts one unpriced attempt."""
    cost = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
    call = made.call(made.intent(), made.settlement(cost=cost))
    row = attempt_row(call.attempts[0])
    assert row.cost_pico is None
    end = call.attempts[0].end
    assert end is not None
    ((key, sums),) = rows([Step(end, call)]).rollups
    assert (NO_CURRENCY, 1, 0) == (key.currency, sums.unpriced, sums.cost_pico)


def test_a_simulator_is_known_by_its_header(made: "Made") -> None:
    """An answer that says it is simulated marks attempt and call, whatever the intent said."""
    call = made.call(made.intent(), made.accepted(headers={SIMULATOR_HEADER: "1"}))
    assert (True, True) == (attempt_row(call.attempts[0]).simulated, call_row(call).simulated)


def test_a_call_row_shows_the_answer(made: "Made") -> None:
    """A call's row is open until its answer."""
    left, closed = made.call(made.intent()), made.call(made.intent(), made.settlement(), made.answer())
    assert [(None, None, 1), (ToolOutcome.OK, 21_000, 1)] == [
        (row.outcome, row.duration_us, row.attempts) for row in map(call_row, (left, closed))
    ]


@pytest.mark.parametrize(("minute", "bucket"), [("00", "00"), ("14", "00"), ("15", "15"), ("59", "45")])
def test_quarter_hours_begin_at_their_minute(made: "Made", minute: str, bucket: str) -> None:
    """An attempt belongs to the quarter hour in which it was intended."""
    call = made.call(made.intent())
    row = attempt_row(call.attempts[0])
    changed = type(row)(
        **{name: getattr(row, name) for name in row.__struct_fields__}
        | {"started_at": f"2026-11-22T16:{minute}:59.999999Z"}
    )
    assert f"2026-11-22T16:{bucket}:00Z" == rollup_key(call, changed).bucket


def test_a_batch_sums_each_end_once(made: "Made") -> None:
    """Only the step that ends an attempt counts it; of a row's several states the last one is put."""
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
    one = RollupSums(**{name: place for place, name in enumerate(RollupSums.__struct_fields__)})
    assert added(one, one) == RollupSums(
        **{name: 2 * place for place, name in enumerate(RollupSums.__struct_fields__)}
    )


def test_a_sum_that_cannot_be_held_does_not_stop_the_ledger(made: "Made", folder: Path) -> None:
    """Where a quarter hour's sum would leave 64 bits, it stays at the most they hold, on the disk as in memory."""
    dearest = made.settlement(cost=made.cost(amount=str(AMOUNT_PICO_MAX // PICO_PER_UNIT)))
    ((key, sums),) = rows([Step(dearest, made.call(made.intent(), dearest))]).rollups
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
