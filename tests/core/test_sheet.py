"""Tests of sheets."""

import pytest

from service.core.sheet import FORMULA, cell, sheet


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ""), (True, "true"), (False, "false"), (0, "0"), (-5, "-5"), ("kimi", "kimi"), ("a=1", "a=1")],
)
def test_a_value_is_written_plainly(value: object, expected: str) -> None:
    """What is not known is an empty cell, never a zero."""
    assert expected == cell(value)


@pytest.mark.parametrize("begin", FORMULA)
def test_no_text_is_run(begin: str) -> None:
    """A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    assert f"'{begin}cmd" == cell(f"{begin}cmd")


def test_cells_are_parted_as_rfc_4180_says() -> None:
    """Commas and quotes are quoted; lines end with CR LF; the bytes are UTF-8."""
    assert b'a,"b,c"\r\n"say ""x""",\xc3\xa9\r\n' == sheet([["a", "b,c"], ['say "x"', "é"]])
    assert b"" == sheet([])
