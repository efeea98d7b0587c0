"""`exai usage`: what it shows on a terminal, and how it says no."""

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.cli._main import FAILED, main
from service.core.entries import OfCall
from service.core.words import CostStatus, ZeroReason
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from tests.rig import FixedDay

if TYPE_CHECKING:
    from tests.conftest import Made


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
    """A data folder with a call of each kind."""
    unknown = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
    of: list[dict[str, Any]] = [{"tool_call_id": f"{number:032x}"} for number in range(4)]
    one, two, three, four = of
    asyncio.run(
        write(
            tmp_path,
            [made.tool_call(**one), made.intent(**one), made.settlement(**one), made.answer(**one)],
            [made.tool_call(**two, client="=1+1"), made.intent(**two), made.doubt(**two), made.answer(**two)],
            [
                made.tool_call(**three),
                made.intent(**three, model="[bold]m[/bold]", simulated=True),
                made.settlement(**three, cost=unknown),
                made.answer(**three),
            ],
            [made.tool_call(**four, tool="usage"), made.answer(**four, zero_reason=ZeroReason.NO_MODEL_STEP)],
        )
    )
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> str:
    """Ask, and give what was written."""
    assert 0 == main(["usage", "--data-dir", str(folder), *words])
    return capsys.readouterr().out


def test_a_table_says_what_is_not_plain(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Spend, what is held, what has no price and what is simulated stand apart, in words."""
    text = said(capsys, folder)
    assert "SIMULATED: rows that say so" in text
    rows = [" ".join(line.strip("│").split()) for line in text.splitlines() if line.startswith("│")]
    assert rows == [
        "1 │ 0 │ 0 │ 0 │ 0 │ 0 │ nothing │ │ 1 of the calls asked no provider",
        "1 │ 1 │ 100 │ 40 │ 50 │ 30 │ unknown │ │ SIMULATED, 1 without a known price",
        "2 │ 2 │ 100 │ 40 │ 50 │ 30 │ 0.25 USD │ ≤ 1.5 USD │ 1 in doubt",
    ]


def test_groups_stand_over_their_totals(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A group that has no such name says none; strangers' names are text, not markup."""
    text = said(capsys, folder, "--by", "model,tool")
    assert "[bold]m[/bold]" in text
    first = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
    assert ["none", "[bold]m[/bold]", "kimi-k3", *["total"] * 3] == [name for name in first if name]


def test_json_and_csv_hold_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document and one sheet; no cell of it is a formula; what is unknown is empty or null."""
    words = ("--by", "client", "--zone", "Asia/Kolkata", "--from", "2026-11-01", "--to", "2026-12-01")
    told: dict[str, Any] = json.loads(said(capsys, folder, *words, "--format", "json"))
    assert ("Asia/Kolkata", "2026-10-31T18:30:00.000000Z") == (told["range"]["zone"], told["range"]["since"])
    sheet = list(csv.DictReader(io.StringIO(said(capsys, folder, *words, "--format", "csv"))))
    assert ["'=1+1", "owner", "owner", "owner"] == [line["client"] for line in sheet]
    assert list(sheet[0]) == list(told["rows"][0])
    for line, row in zip(sheet, told["rows"], strict=True):
        assert (line["spent"] or None, line["held"] or None) == (row["spent"], row["held"])
        assert (line["attempts"], line["simulated"]) == (str(row["attempts"]), str(row["simulated"]).lower())


def test_filters_are_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table's title says which calls are meant; where there are none, a sentence stands in its place."""
    assert "tool usage or chat" in said(capsys, folder, "--tool", "usage", "--tool", "chat")
    none = said(capsys, folder, "--provider", "glm")
    assert none == "Usage, all of the ledger, provider glm: this ledger holds no such call.\n"


def test_an_empty_ledger_teaches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is left with an empty table; JSON stays JSON."""
    asyncio.run(write(tmp_path))
    text = said(capsys, tmp_path)
    assert text.startswith(
        "This ledger (o) holds no call. What was used before it began, or elsewhere, it cannot show.\n"
    )
    assert "exai demo" in text
    assert [] == json.loads(said(capsys, tmp_path, "--format", "json"))["totals"]


@pytest.mark.parametrize(
    ("words", "expected", "remedy"),
    [
        (("--by", "weekday"), "'weekday'", "provider, wallet, model"),
        (("--range", "2h"), "'2h'", "24h"),
        (("--zone", "Mars/Base"), "'Mars/Base'", "Asia/Kolkata"),
        (("--from", "never"), "'never'", "2026-11-22"),
        (("--range", "1h", "--to", "2026-11-22"), "beside", "not both"),
    ],
)
def test_what_is_not_known_has_a_remedy(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str, remedy: str
) -> None:
    """The word that is wrong is named, and what would be right."""
    assert FAILED == main(["usage", "--data-dir", str(folder), *words])
    first, second = capsys.readouterr().err.splitlines()
    assert expected in first
    assert remedy in second


def test_a_folder_without_a_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused, not made."""
    assert FAILED == main(["usage", "--data-dir", str(tmp_path / "none")])
    assert "holds no ledger" in capsys.readouterr().err
