"""The account of a ledger: words are resolved, owners are kept, and what is not known is refused."""

from typing import TYPE_CHECKING, Any

import pytest

from service.core.account import Asked
from service.core.times import utc_ns
from service.errors import InvalidArgumentsError
from service.ledger.account import account

if TYPE_CHECKING:
    from tests.ledger.conftest import Full

NOW_NS = utc_ns("2026-11-22T20:00:00Z")
NOW = "2026-11-22T20:00:00.000000Z"


async def test_rows_and_totals_are_of_one_moment_and_one_span(written: "Full") -> None:
    """The question's own words, its bounds in UTC, its rows, and totals over all of them."""
    async with written(3) as reading:
        asked = Asked(by=("provider", "day"), range="today", zone="Asia/Kolkata", provider=("kimi",))
        found = account(reading, asked, now_ns=NOW_NS)
        assert (asked, NOW, None) == (found.asked, found.as_of, found.owner)
        assert ("2026-11-22T18:30:00.000000Z", NOW) == (found.since, found.until)
        assert ((), ()) == (found.rows, found.totals)
        whole = account(reading, Asked(by=("provider", "day")), now_ns=NOW_NS)
        assert (None, None) == (whole.since, whole.until)
        assert [("kimi", "2026-11-22", 3)] == [(row.provider, row.day, row.calls) for row in whole.rows]
        assert [(None, None, 3, 2, 1)] == [
            (row.provider, row.day, row.calls, row.settled, row.open) for row in whole.totals
        ]


async def test_an_owner_sees_its_own(written: "Full") -> None:
    """Whatever client is asked for, another's calls are not in the sums."""
    async with written(2) as reading:
        assert 2 == account(reading, Asked(), now_ns=NOW_NS, owner="owner").totals[0].calls
        for asked in (Asked(), Asked(client=("owner",))):
            found = account(reading, asked, now_ns=NOW_NS, owner="somebody")
            assert ("somebody", ()) == (found.owner, found.totals)


@pytest.mark.parametrize(
    "wrong", [{"zone": "Mars/Base"}, {"range": "2h"}, {"since": "never"}, {"by": ("weekday",)}]
)
async def test_what_is_not_known_is_refused(written: "Full", wrong: dict[str, Any]) -> None:
    """Every word of a question is checked, and the refusal says what would do."""
    async with written(1) as reading:
        with pytest.raises(InvalidArgumentsError) as raised:
            account(reading, Asked(**wrong), now_ns=NOW_NS)
        assert raised.value.remedy
