"""A statement is read exactly, or refused with the line and the column that is wrong."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import statement
from service.core.legend import Columns, Legend, Meaning
from service.core.money import pico
from service.core.statement import StatementRow, read_statement
from service.core.times import NS_PER_S, utc_ns
from service.errors import StatementError

HEAD = "ID,Time,Model,Input tokens,Cached tokens,Output tokens,Amount,Currency\n"
ROW = "a-1,2026-11-22T16:21:00Z,kimi-k3,100,40,50,0.2500,usd\n"


def rows(text: str, **meaning: Any) -> tuple[StatementRow, ...]:  # noqa: ANN401 - any field
    """Read a statement's rows."""
    return read_statement(text.encode(), Legend(meaning=Meaning(**meaning))).rows


def refused(text: str | bytes, **meaning: Any) -> str:  # noqa: ANN401 - any field
    """Fail to read a statement, and say how it is told."""
    body = text.encode() if isinstance(text, str) else text
    with pytest.raises(StatementError) as error:
        read_statement(body, Legend(meaning=Meaning(**meaning)))
    assert error.value.remedy
    return error.value.message


def test_a_row_is_read_exactly() -> None:
    """Amounts are whole pico-units, with the last digit that they were written with."""
    (row,) = rows(HEAD + ROW)
    assert (
        StatementRow(
            lines=(2,),
            request_id="a-1",
            at_ns=utc_ns("2026-11-22T16:21:00Z"),
            model="kimi-k3",
            input_tokens=100,
            cached_input_tokens=40,
            output_tokens=50,
            amount_pico=pico("0.25"),
            step_pico=pico("0.0001"),
            currency="USD",
        )
        == row
    )


def test_what_is_not_stated_is_unknown() -> None:
    """An empty cell, a short row and blank lines are no zeros."""
    found = rows(HEAD + "a-1,,,,,,,\n\n ,\na-2\n")
    assert [("a-1", (2,)), ("a-2", (5,))] == [(row.request_id, row.lines) for row in found]
    unknown = {
        (row.at_ns, row.model, row.input_tokens, row.amount_pico, row.currency, row.step_pico) for row in found
    }
    assert {(None, None, None, None, None, 0)} == unknown


@pytest.mark.parametrize(
    ("cell", "amount", "step"),
    [
        ('"1,234.5"', "1234.5", "0.01"),
        ("-0.5", "-0.5", "0.01"),
        ("0E-9", "0", "0.000000001"),
        ("1.2e-5", "0.000012", "0.000001"),
        ("3", "3", "0.01"),
        ("2E+1", "20", "0.01"),
        ("0.00000000000000", "0", "0.000000000001"),
    ],
)
def test_numbers_as_programs_write_them(cell: str, amount: str, step: str) -> None:
    """Thousands, exponents and many zeros; no last digit is above a hundredth."""
    (row,) = rows(f"ID,Amount\na,{cell}\n", currency="USD")
    assert (pico(amount), pico(step)) == (row.amount_pico, row.step_pico)


def test_the_last_digit_is_that_of_all_amounts() -> None:
    """A sheet that leaves trailing zeros out has no row less exact than another of its currency."""
    found = rows("ID,Amount,Currency\na,0.25,USD\nb,1,USD\nc,0,USD\nd,,\ne,0.5,CNY\n")
    assert [pico(step) for step in ("0.01", "0.01", "0.01", "0", "0.01")] == [row.step_pico for row in found]
    statement_of = read_statement(b"ID,Amount,Currency\na,0.125,USD\na,1,USD\nb,1,CNY\n", Legend())
    assert {"USD": pico("0.001"), "CNY": pico("0.01")} == statement_of.steps_pico
    assert [pico("0.002"), pico("0.01")] == [row.step_pico for row in statement_of.rows]


def test_a_comma_stands_before_decimals_where_the_legend_says_so() -> None:
    """Else it parts thousands, which never begin with a nought; the way to say it is told."""
    text = "ID;Amount;Tokens\na;0,250;\nb;1.234,5;\n"
    assert [pico("0.25"), pico("1234.5")] == [row.amount_pico for row in rows(text, currency="USD", decimal=",")]
    with pytest.raises(StatementError, match="'0,250' is no number") as error:
        rows(text, currency="USD")
    assert 'decimal = ","' in error.value.remedy


