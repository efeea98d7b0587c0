"""Statements beside a ledger: calls of a fixed day, and the command asked about them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.cli._main import main
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


class Day(FixedDay):
    """A day of which the test says what time it is."""

    after_s: float = 0

    def now_ns(self) -> int:
        """Say that time."""
        return BEGUN_NS + int(self.after_s * NS_PER_S)


async def write(folder: Path, *calls: list[OfCall], opened_s: float = 0, begun_s: float = 0) -> None:
    """Write calls in one epoch: opened, and then sent, that long after the day's begin."""
    feed = Feed((), reread=lambda _first, _count: (), next_index=0)
    feed.start()
    day = Day()
    ledger = Ledger(Writer(SqliteStore(folder, new_origin="o")), feed, clock=day)
    await ledger.start({})
    for opened, *rest in calls:
        day.after_s = opened_s
        await ledger.append(opened)
        day.after_s = begun_s
        await ledger.append(*rest)
    await ledger.close()


def call(made: "Made", number: int, *, wallet: str = "kimi-main", simulated: bool = False) -> list[OfCall]:
    """Make a settled call of 0.25 USD, which the provider calls by its number."""
    of: dict[str, Any] = {"tool_call_id": f"{number:032x}"}
    ids = of | {"attempt_id": f"{100 + number:032x}"}
    return [
        made.tool_call(**of),
        made.intent(**ids, wallet=wallet, simulated=simulated),
        made.settlement(**ids, provider_ids={"id": f"chat-{number}"}),
        made.answer(**of),
    ]


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


def rows(*numbers: int, amount: str = "0.25") -> str:
    """State calls by their ids."""
    return HEAD + "".join(f"chat-{number},{at()},100,50,{amount},USD\n" for number in numbers)
