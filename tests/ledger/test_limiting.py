"""Budgets around a real ledger: warnings are written once each, and the file of settings is a voice in the log."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from service.core.budget import warned
from service.core.entries import BudgetEntry, BudgetTerms, OfCall
from service.core.times import utc_text
from service.core.words import BudgetEvent, BudgetPeriod
from service.errors import BudgetStopError, StoreFullError
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.limiting import BY_FILE, follow_file, limiting
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.store import Line, Rows
from service.ledger.writer import Writer

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.ledger.conftest import Lives, Ticking

WAIT_S = 20
HELD, NOW = 15 * 10**11, "2026-11-22T12:00:00.000000Z"
FULL = StoreFullError("the disk is full")


def put(name: str, limit: str, *, by: str = "anna", period: str = "total") -> BudgetEntry:
    """Set a budget in USD; each of these attempts may cost 1.5 and costs 0.25."""
    terms = BudgetTerms(name=name, period=BudgetPeriod(period), limits={"USD": limit})
    return BudgetEntry(event=BudgetEvent.SET, name=name, terms=terms, warning=None, by=by)


class Ledgers:
    """The same folder, started again and again."""

    def __init__(self, folder: Path, clock: "Ticking") -> None:
        self.folder = folder
        self._clock = clock
        self.refuse: str | None = None  # an append of this kind finds no room

    @asynccontextmanager
    async def open(self, *canaries: bytes) -> AsyncIterator[Ledger]:
        """Start, and stop at the end."""
        store = SqliteStore(self.folder, new_origin="exai/test")
        append = store.append

        def full_or_not(lines: Sequence[Line], rows: Rows) -> None:
            if self.refuse in {line.kind for line in lines}:
                raise FULL
            append(lines, rows)

        store.append = full_or_not  # type: ignore[method-assign] # a disk that is full for some
        feed = Feed((), reread=lambda *_: (), next_index=store.next_index)
        feed.start()
        budgets = limiting(store, at=utc_text(self._clock.now_ns()))
        ledger = Ledger(Writer(store, budgets=budgets, canaries=canaries), feed, clock=self._clock)
        try:
            await ledger.start({})
            yield ledger
        finally:
            await ledger.close()

    @property
    def entries(self) -> list[BudgetEntry]:
        """What was said of budgets."""
        reading = Reading(self.folder)
        try:
            return [entry for entry in reading.of_ledger() if isinstance(entry, BudgetEntry)]
        finally:
            reading.close()

    @property
    def percents(self) -> list[int]:
        """What was warned of."""
        return [entry.warning.percent for entry in self.entries if entry.warning is not None]


@pytest.fixture
def ledgers(tmp_path: Path, clock: "Ticking") -> Ledgers:
    """A folder for ledgers."""
    return Ledgers(tmp_path, clock)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the writer's thread does after it has woken us."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - another thread writes; it knows no event
            await asyncio.sleep(0.001)


async def run(ledger: Ledger, lives: "Lives", *numbers: int) -> None:
    """Open and settle calls."""
    for number in numbers:
        await ledger.append(*lives.opening(number))
        await ledger.append(*lives.ending(number))


async def test_each_threshold_warns_once(
    ledgers: Ledgers, lives: "Lives", caplog: pytest.LogCaptureFixture
) -> None:
    """One entry and one line of the log for each, also over a start; the next intent need not wait for it."""
    async with ledgers.open() as ledger:
        await ledger.append(put("b", "3"))
        await run(ledger, lives, 1, 2, 3)
        await until(lambda: [50] == ledgers.percents)
    async with ledgers.open() as ledger:
        await run(ledger, lives, 4, 5, 6, 7)
        await until(lambda: [50, 80, 95] == ledgers.percents)
        with pytest.raises(BudgetStopError):
            await ledger.append(*lives.opening(8))
        assert () == ledger.writer.due
    assert [50, 80, 95] == ledgers.percents
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [warned(entry) for entry in ledgers.entries if entry.warning is not None] == lines
    assert "budget b has 1.5 of 3 USD spent and reserved, 50 % or more" == lines[0]


async def test_a_full_disk_delays_a_warning(ledgers: Ledgers, lives: "Lives") -> None:
    """It stays due, fails nobody, and is written once there is room."""
    async with ledgers.open() as ledger:
        await ledger.append(put("b", "1.5"))
        ledgers.refuse = "budget"
        await ledger.append(*lives.opening(1))
        await until(lambda: ledger.full)
        assert [95] == [entry.warning.percent for entry in ledger.writer.due if entry.warning]
        ledgers.refuse = None
        await ledger.append(*lives.ending(1))
        await until(lambda: not ledger.writer.due)
        assert not ledger.full
    assert [95] == ledgers.percents


async def test_what_a_crash_swallowed_is_said_at_the_start(ledgers: Ledgers, lives: "Lives") -> None:
    """A warning that was due and never written is due again."""
    async with ledgers.open() as ledger:
        await ledger.append(put("b", "1.5"))
        ledgers.refuse = "budget"
        await ledger.append(*lives.opening(1))
    assert [] == ledgers.percents
    ledgers.refuse = None
    async with ledgers.open() as ledger:
        await until(lambda: [95] == ledgers.percents)
        assert () == ledger.writer.due


async def test_a_warning_that_may_not_be_written_is_dropped(
    ledgers: Ledgers, lives: "Lives", caplog: pytest.LogCaptureFixture
) -> None:
    """It is not tried for ever: the log says so, and calls go on."""
    async with ledgers.open(b'"percent":') as ledger:
        await ledger.append(put("b", "1.5"))
        await run(ledger, lives, 1)
        await until(lambda: "may not be written" in caplog.text)
        await ledger.append(put("c", "100"))
        assert () == ledger.writer.due
    assert [] == ledgers.percents


async def test_new_terms_take_what_was_due_with_them(ledgers: Ledgers, lives: "Lives") -> None:
    """Raised before its warning was written, a budget does not warn of the old limit."""
    async with ledgers.open() as ledger:
        await ledger.append(put("b", "1.5"))
        ledgers.refuse = "budget"
        await ledger.append(*lives.opening(1))
        await until(lambda: ledger.full)
        ledgers.refuse = None
        await ledger.append(put("b", "100"))
        await until(lambda: not ledger.writer.due)
    assert [] == ledgers.percents


async def test_a_disk_that_fails_at_a_warning(
    ledgers: Ledgers, lives: "Lives", monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a failure as any other: nothing more is written."""
    async with ledgers.open() as ledger:
        await ledger.append(put("b", "1.5"))
        monkeypatch.setattr(ledger.writer, "warn", _broken)
        await ledger.append(*lives.opening(1))
        await until(lambda: ledger.failed)