@pytest.mark.parametrize(
    ("text", "meaning", "length_h"),
    [
        ("2026-11-22", Meaning(zone="Asia/Shanghai"), 24),
        ("25.10.2026", Meaning(zone="Europe/Berlin", format="%d.%m.%Y"), 25),
        ("22.11.2026 %H", Meaning(zone="UTC", format="%d.%m.%Y %%H"), 24),
        ("2026-11-22 00:00", Meaning(zone="UTC"), 0),
        ("22.11.2026 00", Meaning(zone="UTC", format="%d.%m.%Y %H"), 0),
    ],
)
def test_a_date_is_the_whole_day_of_its_zone(text: str, meaning: Meaning, length_h: int) -> None:
    """So the statement lasts until that day's end; a request in parts, too."""
    statement_of = read_statement(f"ID,Time\na,{text}\na,{text}\n".encode(), Legend(meaning=meaning))
    (row,) = statement_of.rows
    assert row.at_ns is not None
    assert length_h * 3600 * NS_PER_S == row.lasts_ns
    assert (row.at_ns, row.at_ns + row.lasts_ns) == statement_of.span_ns


@pytest.mark.parametrize(
    ("text", "meaning", "at"),
    [
        ("2026-11-22 16:21:00+08:00", {}, "2026-11-22T08:21:00Z"),
        ("2026-11-22 16:21:00", {"zone": "Asia/Shanghai"}, "2026-11-22T08:21:00Z"),
        ("22/11/2026 16:21", {"zone": "UTC", "format": "%d/%m/%Y %H:%M"}, "2026-11-22T16:21:00Z"),
        ("1795364460", {"format": "unix"}, "2026-11-22T16:21:00Z"),
        ("1795364460500", {"format": "unix_ms"}, "2026-11-22T16:21:00.500000Z"),
    ],
)
def test_times_in_many_forms(text: str, meaning: dict[str, str], at: str) -> None:
    """A zone is stated by the time or by the legend."""
    (row,) = rows(f"ID,Time\na,{text}\n", **meaning)
    assert utc_ns(at) == row.at_ns


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ("a,2026-11-22 16:21:00,,,,,,", "names no time zone"),
        ("a,yesterday,,,,,,", "line 2, 'Time': 'yesterday' is no time of the format 'iso'"),
        ("a,,,x,,,,", "line 2, 'Input tokens': 'x' is no number"),
        ("a,,,1.5,,,,", "'1.5' is no count of tokens"),
        ("a,,,-1,,,,", "'-1' is no count of tokens"),
        ("a,,,,,,0.0000000000001,USD", "more than 12 decimals"),
        ("a,,,,,,1e99,USD", "more than 18 digits"),
        ("a,,,,,,NaN,USD", "'NaN' is no number"),
        ("a,,,,,,1,", "line 2, 'Currency': '' is no ISO 4217 currency code"),
        ("a,,,,,,1,dollars", "'dollars' is no ISO 4217 currency code"),
    ],
)
def test_a_cell_that_is_wrong_is_named(cells: str, told: str) -> None:
    """By its line, its column and what it should be."""
    assert told in refused(f"{HEAD}{cells}\n")


@pytest.mark.parametrize(
    ("cells", "meaning", "remedy"),
    [
        ("a,2026-11-22 16:21:00,,,,,,", {}, "--zone"),
        ("a,22.11.2026 16:21,,,,,,", {"zone": "UTC"}, "format = "),
        ("a,22.11.2026 16:21,,,,,,", {"zone": "UTC", "format": "%Y %Y"}, "format = "),
        ("a,9999-12-31,,,,,,", {"zone": "UTC"}, "format = "),
        ("a,,,,,,1,", {}, "--currency USD or --currency CNY"),
        ("a,,,,,,$1,USD", {}, "sign"),
    ],
)
def test_each_refusal_has_its_own_remedy(cells: str, meaning: dict[str, str], remedy: str) -> None:
    """The option or the line of the file of columns that mends it, once."""
    with pytest.raises(StatementError) as error:
        rows(HEAD + f"{cells}\n" * 3, **meaning)
    assert 1 == error.value.remedy.count(remedy)


@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31", "9999-12-31T23:59:59-10:00", "6000-01-01T00:00:00Z"])
def test_a_time_that_no_call_can_have_is_refused(text: str) -> None:
    """Before 1970, or after what can be reckoned with."""
    assert "'Time'" in refused(f"ID,Time\na,{text}\n", zone="UTC")


@pytest.mark.parametrize("text", ["1e99", "-5", "x"])
def test_a_count_of_seconds_that_is_no_time(text: str) -> None:
    """It is refused before it is reckoned with."""
    assert "'Time'" in refused(f"ID,Time\na,{text}\n", format="unix")


def test_a_currency_that_nobody_states_is_never_assumed() -> None:
    """Neither by a column nor by the legend: no amount is read; a wrong one in the legend is refused."""
    assert "of which currency" in refused("ID,Amount\na,1\n")
    assert "'dollar' is no ISO 4217" in refused("ID,Amount\na,1\n", currency="dollar")
    assert "USD" == rows("ID,Amount\na,1\n", currency="usd")[0].currency


