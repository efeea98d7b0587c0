"""A person's word finds entries: a tool call's id, an attempt's, an index; and nothing else does."""

from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from service.errors import ActionError
from service.ledger.finding import find
from service.ledger.sqlite import FILE_NAME
from tests.custody import Custody, custody

if TYPE_CHECKING:
    from tests.conftest import Made

CALL = "c" * 32


@pytest.fixture
async def kept(tmp_path: Path, made: "Made") -> Custody:
    """A log of one call with two attempts, between a start and a stop."""
    kept = custody(tmp_path)
    second = made.intent(2, retry_of=made.attempt_id(1))
    await kept.write(
        made.tool_call(), made.intent(), made.unsent(), second, made.accepted(2), made.settlement(2), made.answer()
    )
    return kept


@pytest.mark.parametrize(
    ("word", "found"),
    [
        (CALL, [1, 2, 3, 4, 5, 6, 7]),
        (f"{1:032x}", [2, 3]),
        (f"{2:032x}", [4, 5, 6]),
        ("0", [0]),
        ("8", [8]),
        ("0000008", [8]),
    ],
)
def test_what_a_word_finds(kept: Custody, word: str, found: list[int]) -> None:
    """A call's entries, an attempt's among them, or one by its place; always in order."""
    with kept.reading() as reading:
        assert found == [line.index for line in find(reading, word)]


@pytest.mark.parametrize("word", ["d" * 32, "C" * 32, "ccc", "", "-1", "1 OR 1", "x" * 500, "٣", "%"])
def test_what_finds_nothing(kept: Custody, word: str) -> None:
    """It is repeated in part, with what a word may be."""
    with kept.reading() as reading, pytest.raises(ActionError, match="there is no tool call") as caught:
        find(reading, word)
    assert len(caught.value.message) < 150
    assert "32 hex digits" in caught.value.remedy


@pytest.mark.parametrize("word", ["9", "9" * 18])
def test_an_index_beyond_the_end(kept: Custody, word: str) -> None:
    """It is told where the log ends."""
    with kept.reading() as reading, pytest.raises(ActionError, match=f"no entry {word}; its last one is 8"):
        find(reading, word)


def test_a_damaged_entry_is_found_by_its_call(kept: Custody) -> None:
    """What cannot be read any more can be looked at, and hides no other entry."""
    connection = apsw.Connection(str(kept.data / FILE_NAME))
    connection.execute("DROP TRIGGER entries_never_change")
    connection.execute("UPDATE entries SET entry = x'7b' WHERE \"index\" = 5")
    connection.close()
    with kept.reading() as reading:
        assert [1, 2, 3, 4, 5, 6, 7] == [line.index for line in find(reading, CALL)]
        assert [4, 6] == [line.index for line in find(reading, f"{2:032x}")]
