"""`exai budget`: set, listed with what is used, and removed by name; with no service running."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.cli._main import FAILED, main
from service.core.times import utc_text
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Append, Writer
from tests.naming import NOW_NS

if TYPE_CHECKING:
    from tests.conftest import Made


class Said:
    """A command line on one data folder, and what came of it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.err = ""

    def budget(self, *words: str, status: int = 0) -> str:
        """Run `exai budget`; give what went to standard output."""
        found = main(["budget", words[0], "--data-dir", str(self.folder), *words[1:]])
        said = self._capsys.readouterr()
        self.err = said.err
        assert status == found, said
        return said.out

    def listed(self) -> list[dict[str, Any]]:
        """List the budgets."""
        budgets: list[dict[str, Any]] = json.loads(self.budget("list", "--format", "json"))["budgets"]
        return budgets


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """A data folder that does not exist yet, and one wallet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIMI_API_KEY", "sim-budgets")
    monkeypatch.setenv("KIMI_BASE_URL", "http://127.0.0.1:9/v1")
    return Said(tmp_path / "data", capsys)


def test_set_and_changed(said: Said) -> None:
    """It says what holds in words, from when on, and what was before."""
    told = said.budget("set", "daily", "--limit", "5 USD", "--per", "day", "--zone", "Asia/Kolkata")
    assert told.startswith(
        "Budget daily: 5 USD a day (Asia/Kolkata), for all attempts.\nIt holds from the next start"
    )
    told = said.budget("set", "daily", "--limit", "100 tokens", "--client", "ci", "--each", "model", "tool")
    first, second, _ = told.splitlines()
    assert (
        "Budget daily: 5 USD and 100 tokens a day (Asia/Kolkata), for client ci;"
        " each model and tool has the whole limit." == first
    )
    assert "It was: 5 USD a day (Asia/Kolkata), for all attempts." == second
    assert "So it was before; nothing was written." in said.budget("set", "daily", "--client", "ci")


def test_set_as_json(said: Said) -> None:
    """Programs get the terms; what a person should know goes to standard error."""
    words = ("set", "daily", "--limit", "5 USD", "--per", "day", "--wallet", "none-such", "--format", "json")
    told = json.loads(said.budget(*words))
    assert ({"USD": "5"}, "none-such", None) == (told["terms"]["limits"], told["terms"]["wallet"], told["before"])
    assert "no attempt has the wallet 'none-such'" in said.err


def test_an_empty_list_teaches(said: Said) -> None:
    """Nobody is left with an empty table."""
    said.budget("set", "daily", "--limit", "5 USD", "--per", "day")
    said.budget("remove", "daily")
    assert 'exai budget set daily --limit "5 USD" --per day' in said.budget("list")
    assert [] == said.listed()


def test_the_list(said: Said, made: "Made") -> None:
    """Each limit has what is spent, reserved and left of it, when it begins anew, and who set it."""
    said.budget("set", "all", "--limit", "2 USD", "--limit", "10000 tokens", "--per", "total")
    said.budget("set", "each", "--limit", "8 USD", "--per", "total", "--each", "client")
    said.budget("set", "idle", "--limit", "8 USD", "--per", "month", "--each", "model", "--client", "nobody")
    at = utc_text(NOW_NS)
    store = SqliteStore(said.folder, new_origin="exai/test")
    other: dict[str, Any] = {"tool_call_id": "d" * 32}
    opened = (made.tool_call(), made.intent(), made.settlement(), made.answer())
    further = (made.tool_call(**other), made.intent(**other))
    Writer(store).write([Append(opened, at), Append(further, at)])
    store.close()
    money, tokens, grouped = [row for one in said.listed() for row in one["limits"]]
    assert ("2", "0.25", "1.5", "0.25", 87, None, "command") == tuple(
        money[name] for name in ("limit", "spent", "reserved", "left", "used_percent", "resets_at", "source")
    )
    assert ("tokens", "150", "1600") == tuple(tokens[name] for name in ("unit", "spent", "reserved"))
    assert ("each", "client owner", "0.25") == tuple(grouped[name] for name in ("budget", "group", "spent"))
    rows = list(csv.DictReader(io.StringIO(said.budget("list", "--format", "csv"))))
    assert [("all", "USD"), ("all", "tokens"), ("each", "USD")] == [(row["budget"], row["unit"]) for row in rows]
    table = said.budget("list")
    assert "87 %" in table
    assert "nobody yet" in table
    assert "idle: 8 USD a month (UTC), for client nobody; each model has the whole limit." in table


@pytest.mark.parametrize(
    ("words", "expected", "remedy"),
    [
        (("set", "daily", "--limit", "5 USD"), "a new one needs a period", "--per day"),
        (("set", "daily", "--limit", "5", "--per", "day"), "'5' is no limit", "5 USD"),
        (
            ("set", "daily", "--limit", "5 USD", "--per", "day", "--zone", "Mars"),
            "no time zone 'Mars'",
            "Asia/Kolkata",
        ),
        (("remove", "daily"), "there is no budget 'daily'", "exai budget list"),
    ],
)
def test_what_cannot_be_has_a_remedy(said: Said, words: tuple[str, ...], expected: str, remedy: str) -> None:
    """One sentence says what is wrong, the next what to do; the status is 1."""
    said.budget(*words, status=FAILED)
    first, second = said.err.splitlines()
    assert expected in first
    assert remedy in second


def test_no_list_without_a_ledger(said: Said) -> None:
    """A list is read, and reading makes no ledger."""
    said.budget("list", status=FAILED)
    assert "holds no ledger" in said.err
    assert not said.folder.exists()
