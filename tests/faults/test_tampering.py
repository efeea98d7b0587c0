"""Whoever changes a kept log is found out: the entry is named, or the smallest part of the log that can be told.

The log is 1,201 entries long: one whole block of the tree, and a tail of 177. What is changed is a real file, and
the judge has the public key alone.
"""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from service.cli._main import main
from service.core.merkle import leaf_hash
from service.core.note import VerifierKey
from service.errors import RolledBackError, StoreError
from service.ledger import keyfile
from service.ledger.export import Closing, closing_line, export_line
from service.ledger.findings import Problem
from service.ledger.judging import Judgement, judge
from service.ledger.opening import open_store
from service.ledger.reading import Reading
from service.ledger.sources import open_export_source, open_store_source
from service.ledger.sqlite import FILE_NAME
from service.ledger.store import Tree
from tests.ledger.signing import Place, dice

CALLS = 300
ENTRIES = 1 + 4 * CALLS
BLOCK = 1024
FLIPS = 600
FLIPS_OF_AN_EXPORT = 200
FLIPS_OF_THE_FILE = 200
GET = 'SELECT leaf_hash, entry FROM entries WHERE "index" = ?'
PUT = 'UPDATE entries SET leaf_hash = ?, entry = ? WHERE "index" = ?'


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Write the log once."""
    place = Place(tmp_path_factory.mktemp("original") / "data")
    place.live(CALLS)
    return place


@pytest.fixture
def place(original: Place, tmp_path: Path) -> Place:
    """Take a copy, with its checkpoints."""
    return copied(original, tmp_path / "data")


@pytest.fixture
def file(place: Place) -> Iterator[apsw.Connection]:
    """Open the copy's file as its owner can: without triggers."""
    place.change()
    with closing(apsw.Connection(str(place.folder / FILE_NAME))) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


def copied(place: Place, folder: Path) -> Place:
    """Copy a data folder and its checkpoints."""
    shutil.copytree(place.folder, folder)
    made = Place(folder)
    shutil.copytree(place.checkpoints.folder, made.checkpoints.folder)
    return made


def exported(place: Place) -> bytes:
    """Write an export."""
    with closing(Reading(place.folder)) as reading:
        lines = b"".join(map(export_line, reading.lines()))
    return lines + closing_line(Closing(place.note, place.key))


def judged(path: Path, text: bytes, key: str | None = None, *, quick: bool = False) -> Judgement:
    """Judge an export."""
    path.write_bytes(text)
    verifier = None if key is None else VerifierKey.parse(key)
    with open_export_source(path, compressed=False) as source:
        return judge(source, key=verifier, quick=quick)


def flipped(text: bytes, bit: int) -> bytes:
    """Turn one bit over."""
    changed = bytearray(text)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def only(found: Judgement) -> Problem:
    """Give the one problem that there is."""
    (problem,) = found.problems
    return problem


def reworded(entry: bytes, **changed: object) -> bytes:
    """Change fields of an entry's bytes, canonically."""
    return json.dumps({**json.loads(entry), **changed}, sort_keys=True, separators=(",", ":")).encode()


def forge(file: apsw.Connection, index: int, **changed: object) -> None:
    """Write an entry anew, with a hash that fits it."""
    _, entry = file.execute(GET, (index,)).get
    text = reworded(entry, **changed)
    file.execute(PUT, (leaf_hash(text), text, index))


def test_the_log_as_it_was_written_passes(original: Place, tmp_path: Path) -> None:
    """Store and export are whole, covered to the last entry, and all of it was looked at."""
    for found in (original.judge(), judged(tmp_path / "x", exported(original), original.key)):
        assert (ENTRIES, ENTRIES, ()) == (found.entries, found.covered, found.problems)
    assert ("hashes", "tree", "checkpoint", "grammar", "tables") == original.judge().checked


def test_every_flipped_bit_of_an_entry_or_its_hash_is_named(place: Place, file: apsw.Connection) -> None:
    """One bit anywhere in the columns of any entry: exactly its index is reported, and only that."""
    rng = random.Random("columns")  # noqa: S311 - the same flips in every run
    for _ in range(FLIPS):
        index = rng.randrange(ENTRIES)
        leaf, entry = file.execute(GET, (index,)).get
        if rng.random() < 0.2:
            file.execute(PUT, (flipped(leaf, rng.randrange(len(leaf) * 8)), entry, index))
        else:
            file.execute(PUT, (leaf, flipped(entry, rng.randrange(len(entry) * 8)), index))
        found = place.judge(quick=True)
        assert (index, None) == (only(found).index, only(found).last)
        file.execute(PUT, (leaf, entry, index))
    assert () == place.judge().problems


