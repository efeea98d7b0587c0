"""A proof is written only of what is signed, and holds for whoever has the key."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.core.entries import AnyEntry
from service.core.merkle import CompactRange
from service.core.note import Checkpoint, SigningKey, VerifierKey, signed
from service.core.proof import check, parsed
from service.errors import StoreBrokenError, StoreError
from service.ledger import keyfile
from service.ledger.finding import find
from service.ledger.proving import Vouched, covering, latest_of_each, newest, proof_of, told
from service.ledger.reading import Reading
from service.ledger.sqlite import FILE_NAME, SqliteStore
from tests.conftest import Made
from tests.ledger.conftest import WAIT_S, Lives
from tests.ledger.signing import Place

README = Path(__file__).resolve().parents[2] / "service" / "ledger" / "README.md"
TOOLS = ("bash", "openssl", "xxd", "sha256sum", "base64")
CALLS = 300
ENTRIES = 1 + 4 * CALLS


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Write a log of more than one block, once."""
    place = Place(tmp_path_factory.mktemp("original") / "data")
    place.live(CALLS)
    return place


@pytest.fixture
def reading(original: Place) -> Iterator[Reading]:
    """Read it."""
    with closing(Reading(original.folder)) as reading:
        yield reading


def vouched(place: Place) -> Vouched:
    """Give its newest checkpoint."""
    found = newest(place.checkpoints, place.origin)
    assert found is not None
    return found


@pytest.mark.parametrize("index", [0, 1, 700, 1023, 1024, 1199, 1200])
def test_every_entry_is_proved_with_its_bytes(original: Place, reading: Reading, index: int) -> None:
    """The text carries the entry; the key alone is needed to check it."""
    text = proof_of(reading, vouched(original), index)
    entry = original.entries()[index]
    checkpoint = check(text, entry, VerifierKey.parse(original.key))
    assert (original.origin, ENTRIES) == (checkpoint.origin, checkpoint.size)
    assert (index, entry) == (parsed(text).index, parsed(text).extra)


@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")
@pytest.mark.parametrize("index", [0, 5, 1023, 1024, 1200])
def test_the_readmes_recipe_checks_a_proof_without_us(
    original: Place, reading: Reading, tmp_path: Path, index: int
) -> None:
    """Nothing of ours is run but what the README prints; one changed byte, and it says nothing is proven."""
    printed = README.read_text(encoding="utf-8").partition("the log's key, in bash.\n")[2]
    lines = re.match(r"(?:(?:    .*)?\n)+", printed)
    assert lines is not None
    recipe = lines[0].replace("<the log'\\''s public key>", original.key)
    assert original.key in recipe
    text = proof_of(reading, vouched(original), index)
    for written, status in ((text, 0), (text.replace("extra e", "extra f", 1), 1)):
        (tmp_path / "proof").write_text(written, encoding="utf-8")
        done = subprocess.run(["bash", "-c", recipe], cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S607 - a shell, as a reader has it
        assert (status, status == 0) == (done.returncode, done.stdout.endswith("proven\n")), done.stderr
        assert "Signature Verified Successfully" in done.stdout


def test_an_entry_of_later_is_proved_by_no_earlier_checkpoint(original: Place, tmp_path: Path) -> None:
    """What is not covered, or not there, is refused."""
    place = Place(tmp_path / "data")
    shutil.copytree(original.folder, place.folder)
    shutil.copytree(original.checkpoints.folder, place.checkpoints.folder)
    early = vouched(place)
    place.live(1, first=CALLS + 1)
    with closing(Reading(place.folder)) as reading:
        assert early.note == parsed(proof_of(reading, early, 5)).checkpoint  # an earlier one proves what it covers
        for index in (ENTRIES, 10**6):
            with pytest.raises(StoreBrokenError, match=f"entry {index} cannot be proved"):
                proof_of(reading, early, index)


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE entries SET entry = CAST(\'{"forged":1}\' AS BLOB) WHERE "index" = 5',
        'UPDATE entries SET leaf_hash = zeroblob(32) WHERE "index" = 6',
        "DELETE FROM blocks",
    ],
)
def test_nothing_is_proved_of_a_log_that_was_changed(original: Place, tmp_path: Path, statement: str) -> None:
    """The proof is checked before it is handed out."""
    place = Place(tmp_path / "data")
    shutil.copytree(original.folder, place.folder)
    place.change(statement)
    with closing(Reading(place.folder)) as reading, pytest.raises(StoreBrokenError) as refused:
        proof_of(reading, vouched(original), 5)
    assert "exai ledger verify" in refused.value.remedy


