"""The Reconcile page, its exports, and the page of a wallet's readings."""

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

from service.core.books import Figure
from service.core.words import ReadingOutcome
from tests.console.conftest import Strict

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Books, Browser, Shows, Theirs

HOSTILE = "<img src=x onerror=alert(1)>\"'&</td>"


async def table(browser: "Browser", path: str) -> list[dict[str, str]]:
    """Fetch a sheet."""
    answer = await browser.get(f"/console{path}")
    assert 200 == answer.status
    assert "text/csv" == answer.content_type
    return list(csv.DictReader(io.StringIO(await answer.text())))


async def told(browser: "Browser", path: str) -> dict[str, Any]:
    """Fetch a document."""
    answer = await browser.get(f"/console{path}")
    assert 200 == answer.status
    document: dict[str, Any] = await answer.json()
    return document


async def test_both_sides_stand_in_a_row(
    books: "Books", shows: "Shows", browser: "Browser", made: "Made", theirs: "Theirs"
) -> None:
    """A window's row holds its times, counter, calls, expectation, movement, difference and verdict."""
    _, index = await books.proven(made, theirs)
    page = await shows("/reconcile")
    for words in (
        "kimi-main kimi",
        "49.58894 → 49.33894 USD",
        "1 0.25 ± 0.000025 0.25 0",
        "✓ PROVEN P1",
        "available 49.33894 USD read",
        "✓ PROVEN the newest window moved 0.25 USD; our part is 0.25, of 1 attempt",
    ):
        assert words in page, words
    (row,) = await table(browser, "/reconcile.csv")
    (window,) = (await told(browser, "/reconcile.json"))["windows"]
    assert str(index) == row["index"] == str(window["index"])
    for name in ("unit", "opening", "closing", "moved", "surely", "tolerance"):
        assert row[name] == window["sums"][name]
    assert ("0", "0.249975", "0.250025") == (row["difference"], row["least"], row["most"])
    assert "PROVEN" == row["word"] == window["word"]


async def test_what_cannot_be_read_comes_first(
    books: "Books", shows: "Shows", browser: "Browser", theirs: "Theirs"
) -> None:
    """A wallet that refuses is named above all windows: why, since the first failure, and what helps."""
    await books.add(theirs.reading())
    first = await books.add(theirs.refused())
    await books.add(theirs.refused())
    at = books.reading.reading(first)
    assert at is not None
    page = await shows("/reconcile")
    assert page.index("Cannot be read kimi-main") < page.index("Windows, newest first")
    assert f"since {at.at[:10]} {at.at[11:23]} UTC. refused (HTTP 401): Invalid Authentication." in page
    assert "The key may not read this counter." in page
    (wallet,) = (await told(browser, "/reconcile.json"))["wallets"]
    assert wallet["blind"]
    assert at.at == wallet["failures"][0]["since"]


async def test_a_counter_that_is_not_offered_is_no_failure(
    books: "Books", shows: "Shows", theirs: "Theirs"
) -> None:
    """Beside one that is read, a counter that this account has not is passed over."""
    await books.add(theirs.reading())
    await books.add(theirs.reading(counter="packages", outcome=ReadingOutcome.NOT_OFFERED, figures=()))
    assert "Cannot be read" not in await shows("/reconcile")


async def test_money_and_quota_keep_their_units(books: "Books", shows: "Shows", theirs: "Theirs") -> None:
    """A plan's figures stand with their caps and the time at which they begin anew, and no sum is over them."""
    quota = (
        Figure(
            name="credits_5h",
            amount="402",
            unit="credits",
            resolution="1",
            cap="12000",
            resets_at="2026-11-22T20:00:00.000000Z",
        ),
        Figure(name="weekly", amount="3", unit="percent", resolution="1"),
    )
    await books.add(theirs.reading(counter="quota", figures=quota))
    page = await shows("/reconcile")
    assert "402 of 12000 credits" in page
    assert "begins anew 2026-11-22 20:00:00.000 UTC" in page
    assert "weekly 3 %" in page


