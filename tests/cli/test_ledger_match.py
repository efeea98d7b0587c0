"""`exai ledger match`: a statement beside the ledger, and the exit status as the answer."""

import csv
import io
import json

import pytest

from service.cli import ledger_match
from service.cli._main import FAILED, main
from tests.cli.statements import DIFFER, GAPS, HEAD, MATCHED, Asked, at, rows


def test_all_that_matches_is_0(asked: Asked) -> None:
    """Both settled calls by their ids; the one in doubt need not be there, the simulated one is not asked for."""
    assert (MATCHED, [("matched", "request_id", "0")] * 2) == asked.pairs(rows(0, 1))


def test_an_attempt_in_doubt_that_was_billed_is_shown(asked: Asked) -> None:
    """It matches, and no difference is claimed."""
    status, out = asked.status(rows(0, 1, 2), "--format", "json")
    (found,) = (pair for pair in json.loads(out)["pairs"] if pair["outcome"] == "in_doubt")
    assert (MATCHED, "matched", None, "0.25") == (status, found["status"], found["ours"], found["theirs"])


def test_gaps_are_3(asked: Asked) -> None:
    """On either side; a row that nobody knows, and a call that is not stated."""
    assert (GAPS, {"matched", "missing_there"}) == (
        (found := asked.pairs(rows(0)))[0],
        {status for status, _, _ in found[1]},
    )
    assert (GAPS, ("missing_here", None, None)) == ((found := asked.pairs(rows(0, 1, 9)))[0], found[1][-1])


def test_amounts_that_differ_are_4(asked: Asked) -> None:
    """Also where there are gaps beside."""
    status, found = asked.pairs(rows(0, amount="0.30"))
    assert DIFFER == status
    assert ("amount_differs", "request_id", "0.05") in found


@pytest.mark.parametrize(("second", "difference"), [("1", "0.75"), ("0", "-0.25"), ("0.26", "0.01")])
def test_a_sheet_without_trailing_zeros_is_no_less_exact(asked: Asked, second: str, difference: str) -> None:
    """The last digit is that of all its amounts; and where one row is all there is, a hundredth."""
    row = f"chat-1,{at()},100,50,{second},USD\n"
    assert (DIFFER, [("matched", "request_id", "0"), ("amount_differs", "request_id", difference)]) == asked.pairs(
        rows(0) + row
    )
    status, out = asked.status(HEAD + row, "--format", "json")
    assert (DIFFER, {"USD": "0.01"}) == (status, json.loads(out)["statement"]["steps"])
    assert "to the last digit: USD 0.01" in asked.status(HEAD + row)[1]


def test_tokens_that_differ_are_4(asked: Asked) -> None:
    """Though the amount be the same; the counts of both sides are told, in the table too."""
    text = rows(0) + f"chat-1,{at()},100,51,0.25,USD\n"
    status, out = asked.status(text, "--format", "json")
    told = json.loads(out)
    assert (DIFFER, 1) == (status, told["counts"]["tokens_differ"])
    assert "output_tokens: ours 50, theirs 51" in [pair["tokens"] for pair in told["pairs"]]
    assert "theirs 51" in " ".join(asked.status(text)[1].replace("│", " ").split())


def test_without_ids_time_and_tokens_decide(asked: Asked) -> None:
    """Two calls alike at one time stay open; another count of tokens is another call."""
    text = "time,input_tokens,output_tokens\n" + f"{at(60)},100,50\n"
    status, found = asked.pairs(text, "--since", at(-1))
    assert (GAPS, {"ambiguous"}) == (status, {one for one, _, _ in found})
    assert GAPS == asked.status(text, "--tolerance-s", "1", "--since", at(-1))[0]


def test_a_legend_names_the_columns(asked: Asked) -> None:
    """A file of columns; zone and currency may be said in words of the command."""
    (asked.folder / "columns.toml").write_text(
        "[columns]\nrequest_id = 'Beleg'\namount = 'Betrag'\ntime = 'Zeit'\n"
    )
    text = "Beleg;Betrag;Zeit\n" + "".join(f"chat-{number};0.25;2026-11-22 16:00:00\n" for number in (0, 1))
    words = ("--columns", str(asked.folder / "columns.toml"), "--currency", "USD", "--zone", "Asia/Shanghai")
    status, out = asked.status(text, *words, "--since", at(-90_000), "--until", at(90_000), "--format", "json")
    told = json.loads(out)
    assert (MATCHED, "2026-11-22T08:00:00.000000Z") == (status, told["pairs"][0]["their_time"])


