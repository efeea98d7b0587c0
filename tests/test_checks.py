"""What `/health` looks at: each check can fail, and says what to do."""

import pytest

from service import checks
from service.core.entries import SystemEntry
from service.errors import StoreFullError
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
