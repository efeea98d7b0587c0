"""A console over a real ledger folder, for the tests of this room."""

import html.parser
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from console.app import create
from console.live import Live
from console.page import PREFIX, Handler
from service.core.books import Figure, ReadingEntry, TokenClass, VerdictEntry, WindowSums
from service.core.entries import AnyEntry, OfCall
from service.core.verdict import word_of
from service.core.words import ReadingCause, ReadingOutcome
from service.errors import ExaiError
from service.ledger.assurance import Assurance
from service.ledger.auditing import Audited
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from service.serving.auth import LOCAL, Caller
from service.serving.keys import CALLER

T0_NS = 1_795_363_200_000_000_000  # 2026-11-22T16:00:00Z
NOW_NS = T0_NS + 3_600_000_000_000
VOID = {"meta", "link", "img", "input", "br"}
CELLS = {"dd", "td", "th"}
Shows = Callable[..., Awaitable[str]]
Browser = TestClient[web.Request, web.Application]


class Steady:
    """A clock that goes one second further each time it is asked, or stands."""

    def __init__(self, now_ns: int, step_ns: int = 0) -> None:
        self._now_ns, self._step_ns = now_ns, step_ns

    def now_ns(self) -> int:
        """Say the time, then move."""
        self._now_ns += self._step_ns
        return self._now_ns

    def skip(self, length_ns: int) -> None:
        """Go further at once."""
        self._now_ns += length_ns

    def monotonic_ns(self) -> int:
        """Say the same."""
        return self._now_ns


class Books:
    """A ledger that takes whole calls. Each call gets an id of its own; so does each attempt."""

    def __init__(self, folder: Path) -> None:
        store = SqliteStore(folder, new_origin="o-test")
        self.reading = Reading(folder)
        self.live = Live(Steady(NOW_NS))
        feed = Feed([self.live], reread=self.reading.steps, next_index=store.next_index, steps_max=1000)
        feed.start()
        self.clock = Steady(T0_NS, 1_000_000_000)
        self.ledger = Ledger(Writer(store), feed, clock=self.clock)
        self._numbers = itertools.count(1)
        self.audited = Audited()
        self.signed = 0
        self.failing = False
        self.welcome = True  # whether readers may stay

    def assure(self) -> Assurance:
        """Say how far the log is signed and verified."""
        return Assurance(
            origin="o-test",
            public_key="o-test+01234567+AbCdEf",
            entries=self.reading.head().next_index,
            signed=self.signed,
            signed_at="2026-11-22T16:59:30.000000Z",
            note=f"o-test\n{self.signed}\nr00t=\n\n— o-test s1gned\n",
            failing=self.failing,
            failures=int(self.failing),
            witnessed=False,
            audited=self.audited,
        )

    async def add(self, entry: AnyEntry) -> int:
        """Write an entry as it is, and give its index."""
        (step,) = await self.ledger.append(entry)
        return step.entry.index

    async def proven(self, made: Any, theirs: "Theirs", code: str = "P1") -> tuple[str, int]:  # noqa: ANN401 - the maker of entries
        """Write a call between two readings, and the verdict on that window; give the call's id and its index."""
        opened = await self.add(theirs.reading())
        ends = (made.accepted(), made.settlement(), made.answer())
        call_id = await self.write(made.tool_call(), made.intent(), *ends)
        closed = await self.add(theirs.reading("49.33894"))
        until = closed - 1
        return call_id, await self.add(
            theirs.verdict(code, opened=opened, closed=closed, after=opened, until=until)
        )

    async def write(self, *entries: OfCall) -> str:
        """Write one call from its opening entry on, and give its id."""
        number = next(self._numbers)
        call_id = f"{number:032x}"
        for entry in entries:
            changes: dict[str, Any] = {"tool_call_id": call_id}
            if hasattr(entry, "attempt_id"):
                changes["attempt_id"] = f"{number:08x}{entry.attempt_id[8:]}"
            await self.ledger.append(msgspec.structs.replace(entry, **changes))
        return call_id


