"""What `/health` looks at: each check can fail, and says what to do."""

from pathlib import Path

import pytest

from service import checks
from service.core.entries import SystemEntry
from service.errors import LedgerFailedError, StoreFullError
from tests.rig import rig

NOTE = SystemEntry(event="note", detail={})


async def test_a_full_disk_is_seen_until_there_is_room() -> None:
    """While the last write found no room the store is not well; the next that succeeds makes it so."""
    async with rig() as lab:
        assert checks.store(lab.ledger).ok
        lab.store.fault = ("system", StoreFullError("the disk is full"), 1)
        with pytest.raises(StoreFullError):
            await lab.ledger.append(NOTE)
        found = checks.store(lab.ledger)
        assert (False, True) == (found.ok, "Free space" in found.sentence)
        await lab.ledger.append(NOTE)
        assert checks.store(lab.ledger).ok


class Disk:
    """A disk with as much room as the test says; None: it cannot be looked at."""

    def __init__(self) -> None:
        self.free: int | None = 0

    def free_bytes(self, _folder: Path) -> int:
        """Say how much room there is."""
        if self.free is None:
            raise PermissionError
        return self.free


async def test_a_full_disk_ends_readiness_until_there_is_room() -> None:
    """A write that found no room ends it, room begins it again, and the next write clears the flag."""
    disk = Disk()
    async with rig() as lab:
        ready = checks.ready(
            lab.ledger, Path("/far/folder"), is_stopping=lambda: False, free_bytes=disk.free_bytes
        )
        assert (True, []) == ready()
        lab.store.fault = ("system", StoreFullError("the disk is full"), 1)
        with pytest.raises(StoreFullError):
            await lab.ledger.append(NOTE)
        for free in (0, checks.FREE_BYTES_MIN - 1, None):
            disk.free = free
            is_ready, (reason,) = ready()
            assert (False, True) == (is_ready, "data folder" in reason)
        disk.free = checks.FREE_BYTES_MIN
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
        is_ready, reasons = checks.ready(lab.ledger, Path("/far/folder"), is_stopping=lambda: True)()
        assert not is_ready
        assert ["The ledger's disk failed; see /health.", "The service is stopping."] == reasons


def test_the_room_of_a_folder_is_its_disks(tmp_path: Path) -> None:
    """A folder that exists has a number; one that does not cannot be looked at."""
    assert checks.free_bytes(tmp_path) >= 0
    with pytest.raises(OSError, match="nowhere"):
        checks.free_bytes(tmp_path / "nowhere")
