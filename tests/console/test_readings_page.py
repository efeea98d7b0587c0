"""The page of a wallet's readings as documents for programs, and where its pages begin and end."""

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from console.asking import ROWS_PER_PAGE
from console.pages import readings
from tests.console.conftest import Strict

if TYPE_CHECKING:
    from tests.console.conftest import Books, Browser, Theirs


async def told(browser: "Browser", query: str = "") -> dict[str, Any]:
    """Fetch the document."""
    answer = await browser.get(f"/console/readings.json{query}")
    assert (200, "application/json") == (answer.status, answer.content_type)
    document: dict[str, Any] = await answer.json()
    return document


async def test_a_reading_is_told_whole(books: "Books", browser: "Browser", theirs: "Theirs") -> None:
    """Each stands as the ledger holds it, newest first, failures too; an unknown status is null and not zero."""
    read = await books.add(theirs.reading(tells={"tier": "1"}))
    failed = await books.add(theirs.refused(status=None))
    await books.add(theirs.reading(wallet="other"))
    document = await told(browser)
    entries = [books.reading.reading(index) for index in (failed, read)]
    assert json.loads(msgspec.json.encode(entries)) == document["readings"]
    assert document["readings"][0]["status"] is None
    assert {"wallet": "kimi-main", "counter": None, "before": None} == document["filter"]
    assert (1, "2026-11-22T17:00:00.000000Z", None) == (document["version"], document["as_of"], document["older"])


async def test_a_document_says_where_the_next_begins(
    books: "Books", browser: "Browser", theirs: "Theirs", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Followed by `older`, each reading comes once; the last document names none, and a filter stays."""
    monkeypatch.setattr(readings, "EXPORT_ROWS_MAX", 2)
    written = [await books.add(theirs.reading()) for _ in range(4)]
    await books.add(theirs.refused(counter="packages"))
    found: list[int] = []
    query: str | None = "?counter=balance"
    while query is not None:
        document = await told(browser, query)
        found += [one["index"] for one in document["readings"]]
        assert "balance" == document["filter"]["counter"]
        older = document["older"]
        query = None if older is None else f"?counter=balance&before={older}"
    assert written[::-1] == found


async def test_a_full_page_that_is_the_last_leads_nowhere(
    books: "Books", browser: "Browser", theirs: "Theirs"
) -> None:
    """Exactly as many readings as a page holds are one page; one more is two. Both documents have links."""
    for count in (ROWS_PER_PAGE, 1):
        for _ in range(count):
            await books.add(theirs.reading())
        seen = Strict(await (await browser.get("/console/readings?wallet=kimi-main")).text())
        links = [names for tag, names in seen.tags if tag == "a"]
        assert (count == 1) == any(names.get("rel") == "next" for names in links)
        for kind in ("json", "csv"):
            assert f"/console/readings.{kind}?wallet=kimi-main" in [names["href"] for names in links]


@pytest.mark.parametrize("query", ["?x=1", "?before=x", "?wallet=a&wallet=b"])
async def test_a_bad_question_is_refused_in_json(browser: "Browser", query: str) -> None:
    """With a sentence, as every address that ends so."""
    answer = await browser.get(f"/console/readings.json{query}")
    assert (400, "application/json") == (answer.status, answer.content_type)
    assert (await answer.json())["error"]["message"]


class TestOfOneClient:
    """A reader who may see one client's calls alone."""

    @pytest.fixture
    def owner(self) -> str | None:
        """It is this client."""
        return "owner"

    async def test_no_reading_is_told(self, browser: "Browser") -> None:
        """A counter is of all clients together."""
        answer = await browser.get("/console/readings.json")
        assert 403 == answer.status
        assert "what all clients spent together" in (await answer.json())["error"]["message"]
