"""Each append broken two ways, refused and refused although it was kept; then the folder is opened anew."""

from typing import TYPE_CHECKING

import apsw
import pytest

from service.core.entries import kind as kind_of
from service.core.words import AttemptOutcome, ToolOutcome
from service.errors import LedgerFailedError, StoreFullError
from service.ledger.choosing import CallFilter
from service.ledger.reading import CallLine, Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.verify import compare_rows, verify

if TYPE_CHECKING:
    from pathlib import Path

    from service.core.entries import OfCall
    from tests.ledger.conftest import Lives, Opened, Probe

ORIGIN = "exai/test"
_SWEPT = (ToolOutcome.FAILED, AttemptOutcome.IN_DOUBT)

# What fails, whether it was kept nevertheless, and what the call must be after the next start: None if it must
# not exist, else its outcome and its attempt's.
MATRIX = [
    ("intent", False, None),
    ("intent", True, _SWEPT),
    ("settlement", False, _SWEPT),
    ("settlement", True, (ToolOutcome.FAILED, AttemptOutcome.SETTLED)),
    ("answer", False, (ToolOutcome.FAILED, AttemptOutcome.SETTLED)),
    ("answer", True, (ToolOutcome.OK, AttemptOutcome.SETTLED)),
]


def read_whole(folder: "Path") -> list[CallLine]:
    """List the calls of a folder whose log and tables must be whole."""
    reading = Reading(folder)
    assert verify(reading.lines()).problems == ()
    assert compare_rows(reading).problems == ()
    found = reading.calls(CallFilter())
    reading.close()
    return found


def parts(lives: "Lives") -> "list[list[OfCall]]":
    """Give a call's life as three appends: opening with intent, settlement, answer."""
    settlement, answer = lives.ending(1)
    return [lives.opening(1), [settlement], [answer]]


def kinds(entries: "list[OfCall]") -> set[str]:
    """Name the kinds of an append."""
    return {kind_of(entry) for entry in entries}


@pytest.mark.parametrize(("kind", "persisted", "expected"), MATRIX)
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), apsw.IOError("disk I/O error")], ids=repr)
async def test_a_failed_append_is_known_after_the_next_start(
    folder: "Path",
    probe: "type[Probe]",
    opened: "Opened",
    lives: "Lives",
    error: Exception,
    kind: str,
    persisted: bool,  # noqa: FBT001 - a column of the matrix
    expected: tuple[ToolOutcome, AttemptOutcome] | None,
) -> None:
    """The caller hears of the failure; the next start finds what was kept, and never loses nor doubles it."""
    store = probe(SqliteStore(folder, new_origin=ORIGIN))
    failed: list[Exception] = []
    async with opened(store, on_failure=failed.append) as ledger:
        store.fault = (kind, error, persisted)
        for entries in parts(lives):
            if kind not in kinds(entries):
                await ledger.append(*entries)
                continue
            with pytest.raises(LedgerFailedError):
                await ledger.append(*entries)
            break
    assert failed == [error]
    async with opened(SqliteStore(folder, new_origin=ORIGIN)):
        pass
    calls = read_whole(folder)
    assert [expected] * (expected is not None) == [(one.call.outcome, one.attempts[0].outcome) for one in calls]


@pytest.mark.parametrize("kind", ["intent", "settlement", "answer"])
async def test_a_full_disk_is_survived_at_every_step(
    folder: "Path", probe: "type[Probe]", opened: "Opened", lives: "Lives", kind: str
) -> None:
    """An append that finds the disk full leaves nothing behind; the same append succeeds once there is space."""
    store = probe(SqliteStore(folder, new_origin=ORIGIN))
    async with opened(store) as ledger:
        for entries in parts(lives):
            if kind in kinds(entries):
                store.fault = (kind, StoreFullError("the disk is full"), False)
                with pytest.raises(StoreFullError):
                    await ledger.append(*entries)
                assert ledger.full
                store.fault = None
            await ledger.append(*entries)
            assert not ledger.full
        assert not ledger.failed
    (call,) = read_whole(folder)
    assert call.call.outcome == ToolOutcome.OK