def test_each_attempts_latest_entry_is_what_a_receipt_names(reading: Reading) -> None:
    """Intent, end or resolution, never the headers' arrival; of a call without attempts its last entry."""
    call = find(reading, Lives.call_id(5))
    assert [call[2].index] == latest_of_each(call)
    assert [call[1].index] == latest_of_each(call[:2])
    assert [call[0].index] == latest_of_each(call[:1])
    assert [0] == latest_of_each(find(reading, "0"))


def test_headers_that_arrived_are_not_what_is_proved(tmp_path: Path, made: Made) -> None:
    """The entry `accepted` says nothing of the end."""
    place, call_id = Place(tmp_path / "data"), Lives.call_id(1)
    opening: list[AnyEntry] = [made.tool_call(tool_call_id=call_id), made.intent(tool_call_id=call_id)]
    place.write([*opening, made.accepted(tool_call_id=call_id)])
    with closing(Reading(place.folder)) as reading:
        lines = find(reading, call_id)
        assert ["tool_call", "intent", "accepted"] == [line.kind for line in lines]
        assert [lines[1].index] == latest_of_each(lines)


def test_both_sentences_are_said(original: Place) -> None:
    """What it shows names entry, log, size and key; what it does not show is said too."""
    shows, not_shown = told(vouched(original), 7)
    for word in ("entry 7", original.origin, "1201 entries", vouched(original).verifier.key_id.hex()):
        assert word in shows
    assert "provider charged" in not_shown


def ask(place: Place, size: int, wait_s: float = 0.0) -> tuple[Vouched | None, StoreError | None]:
    """Ask for a checkpoint over so many entries."""
    return covering(place.checkpoints, place.origin, size, wait_s=wait_s)


def test_what_a_crash_left_unsigned_is_not_signed_by_who_reads(tmp_path: Path) -> None:
    """Nothing of the folder changes; the newest checkpoint is given, and why it is not enough, with a remedy."""
    place = Place(tmp_path / "data")
    place.live(2)
    before = vouched(place)
    place.live(3, first=3, signed=False)
    place.checkpoints.keep(place.origin, before.note)
    written = (place.folder / FILE_NAME).read_bytes()
    found, why = ask(place, len(place.entries()))
    assert before == found
    assert why is not None
    assert "exai serve" in why.remedy
    assert written == (place.folder / FILE_NAME).read_bytes()


def test_a_running_service_is_waited_for(tmp_path: Path) -> None:
    """It has the lock, which is not asked for: its next checkpoint is taken."""
    place = Place(tmp_path / "data")
    place.live(2)
    before = vouched(place)
    place.live(3, first=3)
    after = place.note
    place.checkpoints.keep(place.origin, before.note)
    running = SqliteStore(place.folder, new_origin="unused")
    try:
        found, why = ask(place, 22)
        assert before == found
        assert why is not None
        begun = threading.Timer(0.1, lambda: place.checkpoints.keep(place.origin, after))
        begun.start()
        found, why = ask(place, 22, WAIT_S)
        begun.join()
        assert found is not None
        assert (after, None) == (found.note, why)
    finally:
        running.close()


def test_without_a_checkpoint_over_an_entry_there_is_none(tmp_path: Path) -> None:
    """One that covers no entry would be true of every log of that name, so it is not given."""
    place = Place(tmp_path / "data")
    place.live(2)
    seed = keyfile.read(place.folder)
    assert seed is not None
    empty = Checkpoint(place.origin, 0, CompactRange().root)
    place.checkpoints.keep(place.origin, signed(empty, SigningKey(place.origin, seed)))
    assert newest(place.checkpoints, place.origin) is None
    shutil.rmtree(place.checkpoints.folder)
    found, why = ask(place, 5)
    assert found is None
    assert why is not None
    assert "no checkpoint of it is kept" in why.message


@pytest.mark.parametrize("key", ["rubbish", "another+00000000+AAAA"])
def test_a_key_that_did_not_sign_is_no_key(tmp_path: Path, key: str) -> None:
    """Nothing is handed out that its reader would find wrong."""
    place = Place(tmp_path / "data")
    place.live(1)
    place.checkpoints.keep_public_key(place.origin, key)
    with pytest.raises(StoreBrokenError, match="does not hold"):
        newest(place.checkpoints, place.origin)
