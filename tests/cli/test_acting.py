"""Acting: the service that has the folder is asked; if none has it the command does it; never both."""

import asyncio
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.actions import _door
from service.actions._action import Action, Stand, somebody
from service.cli._acting import act
from service.core.entries import ActionEntry
from service.core.token import token_text
from service.errors import ActionError, ClockError, ExaiError, StoreError
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.transports.control import controlled
from tests.acting import acting

WAIT_S = 20.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the test's action writes down."""

    text: str


class Noted(msgspec.Struct, frozen=True):
    """By whom it was written down."""

    by: str


async def note(asked: Note, stand: Stand, by: str) -> Noted:
    """Write it down, or refuse."""
    if not asked.text:
        raise ActionError("nothing to note", remedy="Say something.")
    await stand.ledger.append(ActionEntry(action="note", by=by, detail={"text": asked.text}))
    return Noted(by)


NOTE = Action(name="note", request=Note, reply=Noted, run=note)


def at(folder: Path) -> Namespace:
    """Say which folder is meant, as the command line does."""
    return Namespace(data_dir=str(folder))


def noted(folder: Path) -> list[str]:
    """Read what was noted."""
    reading = Reading(folder)
    try:
        return [entry.detail["text"] for entry in reading.of_ledger() if isinstance(entry, ActionEntry)]
    finally:
        reading.close()


@contextmanager
def answering(folder: Path, answer: bytes) -> Iterator[list[bytes]]:
    """Stand behind a folder's door in the place of a service: hear one request, say these bytes, and hang up."""
    heard: list[bytes] = []

    def serve() -> None:
        with suppress(OSError):
            caller, _ = door.accept()
            with caller:
                caller.settimeout(WAIT_S)
                request = b""
                while not request.endswith(b"}"):  # what is left unread would reset the connection
                    request += caller.recv(65_536)
                heard.append(request)
                caller.sendall(answer)

    folder.mkdir(parents=True, exist_ok=True)
    with _door.bind(folder) as door:
        door.settimeout(WAIT_S)
        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        thread.join(WAIT_S)
        assert not thread.is_alive()


def refused(folder: Path, text: str = "x", between_s: float = 0.0) -> ActionError:
    """See a note fail."""
    with pytest.raises(ActionError) as caught:
        act(at(folder), NOTE, Note(text), between_s=between_s)
    assert caught.value.remedy
    return caught.value


def test_alone(tmp_path: Path) -> None:
    """Where no service runs the command does it, and leaves the folder to the next."""
    folder = tmp_path / "data"
    assert (Noted(somebody()), False) == act(at(folder), NOTE, Note("one"))
    assert (Noted(somebody()), False) == act(at(folder), NOTE, Note("two"))
    assert ["one", "two"] == noted(folder)
    assert not (folder / _door.FILE_NAME).exists()


def test_a_dead_service_s_door(tmp_path: Path) -> None:
    """Nobody is behind it, so the command does it."""
    folder = tmp_path / "data"
    folder.mkdir()
    _door.bind(folder).close()
    assert not act(at(folder), NOTE, Note("one"))[1]


def test_refused_alone(tmp_path: Path) -> None:
    """What the action says is what the person reads; other errors of the family pass as they are."""
    assert ("nothing to note", "Say something.") == (str(error := refused(tmp_path / "data", "")), error.remedy)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        act(at(tmp_path / "file"), NOTE, Note("x"))


