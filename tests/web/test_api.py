"""The API's fixed part: the schema is a schema, the index leads to it, and the log can be checked from outside."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import jsonschema_rs
import pytest
from aiohttp import web

from service.core.note import VerifierKey, opened
from service.core.proof import check, parsed
from service.ledger.notary import Notary
from service.ledger.opening import open_store
from service.ledger.reading import Reading
from service.ledger.writer import Append, Writer
from service.web import api
from tests.conftest import AT, Made
from tests.ledger.conftest import WAIT_S, Lives
from tests.ledger.signing import Place, dice
from tests.naming import created, text_of, tokens
from tests.web.conftest import GuardedApp

TOKEN = "the-owners-token-0123456789"
OWNERS, STRANGERS, OF_NOBODY = 3, 7, 0


@dataclass
class Log:
    """A log that is open, and who signs it."""

    notary: Notary
    reading: Reading
    entries: list[bytes]

    @property
    def routes(self) -> list[web.RouteDef]:
        """What is served of it."""
        return api.checking(self.reading, self.notary)


@pytest.fixture
def log(tmp_path: Path, made: Made) -> Iterator[Log]:
    """Write a call of the owner by its token, one of another client, and one that is not signed yet."""
    place, lives = Place(tmp_path / "data"), Lives(made)
    other = [made.tool_call(tool_call_id=Lives.call_id(2), client="other"), *lives.opening(2)[1:]]
    mine = [made.tool_call(tool_call_id=Lives.call_id(1), client="default"), *lives.opening(1)[1:]]
    place.live(0)
    place.write([*mine, *lives.ending(1)], [*other, *lives.ending(2)])
    with ExitStack() as stack:
        reopened = open_store(place.folder, place.checkpoints, entropy=dice("again"))
        stack.callback(reopened.store.close)
        reopened.notary.start()
        stack.callback(reopened.notary.close)
        Writer(reopened.store).write([Append(tuple(lives.opening(3)), AT)])
        reading = stack.enter_context(closing(Reading(place.folder)))
        reopened.notary.offer(reopened.store.tree.range)
        yield Log(reopened.notary, reading, place.entries())


def wears(token: str) -> dict[str, str]:
    """Write a request's headers."""
    return {"Authorization": f"Bearer {token}"}


async def test_schema(guarded: GuardedApp) -> None:
    """The index names the receipt's schema, which is a valid JSON Schema under its own address."""
    async with guarded() as behind:
        async with behind.http.get(behind.url("/api/v1/")) as answer:
            path = (await answer.json())["receipt_schema"]
        async with behind.http.get(behind.url(path)) as answer:
            assert "application/schema+json" == answer.content_type
            described = await answer.json(content_type=None)
    jsonschema_rs.Draft202012Validator(described)
    assert path == described["$id"]


async def test_the_index_leads_to_all_that_checks_the_log(guarded: GuardedApp, log: Log) -> None:
    """Checkpoint, key and proof, as plain text; the proof holds by the key."""
    async with guarded(more=log.routes) as behind:
        async with behind.http.get(behind.url("/api/v1/")) as answer:
            index = await answer.json()
        found = {}
        for name in ("checkpoint", "key", "proof"):
            async with behind.http.get(behind.url(index[name].format(index=OWNERS))) as answer:
                assert (200, "text/plain") == (answer.status, answer.content_type)
                found[name] = await answer.text()
    key = VerifierKey.parse(found["key"].strip())
    assert opened(found["checkpoint"], key).size >= OWNERS
    assert opened(found["checkpoint"], key).origin == key.name
    assert check(found["proof"], log.entries[OWNERS], key).size >= OWNERS
    assert log.entries[OWNERS] == parsed(found["proof"]).extra


async def test_an_entry_that_is_not_signed_yet_is_signed_at_once(guarded: GuardedApp, log: Log) -> None:
    """Whoever asks for the newest entry's proof need not come again."""
    newest = len(log.entries) - 1
    async with (
        guarded(more=log.routes) as behind,
        behind.http.get(behind.url(f"/api/v1/proof/{newest}")) as answer,
    ):
        text = await answer.text()
    assert check(text, log.entries[newest], log.notary.key.verifier).size == len(log.entries)


