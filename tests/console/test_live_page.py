"""The Live page and its stream, as any client sees them."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientResponse, ClientSession, web

from console.app import create
from console.live import READERS_MAX
from console.page import PREFIX
from console.pages import live as page
from service.core.entries import Cost, OfCall, WorstCase
from service.core.words import CostStatus, ToolOutcome, ZeroReason
from service.transports.site import make_runner
from tests.console.conftest import NOW_NS, Steady, Strict

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Books, Browser

WAIT_S = 20
STREAM = {"Accept": "text/event-stream"}
HOSTILE = "<img src=x onerror=alert(1)>\"'&</td>"
Told = dict[str, Any]


def every_end(made: "Made") -> list[tuple[OfCall, ...]]:
    """List one call of every end state."""
    unknown = Cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None, price_version="v")
    unbounded = WorstCase(input_tokens=600, output_tokens=1000, currency=None, amount=None)
    opened, guest = made.tool_call(), made.tool_call(client="guest")
    failed = made.answer(outcome=ToolOutcome.FAILED, error_code="bad_gateway")
    yuan = made.settlement(2, cost=made.cost(currency="CNY", amount="1.75"))
    retried = (made.intent(), made.refusal(), made.intent(2, model="kimi-k2.6"), made.accepted(2), yuan)
    return [
        (opened, made.intent(), made.accepted(), made.settlement(), made.answer()),
        (opened, *retried, made.answer()),
        (opened, made.intent(), made.doubt(), failed),
        (opened, made.intent(), made.unsent(), failed),
        (opened, made.intent(worst_case=unbounded), made.settlement(cost=unknown), made.answer()),
        (guest, made.intent(simulated=True), made.settlement(), made.answer()),
        (opened, made.answer(zero_reason=ZeroReason.NO_MODEL_STEP)),
        (made.tool_call(tool=HOSTILE, client=HOSTILE), made.intent(model=HOSTILE, provider=HOSTILE)),
        (opened,),
    ]


async def told(answer: ClientResponse) -> Told:
    """Read the stream's next event; passing over what is no event."""
    found: dict[str, str] = {}
    async with asyncio.timeout(WAIT_S):
        while not ("data" in found and "" in found):
            line = (await answer.content.readline()).decode()
            assert line, "the stream has ended"
            name, _, text = line.rstrip("\r\n").partition(": ")
            found = {**found, name: text} if "data" in found or name else {}
    return {**json.loads(found["data"]), "event": found["event"], "id": int(found["id"])}


async def ended(answer: ClientResponse) -> None:
    """Wait for the stream's end."""
    async with asyncio.timeout(WAIT_S):
        while await answer.content.readline():
            pass


@asynccontextmanager
async def streaming(browser: "Browser", query: str = "", **headers: str) -> AsyncIterator[ClientResponse]:
    """Open the stream."""
    headers = {**STREAM, **{name.replace("_", "-"): text for name, text in headers.items()}}
    async with browser.get(f"/console/live{query}", headers=headers) as answer:
        assert 200 == answer.status, await answer.text()
        yield answer


def rows(html: str) -> list[str]:
    """Take what a person reads of each row out of a page, spaces aside."""
    found = re.findall(r'<tr role="row"[^>]*>\s*(<td.*?)</tr>', html.partition("<template id=")[0], re.DOTALL)
    return ["".join(Strict(row).text.split()) for row in found]


async def test_the_page_says_what_the_ledger_says(books: "Books", browser: "Browser", made: "Made") -> None:
    """Without a script the latest calls stand there, each row word for word as in the Ledger."""
    for entries in every_end(made):
        await books.write(*entries)
    live = await (await browser.get("/console/live")).text()
    ledger = await (await browser.get("/console/calls")).text()
    assert 9 == len(rows(live))
    assert rows(ledger) == rows(live)
    seen = Strict(live)
    assert "load the page again to see newer ones" in seen.text
    assert "None" not in seen.text


async def test_the_page_has_one_script_of_ours_and_nothing_inline(browser: "Browser") -> None:
    """The policy lets this page alone run a script: its own file, which may make no markup from text."""
    answer = await browser.get("/console/live")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; connect-src 'self';")
    assert policy.endswith("require-trusted-types-for 'script'; trusted-types 'none'")
    assert "no-store" == answer.headers["Cache-Control"]
    assert "Accept" in answer.headers.getall("Vary")
    seen = Strict(await answer.text())
    (script,) = [names for tag, names in seen.tags if tag == "script"]
    assert {"src", "defer"} == set(script)
    assert not [tag for tag, names in seen.tags if tag == "style" or "style" in names]
    assert not [name for _, names in seen.tags for name in names if name.startswith("on")]
    served = await browser.get(str(script["src"]))
    assert (200, "text/javascript") == (served.status, served.content_type)
    assert "script-src" not in (await browser.get("/console/calls")).headers["Content-Security-Policy"]


