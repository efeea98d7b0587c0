"""Working texts are given to their own client while they live, and then they are gone, from the disk too."""

import asyncio
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from service.core.times import NS_PER_S
from service.ledger.working import FILE_NAME, ROW_BYTES, SWEEP_EVERY_S, Kind, Working, swept

BEGUN_NS = 1_795_364_460_000_000_000  # 2026-11-22T16:21:00Z
DAY_NS = 24 * 3600 * NS_PER_S
EXPIRES_NS = BEGUN_NS + DAY_NS
CANARY = b"canary-7Hq2 " * 400  # longer than a page: it overflows
ANSWER = Kind.ANSWER


class Standing:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.at_ns = BEGUN_NS

    def now_ns(self) -> int:
        """Say the time."""
        return self.at_ns

    def monotonic_ns(self) -> int:
        """Say the same, for durations."""
        return self.at_ns


@pytest.fixture
def clock() -> Standing:
    """A clock."""
    return Standing()


@pytest.fixture
def working(tmp_path: Path, clock: Standing) -> Iterator[Working]:
    """Working texts in a folder."""
    made = Working(tmp_path, clock=clock)
    yield made
    made.close()


def on_disk(folder: Path) -> bytes:
    """Read every byte of the files, the log's too."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob(f"{FILE_NAME}*")))


def put(working: Working, key: str, content: bytes = b"x", *, expires_at_ns: int = EXPIRES_NS) -> bool:
    """Keep an answer of the owner."""
    return working.put(ANSWER, "owner", key, content, expires_at_ns=expires_at_ns)


def get(working: Working, key: str) -> bytes | None:
    """Ask for an answer of the owner."""
    return working.get(ANSWER, "owner", key)


def test_a_text_is_given_again(working: Working) -> None:
    """What was kept comes back byte for byte; under one name the later text counts."""
    assert put(working, "k", b"first\x00\xff")
    assert b"first\x00\xff" == get(working, "k")
    assert put(working, "k", b"second")
    assert (b"second", None) == (get(working, "k"), get(working, "other"))


def test_a_text_is_bound_to_its_client(working: Working) -> None:
    """Another client finds nothing under the same key, and takes nothing away."""
    put(working, "k", b"mine")
    assert working.get(ANSWER, "stranger", "k") is None
    working.put(ANSWER, "stranger", "k", b"theirs", expires_at_ns=EXPIRES_NS)
    assert b"mine" == get(working, "k")


def test_a_restart_changes_nothing(tmp_path: Path, clock: Standing) -> None:
    """Another opening gives the same text."""
    for kept in (None, b"text"):
        working = Working(tmp_path, clock=clock)
        assert kept == get(working, "k")
        put(working, "k", b"text")
        working.close()


def test_a_kill_changes_nothing(tmp_path: Path, clock: Standing) -> None:
    """What `put` has returned for is there although the process dies at once, without closing anything."""
    program = (
        "import os, sys; from pathlib import Path; from service.clock import SystemClock;"
        "from service.ledger.working import *; w = Working(Path(sys.argv[1]), clock=SystemClock());"
        f"w.put(Kind.ANSWER, 'owner', 'k', b'text', expires_at_ns={2**62}); os._exit(9)"
    )
    child = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=60)
    assert 9 == child.returncode
    working = Working(tmp_path, clock=clock)
    assert b"text" == get(working, "k")
    working.close()


def test_an_expired_text_is_not_given(working: Working, clock: Standing) -> None:
    """At the moment of its expiry a text is no longer given, swept or not; what has expired is not kept."""
    put(working, "k")
    clock.at_ns = EXPIRES_NS - 1
    assert b"x" == get(working, "k")
    clock.at_ns = EXPIRES_NS
    assert get(working, "k") is None
    assert not put(working, "late")


@pytest.mark.parametrize("how", ["sweep", "write", "start"])
def test_an_expired_text_leaves_the_disk(tmp_path: Path, clock: Standing, how: str) -> None:
    """A sweep, a later write or the next start delete it: none of its bytes is left in the file or its log."""
    working = Working(tmp_path, clock=clock)
    put(working, "k", CANARY)
    put(working, "later", b"stays", expires_at_ns=EXPIRES_NS * 2)
    assert b"canary-7Hq2" in on_disk(tmp_path)
    clock.at_ns = EXPIRES_NS
    if how == "sweep":
        assert 1 == working.sweep()
    elif how == "write":
        put(working, "new", expires_at_ns=EXPIRES_NS * 2)
    else:
        working.close()
        working = Working(tmp_path, clock=clock)
    assert b"canary-7Hq2" not in on_disk(tmp_path)
    assert b"stays" == get(working, "later")
    working.close()
    assert b"canary-7Hq2" not in on_disk(tmp_path)


def test_writes_sweep_at_a_bounded_rate(working: Working, clock: Standing, tmp_path: Path) -> None:
    """Between two sweeps of writes lies a minute."""
    put(working, "k", CANARY, expires_at_ns=BEGUN_NS + 1)
    clock.at_ns += 2
    put(working, "a")
    assert b"canary-7Hq2" in on_disk(tmp_path)
    clock.at_ns += int(SWEEP_EVERY_S * NS_PER_S)
    put(working, "b")
    assert b"canary-7Hq2" not in on_disk(tmp_path)


async def test_time_alone_sweeps(working: Working, clock: Standing) -> None:
    """The sweeper deletes what has expired although nobody writes."""
    put(working, "k")
    clock.at_ns = EXPIRES_NS
    pauses = 0
    done = asyncio.Event()

    async def pause(_seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses > 1:
            done.set()
            await asyncio.Event().wait()

    sweeping = asyncio.create_task(swept(working, pause=pause))
    await asyncio.wait_for(done.wait(), 20)
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
    assert 0 == working.sweep()


def test_a_long_text_is_not_kept(tmp_path: Path, clock: Standing, caplog: pytest.LogCaptureFixture) -> None:
    """One byte beyond the cap is one too many; the log says how long it was, not what."""
    working = Working(tmp_path, clock=clock, text_bytes_max=10)
    assert put(working, "k", b"0123456789")
    with caplog.at_level(logging.WARNING):
        assert not put(working, "long", b"0123456789A")
    assert "11 bytes" in caplog.text
    assert "0123" not in caplog.text
    assert b"0123456789" == get(working, "k")
    working.close()


def test_what_expires_first_makes_room(tmp_path: Path, clock: Standing) -> None:
    """Beyond the cap of all texts those go that expire first, and no more than must; a start counts alike."""
    working = Working(tmp_path, clock=clock, all_bytes_max=3 * (ROW_BYTES + 100))
    for number, key in enumerate(("c", "a", "b")):
        put(working, key, b"x" * 100, expires_at_ns=EXPIRES_NS + (number + 1) % 3)
    put(working, "b", b"y" * 100, expires_at_ns=EXPIRES_NS)  # in its own place: nobody must go
    assert [b"x", b"x", b"y"] == [(get(working, key) or b"-")[:1] for key in "acb"]
    working.close()
    working = Working(tmp_path, clock=clock, all_bytes_max=3 * (ROW_BYTES + 100))
    put(working, "d", b"z" * 100, expires_at_ns=EXPIRES_NS + 9)
    assert [True, False, True, True] == [get(working, key) is not None for key in "abcd"]
    put(working, "e", b"z" * (ROW_BYTES + 200), expires_at_ns=EXPIRES_NS + 9)
    assert [False, False, True, True] == [get(working, key) is not None for key in "acde"]
    working.close()


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(20_000))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _other_version(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()


def _no_table(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("DROP TABLE texts")
    connection.close()


@pytest.mark.parametrize("damage", [_garbage, _cut, _other_version, _no_table])
def test_a_file_that_cannot_be_read_is_begun_anew(
    tmp_path: Path, clock: Standing, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged or foreign file costs its texts and a warning; it never stops a start."""
    working = Working(tmp_path, clock=clock)
    put(working, "k", CANARY)
    working.close()
    damage(tmp_path / FILE_NAME)
    with caplog.at_level(logging.WARNING):
        working = Working(tmp_path, clock=clock)
        assert get(working, "k") is None
    assert "begun anew" in caplog.text
    assert put(working, "k", b"new")
    assert b"new" == get(working, "k")
    working.close()


