"""A full disk: nothing begins that could not be ended, what was begun ends, and room brings the service back.

The disk is one of SQLite's whose size is counted, so it needs no rights. With `EXAI_SMALL_DISK` the journey runs
in that folder instead, which must be on a disk of its own with 24 to 64 MiB; there a file of zeros takes the room.
"""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from service.app import running
from service.core.entries import OfCall, SystemEntry
from service.errors import StoreError, StoreFullError
from service.ledger import opening, sweep
from service.ledger.ballast import Ballast
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.verify import compare_rows, verify
from service.ledger.writer import Append, Writer
from service.secret import Secret
from service.settings import Settings, WalletSource
from tests.conftest import AT, Made
from tests.faults.disks import SmallDisk, close_quietly
from tests.ledger.conftest import ORIGIN, Lives
from tests.processes import Judge, eventually, get, get_json
from tests.speaking import Said, Speaker, speaking

SMALL_DISK = os.environ.get("EXAI_SMALL_DISK")
SIZE_BYTES = 28 * 1024 * 1024
CALLS = 1000
AT_ONCE = 5
_lives = Lives(Made())


class RealDisk:
    """A disk of the system's, which a file of zeros fills."""

    def __init__(self, folder: Path) -> None:
        self._zeros = folder / "zeros"

    def fill(self) -> None:
        """Take all room."""
        with suppress(OSError), self._zeros.open("ab", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    def empty(self) -> None:
        """Give it back."""
        self._zeros.unlink()


class Usage(NamedTuple):
    """What a disk says of itself."""

    total: int
    used: int
    free: int


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk with a data folder."""
    disk = SmallDisk(tmp_path / "data", SIZE_BYTES)
    yield disk
    disk.unregister()


def write(writer: Writer, *appends: list[OfCall]) -> None:
    """Have appends written as one batch, each of which must be."""
    for outcome in writer.write([Append(tuple(entries), AT) for entries in appends]):
        if isinstance(outcome, Exception):
            raise outcome


def whole(folder: Path) -> Counter[str]:
    """Count the entries of a log by kind; log and tables must be whole."""
    reading = Reading(folder)
    assert () == verify(reading.lines()).problems
    assert () == compare_rows(reading).problems
    kinds = Counter(line.kind for line in reading.lines())
    reading.close()
    return kinds


def test_a_thousand_open_calls_end_on_a_full_disk(small: SmallDisk, tmp_path: Path) -> None:
    """The ballast has room for their settlements and answers, each in a commit of its own."""
    kept = Ballast(tmp_path / "data", free_bytes=small.free_bytes)
    store = kept.opened(lambda: small.store(tmp_path / "data", new_origin=ORIGIN))
    writer = Writer(store, ballast=kept)
    for first in range(0, CALLS, 100):
        write(writer, *(_lives.opening(number) for number in range(first, first + 100)))
    small.fill()
    assert kept.present
    for number in range(CALLS):
        write(writer, _lives.ending(number))
    assert not kept.present
    with pytest.raises(StoreFullError):
        write(writer, _lives.opening(CALLS))
    small.empty()
    assert kept.restore()
    write(writer, _lives.opening(CALLS))
    store.close()
    kinds = whole(tmp_path / "data")
    assert (CALLS, CALLS + 1) == (kinds["settlement"], kinds["tool_call"])


def died(small: SmallDisk, folder: Path) -> Path:
    """Leave three open calls in a folder, as a process leaves them that is killed; then fill the disk."""
    origin = folder.with_name("origin")
    kept = Ballast(origin, free_bytes=small.free_bytes)
    store = kept.opened(lambda: SqliteStore(origin, new_origin=ORIGIN))
    write(Writer(store, ballast=kept), *map(_lives.opening, range(3)))
    shutil.copytree(origin, folder)
    store.close()
    small.fill()
    return folder


def test_a_start_on_a_full_disk_ends_what_was_open(small: SmallDisk, tmp_path: Path) -> None:
    """It takes the ballast, sweeps, and takes no call until there is room."""
    folder = died(small, tmp_path / "data")
    kept = Ballast(folder, free_bytes=small.free_bytes)
    store = kept.opened(lambda: small.store(folder, new_origin=ORIGIN))
    assert not kept.present
    writer = Writer(store, ballast=kept)
    left = writer.load()
    writer.write([Append((SystemEntry(event="start", detail={}),), AT)])
    for call in left:
        writer.write([Append(tuple(sweep.closing(call)), AT)])
    with pytest.raises(StoreFullError, match="no call is begun"):
        write(writer, _lives.opening(3))
    close_quietly(store)
    assert (3, 3, 3) == tuple(whole(folder)[kind] for kind in ("tool_call", "doubt", "answer"))


def test_a_start_without_any_room_says_what_to_do(small: SmallDisk, tmp_path: Path) -> None:
    """Without a ballast nothing can be begun or ended; the ledger is left as it was."""
    folder = died(small, tmp_path / "data")
    (folder / "ballast").unlink()
    small.fill()
    with pytest.raises(StoreError, match="full") as refused:
        Ballast(folder, free_bytes=small.free_bytes).opened(lambda: small.store(folder, new_origin=ORIGIN))
    assert "space" in refused.value.remedy
    reading = Reading(folder)
    assert 3 == reading.count(CallFilter(outcome=("open",)))
    reading.close()


@pytest.fixture
def journey(
    small: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[SmallDisk | RealDisk, Path]]:
    """A disk that can be filled, and the data folder on it."""
    if SMALL_DISK is not None:
        folder = Path(SMALL_DISK) / "data"
        yield RealDisk(Path(SMALL_DISK)), folder
        return
    monkeypatch.setattr(opening, "SqliteStore", small.store)
    size = small.size_bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(size, size - small.free_bytes(), small.free_bytes()))
    yield small, tmp_path / "data"


async def begun(speaker: Speaker, judge: Judge) -> list[asyncio.Future[Said | None]]:
    """Begin calls whose answers come late; give them once all have reached the provider."""
    await judge.fault({"kind": "latency", "seconds": 1.0, "next": AT_ONCE})
    answers = [(await speaker.begin(prompt=f"Wait. {number}"))[1] for number in range(AT_ONCE)]

    async def arrived() -> bool:
        return AT_ONCE == len(await judge.requests())

    assert await eventually(arrived)
    return answers


async def test_a_full_disk_stops_calls_and_room_brings_them_back(
    judge: Judge, journey: tuple[SmallDisk | RealDisk, Path]
) -> None:
    """Under load: new calls are refused and nothing is sent, open ones are answered, then all goes on."""
    disk, folder = journey
    wallet = WalletSource(provider="kimi", key=Secret("sim-rich-disk"), base_url=judge.base_urls["KIMI_BASE_URL"])
    settings = Settings(port=0, data_dir=folder, wallets=(wallet,))
    async with running(settings, environ={}) as service, speaking(service.mcp_url) as speaker:
        answers = await begun(speaker, judge)
        disk.fill()
        for _ in range(3):
            refused = await speaker.call(prompt="No room")
            error = refused["structuredContent"]["error"]
            assert (True, "not_recorded", True) == (refused["isError"], error["code"], error["retryable"])
            assert "the disk is full: no call is begun that could not be ended" in error["message"]
            assert "16 MiB free" in error["remedy"]
            assert "Nothing was sent" in error["remedy"]
        for answer in answers:
            assert not (await speaker.hear(answer))["result"]["isError"]
        assert AT_ONCE == len(await judge.requests())
        (check,) = [
            check for check in (await get_json(f"{service.url}/health"))["checks"] if "store" == check["name"]
        ]
        assert ("degraded", True) == (check["state"], "The ballast is used" in check["sentence"])
        assert 503 == (await get(f"{service.url}/health/ready"))[0]
        disk.empty()
        assert 200 == (await get(f"{service.url}/health/ready"))[0]

        async def taken() -> bool:
            return not (await speaker.call(prompt="Room"))["isError"]

        assert await eventually(taken)
        (check,) = [
            check for check in (await get_json(f"{service.url}/health"))["checks"] if "store" == check["name"]
        ]
        assert "ok" == check["state"]
    kinds = whole(folder)
    assert {AT_ONCE + 1} == {kinds[kind] for kind in ("tool_call", "intent", "settlement", "answer")}
    assert AT_ONCE + 1 == len(await judge.requests())