def test_not_every_wrong_line_is_told() -> None:
    """The first five, and how many more."""
    told = refused(HEAD + "a,,,x,,,,\n" * 8)
    assert (True, False, True) == ("line 6," in told, "line 7," in told, told.endswith("; and 3 more"))


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (("\ufeff" + HEAD + ROW).encode(), "utf-8-sig"),
        ((HEAD + ROW).replace("ID", "请求ID").encode("gb18030"), "gb18030"),
        ((HEAD + ROW).encode("utf-16"), "utf-16"),
        ((HEAD + ROW).replace("\n", "\r\n").encode(), "utf-8-sig"),
        ((HEAD + ROW).replace("\n", "\r").encode(), "utf-8-sig"),
        ((HEAD + ROW).replace(",", ";").encode(), "utf-8-sig"),
    ],
)
def test_files_as_spreadsheets_write_them(body: bytes, encoding: str) -> None:
    """Marks, Chinese, two-byte texts, line ends and semicolons."""
    found = read_statement(body, Legend())
    assert (encoding, "a-1", 50) == (found.encoding, found.rows[0].request_id, found.rows[0].output_tokens)


@pytest.mark.parametrize("body", [b"PK\x03\x04\x00\x00", b"\xff\xfe\x00", b"\xff\xff\xff"])
def test_what_is_no_text_is_refused(body: bytes) -> None:
    """A workbook is no CSV."""
    assert "no text" in refused(body)


def test_what_is_no_csv_is_refused() -> None:
    """An open quote, an empty file, and a delimiter of two characters."""
    assert "is no line of a CSV" in refused(f'{HEAD}"a" b,\n')
    assert "empty" in refused("\n\n")
    assert "cannot stand between" in refused(HEAD, delimiter="::")
    assert "a" == rows("ID|Model\na|b\n", delimiter="|")[0].request_id


def test_everything_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, rows and columns."""
    monkeypatch.setattr(statement, "ROWS_MAX", 2)
    assert 2 == len(rows("ID\na\nb\n"))
    assert "line 4: more than 2 rows" in refused("ID\na\nb\nc\n")
    monkeypatch.setattr(statement, "COLUMNS_MAX", 1)
    assert "1 columns" in refused(HEAD)
    monkeypatch.setattr(statement, "BODY_BYTES_MAX", 3)
    assert "larger than 3 bytes" in refused(HEAD)


def test_a_quoted_cell_may_hold_lines() -> None:
    """The line that is named is its last."""
    (row,) = rows('ID,Model\na,"x\ny\u2028z"\n')
    assert ("x\ny\u2028z", (3,)) == (row.model, row.lines)


def test_parts_of_one_request_are_added_up() -> None:
    """Where each class of tokens has a line of its own, the request is one row; an id twice is one sum."""
    (row,) = rows(HEAD + "a,,m,100,,,0.1,USD\na,,,,,50,0.25,USD\na,,,,,,,\n")
    assert ((2, 3, 4), 100, 50, pico("0.35")) == (row.lines, row.input_tokens, row.output_tokens, row.amount_pico)
    assert ("USD", pico("0.02"), None) == (row.currency, row.step_pico, row.cached_input_tokens)


def test_currencies_are_never_added() -> None:
    """Parts in two currencies stay apart, and so do rows without an id."""
    text = HEAD + "a,,,,,,1,USD\na,,,,,,2,CNY\n,,,,,,3,USD\n,,,,,,3,USD\n"
    assert ["USD", "CNY", "USD", "USD"] == [row.currency for row in rows(text)]


def test_the_span_is_that_of_its_times() -> None:
    """None without any."""
    two = "a,2026-11-22T16:21:00Z,,,,,,\nb,2026-11-22T15:21:00Z,,,,,,\nc,,,,,,,\n"
    span = read_statement((HEAD + two).encode(), Legend()).span_ns
    assert (utc_ns("2026-11-22T15:21:00Z"), utc_ns("2026-11-22T16:21:00Z")) == span
    assert read_statement(b"ID\na\n", Legend()).span_ns is None


def test_an_unknown_zone_is_refused() -> None:
    """By its name."""
    assert "Mars/Base" in refused(HEAD + ROW, zone="Mars/Base")


def test_named_columns_are_used() -> None:
    """Whatever they are called."""
    legend = Legend(columns=Columns(request_id="Ticket"))
    assert "t-1" == read_statement(b"ID,Ticket\na,t-1\n", legend).rows[0].request_id


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"{HEAD}{text}".encode()))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Nothing else is ever raised."""
    with suppress(StatementError):
        assert "" != read_statement(body, Legend(meaning=Meaning(zone="UTC", currency="USD"))).encoding
