"""The Overview page's words: whose calls, which provider's sums, and nothing said of what is not known."""

import re
from typing import TYPE_CHECKING, Any

import pytest

from service.core.entries import WorstCase
from tests.console.conftest import NOW_NS, T0_NS, Strict

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Books, Browser, Shows, Theirs

UNBOUNDED = WorstCase(input_tokens=600, output_tokens=1000, currency=None, amount=None)


async def told(browser: "Browser") -> dict[str, Any]:
    """Fetch the page's JSON."""
    document: dict[str, Any] = await (await browser.get("/console/overview.json")).json()
    return document


async def test_providers_have_sums_of_their_own(
    books: "Books", browser: "Browser", shows: "Shows", made: "Made"
) -> None:
    """Over its wallets' tiles each provider says what all of them came to, per currency; a call counts once."""
    both = (made.intent(1), made.refusal(1), made.intent(2, wallet="spare"), made.settlement(2), made.answer())
    await books.write(made.tool_call(), *both)
    yuan = made.settlement(cost=made.cost(currency="CNY", amount="1.75"))
    await books.write(made.tool_call(), made.intent(wallet="kimi-cn"), yuan, made.answer())
    overview = await told(browser)
    assert [("kimi", "CNY", 1, "1.75"), ("kimi", "USD", 1, "0.25")] == [
        (row["provider"], row["currency"], row["calls"], row["spent"]) for row in overview["providers"]
    ]
    assert 3 == sum(row["calls"] for row in overview["wallets"])
    page = await shows("/")
    assert "Providers and their wallets kimi 1.75 CNY spent; 1 call, 1 request; tokens 100 in (40 cached)" in page
    assert "0.25 USD spent; 1 call, 2 requests; tokens" in page


async def test_what_is_not_known_is_not_called_nothing(books: "Books", shows: "Shows", made: "Made") -> None:
    """Where attempts are in doubt or under way, neither tile nor chart says that nothing was spent."""
    await books.write(made.tool_call(), made.intent(wallet="a"), made.doubt(), made.answer())
    await books.write(made.tool_call(), made.intent(wallet="b", worst_case=UNBOUNDED))
    page = await shows("/")
    assert "No amount is known to draw." in page
    assert "Not drawn, of 2 attempts: 1 in doubt, 1 under way." in page
    assert "none settled what was spent is not known" in page
    assert "none settled what is spent is not known yet" in page
    for words in ("Nothing was spent", "nothing was spent"):
        assert words not in page
        assert words not in await shows("/calls")


async def test_a_slot_without_a_bar_is_not_called_nothing(books: "Books", shows: "Shows", made: "Made") -> None:
    """The chart's table has a dash where no spend is known, for there may be some that is not."""
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    page = await shows("/")
    assert "Nov 22 0.25 0.25" in page
    assert "nothing" not in page.partition("The same numbers in a table")[2].partition("Latest calls")[0]


async def test_a_call_dated_after_now_has_its_bar(books: "Books", browser: "Browser", made: "Made") -> None:
    """Where the clock was set back since, the chart reaches to the newest call: its bars are the sum over it."""
    books.clock.skip(NOW_NS - T0_NS + 7200 * 10**9)
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    assert [] == (await told(browser))["latest"]
    raw = await (await browser.get("/console/?from=2026-11-22T15:00:00")).text()
    (heading,) = re.findall(r'<h3 id="chart-1">([0-9.]+) USD', raw)
    bars = re.findall(r'aria-label="[^:"]+:\d\d: ([0-9.]+) USD;', raw)
    assert [heading] == bars


async def test_the_time_of_the_last_check_is_said_of_charges_alone(
    books: "Books", shows: "Shows", made: "Made"
) -> None:
    """Where no call used credit there is no charge that a reading could confirm."""
    await books.write(made.tool_call(), made.answer(zero_reason="cached"))
    assert "has been read yet" not in await shows("/")
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    assert "No provider's balance or quota has been read yet." in await shows("/")


@pytest.mark.parametrize("owner", ["no<b>ody"])
async def test_whose_calls_are_shown_is_said(
    books: "Books", browser: "Browser", shows: "Shows", made: "Made", owner: str
) -> None:
    """A reader of one client's calls is told so on every page, and no page says that there are no others."""
    call_id = await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    pages = [await shows(path) for path in ("/", "/calls")]
    pages.append(Strict(await (await browser.get("/console/live")).text()).text)
    for page in pages:
        assert f"Shown here: calls of client {owner} alone." in page
        assert f"This ledger (o-test) holds no call of client {owner}." in page
        assert "exai demo" in page or "ask it to use the tool chat" in page
    refused = await shows(f"/calls/{call_id}", 404)
    assert "alone." in refused
    assert f"This ledger holds no tool call of client {owner} with the id" in refused
    overview = await told(browser)
    assert owner == overview["owner"]
    assert f"This ledger holds no call of client {owner} in the last 7 days." == overview["standings"][0]["lead"]


async def test_all_calls_need_no_such_word(
    books: "Books", browser: "Browser", shows: "Shows", made: "Made"
) -> None:
    """Who sees all calls is not told of one client."""
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    assert "Shown here" not in await shows("/")
    assert (await told(browser))["owner"] is None


async def test_only_verdicts_that_hold_say_when_a_bill_is_final(
    books: "Books", browser: "Browser", made: "Made", theirs: "Theirs"
) -> None:
    """Calls in no window have no time; windows that came short have theirs, until a better verdict decides."""

    async def short(day: int) -> dict[str, int]:
        opened = await books.add(theirs.reading())
        await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
        closed = await books.add(theirs.reading("49.5"))
        span = {"opened": opened, "closed": closed, "after": opened, "until": closed - 1}
        await books.add(theirs.verdict("U2", due_at=f"2026-11-{day}T07:00:00.000000Z", **span))
        return span

    async def said() -> tuple[str, list[str]]:
        (standing,) = (await told(browser))["standings"]
        return standing["lead"], standing["more"]

    first = await short(28)
    await short(29)
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    lead, more = await said()
    both = "between 2026-11-28 07:00:00.000 UTC and 2026-11-29 07:00:00.000 UTC"
    assert f"2 are in windows that came short so far, final {both}." in lead
    assert f"2 calls waiting for the provider's final bill (0.5 USD). It is due {both}." in more
    assert "1 call that no reading has decided so far (0.25 USD)." in more
    await books.add(theirs.verdict("P1", **first))
    lead, more = await said()
    assert "1 is in windows that came short so far, final at 2026-11-29 07:00:00.000 UTC." in lead