def test_a_table_says_what_does_not_match(asked: Asked) -> None:
    """Counts, sums by currency, the gaps and a note of what it is worth; nothing in it steers a terminal."""
    status, out = asked.status(rows(0) + f"\x1b[2J=1+1,{at()},1,1,7,CNY\n")
    assert GAPS == status
    assert "missing in the statement" in out
    assert "No real statement of either provider was at hand" in out
    assert "\x1b" not in out
    sums = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    assert "CNY 0 7 0 0 0 7" in sums
    assert "USD 0.5 0.25 0.25 0.25 0.25 0" in sums


def test_a_table_tells_the_currencies_of_what_differs(asked: Asked) -> None:
    """One number in two currencies is no equal amount."""
    status, out = asked.status(rows(0, 1).replace("USD", "CNY"))
    assert (DIFFER, True) == (status, "0.25 USD 0.25 CNY" in " ".join(out.replace("│", " ").split()))


def test_many_gaps_are_not_all_shown(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table says how many more there are."""
    monkeypatch.setattr("service.cli._matched.SHOWN_MAX", 1)
    assert "3 more are not shown" in asked.status(rows(7, 8))[1]


def test_csv_and_json_hold_the_same(asked: Asked) -> None:
    """A line for each pair; no cell of it is a formula."""
    text = rows(0, 1) + f"=1+1,{at()},1,1,7,CNY\n"
    lines = list(csv.DictReader(io.StringIO(asked.status(text, "--format", "csv")[1])))
    told = json.loads(asked.status(text, "--format", "json")[1])
    assert [pair["status"] for pair in told["pairs"]] == [line["status"] for line in lines]
    assert "'=1+1" in [line["request_id"] for line in lines]
    assert {"matched": 2, "missing_here": 1} == {name: count for name, count in told["counts"].items() if count}
    assert "Output tokens" == told["statement"]["columns"]["output_tokens"]


def test_long_ledgers_are_read_page_by_page(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost between pages."""
    monkeypatch.setattr(ledger_match, "PAGE_ROWS_MAX", 1)
    assert (MATCHED, 2) == ((found := asked.pairs(rows(0, 1)))[0], len(found[1]))


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        (HEAD + "a,x,,,,\n", (), "line 2, 'Time': 'x' is no time"),
        (b"PK\x03\x04\x00", (), "no text"),
        (rows(0), ("--tolerance-s", "-1"), "--tolerance-s"),
        (rows(0), ("--since", "never"), "'never'"),
        (rows(0), ("--zone", "Mars/Base"), "'Mars/Base'"),
        (rows(0), ("--columns", "/nowhere/columns.toml"), "cannot be read"),
        (rows(0), ("--currency", "dollar"), "'dollar' is no ISO 4217 currency code"),
    ],
)
def test_what_cannot_be_read_has_a_remedy(
    asked: Asked, text: str | bytes, words: tuple[str, ...], told: str
) -> None:
    """Status 1, what is wrong and what to do, and no half of an answer."""
    status, out = asked.status(text, *words)
    first, second = asked.err.splitlines()
    assert (FAILED, "", True, True) == (status, out, told in first, bool(second.strip()))


@pytest.mark.parametrize("legend", ["[columns", "[columns]\nid = 'x'", "\xff"])
def test_a_legend_that_is_none_is_refused(asked: Asked, legend: str) -> None:
    """With the way to an example."""
    (asked.folder / "columns.toml").write_text(legend, encoding="latin-1")
    assert FAILED == asked.status(rows(0), "--columns", str(asked.folder / "columns.toml"))[0]
    assert "--example" in asked.err


def test_a_file_that_is_too_large_is_not_read(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte more than is allowed is enough to know."""
    monkeypatch.setattr(ledger_match, "BODY_BYTES_MAX", 10)
    assert FAILED == asked.status(rows(0))[0]
    assert "larger than 10 bytes" in asked.err


def test_the_example_needs_neither_file_nor_ledger(capsys: pytest.CaptureFixture[str]) -> None:
    """It is printed as it can be used; without a file nothing else is done."""
    assert 0 == main(["ledger", "match", "--example"])
    assert "[columns]" in capsys.readouterr().out
    assert FAILED == main(["ledger", "match"])
    assert "--example" in capsys.readouterr().err


def test_help_says_what_it_is_worth(capsys: pytest.CaptureFixture[str]) -> None:
    """No real statement was at hand, and the exit status is told."""
    with pytest.raises(SystemExit):
        main(["ledger", "match", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "No real statement of either provider was at hand" in told,
        "3 gaps, 4 amounts or tokens differ" in told,
    ) == (
        True,
        True,
    )
