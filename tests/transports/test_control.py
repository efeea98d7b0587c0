"""The control socket over real sockets: who may ask, what is understood, what is said when something breaks."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from service import VERSION
from service.actions import _door
from service.actions._action import Action, Stand, load_actions, somebody
from service.errors import ActionError, StoreFullError
from service.transports import control
from service.transports.control import Control, controlled
from tests.acting import Acting, acting

WAIT_S = 20.0


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the test's action is asked, and what it answers."""

    word: str


class Doing:
    """An action that does what the test wants."""

    def __init__(self) -> None:
        self.deed: Callable[[], Any] = lambda: None
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.at_once = self.at_once_max = 0

    async def run(self, asked: Word, _stand: Stand, by: str) -> Word:
        """Fail as told, or say who asked what; wait where the test holds it up."""
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            self.begun.set()
            if asked.word == "wait":
                await self.go_on.wait()
            self.deed()
        finally:
            self.at_once -= 1
        return Word(f"{asked.word} by {by}")


class Asking:
    """The service, and a client of its socket."""

    def __init__(self, lab: Acting, http: aiohttp.ClientSession, doing: Doing) -> None:
        self.lab = lab
        self.http = http
        self.doing = doing

    async def post(self, name: str, body: object, **headers: str) -> tuple[int, dict[str, Any]]:
        """Ask for an action; give status and answer."""
        sent = body if isinstance(body, bytes) else msgspec.json.encode(body)
        async with self.http.post(f"http://exai/v1/{name}", data=BytesIO(sent), headers=headers) as answer:
            return answer.status, await answer.json()

    async def problem(self, name: str, body: object, **headers: str) -> tuple[int, str, str]:
        """Ask for what is refused; give status, code and words."""
        status, said = await self.post(name, body, **headers)
        problem = msgspec.convert(said, _door.Problem)
        return status, problem.code, problem.message


def actions(doing: Doing, *, is_long: bool = False) -> dict[str, Action[Any, Any]]:
    """Give the real actions and the test's own."""
    own = Action(name="doing", request=Word, reply=Word, run=doing.run, is_long=is_long)
    return {**load_actions(), "doing": own}


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Asking]:
    """Serve the control socket of a folder."""
    doing = Doing()
    async with AsyncExitStack() as stack:
        lab = await stack.enter_async_context(acting(tmp_path))
        await stack.enter_async_context(controlled(tmp_path, actions(doing), lab.stand))
        connector = aiohttp.UnixConnector(str(tmp_path / _door.FILE_NAME))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Asking(lab, http, doing)


async def test_an_action_is_done(asking: Asking, caplog: pytest.LogCaptureFixture) -> None:
    """By the user at the other end, as the system names it; the log says it without a word of the answer."""
    with caplog.at_level(logging.INFO):
        status, made = await asking.post("token-create", {"name": "ci", "scopes": ["call"]})
    assert (200, "ci") == (status, made["name"])
    assert [somebody()] == [entry.by for entry in asking.lab.entries]
    assert "ci" == asking.lab.tokens.caller(made["token"]).name
    assert "an action was done" in caplog.text
    assert made["token"][5:] not in caplog.text


async def test_what_can_be_asked(asking: Asking) -> None:
    """The actions are listed, with the version that does them."""
    async with asking.http.get("http://exai/v1/") as answer:
        told = await answer.json()
    assert VERSION == told["version"]
    assert {"doing", "token-create", "token-revoke"} <= set(told["actions"])


@pytest.mark.parametrize(
    ("name", "body", "status", "why"),
    [
        ("token-eat", {}, 404, "knows no such action"),
        ("doing", {"word": "x", "more": 1}, 400, "unknown field `more`"),
        ("doing", {}, 400, "missing required field `word`"),
        ("doing", {"word": 1}, 400, "Expected `str`"),
        ("doing", b"{", 400, "truncated"),
        ("doing", b"\xff", 400, ""),
        ("doing", b"[" * 100_000, 400, ""),
    ],
)
async def test_what_is_not_understood(asking: Asking, name: str, body: object, status: int, why: str) -> None:
    """The version that does not understand it is named, and the difference is the remedy."""
    found, code, message = await asking.problem(name, body)
    assert (status, "not_understood") == (found, code)
    assert VERSION in message
    assert why in message
    assert not asking.doing.begun.is_set()


async def test_a_body_has_a_limit(asking: Asking) -> None:
    """More than a mebibyte is not read."""
    status, code, _ = await asking.problem("doing", b" " * (_door.BODY_BYTES_MAX + 1))
    assert (413, "request") == (status, code)
    assert 404 == (await asking.problem("doing/more", b""))[0]


async def test_no_page_may_ask(asking: Asking) -> None:
    """Whoever names an origin is a browser behind somebody's proxy."""
    status, code, _ = await asking.problem("doing", {"word": "x"}, Origin="http://localhost")
    assert (403, "origin") == (status, code)
    assert not asking.doing.begun.is_set()


async def test_an_error_of_the_family_is_told(asking: Asking) -> None:
    """With its code, remedy and whether to try again; the ledger's own are the service's fault."""

    def refuse() -> None:
        raise ActionError("not so", remedy="do it thus")

    def fail() -> None:
        raise StoreFullError("the disk is full", remedy="Free space.")

    asking.doing.deed = refuse
    refused = {"code": "action", "message": "not so", "remedy": "do it thus", "retryable": False}
    assert (409, refused) == await asking.post("doing", {"word": "x"})
    asking.doing.deed = fail
    status, said = await asking.post("doing", {"word": "x"})
    assert (503, "store_full", True) == (status, said["code"], said["retryable"])


