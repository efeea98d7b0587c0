"""`exai ledger match`: a statement beside the ledger, and the exit status as the answer."""

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.cli import ledger_match
from service.cli._main import FAILED, main
from service.core.entries import OfCall
from service.core.times import NS_PER_S, utc_text
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from tests.rig import BEGUN_NS, FixedDay

if TYPE_CHECKING:
    from tests.conftest import Made

HEAD = "Request ID,Time,Input tokens,Output tokens,Amount,Currency\n"
MATCHED, GAPS, DIFFER = 0, 3, 4


def at(after_s: float = 0) -> str:
    """Write a time after that of the entries."""
    return utc_text(BEGUN_NS + int(after_s * NS_PER_S))


async def write(folder: Path, *calls: list[OfCall]) -> None:
    """Write calls in one epoch."""
    feed = Feed((), reread=lambda _first, _count: (), next_index=0)
    feed.start()
    ledger = Ledger(Writer(SqliteStore(folder, new_origin="o")), feed, clock=FixedDay())
    await ledger.start({})
    for entries in calls:
        await ledger.append(*entries)
    await ledger.close()


@pytest.fixture
def folder(made: "Made", tmp_path: Path) -> Path:
    """A data folder with two settled calls and one in doubt of kimi-main, and a simulated one."""
    of: list[dict[str, Any]] = [{"tool_call_id": f"{number:032x}"} for number in range(5)]
    ids: list[dict[str, Any]] = [one | {"attempt_id": f"{100 + number:032x}"} for number, one in enumerate(of)]
    calls: list[list[OfCall]] = [
        [
            made.tool_call(**of[number]),
            made.intent(**ids[number], simulated=number == 3, wallet="played" if number == 3 else "kimi-main"),
            made.doubt(**ids[number], provider_ids={"id": "chat-2"})
            if number == 2
            else made.settlement(**ids[number], provider_ids={"id": f"chat-{number}"}),
            made.answer(**of[number]),
        ]
        for number in range(4)
    ]
    asyncio.run(write(tmp_path, *calls))
    return tmp_path


class Asked:
    """The command, on one data folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.err = ""

    def status(self, text: str | bytes, *words: str) -> tuple[int, str]:
        """Match a statement; give exit status and output."""
        file = self.folder / "statement.csv"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        status = main(["ledger", "match", str(file), "--data-dir", str(self.folder), *words])
        out, self.err = self._capsys.readouterr()
        return status, out

    def pairs(self, text: str, *words: str) -> tuple[int, list[tuple[str, str | None, str | None]]]:
        """Match; give exit status and (status, by, difference) of each pair."""
        status, out = self.status(text, *words, "--format", "json")
        return status, [(pair["status"], pair["by"], pair["difference"]) for pair in json.loads(out)["pairs"]]


@pytest.fixture
def asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> Asked:
    """The command, beside a ledger."""
    return Asked(folder, capsys)


def rows(*numbers: int, amount: str = "0.25") -> str:
    """State calls by their ids."""
    return HEAD + "".join(f"chat-{number},{at()},100,50,{amount},USD\n" for number in numbers)


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


def test_a_statement_is_compared_over_its_own_time(asked: Asked) -> None:
    """What lies outside it is missed on neither side, unless the time is said."""
    later = f"{HEAD}x,{at(3600)},1,1,1,USD\n"
    assert (GAPS, [("missing_here", None, None)]) == asked.pairs(
        later, "--wallet", "kimi-main", "--tolerance-s", "9000"
    )
    status, out = asked.status(rows(0, 1) + f"x,{at(3600)},1,1,1,USD\n", "--until", at(60), "--format", "json")
    told = json.loads(out)
    assert (MATCHED, 1, at(60)) == (status, told["statement"]["rows_outside"], told["until"])
    assert MATCHED == asked.status(rows(0, 1), "--since", at(-60))[0]


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


def test_simulated_attempts_are_asked_for_by_name(asked: Asked) -> None:
    """And said to be no money."""
    status, out = asked.status(rows(3), "--wallet", "played")
    assert (MATCHED, True) == (status, out.startswith("SIMULATED"))


def test_an_unknown_wallet_is_refused(asked: Asked) -> None:
    """Those that there are stand in the remedy."""
    assert FAILED == asked.status(rows(0), "--wallet", "nobody")[0]
    assert "kimi-main" in asked.err


def test_of_several_wallets_one_must_be_named(asked: Asked, made: "Made") -> None:
    """Two together may be, for an account that several keys share."""
    of: dict[str, Any] = {"tool_call_id": "9" * 32}
    extra: list[OfCall] = [
        made.tool_call(**of),
        made.intent(**of, wallet="second"),
        made.settlement(**of),
        made.answer(**of),
    ]
    asyncio.run(write(asked.folder, extra))
    assert FAILED == asked.status(rows(0, 1))[0]
    assert "--wallet NAME" in asked.err
    assert MATCHED == asked.status(rows(0, 1), "--wallet", "kimi-main")[0]
    assert GAPS == asked.status(rows(0, 1), "--wallet", "kimi-main", "--wallet", "second")[0]


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
