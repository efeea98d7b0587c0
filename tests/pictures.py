"""Pictures: the demo as a browser shows it, for the README. `python -m tests.pictures` writes docs/*.png anew."""

import asyncio
import logging
import re
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.equipping import MissingToolError, chromium
from tests.processes import ROOT, end, eventually, get_json, start

WIDTH_PX = 1280
DOCS = ROOT / "docs"
HEIGHTS_PX = {"overview": 2060, "receipt": 1700}
_log = logging.getLogger(__name__)


def main() -> int:
    """Write the pictures; 1 if something is missing, and stderr says how to get it."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        browser = chromium()
    except MissingToolError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="exai-pictures-") as folder:
        asyncio.run(_picture(Path(folder), browser))
    return 0


async def _picture(folder: Path, executable: Path) -> None:
    """Run the demo in a folder of its own, look at two of its pages, and end it."""
    child = start("demo", folder=folder, environ={})
    try:
        url = str(await eventually(lambda: _said(folder)))
        addresses = {"overview": f"{url}/console/", "receipt": f"{url}/console/calls/{await _chosen(url)}"}
        async with async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            for name, address in addresses.items():
                await _take(browser, name, address)
            await browser.close()
    finally:
        end(child)


async def _said(folder: Path) -> str | None:
    """Read where the console is, once the demo has said it."""
    found = re.search(r"Console: (http://\S+)/console/", (folder / "stdout").read_text())
    return found[1] if found else None


async def _chosen(url: str) -> str:
    """Choose a call that was tried again and then settled: its receipt shows the most."""
    calls = (await get_json(f"{url}/console/calls.json"))["calls"]
    return next(str(call["tool_call_id"]) for call in calls if len(call["attempts"]) > 1)


async def _take(browser: Browser, name: str, address: str) -> None:
    page = await browser.new_page(viewport={"width": WIDTH_PX, "height": HEIGHTS_PX[name]}, color_scheme="light")
    await page.goto(address)
    path = DOCS / f"{name}.png"
    await page.screenshot(path=path)
    _log.info("%s, %d bytes", path.relative_to(ROOT), path.stat().st_size)


if __name__ == "__main__":
    sys.exit(main())
