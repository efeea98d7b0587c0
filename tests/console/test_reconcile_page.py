"""The Reconcile page, its exports, and the page of a wallet's readings."""

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

import console.wallets
import console.windows
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
        "✓ PROVEN the newest verdict, on 2026-11-22 16:00:02.000 UTC to 2026-11-22 16:00:08.000 UTC",
        "moved 0.25 USD; our part is 0.25, of 1 attempt",
        "Our attempts",
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


async def test_only_a_counter_that_decides_something_can_be_read(
    books: "Books", shows: "Shows", browser: "Browser", made: "Made", theirs: "Theirs"
) -> None:
    """What is left in packages confirms no money: without the balance the wallet is blind, and it is said so."""
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    await books.add(theirs.refused())
    left = (Figure(name="package_tokens", amount="0", unit="tokens", resolution="1"),)
    await books.add(theirs.reading(counter="packages", figures=left))
    await books.add(theirs.verdict("U4", sums=None))
    (wallet,) = (await told(browser, "/reconcile.json"))["wallets"]
    assert (True, None, ["package_tokens"]) == (
        wallet["blind"],
        wallet["read_at"],
        [one["name"] for one in wallet["figures"]],
    )
    (standing,) = (await told(browser, "/overview.json"))["standings"]
    assert "blind" == standing["state"]
    assert "No provider's balance or quota has been read yet." == standing["checked"]
    page = await shows("/reconcile")
    assert "Its calls are recorded, but not confirmed, until a counter can be read." in page
    assert "the newest verdict, without readings" in page


async def test_a_plan_that_nothing_was_drawn_from_can_be_read(
    books: "Books", shows: "Shows", browser: "Browser", theirs: "Theirs"
) -> None:
    """Its counter holds no figure yet, and is no failure; another that is not offered is none either."""
    await books.add(theirs.reading(counter="quota", figures=(), tells={"credits_5h": "untouched"}))
    await books.add(theirs.reading(counter="packages", outcome=ReadingOutcome.NOT_OFFERED, figures=()))
    (wallet,) = (await told(browser, "/reconcile.json"))["wallets"]
    assert (False, []) == (wallet["blind"], wallet["failures"])
    assert wallet["read_at"] is not None
    assert "kimi-main kimi Nothing was drawn from it yet, read" in await shows("/reconcile")


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


async def test_few_among_many_are_found(
    books: "Books", browser: "Browser", theirs: "Theirs", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code is looked for through all verdicts of its word, and readings are read on to the last."""
    monkeypatch.setattr(console.windows, "_BATCH", 2)
    monkeypatch.setattr(console.wallets, "PAGE_ROWS_MAX", 2)
    wanted = await books.add(theirs.verdict("U3"))
    for _ in range(5):
        await books.add(theirs.verdict("U2"))
        await books.add(theirs.reading())
    found = (await told(browser, "/reconcile.json?verdict=U3"))["windows"]
    assert [wanted] == [one["index"] for one in found]
    assert 5 == len(await table(browser, "/readings.csv"))


async def test_a_row_that_was_judged_again_says_so(
    books: "Books", shows: "Shows", browser: "Browser", theirs: "Theirs"
) -> None:
    """It names the later verdict on its whole span; a proof, and what only part of it was looked at for, stay."""
    codes = [("U2", 0, 10), ("P1", 20, 30), ("U3", 40, 50), ("P1", 0, 10), ("U3", 20, 30), ("M2", 40, 45)]
    short, _, _, better, *_ = [
        await books.add(theirs.verdict(code, after=after, until=until)) for code, after, until in codes
    ]
    windows = (await told(browser, "/reconcile.json"))["windows"]
    assert {short: better} == {one["index"]: one["replaced_by"] for one in windows if one["replaced_by"]}
    assert [str(better)] == [
        row["replaced_by"] for row in await table(browser, "/reconcile.csv") if row["replaced_by"]
    ]
    page = await shows("/reconcile")
    assert 1 == page.count("Judged again:")
    assert f"Judged again: entry {better}" in page


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

    async def test_no_readings_word_time_or_figure_is_shown(
        self, books: "Books", shows: "Shows", browser: "Browser", made: "Made", theirs: "Theirs"
    ) -> None:
        """Neither what a refusal said of the account, nor when it was read, nor another wallet's balance."""
        ends = (made.settlement(), made.answer())
        await books.write(made.tool_call(), made.intent(wallet="mine"), *ends)
        await books.add(theirs.refused(wallet="mine", message="org-7f3a is suspended: balance -12.34 USD"))
        await books.add(theirs.verdict("U4", wallet="mine", sums=None))
        await books.add(theirs.reading())
        document = await told(browser, "/overview.json")
        (standing,) = document["standings"]
        assert ("unconfirmed", "") == (standing["state"], standing["checked"])
        assert "1 is recorded but not confirmed for want of a reading" in standing["lead"]
        assert [] == document["idle_wallets"]
        page = await shows("/")
        for words in ("org-7f3a", "-12.34", "49.58894", "last read", "has been read"):
            assert words not in page
            assert words not in str(document)