def test_every_flipped_bit_of_an_entry_in_the_file_is_named(place: Place) -> None:
    """The same in the raw file, wherever the entry's bytes stand in it."""
    rng = random.Random("file")  # noqa: S311 - the same flips in every run
    path, texts = place.folder / FILE_NAME, place.entries()
    whole = path.read_bytes()
    once = [index for index in range(ENTRIES) if whole.count(texts[index]) == 1]  # pages hold older copies of some
    for index in rng.choices(once, k=FLIPS_OF_THE_FILE):
        at = whole.index(texts[index]) * 8 + rng.randrange(len(texts[index]) * 8)
        path.write_bytes(flipped(whole, at))
        found = place.judge(quick=True)
        assert (index, None) == (only(found).index, only(found).last)
    path.write_bytes(whole)


def test_no_flipped_bit_of_the_file_goes_unseen_in_what_is_read(place: Place) -> None:
    """Any bit of the whole file: it is reported, or every entry is read as it was written and rows agree."""
    rng = random.Random("anywhere")  # noqa: S311 - the same flips in every run
    path, texts = place.folder / FILE_NAME, place.entries()
    whole = path.read_bytes()
    reported = 0
    for _ in range(FLIPS_OF_THE_FILE):
        path.write_bytes(flipped(whole, rng.randrange(len(whole) * 8)))
        try:
            found = place.judge()
        except StoreError:  # the file cannot even be opened
            reported += 1
            continue
        reported += bool(found.problems)
        assert found.problems or texts == place.entries()
    assert reported > FLIPS_OF_THE_FILE * 0.7  # the others are in room that nobody uses
    path.write_bytes(whole)


