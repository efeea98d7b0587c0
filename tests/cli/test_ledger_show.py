"""`exai ledger show`: entries as they are kept, to be read by people and by programs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from service.cli._main import FAILED, main
from service.core.merkle import leaf_hash
from service.ledger.sqlite import FILE_NAME
from tests.custody import Custody, custody, lived

if TYPE_CHECKING:
    from tests.conftest import Made

CALL = f"{1:032x}"


@pytest.fixture
async def kept(tmp_path: Path, made: "Made") -> Custody:
    """A log of one call."""
    kept = custody(tmp_path)
    await kept.write(*lived(made, 1))
    return kept


async def test_one_object_a_line(kept: Custody, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Each holds the entry's exact bytes, which its leaf hash is of, and its index."""
    assert 0 == main(["ledger", "show", CALL, "--format", "jsonl", "--data-dir", str(kept.data)])
    out, err = capfdbinary.readouterr()
    assert b"" == err
    lines = out.splitlines()
    for index, line in enumerate(lines, start=1):
        head = b'{"index":%d,"leaf_hash":"%b","entry":' % (index, json.loads(line)["leaf_hash"].encode())
        exact = line.removeprefix(head).removesuffix(b"}")
        assert (index, leaf_hash(exact).hex()) == (json.loads(exact)["index"], json.loads(line)["leaf_hash"])
        assert exact in kept.entries
    assert 4 == len(lines)


async def test_for_people(kept: Custody, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Each begins with what it is and where; nothing of it is left out."""
    assert 0 == main(["ledger", "show", "2", "--data-dir", str(kept.data)])
    out = capfdbinary.readouterr().out
    first, _, rest = out.partition(b"\n")
    assert first.startswith(b"entry 2: intent, leaf hash ")
    assert json.loads(kept.entries[2]) == json.loads(rest)


async def test_what_is_no_json_any_more(kept: Custody, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Damage can be looked at: the bytes are shown as a text."""
    connection = apsw.Connection(str(kept.data / FILE_NAME))
    connection.execute("DROP TRIGGER entries_never_change")
    connection.execute("UPDATE entries SET entry = x'7b22ff' WHERE \"index\" = 2")
    connection.close()
    assert 0 == main(["ledger", "show", "2", "--format", "jsonl", "--data-dir", str(kept.data)])
    assert '{"\\xff' == json.loads(capfdbinary.readouterr().out)["entry"]


async def test_what_is_not_there(kept: Custody, capfd: pytest.CaptureFixture[str]) -> None:
    """A sentence with a remedy, and a status."""
    for word in ("99", "f" * 32, "what"):
        assert FAILED == main(["ledger", "show", word, "--data-dir", str(kept.data)])
        said = capfd.readouterr()
        assert "" == said.out
        assert word in said.err
