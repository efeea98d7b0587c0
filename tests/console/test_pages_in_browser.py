"""The pages in Chromium: no sideways scroll, no breach of a policy, little to transfer, few clicks to evidence."""

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import BrowserContext, Page, expect

from service.core.books import TokenClass
from service.core.evidence import Signature, TlsPeer
from tests.browsing import breaches, browsing

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Asker, Books, Browser, Theirs

TRANSFER_BYTES_MAX = 15_000
SENTENCE = "Between two readings 1 call should have cost 0.25 USD; the balance moved by 0.25 USD."


# Words that stand on more than one line.
BROKEN = """(selector) => [...document.querySelectorAll(selector)].flatMap((shown) => {
  const texts = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT), found = [];
  while (texts.nextNode()) {
    for (const word of texts.currentNode.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((part) => part.top)).size > 1) found.push(word[0]);
    }
  }
  return found;
})"""


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    """A browser whose pages run no script of theirs but what the policy lets."""
    async with browsing() as tabs:
        yield tabs


async def fill(books: "Books", made: "Made", theirs: "Theirs") -> dict[str, str]:
    """Write a proven window, other verdicts, failed readings and a signed call; give the addresses to look at."""
    call_id, index = await books.proven(made, theirs)
    signed = Signature(
        nonce="6f1c2b8e-0c1f-4a8e-9d55-0a3c2f4b5d6e", timestamp="1795363260000", signature="c" * 64, model="m"
    )
    peer = TlsPeer(version="TLSv1.3", cipher="AES", subject="CN=*.moonshot.ai", fingerprint="ab" * 32)
    await books.write(
        made.tool_call(),
        made.intent(wallet="glm-plan-with-a-long-name", provider="glm"),
        made.accepted(tls=peer),
        made.settlement(signature=signed),
        made.answer(),
    )
    for code in ("U2", "U3", "U4", "M2", "M9"):
        sentence = (
            f"{SENTENCE} It is code {code}, and its sentence is long enough to need several lines on a phone."
        )
        await books.add(theirs.verdict(code, sentence=sentence, after=10**5, until=10**5 + 1))
    await books.add(theirs.verdict("U4", sums=None, wallet="glm-plan-with-a-long-name", after=10**5))
    await books.add(theirs.refused(wallet="glm-plan-with-a-long-name", message="token expired or incorrect"))
    return {
        "overview": "/",
        "ledger": "/calls",
        "receipt": f"/calls/{call_id}",
        "reconcile": "/reconcile",
        "window": f"/reconcile/{index}",
        "readings": "/readings",
        "verdicts": "/help/verdicts",
        "budgets": "/budgets",
        "evidence": "/evidence",
    }


async def shown(page: Page, browser: "Browser", path: str) -> None:
    """Open an address of the console."""
    answer = await page.goto(str(browser.make_url(f"/console{path}")))
    assert answer is not None
    assert answer.ok


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_fits_and_breaks_no_rule(
    context: BrowserContext, books: "Books", browser: "Browser", made: "Made", theirs: "Theirs", scheme: str
) -> None:
    """From a phone's width on nothing scrolls sideways, light and dark, and the policy stops nothing."""
    addresses = await fill(books, made, theirs)
    page = await context.new_page()
    await page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    for width in (320, 768, 1280):
        await page.set_viewport_size({"width": width, "height": 900})
        for name, path in addresses.items():
            await shown(page, browser, path)
            assert width >= await page.evaluate("document.documentElement.scrollWidth"), (name, width)
            assert [] == await breaches(page), name


@pytest.mark.parametrize("width", [320, 768, 1280])
async def test_no_number_is_broken(
    context: BrowserContext, books: "Books", browser: "Browser", made: "Made", theirs: "Theirs", width: int
) -> None:
    """Amounts and counts stand on one line, and so do the heads above them; nothing scrolls sideways for it."""
    await books.proven(made, theirs)
    long = {"opening": "999999.99999475", "closing": "999999.99844475", "moved": "0.00155", "surely": "0.00155525"}
    classes = tuple(
        TokenClass(name=name, ours=12_345_678, theirs=12_345_670)
        for name in ("uncached_input", "cached_input", "cache_write", "output")
    )
    sums = theirs.sums(**long, tolerance="0.0000000105", attempts=12_345, classes=classes)
    index = await books.add(theirs.verdict("M7", sums=sums, wallet="glm-plan-with-a-long-name"))
    page = await context.new_page()
    await page.set_viewport_size({"width": width, "height": 900})
    for path, selector in (
        ("/reconcile", ".windows .tokens, .windows thead"),
        (f"/reconcile/{index}", ".numbers, .worked .number, .windows .tokens"),
    ):
        await shown(page, browser, path)
        assert [] == await page.evaluate(BROKEN, selector), path
        assert width >= await page.evaluate("document.documentElement.scrollWidth"), path


