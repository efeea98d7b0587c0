"""What every entry begins with, and which versions are read."""

from service.core.entry import READABLE, VERSION, Entry


def test_every_version_up_to_this_one_is_read() -> None:
    """Written bytes are never changed, so no version is ever dropped."""
    assert set(range(1, VERSION + 1)) == READABLE


def test_an_entry_that_the_ledger_has_not_placed_stands_nowhere() -> None:
    """Its place is impossible, so nobody takes it for a written one."""
    unplaced = Entry()
    assert (VERSION, "", 0, -1, "") == (
        unplaced.v,
        unplaced.origin,
        unplaced.epoch,
        unplaced.index,
        unplaced.at,
    )
