"""The Live page's script, in Chromium: rows come, change and leave; tabs share one stream; nothing else runs."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from service.core.words import ZeroReason
from tests.browsing import breaches, browsing

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Books, Browser

HOSTILE = "<img src=x onerror=alert(1)>\"'&</td>"


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    """A browser's tabs, which share what tabs share."""
    async with browsing() as tabs:
        yield tabs


async def opened(context: BrowserContext, browser: "Browser") -> Page:
    """Open the page in a tab, and wait until it is live."""
    page = await context.new_page()
    await page.goto(str(browser.make_url("/console/live")))
    await expect(page.locator("#state")).to_contain_text("Live")
    return page


def rows(page: Page) -> Locator:
    """Find the rows."""
    return page.locator("#rows tr")


async def text(row: Locator) -> str:
    """Read a row, spaces aside."""
    return "".join((await row.inner_text()).split())


async def test_a_call_appears_and_its_row_follows_it(
    context: BrowserContext, books: "Books", browser: "Browser", made: "Made"
) -> None:
    """One row a call, changed in its place; in the end it says what a reload shows, and leads to its receipt."""
    page = await opened(context, browser)
    await expect(page.locator("#none")).to_be_visible()
    first = await books.write(made.tool_call(), made.intent())
    await expect(rows(page)).to_contain_text(["still open"])
    await expect(page.locator("#none")).to_be_hidden()
    second = await books.write(made.tool_call(), made.answer(zero_reason=ZeroReason.CACHED))
    await expect(rows(page)).to_contain_text(["answered from the cache", "≤ 1.5"])
    await rows(page).nth(1).locator("a").focus()
    attempt_id = f"{1:08x}{made.attempt_id()[8:]}"  # as the books have renamed it
    await books.ledger.append(made.settlement(tool_call_id=first, attempt_id=attempt_id))
    await books.ledger.append(made.answer(tool_call_id=first))
    await expect(rows(page)).to_contain_text(["answered from the cache", "0.25 USD"])
    await expect(rows(page).nth(1).locator("a")).to_be_focused()
    seen = [await text(row) for row in await rows(page).all()]
    links = [await row.locator("a").get_attribute("href") for row in await rows(page).all()]
    assert [f"/console/calls/{second}", f"/console/calls/{first}"] == links
    await page.reload()
    assert seen == [await text(row) for row in await rows(page).all()]
    assert [] == await breaches(page)


async def test_a_strangers_text_stays_text(
    context: BrowserContext, books: "Books", browser: "Browser", made: "Made"
) -> None:
    """Markup in a name is shown as it is written; no policy had to stop it, and the policy is in force."""
    page = await opened(context, browser)
    await books.write(
        made.tool_call(tool=HOSTILE, client=HOSTILE), made.intent(model=HOSTILE, provider=HOSTILE, wallet=HOSTILE)
    )
    await expect(rows(page).locator("bdi")).to_have_text([HOSTILE] * 4)
    assert 0 == await page.locator("#rows img").count()
    assert [] == await breaches(page)
    refused = "() => { try { document.body.innerHTML = '<p>'; return '' } catch (error) { return error.name } }"
    assert "TypeError" == await page.evaluate(refused)
    await expect(rows(page)).to_have_count(1)
    assert (await breaches(page))[0].startswith("require-trusted-types-for")


async def test_a_pause_holds_the_rows_still(
    context: BrowserContext, books: "Books", browser: "Browser", made: "Made"
) -> None:
    """While it is pressed what comes is counted and waits; afterwards it stands where it belongs."""
    page = await opened(context, browser)
    await books.write(made.tool_call(client="before"))
    await expect(rows(page)).to_contain_text(["before"])
    await page.get_by_role("button", name="Pause", pressed=False).click()
    await books.write(made.tool_call(client="one"), made.answer(zero_reason=ZeroReason.CACHED))
    await books.write(made.tool_call(client="two"))
    await expect(page.locator("#waiting")).to_have_text("2 waiting")
    await expect(rows(page)).to_contain_text(["before"])
    await page.get_by_role("button", name="Pause", pressed=True).click()
    await expect(rows(page)).to_contain_text(["two", "one", "before"])
    await expect(page.locator("#waiting")).to_be_empty()


async def test_rows_are_bounded_and_counted_aloud(
    context: BrowserContext, books: "Books", browser: "Browser", made: "Made"
) -> None:
    """A hundred rows stay, the newest; a screen reader is told a count, not each row."""
    page = await opened(context, browser)
    for number in range(105):
        await books.write(made.tool_call(client=f"client-{number}"))
    await expect(rows(page).first).to_contain_text("client-104")
    await expect(rows(page)).to_have_count(100)
    await expect(rows(page).last).to_contain_text("client-5")
    await expect(page.locator("#count")).to_contain_text("new call")
    assert "status" == await page.locator("#count").get_attribute("role")


async def test_tabs_share_one_stream(
    context: BrowserContext, books: "Books", browser: "Browser", made: "Made"
) -> None:
    """Eight tabs load, where six streams would leave the seventh none; the first one's end lets another lead."""
    pages = [await opened(context, browser) for _ in range(8)]
    assert 1 == books.live.readers
    await books.write(made.tool_call(client="to-all"))
    for page in pages:
        await expect(rows(page)).to_contain_text(["to-all"])
    await pages[0].close()
    await books.write(made.tool_call(client="after-it"))
    for page in pages[1:]:
        await expect(rows(page)).to_contain_text(["after-it", "to-all"])
    late = await opened(context, browser)
    await expect(rows(late)).to_contain_text(["after-it", "to-all"])


async def test_a_loss_replaces_all_rows(
    context: BrowserContext, books: "Books", browser: "Browser", made: "Made"
) -> None:
    """When the server says that some events were passed over, the page shows what the ledger holds."""
    page = await opened(context, browser)
    await books.write(made.tool_call(client="one"))
    await expect(rows(page)).to_contain_text(["one"])
    await page.evaluate("() => document.querySelector('#rows bdi:last-child').textContent = 'of long ago'")
    for reader in tuple(books.live._readers):
        reader.lose()
    await expect(rows(page)).to_contain_text(["one"])
    await books.write(made.tool_call(client="two"))
    await expect(rows(page)).to_contain_text(["two", "one"])


async def test_without_a_script_the_page_says_so(books: "Books", browser: "Browser", made: "Made") -> None:
    """The latest calls stand there, the way to newer ones is said, and nothing pretends to be live."""
    await books.write(made.tool_call(client="one"))
    async with browsing(javascript=False) as context:
        page = await context.new_page()
        await page.goto(str(browser.make_url("/console/live")))
        await expect(rows(page)).to_contain_text(["one"])
        await expect(page.get_by_text("load the page again to see newer ones")).to_be_visible()
        await expect(page.locator("#live")).to_be_hidden()
