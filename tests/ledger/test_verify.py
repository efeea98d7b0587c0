"""Whatever is changed in a log or in its tables is reported, with the entry's index."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import msgspec
import pytest

from service.core import entries
from service.core.merkle import leaf_hash
from service.ledger.export import export_line, read_export
from service.ledger.findings import PROBLEMS_MAX, Problem
from service.ledger.memory import Memory, MemoryStore
from service.ledger.reading import Reading
from service.ledger.rebuilding import rebuilt
from service.ledger.rows import columns
from service.ledger.sqlite import FILE_NAME, SqliteStore
from service.ledger.store import AttemptRow, Line
from service.ledger.verify import compare_rows, verify

if TYPE_CHECKING:
    from tests.ledger.conftest import Full, Lives, Opened

FLIP = 0x01


@pytest.fixture
async def log(opened: "Opened", lives: "Lives") -> list[Line]:
    """A small log: two epochs, two calls, one of them swept."""
    memory = Memory()
    async with opened(MemoryStore(memory, new_origin="o")) as ledger:
        await ledger.append(*lives.opening(1))
        await ledger.append(*lives.opening(2), *lives.ending(2))
    async with opened(MemoryStore(memory, new_origin="o")):
        pass
    return list(memory.lines)


def forged(line: Line, **changed: Any) -> Line:  # noqa: ANN401 - any field
    """Change an entry's fields and hash it anew, as somebody would who can write the file."""
    text = entries.encode(msgspec.structs.replace(entries.decode(line.entry), **changed))
    return msgspec.structs.replace(line, entry=text, leaf_hash=leaf_hash(text))


def first_index(lines: list[Line], *, next_index_min: int = 0) -> int | None:
    """Verify, and give the index of the first problem; there must be one."""
    report = verify(lines, next_index_min=next_index_min)
    assert report.first is not None
    return report.first.index


def test_a_whole_log_has_no_problem(log: list[Line]) -> None:
    """A log as the ledger writes it passes, also from its export."""
    assert (12, (), 0) == msgspec.structs.astuple(verify(log))
    assert verify(log).first is None
    text = b"".join(map(export_line, log))
    assert log == list(read_export(io.BytesIO(text)))
    assert verify([]).entries == 0


def test_every_flipped_byte_is_reported(log: list[Line]) -> None:
    """One flipped bit in any byte of any entry or hash is reported with the entry's index."""
    for place, line in enumerate(log):
        for name in ("entry", "leaf_hash"):
            text = getattr(line, name)
            for at in range(len(text)):
                changed = text[:at] + bytes([text[at] ^ FLIP]) + text[at + 1 :]
                broken = msgspec.structs.replace(line, **{name: changed})
                assert line.index == first_index([*log[:place], broken, *log[place + 1 :]])


def test_every_flipped_byte_of_an_export_is_reported(log: list[Line]) -> None:
    """The same holds for the exported text, its frame, its newlines and the case of its hex digits included."""
    texts = [export_line(line) for line in log]
    whole = b"".join(texts)
    starts = [sum(map(len, texts[:place])) for place in range(len(texts))]
    for mask in (FLIP, 0x20):
        for at in range(len(whole)):
            changed = whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :]
            report = verify(read_export(io.BytesIO(changed)))
            expected = sum(start <= at for start in starts) - 1
            assert report.first is not None
            assert expected == report.first.index


def test_every_cut_is_reported(log: list[Line]) -> None:
    """An export cut anywhere is reported where it ends; between two lines, only by who knows the log's length."""
    whole = b"".join(map(export_line, log))
    for at in range(len(whole)):
        report = verify(read_export(io.BytesIO(whole[:at])), next_index_min=len(log))
        assert report.first is not None
        assert whole[:at].count(b"\n") == report.first.index
    assert verify(log[:-1]).problems == ()
    assert Problem(11, "the log ends here; it had 12 entries once") == verify(log[:-1], next_index_min=12).first


def test_every_removal_is_reported(log: list[Line]) -> None:
    """A line taken out is reported at its index."""
    for place in range(len(log)):
        assert place == first_index([*log[:place], *log[place + 1 :]], next_index_min=len(log))


def test_every_swap_is_reported(log: list[Line]) -> None:
    """Two lines that changed places are reported at the first of them."""
    for left in range(len(log)):
        for right in range(left + 1, len(log)):
            swapped = list(log)
            swapped[left], swapped[right] = swapped[right], swapped[left]
            assert left == first_index(swapped)


def test_every_repetition_is_reported(log: list[Line]) -> None:
    """A line that stands twice is reported."""
    for place, line in enumerate(log):
        assert line.index == first_index([*log[: place + 1], line, *log[place + 1 :]])


def test_a_call_that_lives_twice_is_reported(log: list[Line]) -> None:
    """It was answered, so nothing of it is held but its id; nor are tables made of such a log."""
    settled = [line for line in log if line.tool_call_id == f"{2:032x}"]
    assert 4 == len(settled)
    again = [
        forged(msgspec.structs.replace(line, index=len(log) + place), index=len(log) + place)
        for place, line in enumerate(settled)
    ]
    epoch = entries.decode(log[-1].entry).epoch
    again = [forged(line, epoch=epoch) for line in again]
    first = verify([*log, *again]).first
    assert Problem(len(log), f"tool call {2:032x} was opened twice") == first
    with pytest.raises(ValueError, match=f"entry {len(log)}: .* was opened twice"):
        list(rebuilt([*log, *again]))


