"""`exai token`: made once, listed without its text, revoked by name; with no service running."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from service.cli._main import FAILED, main
from service.core.token import is_token


class Said:
    """A command line on one data folder, and what came of it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.err = ""

    def token(self, *words: str, status: int = 0) -> str:
        """Run `exai token`; give what went to standard output."""
        found = main(["token", words[0], "--data-dir", str(self.folder), *words[1:]])
        said = self._capsys.readouterr()
        self.err = said.err
        assert status == found, said.err
        return said.out

    def listed(self) -> list[dict[str, Any]]:
        """List the tokens."""
        rows: list[dict[str, Any]] = json.loads(self.token("list", "--format", "json"))["tokens"]
        return rows


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Give a command line on a new folder."""
    return Said(tmp_path / "data", capsys)


def test_create(said: Said) -> None:
    """Standard output has the token and nothing else, so a script may keep it; the rest is said beside it."""
    token = said.token("create", "--name", "ci", "--scopes", "read,call", "--expires", "30d")
    assert is_token(token.removesuffix("\n"))
    assert token.strip() not in said.err
    for words in ("ci (call, read)", "shown once", "Authorization: Bearer", "exai token revoke ci", "next start"):
        assert words in said.err


def test_create_for_a_program(said: Said) -> None:
    """As JSON, with what the ledger keeps of it; the scope is `call` unless more is asked for."""
    made = json.loads(said.token("create", "--name", "ci", "--format", "json"))
    assert ["name", "scopes", "token", "fingerprint", "created_at", "expires_at"] == list(made)
    assert ("ci", ["call"], None) == (made["name"], made["scopes"], made["expires_at"])
    assert is_token(made["token"])
    assert "It never expires" in said.err


def test_the_life_of_a_token(said: Said) -> None:
    """It is active, then revoked, and a new one of its name stands beside it; no list has its text."""
    token = said.token("create", "--name", "ci").strip()
    assert ["active"] == [row["state"] for row in said.listed()]
    told = said.token("revoke", "ci")
    assert re.fullmatch(r"The token ci \([0-9a-f]{8}…\) is revoked\. No service runs here, .*\n", told)
    said.token("create", "--name", "ci", "--expires", "2030-01-01T00:00:00Z")
    rows = said.listed()
    assert [("ci", "revoked", 0), ("ci", "active", 0)] == [
        (row["name"], row["state"], row["calls"]) for row in rows
    ]
    assert ("2030-01-01T00:00:00.000000Z", None) == (rows[1]["expires_at"], rows[1]["revoked_at"])
    for form in ("table", "json", "csv"):
        assert token[5:20] not in said.token("list", "--format", form)


def test_list(said: Said) -> None:
    """Table and sheet show the same tokens; times of the table are to the second."""
    said.token("create", "--name", "ci", "--scopes", "call,read", "--expires", "2030-01-01T00:00:00Z")
    table = said.token("list")
    row = next(line for line in table.splitlines() if "│ ci" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert ["ci", "call, read", "active"] == cells[:3]
    assert ["2030-01-01T00:00:00Z", "", "0"] == cells[5:]
    (line,) = csv.DictReader(io.StringIO(said.token("list", "--format", "csv")))
    assert ("ci", "call read", cells[3]) == (line["name"], line["scopes"], line["fingerprint"])


def test_an_empty_list_teaches(said: Said) -> None:
    """Nobody is left with an empty table."""
    said.token("create", "--name", "ci", "--scopes", "write", status=FAILED)
    assert "exai token create" in said.token("list")
    assert [] == said.listed()


@pytest.mark.parametrize(
    ("words", "expected", "remedy"),
    [
        (("create", "--name", "No"), "'No' is no name", "--help"),
        (("create", "--name", "local"), "is taken", "--help"),
        (("create", "--name", "ci", "--scopes", "call,write"), "'write' is no scope", "--help"),
        (("create", "--name", "ci", "--expires", "1999-01-01T00:00:00Z"), "is past", "--help"),
        (("revoke", "ci"), "'ci' was never made", "exai token list"),
    ],
)
def test_what_cannot_be_has_a_remedy(said: Said, words: tuple[str, ...], expected: str, remedy: str) -> None:
    """One sentence says what is wrong, the next what to do; the status is 1."""
    said.token(*words, status=FAILED)
    first, second = said.err.splitlines()
    assert expected in first
    assert remedy in second


def test_no_list_without_a_ledger(said: Said) -> None:
    """A list is read, and reading makes no ledger."""
    said.token("list", status=FAILED)
    assert "holds no ledger" in said.err
    assert not said.folder.exists()