async def test_filters_choose_windows(books: "Books", browser: "Browser", theirs: "Theirs") -> None:
    """Wallet, word and code choose; another name or value is refused with a sentence."""
    for wallet, code in (("a", "P1"), ("a", "U3"), ("b", "U3"), ("b", "U2"), ("b", "M2")):
        await books.add(theirs.verdict(code, wallet=wallet))

    async def codes(query: str) -> list[str]:
        return [one["code"] for one in (await told(browser, f"/reconcile.json{query}"))["windows"]]

    assert ["M2", "U2", "U3", "U3", "P1"] == await codes("")
    assert ["U3", "P1"] == await codes("?wallet=a")
    assert ["U2", "U3", "U3"] == await codes("?verdict=UNVERIFIED")
    assert ["U3"] == await codes("?verdict=U3&wallet=b")
    assert [] == await codes("?verdict=P2")
    for query in ("?verdict=WELL", "?x=1", "?before=x", "?wallet=a&wallet=b"):
        assert 400 == (await browser.get(f"/console/reconcile.json{query}")).status


async def test_pages_hold_each_window_once(books: "Books", browser: "Browser", theirs: "Theirs") -> None:
    """The link to older windows leads through all of them, and ends."""
    written = {await books.add(theirs.verdict("U1" if number % 3 else "U3")) for number in range(130)}
    found: list[int] = []
    path: str | None = "/console/reconcile"
    while path is not None:
        seen = Strict(await (await browser.get(path)).text())
        links = [names for tag, names in seen.tags if tag == "a"]
        found += [int(str(names["href"]).rpartition("/")[2]) for names in links if names.get("class") == "to"]
        path = next((names["href"] for names in links if names.get("rel") == "next"), None)
    assert sorted(written, reverse=True) == found


async def test_a_strangers_text_stays_text(books: "Books", shows: "Shows", theirs: "Theirs") -> None:
    """Markup in a wallet's name, a provider's message or a sentence is shown as it is written."""
    reading = await books.add(theirs.refused(wallet="kimi-main", message=HOSTILE))
    index = await books.add(theirs.verdict("U4", sentence=HOSTILE, wallet=HOSTILE, opened=reading, closed=reading))
    for path in ("/reconcile", f"/reconcile/{index}", "/readings"):
        assert HOSTILE in await shows(path), path


async def test_readings_are_listed_with_failures(
    books: "Books", shows: "Shows", browser: "Browser", theirs: "Theirs"
) -> None:
    """A wallet's readings stand newest first, each with its raw figures, or with why it has none."""
    await books.add(theirs.reading(tells={"tier": "1"}))
    await books.add(theirs.refused())
    page = await shows("/readings?wallet=kimi-main")
    assert page.index("refused (HTTP 401): Invalid Authentication") < page.index("49.58894 USD available")
    assert "tier: 1" in page
    rows = await table(browser, "/readings.csv?wallet=kimi-main")
    assert [("refused", "", "401"), ("read", "49.58894", "200")] == [
        (row["outcome"], row["amount"], row["status"]) for row in rows
    ]


async def test_readings_go_on_to_older_ones(books: "Books", browser: "Browser", theirs: "Theirs") -> None:
    """Sixty readings are two pages; the sheet holds them all."""
    written = [await books.add(theirs.reading()) for _ in range(60)]
    seen = Strict(await (await browser.get("/console/readings")).text())
    (older,) = [names["href"] for tag, names in seen.tags if tag == "a" and names.get("rel") == "next"]
    assert f"/console/readings?wallet=kimi-main&before={written[10]}" == older
    assert 60 == len(await table(browser, "/readings.csv"))


class TestOfOneClient:
    """A reader who may see one client's calls alone."""

    @pytest.fixture
    def owner(self) -> str | None:
        """It is this client."""
        return "owner"

    async def test_no_account_is_shown(
        self, books: "Books", shows: "Shows", browser: "Browser", made: "Made", theirs: "Theirs"
    ) -> None:
        """Windows and readings are of all clients together: these pages say no, and receipts do not link there."""
        call_id, index = await books.proven(made, theirs)
        for path in ("/reconcile", f"/reconcile/{index}", "/readings"):
            assert "what all clients spent together" in await shows(path, 403)
        for path in ("/reconcile.json", "/reconcile.csv", f"/reconcile/{index}.json", "/readings.csv"):
            assert 403 == (await browser.get(f"/console{path}")).status
        overview = await shows("/")
        assert "✓ PROVEN" in overview
        assert "49.33894" not in overview
        document = await told(browser, "/overview.json")
        assert [None] == [one["books"] for one in document["wallets"]]
        assert [] == document["idle_wallets"]
        raw = await (await browser.get(f"/console/calls/{call_id}")).text()
        assert f"/console/reconcile/{index}" not in raw