def _broken(_at: str) -> None:
    raise OSError


async def test_limits_hold_over_a_start(ledgers: Ledgers, lives: "Lives", made: "Made") -> None:
    """What is spent and what a crash left in doubt is read from the tables, and a resolution frees it."""
    opening: list[OfCall] = lives.opening(1)
    async with ledgers.open() as ledger:
        await ledger.append(put("b", "2"))
        await ledger.append(*opening)
    async with ledgers.open() as ledger:  # the sweep has put it in doubt
        assert [(0, HELD)] == [(one.spent, one.reserved) for one in ledger.writer.budgets.states(NOW).states]
        with pytest.raises(BudgetStopError, match=r"allows 2 USD in all, and this attempt could use 1\.5 USD"):
            await ledger.append(*lives.opening(2))
        await ledger.append(msgspec.structs.replace(made.written_off(), tool_call_id=opening[0].tool_call_id))
        await ledger.append(*lives.opening(2))


async def test_the_file_of_settings(ledgers: Ledgers, caplog: pytest.LogCaptureFixture) -> None:
    """Its budgets are set and removed in the log; what has not changed is not said again."""
    caplog.set_level(logging.INFO)

    async def follow(
        *wanted: BudgetEntry, has_file: bool = True, warnings: Sequence[str] = ()
    ) -> list[tuple[str, str, str]]:
        async with ledgers.open() as ledger:
            reading = Reading(ledgers.folder)
            try:
                stated = [entry.terms for entry in wanted if entry.terms is not None]
                said = await follow_file(ledger, reading, stated, has_file=has_file, warnings=warnings)
            finally:
                reading.close()
            return [(entry.event.value, entry.name, entry.by) for entry in said]

    assert [("set", "a", BY_FILE)] == await follow(put("a", "5"), warnings=["nobody has this wallet"])
    assert "nobody has this wallet" in caplog.messages
    assert [] == await follow(put("a", "5"))
    async with ledgers.open() as ledger:
        await ledger.append(put("mine", "7"))
    caplog.clear()
    assert [("removed", "a", BY_FILE), ("set", "mine", BY_FILE)] == await follow(put("mine", "8"))
    assert [
        "budget a is removed, as the file of settings says",
        "budget mine, set by 'anna', is from now on as the file of settings says",
    ] == caplog.messages
    caplog.clear()
    assert [] == await follow(has_file=False)  # a start in another folder lifts no limit
    assert ["budget mine still holds: a file of settings stated it, and this start found none"] == caplog.messages
    assert [("removed", "mine", BY_FILE)] == await follow()