async def test_a_fault_of_ours_is_a_reference(asking: Asking, caplog: pytest.LogCaptureFixture) -> None:
    """Its text stays in the log."""

    def break_() -> None:
        raise RuntimeError("secret text")

    asking.doing.deed = break_
    with caplog.at_level(logging.ERROR):
        status, code, message = await asking.problem("doing", {"word": "x"})
    assert (500, "internal") == (status, code)
    assert "secret text" not in message
    (record,) = [record for record in caplog.records if record.exc_info]
    assert getattr(record, "reference", "") in message


async def test_one_at_a_time(asking: Asking) -> None:
    """An action looks first and writes then; no other comes between."""
    first = asyncio.create_task(asking.post("doing", {"word": "wait"}))
    await asyncio.wait_for(asking.doing.begun.wait(), WAIT_S)
    names = [asking.post("token-create", {"name": "ci", "scopes": ["call"]}) for _ in range(4)]
    others = asyncio.gather(asking.post("doing", {"word": "x"}), *names)
    async with asking.http.get("http://exai/v1/") as answer:
        assert 200 == answer.status
    asking.doing.go_on.set()
    assert 200 == (await asyncio.wait_for(first, WAIT_S))[0]
    statuses = [status for status, _ in await asyncio.wait_for(others, WAIT_S)]
    assert [200, 200, 409, 409, 409] == sorted(statuses)
    assert 1 == asking.doing.at_once_max
    assert 1 == len(asking.lab.entries)


async def test_a_client_that_goes_stops_nothing(asking: Asking) -> None:
    """What was asked is done."""
    asked = asyncio.create_task(asking.post("doing", {"word": "wait"}))
    await asyncio.wait_for(asking.doing.begun.wait(), WAIT_S)
    done = asyncio.Event()
    asking.doing.deed = done.set
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    asking.doing.go_on.set()
    await asyncio.wait_for(done.wait(), WAIT_S)


async def test_a_deadline(lab_folder: Path) -> None:
    """An action that does not end is given up in words; a long one is not, and shows that it lives."""
    doing = Doing()
    async with acting(lab_folder) as lab:
        runs = Control(actions(doing), lab.stand, deadline_s=0.05)
        with pytest.raises(ActionError, match=r"doing took longer than 0\.05 s"):
            await runs._run(actions(doing)["doing"], Word("wait"), "me")
        begun = asyncio.create_task(runs._run(actions(doing, is_long=True)["doing"], Word("wait"), "me"))
        doing.go_on.set()
        assert Word("wait by me") == await asyncio.wait_for(begun, WAIT_S)


async def test_signs_of_life(lab_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an action is under way its client hears now and then that it is."""
    doing = Doing()
    monkeypatch.setattr(control, "Control", lambda of, stand: Control(of, stand, life_s=0.02))
    async with acting(lab_folder) as lab, controlled(lab_folder, actions(doing, is_long=True), lab.stand):
        reader, writer = await asyncio.open_unix_connection(lab_folder / _door.FILE_NAME)
        body = b'{"word":"wait"}'
        writer.write(b"POST /v1/doing HTTP/1.1\r\nHost: exai\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        async with asyncio.timeout(WAIT_S):
            for _ in range(3):
                assert b"HTTP/1.1 100 Continue\r\n\r\n" == await reader.readuntil(b"\r\n\r\n")
            doing.go_on.set()
            while (head := await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100"):
                pass
        assert head.startswith(b"HTTP/1.1 200 OK")
        writer.close()
        await writer.wait_closed()


async def test_the_socket_s_life(lab_folder: Path) -> None:
    """It stands while the service runs, for its user alone, and is gone afterwards."""
    door = lab_folder / _door.FILE_NAME
    async with acting(lab_folder) as lab:
        for _ in range(2):
            async with controlled(lab_folder, load_actions(), lab.stand):
                assert 0o600 == door.lstat().st_mode & 0o777
            assert not door.exists()


async def test_a_folder_without_sockets(lab_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The service runs all the same, and says what cannot be asked."""
    (lab_folder / _door.FILE_NAME).mkdir(parents=True)
    async with acting(lab_folder) as lab, controlled(lab_folder, load_actions(), lab.stand):
        assert "commands cannot ask this service" in caplog.text
    assert (lab_folder / _door.FILE_NAME).is_dir()


KNOCK = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
caller = socket.socket(socket.AF_UNIX)
try:
    caller.connect(sys.argv[1])
except PermissionError:
    print("no way in")
else:
    caller.sendall(b'GET /v1/ HTTP/1.0\\r\\nHost: exai\\r\\n\\r\\n')
    print(caller.recv(10_000).decode())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
async def test_another_user(asking: Asking, tmp_path: Path) -> None:
    """The file's mode keeps others out; where somebody has widened it, the service asks the system who it is."""
    door = tmp_path / _door.FILE_NAME
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.owner() == "root" and folder != Path("/tmp"):  # noqa: S108 - named to be left alone
            folder.chmod(0o755)

    async def knock() -> str:
        words = [sys.executable, "-I", "-S", "-c", KNOCK, str(door)]
        done = await asyncio.to_thread(
            subprocess.run, words, capture_output=True, text=True, check=True, timeout=WAIT_S
        )
        return str(done.stdout)

    assert "no way in\n" == await knock()
    door.chmod(0o666)
    said = await knock()
    assert said.startswith("HTTP/1.0 403")
    assert "takes commands of user root" in said
    assert not asking.doing.begun.is_set()


@pytest.fixture
def lab_folder(tmp_path: Path) -> Path:
    """Give a folder for a ledger."""
    return tmp_path / "data"
