"""Our own parts: each check can fail, and says what to do."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from service.checks import own
from service.core.entries import SystemEntry
from service.errors import LedgerFailedError, StoreFullError
from service.ledger.ballast import Ballast
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.sqlite import FILE_NAME
from service.web.health import Check, State
from tests.rig import no_reread, rig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from service.core.record import Step

NOTE = SystemEntry(event="note", detail={})
LAST_AT = "2026-11-22T16:21:00.000000Z"
NOW_NS = 1_795_364_460_000_000_000 + 7_000_000_000


class Usage(NamedTuple):
    """What a disk says of itself."""

    total: int
    used: int
    free: int


class Disk:
    """A disk with as much room as the test says; None: it cannot be looked at."""

    def __init__(self) -> None:
        self.free: int | None = 0

    def free_bytes(self, _folder: Path) -> int:
        """Say how much room there is."""
        if self.free is None:
            raise PermissionError
        return self.free


@pytest.fixture
def file(tmp_path: Path) -> own.LedgerFile:
    """Look at a ledger's file that is there."""
    (tmp_path / FILE_NAME).write_bytes(b"ledger")
    return own.LedgerFile(tmp_path)


def look(ledger: Ledger, file: own.LedgerFile) -> Check:
    """Look at the store, 7 s after its last entry."""
    return own.store(ledger, file, last_at=LAST_AT, now_ns=NOW_NS)


async def test_the_store_says_when_it_was_last_written(file: own.LedgerFile) -> None:
    """A ledger that is well says so with its last entry's age; one without an entry has no age."""
    async with rig() as lab:
        found = look(lab.ledger, file)
        assert (State.OK, 7, LAST_AT) == (
            found.state,
            found.detail["last_write_age_s"],
            found.detail["last_write_at"],
        )
        assert "7 s ago" in found.sentence
        assert own.store(lab.ledger, file, last_at=None, now_ns=NOW_NS).detail["last_write_age_s"] is None


async def test_a_full_disk_is_seen_until_there_is_room(file: own.LedgerFile) -> None:
    """While the last write found no room the store is not well; the next that succeeds makes it so."""
    async with rig() as lab:
        lab.store.fault = ("system", StoreFullError("the disk is full"), 1)
        with pytest.raises(StoreFullError):
            await lab.ledger.append(NOTE)
        found = look(lab.ledger, file)
        assert (State.DEGRADED, True) == (found.state, "Free space" in found.sentence)
        await lab.ledger.append(NOTE)
        assert look(lab.ledger, file).state is State.OK