def test_every_flipped_bit_of_an_export_is_named(original: Place, tmp_path: Path) -> None:
    """Any bit of the text: the entry of its line, or, in the last line, that the checkpoint does not hold."""
    rng = random.Random("export")  # noqa: S311 - the same flips in every run
    whole, path = exported(original), tmp_path / "x"
    for _ in range(FLIPS_OF_AN_EXPORT):
        bit = rng.randrange(len(whole) * 8)
        line = whole[: bit // 8].count(b"\n")
        found = judged(path, flipped(whole, bit), original.key, quick=True)
        assert found.problems
        assert line == ENTRIES or line == found.problems[0].index


@pytest.mark.parametrize("index", [3, 700, 1023, 1024, 1150, 1200])
def test_an_entry_written_anew_is_told_by_the_stored_tree(place: Place, file: apsw.Connection, index: int) -> None:
    """Another cost with a fitting hash, which may well stand there: block or tail of the tree tell where it is."""
    forge(file, index, at="2026-11-22T16:21:00.000001Z")
    found = place.judge()
    assert found.first_bad is not None
    first, last = found.first_bad.index, found.first_bad.last
    assert first is not None
    assert last is not None
    assert first <= index <= last
    assert last - first < BLOCK if index < BLOCK else last - first < 128
    assert any("signed over 1201 entries" in problem.sentence for problem in found.problems)


def test_an_entry_written_anew_is_told_by_what_it_says(place: Place, file: apsw.Connection) -> None:
    """If it may not stand where it stands, its index is named beside the part of the tree."""
    forge(file, 703, tool_call_id="e" * 32)
    assert {703} <= {problem.index for problem in place.judge().problems if problem.last is None}


def test_a_tree_made_to_fit_is_told_by_the_signature(place: Place, file: apsw.Connection) -> None:
    """Entries, hashes, blocks and tree were all written anew: the signed root is what nobody could make."""
    forge(file, 703, at="2026-11-22T16:21:00.000001Z")
    _rebuild_tree(file)
    found = place.judge()
    assert (0, ENTRIES - 1) == (only(found).index, only(found).last)
    assert "signed over 1201 entries" in only(found).sentence


def test_a_checkpoint_from_elsewhere_narrows_it(original: Place, tmp_path: Path) -> None:
    """Two notes that somebody kept, of receipts say: the change lies between them."""
    place = copied(original, tmp_path / "data")
    early = place.note
    place.live(20, first=CALLS + 1)
    with closing(apsw.Connection(str(place.folder / FILE_NAME))) as connection:
        place.change()
        forge(connection, ENTRIES + 30, at="2026-11-22T16:21:00.000001Z")
        _rebuild_tree(connection)
    found = place.judge(early)
    assert (ENTRIES, ENTRIES + 80) == (only(found).index, only(found).last)


@pytest.mark.parametrize("many", [1, 4, 177, 178, 1200])
def test_an_end_that_was_cut_off_is_told(place: Place, many: int) -> None:
    """The last entries are gone: the checkpoint says how many there were; with a tree made to fit, too."""
    place.change(f'DELETE FROM entries WHERE "index" >= {ENTRIES - many}')  # noqa: S608 - a number of ours
    kept = ENTRIES - many
    assert (kept, ENTRIES - 1) in [(problem.index, problem.last) for problem in place.judge().problems]
    with closing(apsw.Connection(str(place.folder / FILE_NAME))) as connection:
        _rebuild_tree(connection)
    assert (kept, ENTRIES - 1) in [(one.index, one.last) for one in place.judge(quick=True).problems]
    with pytest.raises(RolledBackError, match=f"has {kept} entries; 1201 were signed"):
        open_store(place.folder, place.checkpoints, entropy=dice("again"))


@pytest.mark.parametrize("index", [0, 1, 700, 1100])
def test_an_entry_that_was_removed_is_named(place: Place, original: Place, tmp_path: Path, index: int) -> None:
    """In the store its index is missing; in an export the next one stands in its place."""
    place.change(f'DELETE FROM entries WHERE "index" = {index}')  # noqa: S608 - a number of ours
    assert Problem(index, f"index {index} expected, {index + 1} found") == place.judge(quick=True).problems[0]
    lines = exported(original).splitlines(keepends=True)
    found = judged(tmp_path / "x", b"".join(lines[:index] + lines[index + 1 :]))
    assert index == found.problems[0].index


def test_entries_that_changed_places_are_named(place: Place, file: apsw.Connection, tmp_path: Path) -> None:
    """Each says its own index; the tree and the signature say it too."""
    rows = {index: file.execute(GET, (index,)).get for index in (40, 900)}
    for index, other in ((40, 900), (900, 40)):
        file.execute(PUT, (*rows[other], index))
    assert {40, 900} <= {problem.index for problem in place.judge().problems}
    assert (0, BLOCK - 1) == (place.judge(quick=True).problems[0].index, place.judge(quick=True).problems[0].last)
    assert 40 == judged(tmp_path / "x", exported(place), quick=True).problems[0].index


def test_a_log_written_anew_by_another_key_is_told_by_the_one_that_was_noted(
    original: Place, tmp_path: Path
) -> None:
    """Everything is changed and signed again under the old name: who noted the key sees it, nobody else can."""
    noted = VerifierKey.parse(original.key)
    forged = Place(tmp_path / "data", seed="another key")
    shutil.copytree(original.folder, forged.folder)
    (forged.folder / keyfile.FILE_NAME).unlink()
    forged.change("UPDATE meta SET value = '' WHERE key = 'checkpointed'")
    with closing(apsw.Connection(str(forged.folder / FILE_NAME))) as connection:
        forge(connection, 3, at="2026-11-22T16:20:00.000000Z")
        _rebuild_tree(connection)
    open_store(forged.folder, forged.checkpoints, entropy=dice("another key")).store.close()
    assert noted.name == forged.origin
    with open_store_source(forged.folder, forged.checkpoints.folder) as source:
        assert "no signature by this key" in judge(source, key=noted).problems[0].sentence
        alone = judge(source, quick=True)
    assert ((), False) == (alone.problems, alone.key_given)
    assert (
        "no signature by this key" in judged(tmp_path / "x", exported(forged), original.key).problems[0].sentence
    )


def test_yesterdays_copy_is_told_by_todays_checkpoint(original: Place, tmp_path: Path) -> None:
    """The start refuses it and says the remedy; verification says which entries are missing."""
    place = copied(original, tmp_path / "data")
    place.live(5, first=CALLS + 1)
    shutil.rmtree(place.folder)
    shutil.copytree(original.folder, place.folder)
    with pytest.raises(RolledBackError, match="has 1201 entries; 1222 were signed") as refused:
        open_store(place.folder, place.checkpoints, entropy=dice("again"))
    assert "exai ledger adopt" in refused.value.remedy
    assert (1201, 1221) == (only(place.judge()).index, only(place.judge()).last)
    todays = place.note
    shutil.rmtree(place.checkpoints.folder)
    shutil.copytree(original.checkpoints.folder, place.checkpoints.folder)
    assert () == place.judge().problems  # both put back together: what this cannot show
    assert (1201, 1221) == (only(place.judge(todays)).index, only(place.judge(todays)).last)


def _of_another_log(place: Place, other: Place) -> None:
    place.checkpoints.keep(place.origin, other.note)
    place.checkpoints.keep_public_key(place.origin, other.key)


SWAPS: dict[str, Callable[[Place, Place], None]] = {
    "another log's key": lambda place, other: place.checkpoints.keep_public_key(place.origin, other.key),
    "another log's checkpoint": lambda place, other: place.checkpoints.keep(place.origin, other.note),
    "another log's key and checkpoint": _of_another_log,
    "no checkpoint": lambda place, _other: shutil.rmtree(place.checkpoints.folder),
    "rubbish for a checkpoint": lambda place, _other: place.checkpoints.keep(place.origin, "rubbish\n"),
    "rubbish for a key": lambda place, _other: place.checkpoints.keep_public_key(place.origin, "rubbish"),
}
SAYS = {
    "another log's key": "no signature by this key",
    "another log's checkpoint": "no signature by this key",
    "another log's key and checkpoint": "the key is of the log",
    "no checkpoint": "there was one",
    "rubbish for a checkpoint": "malformed",
    "rubbish for a key": "no public key",
}


@pytest.mark.parametrize("swap", SWAPS)
def test_what_was_put_in_the_place_of_key_or_checkpoint_is_told(place: Place, tmp_path: Path, swap: str) -> None:
    """What was signed by another key, or over another log, says nothing of this one."""
    other = Place(tmp_path / "other", seed="another log")
    other.live(1)
    SWAPS[swap](place, other)
    found = place.judge(quick=True)
    assert any(SAYS[swap] in problem.sentence for problem in found.problems), found.problems
    assert 0 == found.covered


def test_a_signing_key_that_was_swapped_stops_the_start(place: Place) -> None:
    """It cannot go on with a key that did not sign what is there; the old public one still holds."""
    (place.folder / keyfile.FILE_NAME).unlink()
    keyfile.create(place.folder, dice("another key"))
    with pytest.raises(RolledBackError, match="no signature by this key"):
        open_store(place.folder, place.checkpoints, entropy=dice("again"))
    assert () == place.judge(quick=True).problems


def test_an_index_that_leaves_rows_out_is_told(place: Place) -> None:
    """Whoever asks for a call would get less than there is: SQLite's own check belongs to verification."""
    place.change(
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'IS NOT NULL', 'IS NULL') WHERE name = 'entries_of_call'",
    )
    assert any("the file is damaged" in problem.sentence for problem in place.judge().problems)