async def test_an_empty_ledger_teaches(browser: "Browser") -> None:
    """Where there is no call yet, the page says how to make one."""
    seen = Strict(await (await browser.get("/console/live")).text())
    assert (
        "This ledger (o-test) holds no call. What was used before it began, or elsewhere, it cannot show."
        in seen.text
    )
    assert "ws://127.0.0.1:8079/mcp" in seen.text


@pytest.mark.parametrize(
    "query", ["?provider=kimi", "?after=-1", "?after=x", "?after=1&after=2", f"?after={'9' * 99}"]
)
async def test_a_bad_address_is_explained(browser: "Browser", query: str) -> None:
    """What the page does not know is refused, for the page and for the stream."""
    for accept in ("text/html", "text/event-stream"):
        answer = await browser.get(f"/console/live{query}", headers={"Accept": accept})
        assert 400 == answer.status
        assert "after: the stream begins behind" in await answer.text()


async def test_each_step_comes_as_it_is_committed(books: "Books", browser: "Browser", made: "Made") -> None:
    """An event's id is its ledger index; nothing keeps or compresses the stream on its way."""
    async with streaming(browser, Accept_Encoding="gzip, deflate, br") as answer:
        assert "text/event-stream" == answer.content_type
        assert ("no-store", "Accept") == (answer.headers["Cache-Control"], answer.headers["Vary"])
        assert "Content-Encoding" not in answer.headers
        call_id = await books.write(*every_end(made)[0])
        found = [await told(answer) for _ in range(4)]
    assert ["opened", "intended", "settled", "closed"] == [event["step"] for event in found]
    assert [1, 2, 4, 5] == [event["id"] for event in found] == [event["index"] for event in found]
    assert {("step", call_id)} == {(event["event"], event["row"]["tool_call_id"]) for event in found}


@pytest.mark.parametrize("by", ["header", "address"])
async def test_missed_steps_are_replayed(books: "Books", browser: "Browser", made: "Made", by: str) -> None:
    """A reader that names its last event gets all that followed, then what comes, each step once."""
    await books.write(*every_end(made)[0])
    query, headers = ("", {"Last_Event_ID": "2"}) if by == "header" else ("?after=2&ledger=o-test", {})
    async with streaming(browser, query, **headers) as answer:
        assert [(4, "settled"), (5, "closed")] == [(one["id"], one["step"]) for one in await many(answer, 2)]
        await books.write(*every_end(made)[6])
        assert [(6, "opened"), (7, "closed")] == [(one["id"], one["step"]) for one in await many(answer, 2)]


async def many(answer: ClientResponse, count: int) -> list[Told]:
    """Read so many events."""
    return [await told(answer) for _ in range(count)]


@pytest.mark.parametrize("query", ["?after=0", "?after=4711", "?after=3&ledger=o-other"])
async def test_who_is_too_far_behind_gets_the_latest_calls(
    books: "Books", browser: "Browser", made: "Made", monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """One event replaces all: too much was missed, or the index is of a ledger that is not this one."""
    monkeypatch.setattr(page, "ENTRIES_REPLAYED_MAX", 4)
    monkeypatch.setattr(page, "ROWS_SHOWN", 2)
    ids = [await books.write(*every_end(made)[number]) for number in (0, 2, 6)]
    async with streaming(browser, query) as answer:
        (latest,) = await many(answer, 1)
        assert ("resync", 11) == (latest["event"], latest["id"])
        assert [ids[2], ids[1]] == [row["tool_call_id"] for row in latest["rows"]]
        await books.write(*every_end(made)[8])
        assert ("step", 12) == ((found := await told(answer))["event"], found["id"])


async def test_a_reader_that_lost_events_gets_the_latest_calls(
    books: "Books", browser: "Browser", made: "Made"
) -> None:
    """Whatever the queue dropped is in the ledger, and the rows come from there."""
    async with streaming(browser) as answer:
        (reader,) = books.live._readers
        call_id = await books.write(*every_end(made)[0])
        await many(answer, 4)
        reader.lose()
        found = await told(answer)
        assert ("resync", 5, [call_id]) == (
            found["event"],
            found["id"],
            [row["tool_call_id"] for row in found["rows"]],
        )


class TestOfOneOwner:
    """A reader that may see one client's calls alone."""

    @pytest.fixture
    def owner(self) -> str | None:
        """It is the guest."""
        return "guest"

    @pytest.mark.parametrize("after", ["0", "4711"])
    async def test_other_clients_calls_are_not_told(
        self, books: "Books", browser: "Browser", made: "Made", after: str
    ) -> None:
        """Not on the page, not in a replay, not in a resync, not as they happen."""
        ends = every_end(made)
        await books.write(*ends[0])
        own = await books.write(*ends[5])
        html = await (await browser.get("/console/live")).text()
        assert 1 == len(rows(html))
        async with streaming(browser, f"?after={after}") as answer:
            found = await many(answer, 4 if after == "0" else 1)
            await books.write(*ends[2])
            new = await books.write(*ends[5])
            found += await many(answer, 4)
        seen = [row for one in found for row in one.get("rows", [one.get("row")])]
        assert {"guest"} == {row["client"] for row in seen}
        assert {own, new} == {row["tool_call_id"] for row in seen}


async def test_streams_are_bounded(books: "Books", browser: "Browser") -> None:
    """One too many is answered with a sentence and a time to come back."""
    answers = [await browser.get("/console/live", headers=STREAM) for _ in range(READERS_MAX)]
    assert READERS_MAX == books.live.readers
    refused = await browser.get("/console/live", headers=STREAM)
    assert (503, "10") == (refused.status, refused.headers["Retry-After"])
    assert f"{READERS_MAX} live streams are open, and no more may be." in await refused.text()
    assert 200 == (await browser.get("/console/live")).status
    for answer in answers:
        answer.close()


@pytest.fixture
async def address(books: "Books") -> AsyncIterator[str]:
    """Serve the page as the service does: a client that goes away does not interrupt whoever serves it."""
    app = web.Application()
    app.add_subapp(
        PREFIX,
        create(
            books.reading,
            console_url="http://127.0.0.1:8079",
            mcp_url="ws://127.0.0.1:8079/mcp",
            simulated_banner=False,
            clock=Steady(NOW_NS),
            owner=lambda _request: None,
            live=books.live,
            assure=books.assure,
            may_stay=lambda _request: books.welcome,
        ),
    )
    runner = make_runner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}{PREFIX}/live"
    await runner.cleanup()


