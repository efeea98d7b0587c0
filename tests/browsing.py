"""Browsing: pages as Chromium shows them, and every breach of their content security policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import BrowserContext, Page, async_playwright, expect

from tests.equipping import chromium
from tests.processes import WAIT_S

_HEAR = """
window.breaches = [];
addEventListener("securitypolicyviolation", (event) =>
  window.breaches.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
addEventListener("error", (event) => window.breaches.push(`error: ${event.message}`));
"""


@asynccontextmanager
async def browsing(*, javascript: bool = True) -> AsyncIterator[BrowserContext]:
    """Run a browser while the context lasts. It waits for what a test expects, and no longer than WAIT_S."""
    expect.set_options(timeout=WAIT_S * 1000)
    async with async_playwright() as playwright:
        # Our own pages alone are opened; in containers the sandbox does not start as root.
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            context = await browser.new_context(java_script_enabled=javascript)
            context.set_default_timeout(WAIT_S * 1000)
            await context.add_init_script(_HEAR)
            yield context
        finally:
            await browser.close()


async def breaches(page: Page) -> list[str]:
    """List what the page's policy refused, and what its script failed at."""
    found: list[str] = await page.evaluate("() => window.breaches")
    return found
