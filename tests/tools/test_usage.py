"""Tests of the usage tool."""

from typing import Any

import jsonschema_rs
import pytest

from service.core.account import Account, Asked
from service.core.shapes import Ask, Completion
from service.core.spending import Spending
from service.errors import InvalidArgumentsError
from service.proving.prover import NoProver
from service.tools.usage import ROWS_MAX
from service.tools.usage import TOOL as USAGE

SPENT = Spending(
    currency="USD",
    calls=3,
    attempts=4,
    settled=2,
    in_doubt=1,
    open=1,
    uncached_input_tokens=60,
    cached_input_tokens=40,
    output_tokens=50,
    reasoning_tokens=30,
    spent_pico=250_000_000_000,
    held_pico=1_500_000_000_000,
    last_at="2026-11-22T16:21:00.000000Z",
)
UNKNOWN = Spending(simulated=True, calls=2, attempts=1, settled=1, unpriced=1, calls_without_attempt=1)
NOBODY = Spending(calls=2, calls_without_attempt=2)


class FixedBooks:
    """Books that answer every question with the same rows, and remember what they were asked."""

    def __init__(self, totals: tuple[Spending, ...] = (), rows: tuple[Spending, ...] = ()) -> None:
        self.asked: list[Asked] = []
        self._totals = totals
        self._rows = rows

    async def spending(self, asked: Asked) -> Account:
        """Answer."""
        self.asked.append(asked)
        return Account(
            asked=asked,
            as_of="2026-11-22T16:22:00.000000Z",
            owner="default",
            since="2026-11-22T00:00:00.000000Z",
            until=None,
            rows=self._rows or self._totals,
            totals=self._totals,
        )


class ClosedDesk:
    """A desk that must not be asked."""

    async def complete(self, ask: Ask) -> Completion:
        """Fail."""
        message = f"a model was asked: {ask}"
        raise AssertionError(message)


async def told(books: FixedBooks, **arguments: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 - any argument
    """Run the tool; what it gives must fit its schema."""
    jsonschema_rs.validate(dict(USAGE.input_schema), arguments)
    result = await USAGE.run(arguments, ClosedDesk(), books, NoProver(), on_text=None)
    assert result.structured is not None
    jsonschema_rs.validate(dict(USAGE.output_schema or {}), result.structured)
    return result.text, result.structured


async def test_all_arguments_reach_the_books() -> None:
    """Each argument has its place in the question; what is left out asks for everything, in UTC."""
    books = FixedBooks()
    await told(books, by=["provider", "day"], **{"from": "2026-11-01", "to": "2026-12-01"}, zone="Asia/Kolkata")
    await told(books, range="today")
    await told(books)
    first = Asked(by=("provider", "day"), since="2026-11-01", until="2026-12-01", zone="Asia/Kolkata")
    assert [first, Asked(range="today"), Asked()] == books.asked


async def test_the_text_says_what_the_numbers_mean() -> None:
    """Spend, what is held apart, what is unknown and what is simulated: each in words, whose calls with them."""
    text, structured = await told(FixedBooks((UNKNOWN, SPENT)))
    lines = text.splitlines()
    assert lines[0] == (
        "Usage, from 2026-11-22T00:00:00.000000Z, calls of client default alone."
        " As of 2026-11-22T16:22:00.000000Z."
    )
    assert lines[1] == (
        "Total: SIMULATED, no real money: spent: unknown, 2 calls; 1 attempt (1 settled); tokens 0 in (0 cached),"
        " 0 out (0 reasoning); 1 without a known price; 1 of the calls asked no provider."
    )
    assert lines[2] == (
        "Total: 0.25 USD spent, 3 calls; 4 attempts (2 settled); tokens 100 in (40 cached), 50 out (30 reasoning);"
        " 1 in doubt, held apart: ≤ 1.5 USD; 1 not ended yet."
    )
    assert [(None, None, True), ("USD", "0.25", False)] == [
        (total["currency"], total["spent"], total["simulated"]) for total in structured["totals"]
    ]


async def test_groups_are_listed_under_the_totals() -> None:
    """A group that only an attempt has is named as missing where there was none."""
    rows = (
        Spending(tool="usage", calls=2, calls_without_attempt=2),
        Spending(provider="kimi", tool="chat", calls=1),
    )
    text, structured = await told(FixedBooks((NOBODY,), rows), by=["provider", "tool"])
    asked_nobody = "2 calls that asked no provider; nothing was spent."
    assert [f"Total: {asked_nobody}", f"- no provider, usage: {asked_nobody}"] == text.splitlines()[1:3]
    assert [(None, "usage"), ("kimi", "chat")] == [(row["provider"], row["tool"]) for row in structured["rows"]]


async def test_an_empty_ledger_is_told_in_words() -> None:
    """No rows are no silence."""
    text, _ = await told(FixedBooks())
    said = "This ledger holds no such call of client default. What was used elsewhere it cannot show."
    assert said == text.splitlines()[1]


async def test_what_is_not_settled_is_not_called_nothing() -> None:
    """An attempt in doubt at an unknown price is none settled, and held at an unknown amount."""
    text, _ = await told(FixedBooks((Spending(calls=1, attempts=1, in_doubt=1),)))
    assert "Total: spent: none settled, 1 call; " in text
    assert "1 in doubt, held apart: unknown" in text


async def test_too_many_rows_are_refused() -> None:
    """Nothing is left out in silence: the caller is told to ask for less."""
    books = FixedBooks((NOBODY,), (NOBODY,) * (ROWS_MAX + 1))
    with pytest.raises(InvalidArgumentsError, match=f"at most {ROWS_MAX}") as raised:
        await told(books, by=["hour"])
    assert "shorter range" in raised.value.remedy


@pytest.mark.parametrize(
    ("arguments", "valid"),
    [
        ({}, True),
        ({"by": ["day", "hour"], "range": "mtd"}, True),
        ({"from": "2026-11-22", "zone": "UTC"}, True),
        ({"by": "day"}, False),
        ({"by": ["weekday"]}, False),
        ({"by": ["day", "day"]}, False),
        ({"range": "2h"}, False),
        ({"range": "1h", "from": "2026-11-22"}, False),
        ({"range": "1h", "to": "2026-11-22"}, False),
        ({"from": "x" * 41}, False),
        ({"zone": "x" * 65}, False),
        ({"provider": "kimi"}, False),
    ],
)
def test_the_schema_says_what_may_be_asked(arguments: dict[str, Any], *, valid: bool) -> None:
    """Every argument has bounds, and a name that is not known is refused."""
    assert valid == jsonschema_rs.is_valid(dict(USAGE.input_schema), arguments)


def test_the_schemas_are_schemas() -> None:
    """Both are valid JSON Schema."""
    for schema in (USAGE.input_schema, USAGE.output_schema):
        jsonschema_rs.meta.validate(dict(schema or {}))