class Theirs:
    """A maker of plausible entries of a provider's books; keywords change their fields."""

    @staticmethod
    def reading(available: str = "49.58894", **changed: Any) -> ReadingEntry:  # noqa: ANN401 - any field
        """Read a balance in USD."""
        entry = ReadingEntry(
            provider="kimi",
            wallet="kimi-main",
            counter="balance",
            endpoint="https://api.moonshot.ai/v1/users/me/balance",
            cause=ReadingCause.SCHEDULE,
            outcome=ReadingOutcome.READ,
            status=200,
            asked_at="2026-11-22T16:00:00.000000Z",
            figures=(Figure(name="available", amount=available, unit="USD", resolution="0.00001"),),
            tells={},
            message="",
            provider_ids={},
            simulated=False,
        )
        return msgspec.structs.replace(entry, **changed)

    def refused(self, **changed: Any) -> ReadingEntry:  # noqa: ANN401 - any field
        """Refuse to tell the balance."""
        said = {"outcome": ReadingOutcome.REFUSED, "status": 401, "figures": ()}
        return self.reading(**{**said, "message": "Invalid Authentication", **changed})

    @staticmethod
    def verdict(code: str = "P1", **changed: Any) -> VerdictEntry:  # noqa: ANN401 - any field
        """Judge a window over everything: one attempt, of 0.25 USD."""
        entry = VerdictEntry(
            rule=1,
            provider="kimi",
            wallet="kimi-main",
            simulated=False,
            word=word_of(code),
            code=code,
            sentence="Between two readings 1 call should have cost 0.25 USD; the balance moved by 0.25 USD.",
            after=-1,
            until=10**6,
            sums=Theirs.sums(),
        )
        return msgspec.structs.replace(entry, **changed)

    @staticmethod
    def sums(**changed: Any) -> WindowSums:  # noqa: ANN401 - any field
        """Put both sides together; they agree."""
        sums = WindowSums(
            unit="USD",
            opening="49.58894",
            closing="49.33894",
            moved="0.25",
            added=None,
            surely="0.25",
            straddling="0",
            in_doubt="0",
            tolerance="0.000025",
            attempts=1,
            classes=(
                TokenClass(name="uncached_input", ours=60, theirs=60),
                TokenClass(name="output", ours=50, theirs=None),
            ),
        )
        return msgspec.structs.replace(sums, **changed)


class Strict(html.parser.HTMLParser):
    """A reader of pages that insists on balanced tags and collects what a person sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag; its names must differ."""
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag in CELLS:
            self.texts.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last, no other."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All visible text, spaces flattened."""
        return " ".join("".join(self.texts).split())


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    """An empty ledger."""
    made = Books(tmp_path)
    await made.ledger.start({})
    yield made
    await made.ledger.close()
    made.reading.close()


@pytest.fixture
def theirs() -> Theirs:
    """A maker of what a provider's books say."""
    return Theirs()


@pytest.fixture
def simulated_banner() -> bool:
    """Whether the console's service runs simulators."""
    return False


@pytest.fixture
def owner() -> str | None:
    """Whose calls alone the reader may see; None for all."""
    return None


@pytest.fixture
def local_may_prove() -> bool:
    """Whether a reader on this machine may begin a proof without a token."""
    return True


class Asker:
    """Who asks, and what came of a wish for a proof."""

    def __init__(self) -> None:
        self.caller: Caller | None = LOCAL
        self.begun: list[tuple[str | None, str | None]] = []
        self.by: list[Caller] = []
        self.refusal: ExaiError | None = None
        self.sees_only: str | None = None

    async def prove(self, caller: Caller, wallet: str | None, max_cost: str | None) -> str:
        """Note the wish, and give the call's id."""
        if self.refusal is not None:
            raise self.refusal
        self.begun.append((wallet, max_cost))
        self.by.append(caller)
        return f"{len(self.begun):032x}"

    @web.middleware
    async def stand(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Say who asks, as the guard does."""
        if self.caller is not None:
            request[CALLER] = self.caller
        return await handler(request)


@pytest.fixture
def asker() -> Asker:
    """Who asks: the local owner, unless a test says otherwise."""
    return Asker()


@pytest.fixture
async def browser(
    books: Books,
    simulated_banner: bool,  # noqa: FBT001 - a fixture
    owner: str | None,
    asker: Asker,
    local_may_prove: bool,  # noqa: FBT001 - a fixture
) -> AsyncIterator[Browser]:
    """A client of a console over that ledger, mounted as the service mounts it."""
    outer = web.Application(middlewares=[asker.stand])
    console = create(
        books.reading,
        console_url="http://127.0.0.1:8079",
        mcp_url="ws://127.0.0.1:8079/mcp",
        simulated_banner=simulated_banner,
        clock=Steady(NOW_NS),
        owner=lambda _request: asker.sees_only or owner,
        live=books.live,
        assure=books.assure,
        may_stay=lambda _request: books.welcome,
        wallets=("kimi-main",),
        prove=asker.prove,
        local_may_prove=local_may_prove,
        proof_most={"kimi-main": ("0.5", "USD")},
    )
    outer.add_subapp(PREFIX, console)
    async with TestClient(TestServer(outer)) as client:
        yield client


@pytest.fixture
async def shows(browser: Browser) -> Shows:
    """Fetch a page, check what must hold of every page, and give its visible text."""

    async def fetch(path: str, status: int = 200) -> str:
        answer = await browser.get(f"{PREFIX}{path}")
        page = await answer.text()
        assert answer.status == status
        assert answer.content_type == "text/html"
        seen = Strict(page)
        assert not [tag for tag, names in seen.tags if tag == "script" or "style" in names or tag == "style"]
        assert not [name for _, names in seen.tags for name in names if name.startswith("on")]
        assert "None" not in seen.text
        assert "None" not in [value for _, names in seen.tags for value in names.values()]
        return seen.text

    return fetch
