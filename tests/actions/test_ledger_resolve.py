"""What somebody found out about an attempt in doubt becomes an entry, once, with who and why."""

from typing import TYPE_CHECKING

import pytest

from service.actions.ledger_resolve import ACTION, LedgerResolve
from service.core.entries import ResolutionEntry, decode
from service.core.words import AttemptOutcome, ResolutionOutcome
from service.errors import ActionError
from service.ledger.choosing import CallFilter
from service.ledger.verify import compare_rows, verify
from tests.acting import BY, Acting
from tests.custody import doubted, lived

if TYPE_CHECKING:
    from tests.conftest import Made

CALL = f"{2:032x}"


def asked(**changed: object) -> LedgerResolve:
    """Ask to reconcile the call's attempt."""
    usual = {"outcome": "reconciled", "amount": "0.125", "currency": "USD", "tokens": 70, "why": "the bill"}
    return LedgerResolve(**{"id": CALL, "above_bound": False, **usual, **changed})  # type: ignore[arg-type] # any field


async def test_a_resolution_is_written_down(lab: Acting, made: "Made") -> None:
    """The reply shows the attempt as it was held and the entry's place; lists and sums follow at once."""
    await lab.stand.ledger.append(*lived(made, 1), *doubted(made, 2))
    done = await ACTION.run(asked(), lab.stand, BY)
    assert ("reconciled", "0.125", "USD", 70, BY, "the bill") == (
        done.outcome,
        done.amount,
        done.currency,
        done.tokens,
        done.by,
        done.why,
    )
    assert ("1.5", 1600, "0.125", "stream_cut") == (
        done.held.amount,
        done.held.input_tokens + done.held.output_tokens,
        done.estimate and done.estimate.amount,
        done.doubt,
    )
    assert done.index is not None
    line = lab.stand.reading.line(done.index)
    assert line is not None
    assert isinstance(decode(line.entry), ResolutionEntry)
    (row,) = (one.attempts[0] for one in lab.stand.reading.calls(CallFilter()) if one.call.tool_call_id == CALL)
    assert (AttemptOutcome.RECONCILED, 125_000_000_000, None, None, 70) == (
        row.outcome,
        row.cost_pico,
        row.held_pico,
        row.held_tokens,
        row.stated_tokens,
    )
    (sums,) = lab.stand.reading.sums(CallFilter())
    assert (0, 0, 375_000_000_000) == (sums.in_doubt, sums.held_pico, sums.cost_pico)
    assert () == verify(lab.stand.reading.lines()).problems
    assert () == compare_rows(lab.stand.reading).problems


async def test_what_is_written_off_frees_what_was_held(lab: Acting, made: "Made") -> None:
    """It costs nothing that is known: neither spend nor held."""
    await lab.stand.ledger.append(*doubted(made, 2))
    written_off = asked(outcome=ResolutionOutcome.WRITTEN_OFF, amount=None, currency=None, tokens=None)
    done = await ACTION.run(written_off, lab.stand, BY)
    assert (None, None) == (done.amount, done.currency)
    (sums,) = lab.stand.reading.sums(CallFilter())
    assert (1, 0, 0, 0) == (sums.attempts, sums.in_doubt, sums.held_pico, sums.cost_pico)


async def test_it_is_done_once(lab: Acting, made: "Made") -> None:
    """The second time it is told who resolved it, and nothing is written."""
    await lab.stand.ledger.append(*doubted(made, 2))
    await ACTION.run(asked(), lab.stand, BY)
    before = lab.stand.reading.head()
    with pytest.raises(ActionError, match=r"is resolved already: reconciled at .* by a test"):
        await ACTION.run(asked(), lab.stand, BY)
    assert before == lab.stand.reading.head()


async def test_who_comes_second_in_a_race_is_refused(
    lab: Acting, made: "Made", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the write somebody else resolved it: the record itself refuses the second."""
    await lab.stand.ledger.append(*doubted(made, 2))
    call = lab.stand.reading.call(CALL)
    await ACTION.run(asked(), lab.stand, BY)
    monkeypatch.setattr(lab.stand.reading, "call", lambda _call_id: call)
    with pytest.raises(ActionError, match=r"it was not written: .* only what is in doubt is resolved"):
        await ACTION.run(asked(), lab.stand, BY)


async def test_nothing_is_written_for_what_is_refused(lab: Acting, made: "Made") -> None:
    """Neither for an unknown id, nor for an amount that cannot be."""
    await lab.stand.ledger.append(*doubted(made, 2))
    before = lab.stand.reading.head()
    for wrong in (asked(id="f" * 32), asked(amount="2"), asked(currency="CNY")):
        with pytest.raises(ActionError):
            await ACTION.run(wrong, lab.stand, BY)
    assert before == lab.stand.reading.head()