def test_a_file_that_goes_while_it_is_used(
    tmp_path: Path, working: Working, caplog: pytest.LogCaptureFixture
) -> None:
    """A deleted file is noticed at the next use: what is kept from then on survives a restart."""
    put(working, "k")
    (tmp_path / FILE_NAME).unlink()
    with caplog.at_level(logging.WARNING):
        assert get(working, "k") is None
    assert "deleted" in caplog.text
    assert put(working, "k", b"again")
    assert (tmp_path / FILE_NAME).exists()
    assert b"again" == get(working, "k")


def test_a_folder_that_cannot_be_used(tmp_path: Path, clock: Standing, caplog: pytest.LogCaptureFixture) -> None:
    """Where no file can be made nothing is kept, nothing is raised, and it is tried again later."""
    folder = tmp_path / "not-there"
    with caplog.at_level(logging.WARNING):
        working = Working(folder, clock=clock)
        assert (False, None) == (put(working, "k"), get(working, "k"))
    assert "cannot be used now" in caplog.text
    folder.mkdir()
    assert put(working, "k")
    working.close()


def test_nothing_after_the_end(working: Working) -> None:
    """Once closed it keeps and gives nothing; closing twice is nothing."""
    put(working, "k")
    working.close()
    working.close()
    assert (False, None, 0) == (put(working, "k"), get(working, "k"), working.sweep())


def test_the_files_are_their_owners_alone(tmp_path: Path, working: Working) -> None:
    """No other user of the machine may read the file, its log or its index."""
    put(working, "k")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob(f"{FILE_NAME}*")}
    assert {0o600} == modes
    assert 3 == len(list(tmp_path.glob(f"{FILE_NAME}*")))


def test_a_text_survives_a_power_cut(working: Working) -> None:
    """Each commit is synced, and what is deleted is overwritten: the file's own settings say so."""
    put(working, "k")
    connection = working._connection
    assert connection is not None
    found = [connection.pragma(name) for name in ("journal_mode", "synchronous", "secure_delete")]
    assert ["wal", 2, 1] == found


def test_many_threads(working: Working) -> None:
    """Threads may keep and ask at once; each finds its own."""
    wrong: list[str] = []

    def work(name: str) -> None:
        for number in range(20):
            key = f"{name}-{number}"
            put(working, key, key.encode())
            if get(working, key) != key.encode():
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [] == wrong