async def test_an_entry_that_cannot_be_signed_yet_is_told_so(
    guarded: GuardedApp, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of checkpoints is full, say: the answer names a time to come again."""
    monkeypatch.setattr(api, "WAIT_S", 0.01)
    mute = Notary(log.notary.key, lambda _note: None)
    async with guarded(more=api.checking(log.reading, mute)) as behind:
        async with behind.http.get(behind.url("/api/v1/proof/1")) as answer:
            assert (503, "1") == (answer.status, answer.headers["Retry-After"])
        async with behind.http.get(behind.url("/api/v1/checkpoint")) as answer:
            assert 503 == answer.status
    assert mute.latest is None


async def test_what_cannot_be_signed_at_present_is_told_at_once(
    guarded: GuardedApp, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of checkpoints takes nothing: nobody waits for it, and the answer says what to do."""
    mute = Notary(log.notary.key, lambda _note: None)
    mute.failing = True
    monkeypatch.setattr(api, "WAIT_S", 10 * WAIT_S)
    async with (
        guarded(more=api.checking(log.reading, mute)) as behind,
        asyncio.timeout(WAIT_S),
        behind.http.get(behind.url("/api/v1/proof/1")) as answer,
    ):
        assert (503, True) == (answer.status, "EXAI_CHECKPOINTS_DIR" in await answer.text())


async def test_those_who_wait_for_a_checkpoint_hold_no_thread(
    guarded: GuardedApp, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one thread for all that blocks, many wait and another request is answered in the meantime."""
    monkeypatch.setattr(api, "WAIT_S", 10 * WAIT_S)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    mute = Notary(log.notary.key, lambda _note: None)
    async with guarded(more=api.checking(log.reading, mute)) as behind:

        async def ask() -> int:
            async with behind.http.get(behind.url("/api/v1/proof/1")) as answer:
                return answer.status

        waiting = [asyncio.create_task(ask()) for _ in range(8)]
        async with asyncio.timeout(WAIT_S), behind.http.get(behind.url("/api/v1/proof/99")) as answer:
            assert 404 == answer.status
        mute.failing = True
        assert [503] * 8 == await asyncio.wait_for(asyncio.gather(*waiting), WAIT_S)


@pytest.mark.parametrize(
    ("index", "status"),
    [(OWNERS, 200), (STRANGERS, 404), (OF_NOBODY, 404), (99, 404), (10**17, 404), ("x", 404), (10**18, 404)],
)
async def test_a_proof_is_for_whoever_may_see_the_entry(
    guarded: GuardedApp, log: Log, index: object, status: int
) -> None:
    """A client sees its own calls' entries; all others are not there for it, as if they did not exist."""
    async with guarded(token=TOKEN, is_bound_to_loopback=False, more=log.routes) as behind:
        async with behind.http.get(behind.url(f"/api/v1/proof/{index}"), headers=wears(TOKEN)) as answer:
            assert status == answer.status
        async with behind.http.get(behind.url("/api/v1/proof/3")) as answer:
            assert 401 == answer.status
        for path in ("checkpoint", "key"):
            async with behind.http.get(behind.url(f"/api/v1/{path}"), headers=wears(TOKEN)) as answer:
                assert 200 == answer.status


async def test_who_sees_all_gets_every_proof(guarded: GuardedApp, log: Log) -> None:
    """A named token with `read` sees all clients' entries, and those of no call."""
    known = tokens(created(1, "eye", "read"))
    async with guarded(named=known, is_bound_to_loopback=False, more=log.routes) as behind:
        for index in (OWNERS, STRANGERS, OF_NOBODY):
            path = behind.url(f"/api/v1/proof/{index}")
            async with behind.http.get(path, headers=wears(text_of(1))) as answer:
                assert 200 == answer.status


def test_a_log_that_nobody_signs_has_no_such_addresses(log: Log) -> None:
    """There is nothing to show."""
    assert [] == api.checking(log.reading, None)
