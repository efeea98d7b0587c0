"""`exai ledger resolve`: what a person says of an attempt in doubt; refused before anything is written."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.actions._action import somebody
from service.cli._main import FAILED, main
from tests.custody import Custody, custody, doubted

if TYPE_CHECKING:
    from tests.conftest import Made

CALL, ATTEMPT = f"{1:032x}", f"{1:031x}a"
WHY = ["--why", "the bill of November"]


@pytest.fixture
async def kept(tmp_path: Path, made: "Made") -> Custody:
    """A log of one call whose attempt is in doubt."""
    kept = custody(tmp_path)
    await kept.write(*doubted(made, 1))
    return kept


def resolve(kept: Custody, *words: str) -> int:
    """Run the command."""
    return main(["ledger", "resolve", *words, *WHY, *kept.words])


def test_a_dry_run_shows_and_writes_nothing(kept: Custody, capfd: pytest.CaptureFixture[str]) -> None:
    """The attempt, what is held for it, what would be said of it, and by whom."""
    before = kept.entries
    assert 0 == resolve(kept, CALL, "--not-billed", "--dry-run")
    said = capfd.readouterr().out
    for part in (
        ATTEMPT,
        CALL,
        "kimi-main",
        "stream cut",
        "at most 1.5 USD, 1600 tokens; estimated at 0.125 USD",
        "it cost 0 USD",
        f"by {somebody()}: the bill of November",
        "Nothing was written.",
    ):
        assert part in said
    assert before == kept.entries


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cost", "0.25", "USD", "--tokens", "70"], ("reconciled", "0.25", "USD", 70)),
        (["--not-billed"], ("reconciled", "0", "USD", None)),
        (["--write-off"], ("written_off", None, None, None)),
        (["--cost", "2", "USD", "--above-bound"], ("reconciled", "2", "USD", None)),
    ],
)
def test_what_is_said_becomes_an_entry(
    kept: Custody, capfd: pytest.CaptureFixture[str], words: list[str], expected: tuple[object, ...]
) -> None:
    """With no service running the command writes it itself: a start, the resolution, a stop, all signed."""
    assert 0 == resolve(kept, ATTEMPT, *words, "--format", "json")
    told = json.loads(capfd.readouterr().out)
    entry = json.loads(kept.entries[told["index"]])
    assert expected == tuple(entry[name] for name in ("outcome", "amount", "currency", "tokens"))
    assert (ATTEMPT, somebody(), "the bill of November", "operator") == tuple(
        entry[name] for name in ("attempt_id", "by", "why", "source")
    )
    assert ["start", "stop"] == [json.loads(kept.entries[at])["event"] for at in (-3, -1)]
    assert len(kept.entries) == kept.signed()


@pytest.mark.parametrize(
    "words",
    [
        [CALL, "--cost", "2", "USD"],
        [CALL, "--cost", "1", "CNY"],
        [CALL, "--cost", "much", "USD"],
        [CALL, "--write-off", "--tokens", "3"],
        ["f" * 32, "--write-off"],
    ],
    ids=" ".join,
)
def test_what_is_refused_costs_no_epoch(
    kept: Custody, capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """A sentence with a remedy; not one entry more."""
    before = kept.entries
    assert FAILED == resolve(kept, *words)
    message, remedy, *more = capfd.readouterr().err.splitlines()
    assert [] == more
    assert message.startswith("exai: ")
    assert remedy.strip()
    assert before == kept.entries


@pytest.mark.parametrize("words", [[CALL], [CALL, "--not-billed", "--write-off"], ["--write-off"]], ids=" ".join)
def test_what_is_meant_must_be_said_once(kept: Custody, words: list[str]) -> None:
    """None or two of cost, not billed and written off are a mistake in the words."""
    with pytest.raises(SystemExit, match="2"):
        resolve(kept, *words)


def test_a_folder_without_a_ledger_gets_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A typo in the folder's name makes no ledger."""
    assert FAILED == resolve(custody(tmp_path), CALL, "--write-off")
    assert "holds no ledger" in capfd.readouterr().err
    assert not (tmp_path / "data").exists()
