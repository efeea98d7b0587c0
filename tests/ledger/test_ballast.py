"""The ballast: room that is there when none is left."""

import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.core.entries import SystemEntry
from service.errors import RolledBackError, StoreBrokenError, StoreError, StoreFullError, StoreLockedError
from service.ledger.ballast import FILE_NAME, RETRY_NS, Ballast, begins, free_bytes
from service.ledger.memory import Memory, MemoryStore
from service.ledger.writer import Append, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.core.entries import AnyEntry
    from tests.conftest import Made
    from tests.ledger.conftest import Lives, Probe

SIZE_BYTES = 3 * 1024 * 1024 + 5
AT = "2026-11-22T16:21:00.000000Z"
FULL = StoreFullError("the disk is full")


class Disk:
    """A disk with as much room as the test says, and a clock that stands until it is told otherwise."""

    def __init__(self, free: int = 10 * SIZE_BYTES) -> None:
        self.free = free
        self.at_ns = 0

    def free_bytes(self, _folder: Path) -> int:
        """Say how much room there is; a negative number cannot be asked for."""
        if self.free < 0:
            raise PermissionError
        return self.free

    def now_ns(self) -> int:
        """Say the time."""
        return self.at_ns


def made_of(folder: Path, disk: Disk) -> Ballast:
    """Make a small ballast."""
    return Ballast(folder, SIZE_BYTES, free_bytes=disk.free_bytes, monotonic_ns=disk.now_ns)


@pytest.fixture
def disk() -> Disk:
    """A disk with room."""
    return Disk()


def test_the_ballast_is_a_file_whose_room_is_taken(tmp_path: Path, disk: Disk) -> None:
    """It is there once it was made, also for the next start, and gone once it was given up."""
    kept = made_of(tmp_path, disk)
    assert (False, True, True) == (kept.present, kept.restore(), kept.present)
    found = (tmp_path / FILE_NAME).stat()
    assert (SIZE_BYTES, 0o600) == (found.st_size, found.st_mode & 0o777)
    assert found.st_blocks * 512 >= SIZE_BYTES
    assert [FILE_NAME] == [path.name for path in tmp_path.iterdir()]
    again = made_of(tmp_path, disk)
    assert (True, True, False) == (again.present, again.release(), again.present)
    assert [] == list(tmp_path.iterdir())
    assert not again.release()