def test_a_clock_that_went_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No entry comes before the one it follows, whoever writes it."""
    act(at(tmp_path), NOTE, Note("one"))
    hour_ago_ns = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: hour_ago_ns)
    with pytest.raises(ClockError):
        act(at(tmp_path), NOTE, Note("two"))
    assert ["one"] == noted(tmp_path)


async def test_a_service_is_asked(tmp_path: Path) -> None:
    """It does the same by the same code, and says no in the same words."""
    folder = tmp_path / "data"
    async with acting(folder) as lab, controlled(folder, {"note": NOTE}, lab.stand):
        assert (Noted(somebody()), True) == await asyncio.to_thread(act, at(folder), NOTE, Note("one"))
        error = await asyncio.to_thread(refused, folder, "")
    assert ("nothing to note", "Say something.") == (str(error), error.remedy)
    assert ["one"] == noted(folder)


async def test_no_secret_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a key of the environment nor a token, whoever does the deed; what was named is not repeated."""
    key, token = "sk-0123456789abcdefghijklmnop", token_text(b"\x01" * 32)
    monkeypatch.setenv("KIMI_API_KEY", key)
    errors = [await asyncio.to_thread(refused, tmp_path / "alone", text) for text in (key, token)]
    async with acting(tmp_path / "data") as lab, controlled(tmp_path / "data", {"note": NOTE}, lab.stand):
        errors.append(await asyncio.to_thread(refused, tmp_path / "data", token))
    assert ["note: an entry held the text of a secret"] * 3 == [str(error) for error in errors]
    assert all(error.remedy.startswith("Leave the key or token out") for error in errors)
    assert [[], []] == [noted(tmp_path / name) for name in ("alone", "data")]


async def test_an_older_service(tmp_path: Path) -> None:
    """It names its version when it does not know the action."""
    folder = tmp_path / "data"
    async with acting(folder) as lab, controlled(folder, {}, lab.stand):
        error = await asyncio.to_thread(refused, folder)
    assert "does not understand this: it knows no such action" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n",
        OK % (3, b"{}}"),
        OK % (2, b"{}"),
        OK % (99, b'{"by":"x"'),
        b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_an_answer_that_cannot_be_read(tmp_path: Path, answer: bytes) -> None:
    """Nobody knows whether it was done, so it is not done again, and that is said."""
    with answering(tmp_path, answer) as heard:
        error = refused(tmp_path)
    assert "no answer that can be read" in str(error)
    assert "may have been done" in error.remedy
    assert heard[0].startswith(b"POST /v1/note HTTP/1.1\r\n")
    assert heard[0].endswith(b'{"text":"x"}')
    assert not (tmp_path / "ledger.sqlite3").exists()


def test_signs_of_life_are_passed_over(tmp_path: Path) -> None:
    """However many come before the answer."""
    with answering(tmp_path, CONTINUE * 50 + OK % (10, b'{"by":"x"}')):
        assert (Noted("x"), True) == act(at(tmp_path), NOTE, Note("x"))


def test_a_silent_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes the request and says nothing is given up."""
    monkeypatch.setattr(_door, "SILENCE_S", 0.05)
    with _door.bind(tmp_path):
        assert "timed out" in str(refused(tmp_path))


def test_a_folder_that_is_taken(tmp_path: Path) -> None:
    """A process that has the lock and no door is waited for, then named."""
    store = SqliteStore(tmp_path, new_origin="exai/test")
    try:
        error = refused(tmp_path, between_s=0.15)
    finally:
        store.close()
    assert "another process (process " in str(error)
    assert "does not answer" in str(error)
    assert error.retryable


@pytest.mark.parametrize("then", ["it listens", "it ends"])
def test_a_service_that_starts_or_stops(tmp_path: Path, then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment it has the folder and no door; whichever comes of it, the deed is done once."""
    tried, pause = threading.Event(), threading.Event()

    def wait(seconds: float) -> None:
        tried.set()
        pause.wait(seconds)

    monkeypatch.setattr(time, "sleep", wait)
    store = SqliteStore(tmp_path, new_origin="exai/test")
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(act(at(tmp_path), NOTE, Note("x"), between_s=WAIT_S)))
    thread.start()
    assert tried.wait(WAIT_S)
    if then == "it ends":
        store.close()
        thread.join(WAIT_S)
        assert [(Noted(somebody()), False)] == found
        return
    with answering(tmp_path, OK % (10, b'{"by":"x"}')):
        thread.join(WAIT_S)
    store.close()
    assert [(Noted("x"), True)] == found


def test_a_door_that_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may not knock is told whom to be; the ledger is not touched."""

    def refuse(_folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_door, "connect", refuse)
    error = refused(tmp_path)
    assert "cannot be reached: Permission denied" in str(error)
    assert "as the user that runs the service" in error.remedy


def test_errors_are_of_the_family() -> None:
    """The command line turns them into a sentence, a remedy and status 1."""
    made: Callable[..., ExaiError] = ActionError
    assert (True, "action") == (made("x", retryable=True).retryable, made("x").code)