async def test_a_ballast_that_is_used_is_seen_until_it_is_made_again(
    file: own.LedgerFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no call is begun, store and readiness say so and how much room ends it; then both are well."""
    disk = Disk()
    async with rig() as lab:
        kept = Ballast(tmp_path, 1000, free_bytes=disk.free_bytes)
        monkeypatch.setattr(lab.ledger.writer, "ballast", kept)
        ready = own.ready(lab.ledger, tmp_path, is_stopping=lambda: False, free_bytes=disk.free_bytes)
        found = look(lab.ledger, file)
        assert (State.DEGRADED, True) == (found.state, found.detail["ballast_used"])
        assert "The ballast is used" in found.sentence
        assert kept.remedy in found.sentence
        assert not ready()[0]
        disk.free = own.FREE_BYTES_MIN
        assert (True, []) == ready()  # the next call will find the room
        assert kept.restore()
        found = look(lab.ledger, file)
        assert (State.OK, False) == (found.state, found.detail["ballast_used"])


async def test_a_disk_that_failed_is_seen(file: own.LedgerFile) -> None:
    """After a write that failed, the store is not well until the next start."""
    async with rig() as lab:
        lab.store.fault = ("system", OSError("the disk is gone"), 1)
        with pytest.raises(LedgerFailedError):
            await lab.ledger.append(NOTE)
        assert (State.DEGRADED, True) == (
            look(lab.ledger, file).state,
            "Check the disk" in look(lab.ledger, file).sentence,
        )


@pytest.mark.parametrize("away", [Path.unlink, lambda path: path.rename(path.with_name("elsewhere"))])
async def test_a_ledger_whose_file_has_gone_is_seen(
    file: own.LedgerFile, tmp_path: Path, away: "Callable[[Path], object]"
) -> None:
    """Nothing is written to a deleted or moved file; another file in its place is not the same."""
    async with rig() as lab:
        ready = own.ready(lab.ledger, tmp_path, is_stopping=lambda: False)
        assert (True, []) == ready()
        (tmp_path / "other").write_bytes(b"another")
        away(tmp_path / FILE_NAME)
        for _ in range(2):
            found = look(lab.ledger, file)
            assert (State.DEGRADED, True) == (found.state, "no call is taken" in found.sentence)
            is_ready, (reason,) = ready()
            assert (False, True) == (is_ready, "see /health" in reason)
            (tmp_path / "other").rename(tmp_path / FILE_NAME)
            (tmp_path / "other").write_bytes(b"")


async def test_a_disk_that_can_only_be_read_is_seen(
    file: own.LedgerFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A system that met errors makes a disk read-only: no write need fail before that is told."""
    found = os.statvfs(tmp_path)
    values = list(found)
    values[8] |= os.ST_RDONLY
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    async with rig() as lab:
        assert (State.DEGRADED, True) == (
            look(lab.ledger, file).state,
            "only be read" in look(lab.ledger, file).sentence,
        )


async def test_appends_that_pile_up_are_seen(file: own.LedgerFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what may wait at all is too much."""
    async with rig() as lab:
        for waiting, state in ((own.WAITING_SLOW - 1, State.OK), (own.WAITING_SLOW, State.DEGRADED)):
            monkeypatch.setattr(lab.ledger, "_waiting", waiting)
            assert state is look(lab.ledger, file).state
        monkeypatch.undo()


async def test_a_full_disk_ends_readiness_until_there_is_room() -> None:
    """A write that found no room ends it, room begins it again, and the next write clears the flag."""
    disk = Disk()
    async with rig() as lab:
        ready = own.ready(lab.ledger, Path("/far/folder"), is_stopping=lambda: False, free_bytes=disk.free_bytes)
        assert (True, []) == ready()
        lab.store.fault = ("system", StoreFullError("the disk is full"), 1)
        with pytest.raises(StoreFullError):
            await lab.ledger.append(NOTE)
        for free in (0, own.FREE_BYTES_MIN - 1, None):
            disk.free = free
            is_ready, (reason,) = ready()
            assert (False, True) == (is_ready, "data folder" in reason)
        disk.free = own.FREE_BYTES_MIN
        assert (True, []) == ready()
        await lab.ledger.append(NOTE)
        disk.free = 0
        assert (True, []) == ready()


async def test_every_reason_against_readiness_is_said() -> None:
    """A disk that failed and a stop are two reasons."""
    async with rig() as lab:
        lab.store.fault = ("system", OSError("the disk is gone"), 1)
        with pytest.raises(LedgerFailedError):
            await lab.ledger.append(NOTE)
        is_ready, reasons = own.ready(lab.ledger, Path("/far/folder"), is_stopping=lambda: True)()
        assert not is_ready
        assert ["The ledger's disk failed; see /health.", "The service is stopping."] == reasons


@pytest.mark.parametrize(
    ("free", "state"), [(own.FREE_BYTES_LOW, State.OK), (own.FREE_BYTES_LOW - 1, State.DEGRADED)]
)
def test_a_disk_warns_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    """Little room is degraded while there still is some; the ledger's size counts what is not checkpointed yet."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(4 * free, 3 * free, free))
    (tmp_path / FILE_NAME).write_bytes(bytes(1000))
    (tmp_path / f"{FILE_NAME}-wal").write_bytes(bytes(500))
    found = own.disk(tmp_path)
    assert (state, free, 1500) == (found.state, found.detail["free_bytes"], found.detail["ledger_bytes"])
    assert "25% of the disk" in found.sentence


def test_a_disk_that_cannot_be_looked_at_is_not_well(tmp_path: Path) -> None:
    """No number is no good number."""
    assert own.disk(tmp_path / "nowhere").state is State.DEGRADED


def test_a_feed_that_lags_or_fails_is_not_well() -> None:
    """Steps that wait beyond the bound, and one failure of a listener, are each enough."""

    class Failing:
        def take(self, _steps: "Sequence[Step]") -> None:
            raise ValueError

    queue = Feed([Failing()], reread=no_reread, next_index=0)
    assert own.feed(queue).state is State.OK
    queue.failures = 1
    assert own.feed(queue).state is State.DEGRADED
    queue.failures = 0
    queue._offered = own.LAG_STEPS_MAX + 1
    assert own.feed(queue).state is State.DEGRADED


def test_an_equation_that_does_not_hold_is_named() -> None:
    """What disagrees stands in the sentence."""
    assert own.conservation(()).state is State.OK
    found = own.conservation(("a = b: 1 ≠ 2",))
    assert (State.DEGRADED, "Numbers disagree: a = b: 1 ≠ 2") == (found.state, found.sentence)


def test_spans_that_are_dropped_are_told_in_every_state() -> None:
    """Whether the way is open, closed or off, what was lost on it is said."""
    for state in State:
        found = own.spans(state, exported=5, dropped=3)
        assert (state, True) == (found.state, "3 were dropped" in found.sentence)
        assert "dropped" not in own.spans(state, exported=5, dropped=0).sentence