FORGERIES: dict[str, tuple[Callable[[Line], Line], str]] = {
    "origin": (lambda line: forged(line, origin="another"), "the origin is 'another', and 'o' before"),
    "no origin": (lambda line: forged(line, origin=""), "the origin is '', and 'o' before"),
    "epoch": (lambda line: forged(line, epoch=0), "epoch 0 after epoch 1"),
    "time": (lambda line: forged(line, at="2026-11-22T16:21:00Z"), "is no UTC time with microseconds"),
    "no time": (lambda line: forged(line, at="soon"), "'soon' is no UTC time with microseconds"),
    "index": (lambda line: forged(line, index=5), "the entry says it is index 5"),
    "call": (lambda line: forged(line, tool_call_id="e" * 32), "filed under"),
    "attempt": (lambda line: forged(line, number=2), "is number 2, not 1"),
    "version": (lambda line: _reworded(line, b'"v":3', b'"v":4'), "version is 4"),
    "spaces": (lambda line: _reworded(line, b'"v":3', b'"v": 3'), "no canonical JSON"),
    "filed kind": (lambda line: msgspec.structs.replace(line, kind="doubt"), "of kind intent, filed as 'doubt'"),
    "filed call": (lambda line: msgspec.structs.replace(line, tool_call_id=None), "filed under None"),
}


def _reworded(line: Line, old: bytes, new: bytes) -> Line:
    text = line.entry.replace(old, new)
    return msgspec.structs.replace(line, entry=text, leaf_hash=leaf_hash(text))


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_entry_is_reported(log: list[Line], forgery: str) -> None:
    """An entry that was rewritten with a fitting hash still has to fit its neighbours and its place."""
    forge, sentence = FORGERIES[forgery]
    log[2] = forge(log[2])
    report = verify(log)
    assert report.first is not None
    assert report.first.index == 2
    assert any(sentence in problem.sentence for problem in report.problems)


def test_problems_are_counted_beyond_those_kept(log: list[Line]) -> None:
    """The report keeps the first problems and counts them all."""
    broken = [
        msgspec.structs.replace(line, index=index, leaf_hash=bytes(32)) for index, line in enumerate(log * 30)
    ]
    report = verify(broken)
    assert PROBLEMS_MAX == len(report.problems)
    assert report.problems_total > PROBLEMS_MAX
    assert len(broken) == report.entries


@pytest.mark.parametrize("text", [b"\n", b"null\n", b"[" * 100_000, b"{}", b"\xff\xfe\n"])
def test_what_is_no_export_is_reported(text: bytes) -> None:
    """Reading a stranger's file raises nothing; verifying it says that index 0 cannot be read."""
    report = verify(read_export(io.BytesIO(text)))
    assert report.first is not None
    assert report.first.index == 0


ATTEMPT_COLUMNS = ", ".join(name for name in columns(AttemptRow) if name != "tool_call_id")
ADD_AN_ATTEMPT = f"""
    INSERT INTO attempts (tool_call_id, {ATTEMPT_COLUMNS}) SELECT 'x', {ATTEMPT_COLUMNS} FROM attempts LIMIT 1
"""  # noqa: S608 - our own names
TAMPERED = [
    ("UPDATE calls SET outcome = 'failed' WHERE opened_index = 1", 1, "outcome"),
    ("UPDATE calls SET client = 'another' WHERE opened_index = 5", 5, "client"),
    ("UPDATE attempts SET cost_pico = cost_pico + 1 WHERE tool_call_id LIKE '%1'", 1, "1/cost_pico"),
    ("UPDATE attempts SET held_pico = NULL WHERE tool_call_id LIKE '%3'", 9, "1/held_pico"),
    ("UPDATE attempts SET outcome = 'nonsense' WHERE tool_call_id LIKE '%2'", 5, "cannot be compared"),
    ("DELETE FROM calls WHERE opened_index = 5", 5, "has no row"),
    ("DELETE FROM attempts WHERE tool_call_id LIKE '%2'", 5, "number of attempt rows"),
    (ADD_AN_ATTEMPT, None, "3 and 4 as rows"),
    ("UPDATE rollups SET cost_pico = cost_pico - 1", None, "differ in cost_pico"),
    ("UPDATE rollups SET wallet = 'another'", None, "the sums of another in the quarter hour"),
    ("DELETE FROM rollups", None, "differ in calls, attempts, settled"),
]


@pytest.mark.parametrize(("statement", "index", "sentence"), TAMPERED)
async def test_tampered_rows_are_reported(
    folder: Path, written: "Full", statement: str, index: int | None, sentence: str
) -> None:
    """Tables that say anything else than the log are found out; the log itself is still whole."""
    async with written(3) as reading:
        assert compare_rows(reading).problems == ()
        connection = apsw.Connection(str(folder / FILE_NAME))
        connection.execute(statement)
        connection.close()
        report = compare_rows(reading)
        assert report.problems
        assert (index, True) in {(one.index, sentence in one.sentence) for one in report.problems}
        assert verify(reading.lines()).problems == ()


async def test_rows_are_compared_while_the_service_writes(folder: Path, opened: "Opened", lives: "Lives") -> None:
    """Open calls have rows too, and the comparison sees log and rows at one moment."""
    async with opened(SqliteStore(folder, new_origin="o")) as ledger:
        for number in range(5):
            await ledger.append(*lives.opening(number))
        reading = Reading(folder)
        appends = [ledger.append(*lives.ending(number)) for number in range(5)]
        for _ in range(20):
            assert compare_rows(reading).problems == ()
        for append in appends:
            await append
        assert compare_rows(reading).problems == ()
        reading.close()
