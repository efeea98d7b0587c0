"""Packages: both ends of a window need a reading of their own."""

from typing import TYPE_CHECKING

import pytest

from service.core.words import ReadingCause
from service.proving.packages import unseen
from tests.proving.test_scales import Altering, saying

if TYPE_CHECKING:
    from service.core.books import ReadingEntry
    from tests.proving.conftest import Lab, Laboratory

GLM = [("glm", "glm", "sim-lab")]


async def both(lab: "Lab") -> "tuple[tuple[ReadingEntry, ...], tuple[ReadingEntry, ...]]":
    """Read a wallet twice."""
    first = await lab.proving.readers.read(lab.wallet, cause=ReadingCause.PROOF)
    lab.clock.pass_s(1)
    return first, await lab.proving.readers.read(lab.wallet, cause=ReadingCause.PROOF)


def is_unseen(lab: "Lab", opening: "tuple[ReadingEntry, ...]", closing: "tuple[ReadingEntry, ...]") -> bool:
    """Ask of the lab's wallet."""
    return unseen(lab.reading, lab.wallet, lab.proving.measures[lab.wallet.name], opening, closing)


async def test_one_reading_at_both_ends_is_none_at_the_later(open_lab: "Laboratory") -> None:
    """Where the counter failed at the end, what it said at the begin stands there, and was not seen again."""
    async with open_lab(keys=GLM) as lab:
        opening, closing = await both(lab)
        again = tuple(
            next(old for old in opening if old.counter == one.counter) if one.counter == "packages" else one
            for one in closing
        )
        assert [one.counter for one in closing] == [one.counter for one in again]
        assert "packages" in {one.counter for one in opening}
        assert not is_unseen(lab, opening, closing)
        assert is_unseen(lab, opening, again)
        left = tuple(one for one in closing if one.counter != "packages")
        assert is_unseen(lab, opening, left)


@pytest.mark.parametrize(("status", "expected"), [(500, "hides"), (404, "tells")])
async def test_a_counter_that_is_not_offered_hides_nothing(
    status: int, expected: str, open_lab: "Laboratory"
) -> None:
    """One that fails may hide packages; where there is none, nothing is hidden."""
    async with open_lab(keys=GLM) as lab:
        Altering(lab, "tokenAccounts", saying({}, status))
        opening, closing = await both(lab)
        assert (expected == "hides") is is_unseen(lab, opening, closing)