async def nobody_reads(books: "Books", act: Callable[[], Awaitable[object]]) -> None:
    """Act again and again until the server knows that the reader is gone."""
    async with asyncio.timeout(WAIT_S):
        while books.live.readers:
            await act()


async def test_a_reader_that_is_gone_makes_room(
    books: "Books", address: str, made: "Made", caplog: pytest.LogCaptureFixture
) -> None:
    """A closed tab is noticed at a write soon after, and costs no line in the log."""
    async with ClientSession() as http, http.get(address, headers=STREAM) as answer:
        assert 1 == books.live.readers
        answer.close()
    await nobody_reads(books, lambda: books.write(*every_end(made)[6]))
    assert [] == [line for line in caplog.records if line.levelname in ("WARNING", "ERROR")]


async def test_a_quiet_stream_is_kept_alive_and_its_readers_absence_noticed(
    books: "Books", address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment goes out at intervals; by it the server also learns that nobody listens any more."""
    monkeypatch.setattr(page, "PING_S", 0.01)
    async with ClientSession() as http, http.get(address, headers=STREAM) as answer:
        async with asyncio.timeout(WAIT_S):
            while not (await answer.content.readline()).startswith(b": ping"):
                pass
        answer.close()
    await nobody_reads(books, lambda: asyncio.sleep(0))


async def test_what_happens_while_the_replay_is_read_is_told_once(
    books: "Books", browser: "Browser", made: "Made", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is both in the reader's queue and in the replay is sent once, and none is left out."""
    goes_on = threading.Event()
    begin = page._begin

    def begin_late(*arguments: Any) -> object:  # noqa: ANN401 - whatever the page gives
        assert goes_on.wait(WAIT_S)
        return begin(*arguments)

    monkeypatch.setattr(page, "_begin", begin_late)
    asked = asyncio.create_task(browser.get("/console/live?after=0", headers=STREAM))
    await queued(books)
    await books.write(*every_end(made)[0])
    goes_on.set()
    async with await asyncio.wait_for(asked, WAIT_S) as answer:
        found = await many(answer, 4)
        await books.write(*every_end(made)[8])
        found += await many(answer, 1)
    assert [1, 2, 4, 5, 6] == [event["id"] for event in found]


async def queued(books: "Books") -> None:
    """Wait until the stream that was asked for has its queue."""
    async with asyncio.timeout(WAIT_S):
        while not books.live.readers:  # noqa: ASYNC110 - the hub has no event for it, and needs none
            await asyncio.sleep(0)


async def test_who_may_not_read_any_more_hears_nothing_more(
    books: "Books", browser: "Browser", made: "Made"
) -> None:
    """A stream ends with the right to read, before the next call is told."""
    async with await browser.get("/console/live", headers=STREAM) as answer:
        await queued(books)
        books.welcome = False
        await books.write(*every_end(made)[0])
        await ended(answer)
    assert 0 == books.live.readers


async def test_a_shutdown_ends_open_streams(books: "Books", browser: "Browser") -> None:
    """The application says goodbye to five open streams before the server waits for its requests."""
    answers = [await browser.get("/console/live", headers=STREAM) for _ in range(5)]
    assert 5 == books.live.readers
    async with asyncio.timeout(WAIT_S):
        await browser.server.close()
    for answer in answers:
        await ended(answer)
    assert 0 == books.live.readers