def test_a_file_system_that_only_promises_room_is_written_to(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where preallocation takes no blocks, or there is none, bytes are written that cannot be made fewer."""
    for gone in (False, True):
        if gone:
            monkeypatch.delattr(os, "posix_fallocate")
        else:
            monkeypatch.setattr(os, "posix_fallocate", lambda file, _begin, size: os.ftruncate(file, size))
        kept = made_of(tmp_path, disk)
        assert kept.restore()
        content = (tmp_path / FILE_NAME).read_bytes()
        assert SIZE_BYTES == len(content)
        assert len(zlib.compress(content)) > 0.99 * SIZE_BYTES
        assert kept.release()


def test_a_ballast_needs_room_for_itself_twice(tmp_path: Path, disk: Disk) -> None:
    """With less it is not made, so that what is written next does not take it away at once."""
    kept = made_of(tmp_path, disk)
    assert 2 * SIZE_BYTES == kept.room_bytes_min
    for free, expected in ((-1, False), (0, False), (2 * SIZE_BYTES - 1, False), (2 * SIZE_BYTES, True)):
        disk.free = free
        assert expected == kept.restore()
        assert expected == (tmp_path / FILE_NAME).exists()


def test_what_a_dead_process_left_is_no_ballast(tmp_path: Path, disk: Disk) -> None:
    """A half made one has another name, one of another size is none; neither stands in the way."""
    (tmp_path / f"{FILE_NAME}.new").write_bytes(bytes(10))
    (tmp_path / FILE_NAME).write_bytes(bytes(10))
    kept = made_of(tmp_path, disk)
    assert not kept.present
    assert kept.restore()
    assert [FILE_NAME] == [path.name for path in tmp_path.iterdir()]


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun is removed again: it would take the room that is missing."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    kept = made_of(tmp_path, disk)
    assert not kept.restore()
    assert [] == list(tmp_path.iterdir())
    assert not made_of(tmp_path / "nowhere", disk).restore()


def test_a_release_that_fails_raises_nothing(tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever needs the room finds out that there is none."""
    kept = made_of(tmp_path, disk)
    assert kept.restore()
    (tmp_path / FILE_NAME).unlink()
    assert not kept.release()
    assert "could not be given up" in caplog.text
    assert not kept.present


def test_the_room_is_looked_for_once_a_second(tmp_path: Path, disk: Disk) -> None:
    """While it is away nothing begins; a second after a vain look there is another, and then it may."""
    disk.free = 0
    kept = made_of(tmp_path, disk)
    with pytest.raises(StoreFullError) as refused:
        kept.refuse_beginning()
    assert "6 MiB" in refused.value.remedy
    disk.free = kept.room_bytes_min
    disk.at_ns = RETRY_NS - 1
    with pytest.raises(StoreFullError):
        kept.refuse_beginning()
    disk.at_ns = RETRY_NS
    kept.refuse_beginning()
    assert kept.present
    disk.free = 0
    kept.refuse_beginning()


def test_calls_and_intents_begin_something(made: "Made") -> None:
    """Only these need room again later; all else ends something, or stands alone."""
    assert begins([made.tool_call()])
    assert begins([made.settlement(), made.intent(2)])
    assert not begins([made.accepted(), made.settlement(), made.doubt(), made.answer()])
    assert not begins([SystemEntry(event="start", detail={})])


def test_the_room_of_a_folder_is_its_disks(tmp_path: Path) -> None:
    """A folder that exists has a number; one that does not cannot be looked at."""
    assert free_bytes(tmp_path) >= 0
    with pytest.raises(OSError, match="nowhere"):
        free_bytes(tmp_path / "nowhere")


@pytest.fixture
def writing(tmp_path: Path, disk: Disk, probe: "type[Probe]") -> Writer:
    """A writer with a ballast, over a store that can be full."""
    kept = made_of(tmp_path, disk)
    assert kept.restore()
    return Writer(probe(MemoryStore(Memory(), new_origin="exai/test")), ballast=kept)


def write(writer: Writer, *appends: "Sequence[AnyEntry]") -> list[bool]:
    """Write a batch; say which of it was written. What was not found the disk full."""
    outcomes = writer.write([Append(tuple(entries), AT) for entries in appends])
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert all(isinstance(error, StoreFullError) for error in refused), refused
    return [not isinstance(outcome, Exception) for outcome in outcomes]


def test_on_a_full_disk_what_was_begun_ends_and_nothing_begins(
    writing: Writer, probe: "type[Probe]", disk: Disk, lives: "Lives"
) -> None:
    """The batch that finds it full is parted; later ones are too, until there is room for the ballast again."""
    store = writing.store
    assert isinstance(store, probe)
    assert [True] * 4 == write(writing, *(lives.opening(number) for number in range(1, 5)))
    disk.free, store.fault = 0, ("tool_call", FULL, False)
    batch = [lives.opening(5), lives.ending(1), lives.opening(6), lives.ending(2)]
    assert [False, True, False, True] == write(writing, *batch)
    store.fault = None
    assert writing.cramped
    assert [False, True] == write(writing, lives.opening(7), lives.ending(3))
    disk.free, disk.at_ns = 10 * SIZE_BYTES, RETRY_NS
    assert [True, True] == write(writing, lives.opening(7), lives.ending(4))
    assert not writing.cramped
    assert [True] == write(writing, lives.opening(5))


def test_without_room_in_the_ballast_either_nothing_is_written(
    writing: Writer, probe: "type[Probe]", disk: Disk, lives: "Lives"
) -> None:
    """The second refusal is final for the batch, and the writer goes on."""
    store = writing.store
    assert isinstance(store, probe)
    write(writing, lives.opening(1))
    disk.free, store.fault = 0, ("settlement", FULL, False)
    for _ in range(2):
        with pytest.raises(StoreFullError):
            write(writing, lives.ending(1))
    store.fault = None
    assert [True] == write(writing, lives.ending(1))


class Opening:
    """A store that opens at the nth try."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self) -> str:
        """Open it."""
        if self.errors:
            raise self.errors.pop(0)
        return "opened"


def test_a_start_on_a_full_disk_takes_the_ballast(tmp_path: Path, disk: Disk) -> None:
    """It is tried again in the ballast's room, once; then the start goes on without a ballast."""
    kept = made_of(tmp_path, disk)
    assert kept.restore()
    disk.free = 0
    assert "opened" == kept.opened(Opening(StoreError("no room")))
    assert not kept.present
    with pytest.raises(StoreError, match="no room"):
        kept.opened(Opening(StoreError("no room")))


@pytest.mark.parametrize(
    "error", [StoreLockedError("theirs"), StoreBrokenError("torn"), RolledBackError("old"), StoreError("rights")]
)
def test_a_start_that_fails_for_another_reason_keeps_the_ballast(
    tmp_path: Path, disk: Disk, error: StoreError
) -> None:
    """Where room is not what is missing, none is given up."""
    kept = made_of(tmp_path, disk)
    assert kept.restore()
    disk.free = SIZE_BYTES if type(error) is StoreError else 0
    with pytest.raises(type(error)):
        kept.opened(Opening(error))
    disk.free = -1
    with pytest.raises(type(error)):
        kept.opened(Opening(error))
    assert kept.present


def test_a_start_makes_the_ballast(tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """The first start makes it, a later one keeps it; where there is no room, the log says what that means."""
    assert made_of(tmp_path, disk).opened(Opening()) == "opened"
    kept = made_of(tmp_path, disk)
    disk.free = 0
    kept.opened(Opening())
    assert kept.present
    assert "" == caplog.text
    kept.release()
    kept.opened(Opening())
    assert "no room for the ballast: no call is taken" in caplog.text
