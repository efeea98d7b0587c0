"""The console as an application: its headers, its errors, its files."""

import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from console import codes, words
from service.core.verdict import CODES
from service.core.words import AttemptOutcome, CheckState, ToolOutcome, VerdictWord, ZeroReason
from service.ledger.choosing import OPEN
from service.ledger.sqlite import FILE_NAME
from tests.console.conftest import Strict

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Books, Browser, Shows, Theirs

CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
MENU = frozenset(f"/console/{name}" for name in ("", "calls", "live", "reconcile", "budgets", "evidence"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/overview.json", 200),
        ("/?range=never", 400),
        ("/calls", 200),
        ("/calls.json", 200),
        ("/calls.csv", 200),
        ("/calls?x=1", 400),
        ("/calls/unknown", 404),
        ("/calls/unknown.json", 404),
        ("/nothing", 404),
        ("/reconcile", 200),
        ("/reconcile.json", 200),
        ("/reconcile.csv", 200),
        ("/reconcile/0", 404),
        ("/readings", 200),
        ("/readings.csv", 200),
        ("/readings.json", 200),
        ("/help/verdicts", 200),
        ("/help/verdicts.json", 200),
    ],
)
async def test_every_answer_has_the_strict_headers(browser: "Browser", path: str, status: int) -> None:
    """Pages, exports, redirects and errors carry the same strict headers, for GET and for HEAD."""
    for method in ("GET", "HEAD"):
        answer = await browser.request(method, f"/console{path}", allow_redirects=False)
        assert status == answer.status
        assert answer.headers["Content-Security-Policy"] == CSP
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        referrer = "same-origin" if path == "/reconcile" else "no-referrer"  # the page with the form
        assert answer.headers["Referrer-Policy"] == referrer
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        if method == "HEAD":
            assert await answer.read() == b""


async def test_static_files_may_be_kept_for_ever(browser: "Browser") -> None:
    """The style sheet's address holds its content's hash; another hash is not found."""
    page = await (await browser.get("/console/calls")).text()
    found = re.search(r'rel="stylesheet" href="([^"]+)"', page)
    assert found is not None
    answer = await browser.get(found[1])
    assert answer.status == 200
    assert answer.content_type == "text/css"
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Security-Policy"] == CSP
    assert (await browser.get("/console/static/0000000000000000/console.css")).status == 404


async def test_pages_and_files_are_compressed_for_who_asks(browser: "Browser") -> None:
    """A page and the style sheet come as gzip to a client that accepts it, as they are to any other."""
    page = await (await browser.get("/console/calls")).text()
    found = re.search(r'rel="stylesheet" href="([^"]+)"', page)
    assert found is not None
    for path in ("/console/calls", found[1]):
        packed = await browser.get(path, headers={"Accept-Encoding": "br, gzip"})
        plain = await browser.get(path, headers={"Accept-Encoding": "identity"})
        assert ("gzip", None) == (
            packed.headers.get("Content-Encoding"),
            plain.headers.get("Content-Encoding"),
        )
        assert "no-store" in packed.headers["Cache-Control"] or "Accept-Encoding" == plain.headers["Vary"]
        assert await packed.text() == await plain.text()


@pytest.mark.parametrize("simulated", [False, True])
async def test_a_title_never_says_proven_of_a_simulator_alone(
    books: "Books",
    browser: "Browser",
    made: "Made",
    theirs: "Theirs",
    simulated: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A tab, a bookmark and a search's result show no more of a page; so the mark stands before the verdict."""
    opened = await books.add(theirs.reading(simulated=simulated))
    entries = (made.intent(simulated=simulated), made.accepted(), made.settlement(), made.answer())
    call_id = await books.write(made.tool_call(), *entries)
    closed = await books.add(theirs.reading("49.33894", simulated=simulated))
    index = await books.add(
        theirs.verdict(simulated=simulated, opened=opened, closed=closed, after=opened, until=closed - 1)
    )
    word = "SIMULATED PROVEN" if simulated else "PROVEN"
    for path, title in (
        (f"/reconcile/{index}", f"Window {index}: {word} · EXAI"),
        (f"/calls/{call_id}", f"Receipt {call_id[:8]}: {word} · EXAI"),
    ):
        page = await (await browser.get(f"/console{path}")).text()
        assert f"<title>{title}</title>" in page
    for path in ("/", "/calls?verdict=PROVEN", "/live", "/reconcile", "/readings", "/budgets", "/evidence"):
        page = await (await browser.get(f"/console{path}")).text()
        assert "PROVEN" not in page.partition("</title>")[0], path


@pytest.mark.parametrize("owner", [None, "owner"])
async def test_the_menu_leads_where_its_reader_may_go(
    books: "Books", browser: "Browser", made: "Made", owner: str | None
) -> None:
    """Every page has the same menu; of who sees one client's calls alone it leaves out what is of all clients."""
    call_id = await books.write(made.tool_call(tool="prove"), made.intent(), made.settlement())
    menus = set()
    for path in ("/", "/calls", "/live", "/budgets", "/evidence", f"/calls/{call_id}", "/calls/unknown"):
        seen = Strict(await (await browser.get(f"/console{path}")).text())
        found = {names.get("href") for tag, names in seen.tags if tag == "a"}
        menus.add(frozenset(MENU & found))
        leads = {str(link).partition("#")[0] for link in found if str(link).startswith("/console/")}
        assert {200} == {(await browser.get(link)).status for link in leads}, path
    assert {MENU - ({"/console/reconcile"} if owner else set())} == menus


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?modle=x", "This page knows no parameter named 'modle'."),
        ("?verdict=GOOD", "'GOOD' is no verdict. It must be one of: PROVEN, UNVERIFIED, MISMATCH, NO CREDIT USED"),
        ("?outcome=good", "'good' is no outcome. It must be one of: ok, tool_error,"),
        ("?limit=0", "limit must be a whole number, 1 or more; it is '0'."),
        ("?limit=501", "limit must be a whole number from 1 to 500 for a page."),
        ("?limit=5&limit=6", "limit may be given once only."),
        ("?before=-1", "before must be a whole number, 0 or more"),
        ("?before=٣", "before must be a whole number, 0 or more"),
        (f"?before={'9' * 5000}", "before must be a whole number, 0 or more"),
        (
            "?since=yesterday",
            "since is 'yesterday', which is no time from 1970 on. Write a day like 2026-11-22, or",
        ),
        ("?until=0001-01-01T00:00:00%2B14:00", "until is '0001-01-01T00:00:00+14:00', which is no time"),
        ("?since=0001-01-01", "since is '0001-01-01', which is no time"),
        ("?since=2026-11-22T00:00:00+08:00", "write + as %2B"),
        ("?since=2026-11-22+00:00+08:00", "write + as %2B"),
        ("?since=2026-11-22&until=2026-11-21", "until must be later than since."),
    ],
)
async def test_a_bad_address_is_explained(shows: "Shows", query: str, sentence: str) -> None:
    """What the page cannot answer is refused with a sentence and every name it knows."""
    page = await shows(f"/calls{query}", 400)
    assert sentence in page
    for name in ("provider", "model", "wallet", "tool", "client", "outcome", "since", "until", "before", "limit"):
        assert f"{name}: " in page


