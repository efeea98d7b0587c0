"""How far a log can be relied on is what the notary, the log and the audit say at this moment."""

from pathlib import Path
from typing import TYPE_CHECKING

from service.core.entries import ActionEntry, BudgetEntry, BudgetTerms
from service.core.note import SigningKey
from service.core.words import BudgetEvent, BudgetPeriod
from service.ledger.assurance import assuring
from service.ledger.auditing import Audited
from service.ledger.checkpoints import Checkpoints
from service.ledger.notary import Notary
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from tests.ledger.conftest import ORIGIN, Lives

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.ledger.conftest import Opened

KEY = SigningKey(ORIGIN, b"k" * 32)


async def test_it_says_what_is_signed_and_what_waits(tmp_path: Path, opened: "Opened", lives: Lives) -> None:
    """Before the first signature all entries wait; after it those that came since."""
    store, checkpoints = SqliteStore(tmp_path, new_origin=ORIGIN), Checkpoints(tmp_path / "kept")
    checkpoints.prepare()
    notary = Notary(KEY, lambda note: checkpoints.keep(ORIGIN, note))
    audited = Audited(verified=1)
    async with opened(store) as ledger:
        reading = Reading(tmp_path)
        assure = assuring(reading, notary, checkpoints, lambda: audited)
        before = assure()
        assert (1, 0, 1, None, "") == (
            before.entries,
            before.signed,
            before.unsigned,
            before.signed_at,
            before.note,
        )
        notary.start()
        notary.offer(store.tree.range)
        assert notary.wait(1, 20) is not None
        await ledger.append(*lives.opening(1))
        after = assure()
        assert (3, 1, 2, 2) == (after.entries, after.signed, after.unsigned, after.waiting)
        assert after.note == checkpoints.read(ORIGIN)
        assert after.signed_at is not None
        assert (KEY.verifier.text, KEY.verifier.key_id.hex()) == (after.public_key, after.key_id)
        assert (False, 0, False, audited) == (after.failing, after.failures, after.witnessed, after.audited)
        reading.close()
        notary.close()
    assert Checkpoints(tmp_path, witness=tmp_path / "w").witnessed


async def test_what_was_done_to_the_ledger_is_found_by_index(
    tmp_path: Path, opened: "Opened", lives: Lives, made: "Made"
) -> None:
    """Entries of no call and resolutions are listed newest first, a page at a time, without reading the calls."""
    async with opened(SqliteStore(tmp_path, new_origin=ORIGIN)) as ledger:
        call_id = lives.call_id(1)
        await ledger.append(*lives.opening(1))
        await ledger.append(made.doubt(tool_call_id=call_id), made.answer(tool_call_id=call_id))
        await ledger.append(made.resolution(tool_call_id=call_id))
        await ledger.append(ActionEntry(action="backup", by="somebody", detail={}))
        reading = Reading(tmp_path)
        assert [6, 5, 0] == [entry.index for entry in reading.told()]
        assert [5] == [entry.index for entry in reading.told(before=6, limit=1)]
        plans = reading.select(
            'EXPLAIN QUERY PLAN SELECT "index" FROM entries WHERE kind = \'resolution\' AND "index" < 9'
        )
        assert "resolutions" in str(plans)
        reading.close()


async def test_limits_are_read_from_the_tables(tmp_path: Path, opened: "Opened") -> None:
    """The budgets in force stand in the windows that hold a time."""
    terms = BudgetTerms(name="daily", period=BudgetPeriod.DAY, limits={"USD": "5"})
    async with opened(SqliteStore(tmp_path, new_origin=ORIGIN)) as ledger:
        await ledger.append(
            BudgetEntry(event=BudgetEvent.SET, name="daily", terms=terms, warning=None, by="somebody")
        )
        reading = Reading(tmp_path)
        (state,) = reading.budgets("2026-11-22T16:21:00.000000Z")
        assert (terms, 5 * 10**12, 0, 0) == (state.terms, state.limit, state.spent, state.reserved)
        assert "2026-11-22T00:00:00.000000Z" == state.window.begins
        reading.close()