async def test_every_page_is_small(
    context: BrowserContext, books: "Books", browser: "Browser", made: "Made", theirs: "Theirs"
) -> None:
    """A first visit transfers no more than 15 kB, the style sheet included."""
    for path in (await fill(books, made, theirs)).values():
        page = await context.new_page()
        cdp = await context.new_cdp_session(page)
        await cdp.send("Network.enable")
        await cdp.send("Network.setCacheDisabled", {"cacheDisabled": True})
        sizes: list[float] = []
        cdp.on("Network.loadingFinished", lambda event, sizes=sizes: sizes.append(event["encodedDataLength"]))
        await page.goto(str(browser.make_url(f"/console{path}")), wait_until="networkidle")
        assert TRANSFER_BYTES_MAX >= sum(sizes) > 0, path
        await page.close()


async def test_three_clicks_lead_to_the_evidence_of_a_call(
    context: BrowserContext, books: "Books", browser: "Browser", made: "Made", theirs: "Theirs"
) -> None:
    """From the Overview: one click to the receipt with its six checks, one to the window, one to its proof."""
    _, index = await books.proven(made, theirs)
    page = await context.new_page()
    await shown(page, browser, "/")
    clicks = 0
    for selector, expected in (
        (".calls .to", "Six checks"),
        (f'a[href="/console/reconcile/{index}"] >> nth=0', "The provider's counter"),
    ):
        await page.locator(selector).first.click()
        clicks += 1
        await expect(page.locator("main")).to_contain_text(expected)
    assert 2 == clicks
    await expect(page.locator(f'a[href$="/api/v1/proof/{index}"]')).to_be_visible()


async def test_every_page_is_reached_from_every_page(
    context: BrowserContext, books: "Books", browser: "Browser", made: "Made", theirs: "Theirs"
) -> None:
    """The six words of the navigation stand on each page, in one order; one of them is where the reader is."""
    page = await context.new_page()
    for name, path in (await fill(books, made, theirs)).items():
        await shown(page, browser, path)
        links = page.get_by_role("navigation", name="Pages").get_by_role("link")
        await expect(links).to_have_text(["Overview", "Ledger", "Live", "Reconcile", "Budgets", "Evidence"])
        here = page.locator('nav[aria-label="Pages"] [aria-current="page"]')
        assert (0 if name in ("receipt", "verdicts") else 1) == await here.count(), name


async def test_a_proof_begins_in_a_browser(
    context: BrowserContext, books: "Books", browser: "Browser", asker: "Asker", made: "Made", theirs: "Theirs"
) -> None:
    """The form's request says where it comes from, so it is taken; its receipt stands there when there is one."""
    await fill(books, made, theirs)
    page = await context.new_page()
    await shown(page, browser, "/reconcile")
    await page.get_by_label("wallet").first.select_option("kimi-main")
    await page.get_by_label("at most").fill("0.05")
    await page.get_by_role("button", name="Begin the proof").click()
    await expect(page).to_have_url(re.compile(r"/console/calls/0{31}1$"))
    assert [("kimi-main", "0.05")] == asker.begun
    assert [] == await breaches(page)


async def test_a_page_from_elsewhere_cannot_begin_one(
    context: BrowserContext, browser: "Browser", asker: "Asker"
) -> None:
    """A form on another origin reaches nothing, whatever it holds."""
    page = await context.new_page()
    url = browser.make_url("/console/prove")
    form = f'<form method="post" action="{url}"><input name="max_cost" value="9"><button>win</button></form>'
    await page.goto(f"data:text/html,{form}")
    await page.get_by_role("button").click()
    await expect(page.locator("h1")).to_have_text("This is not for this reader")
    assert [] == asker.begun