async def test_an_unknown_id_teaches(browser: "Browser", shows: "Shows") -> None:
    """A receipt that is not there says where receipts are; as JSON where JSON was asked for."""
    page = await shows("/calls/%3Cb%3Ehello", 404)
    assert "no tool call with the id '<b>hello'" in page
    assert "All calls are listed at /console/calls." in page
    assert "no page at this address" in await shows("/nothing/here", 404)
    answer = await browser.get("/console/calls/unknown.json")
    assert (await answer.json())["error"]["code"] == "nothing_is_here"


async def test_the_console_changes_nothing(browser: "Browser") -> None:
    """Every other method is refused, with the ones that work."""
    answer = await browser.post("/console/calls")
    assert answer.status == 405
    assert "answers GET and HEAD" in await answer.text()


async def test_a_damaged_record_is_said(
    books: "Books", browser: "Browser", shows: "Shows", made: "Made", tmp_path: Path
) -> None:
    """A log whose entries contradict each other yields a page with a remedy, never half a receipt."""
    call_id = await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    connection = apsw.Connection(str(tmp_path / FILE_NAME))
    for name in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name[0]}")
    connection.execute("DELETE FROM entries WHERE kind = 'intent'")
    connection.close()
    for path in (f"/calls/{call_id}", "/calls"):
        assert "exai ledger verify" in await shows(path, 500)
    assert (await browser.get("/console/calls.json")).status == 500


class TestWithSimulators:
    """A service that runs simulated providers."""

    @pytest.fixture
    def simulated_banner(self) -> bool:
        """It does."""
        return True

    async def test_every_page_carries_the_band(self, shows: "Shows") -> None:
        """Even an error page and an empty ledger say SIMULATED."""
        for path, status in (("/", 200), ("/calls", 200), ("/calls?x=1", 400), ("/calls/unknown", 404)):
            assert "SIMULATED This service runs simulated providers." in await shows(path, status)


def test_every_closed_word_is_worded() -> None:
    """The wording covers the closed lists, and nothing else."""
    assert {*ToolOutcome, OPEN} == set(words.OUTCOMES)
    assert set(AttemptOutcome) == set(words.ATTEMPTS)
    assert set(ZeroReason) == set(words.ZEROS)
    assert set(VerdictWord) == set(words.BADGES)
    assert set(CheckState) == set(words.CHECKS)
    assert CODES == set(codes.CODES)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1])
def test_colours_can_be_told_apart(theme: int) -> None:
    """Every text colour has at least the contrast of WCAG AA on every ground it stands on, light and dark."""
    css = resources.files("console").joinpath("static/console.css").read_text()
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", css.split(":root {")[theme + 1].split("}")[0]))
    pairs = [
        (text, ground)
        for text in ("ink", "soft", "link", "unverified", "none", "mismatch", "sim")
        for ground in ("page", "sheet")
    ]
    pairs += [(word, f"{word}-sheet") for word in ("proven", "unverified", "mismatch", "none", "sim")]
    for text, ground in pairs:
        lighter, darker = sorted((_luminance(colours[text]), _luminance(colours[ground])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, ground)
    for number in range(4):  # what is drawn needs 3:1
        lighter, darker = sorted(map(_luminance, (colours[f"series-{number}"], colours["sheet"])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3, number