def test_the_command_says_it_and_its_status_is_the_answer(
    place: Place, original: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, the first bad entry by its index, and what no check can show."""
    words = ["ledger", "verify", "--data-dir", str(place.folder), "--key", original.key]
    assert 0 == main(words)
    said = capsys.readouterr().out
    assert "the first 1201 entries are those that were signed" in said
    assert "as it was given" in said
    place.change('UPDATE entries SET entry = CAST(replace(entry, "0.25", "0.15") AS BLOB) WHERE "index" = 703')
    assert 1 == main(words)
    said = capsys.readouterr().out
    assert "the first bad entry: entry 703" in said
    assert "Not shown by this" in said
    kept = tmp_path / "note"
    kept.write_text(original.note + "\n" + original.note)
    assert 1 == main([*words, "--checkpoint", str(kept), "--quick", "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    assert (False, 703, 0) == (told["ok"], told["first_bad"]["index"], told["covered"])


def _rebuild_tree(connection: apsw.Connection) -> None:
    """Make the stored tree that of the stored hashes, as somebody would who knows how it is made."""
    leaves = [leaf for (leaf,) in connection.execute('SELECT leaf_hash FROM entries ORDER BY "index"')]
    tree = Tree().extended(leaves)
    connection.execute("DELETE FROM blocks")
    connection.executemany("INSERT INTO blocks VALUES (?, ?)", tree.blocks)
    connection.execute("UPDATE tree SET size = ?, nodes = ?", (tree.range.size, tree.range.packed()))
