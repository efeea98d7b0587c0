"""The page of one window: both sides, the attempts inside, the readings, and what else was found of that time."""

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from console.pages.window import READINGS_MAX
from console.windows import bounds
from service.core.books import TokenClass
from service.core.times import NS_PER_S
from service.core.words import DoubtCause
from tests.console.conftest import Strict, Theirs

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Books, Browser, Shows


async def told(browser: "Browser", index: int, query: str = "") -> dict[str, Any]:
    """Fetch the page's JSON."""
    answer = await browser.get(f"/console/reconcile/{index}.json{query}")
    assert 200 == answer.status
    document: dict[str, Any] = await answer.json()
    return document


async def test_both_sides_and_what_lies_between(
    books: "Books", shows: "Shows", browser: "Browser", made: "Made", theirs: "Theirs"
) -> None:
    """Sums, bounds, tokens by both counts, the attempt, both readings and the verdict stand on one page."""
    call_id, index = await books.proven(made, theirs)
    page = await shows(f"/reconcile/{index}")
    for words in (
        "✓ PROVEN Between two readings 1 call should have cost 0.25 USD; the balance moved by 0.25 USD.",
        "Reason P1, by rule 1",
        "surely billed, 1 attempt 0.25 USD",
        "Moved 0.25 USD",
        "At least 0.249975, at most 0.250025; it moved 0.25 USD.",
        "uncached input 60 60 0",
        "output 50 not counted unknown",
        "chat owner kimi-k3 settled 100 in, 50 out 0.25 USD",
        "balance (opening): 49.58894 USD available",
        "balance (closing): 49.33894 USD available",
    ):
        assert words in page, words
    document = await told(browser, index)
    assert [call_id] == [one["attempt"]["tool_call_id"] for one in document["attempts"]]
    assert ["49.58894", "49.33894"] == [one["figures"][0]["amount"] for one in document["readings"]]


async def test_a_difference_is_theirs_less_ours(
    books: "Books", shows: "Shows", browser: "Browser", theirs: "Theirs"
) -> None:
    """More moved or counted than ours is above zero, less is below; what was disputed has a row."""
    for moved, counted, difference, tokens in (("0.3", 70, "+0.05", 10), ("0.2", 50, "-0.05", -10)):
        classes = (TokenClass(name="output", ours=60, theirs=counted),)
        index = await books.add(theirs.verdict(sums=theirs.sums(moved=moved, classes=classes, disputed="0.1")))
        page = await shows(f"/reconcile/{index}")
        assert f"Moved beyond what was surely billed {difference} USD" in page
        assert "at most, by attempts judged MISMATCH before 0.1 USD" in page
        window = (await told(browser, index))["window"]
        assert (difference, tokens) == (window["difference"], window["tokens"][0]["difference"])
    index = await books.add(theirs.verdict(sums=theirs.sums(disputed=None)))
    page = await shows(f"/reconcile/{index}")
    assert "judged MISMATCH before unknown" in page
    assert "Between which amounts" not in page


async def test_only_attempts_inside_are_listed(
    books: "Books", browser: "Browser", made: "Made", theirs: "Theirs"
) -> None:
    """What began before the window, ended after it, or is of another wallet or kind, is not decided by it.

    A call may have been open for days when one of its attempts began.
    """
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    begun = await books.write(made.tool_call())
    books.clock.skip(72 * 3600 * NS_PER_S)
    opened = await books.add(theirs.reading())
    for entry in (made.intent(), made.settlement()):
        last = msgspec.structs.replace(entry, tool_call_id=begun, attempt_id="e" * 32)
        await books.ledger.append(last)
    inside = await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    doubted = await books.write(made.tool_call(), made.intent(), made.doubt(), made.answer())
    await books.write(made.tool_call(), made.intent(wallet="other"), made.settlement(), made.answer())
    both = (made.intent(1), made.refusal(1), made.intent(2, wallet="other"), made.settlement(2), made.answer())
    tried = await books.write(made.tool_call(), *both)
    await books.write(made.tool_call(), made.intent(simulated=True), made.settlement(), made.answer())
    over = await books.write(made.tool_call(), made.intent(), made.settlement())
    until = books.reading.head().next_index - 1  # its last attempt's very end
    closed = await books.add(theirs.reading())
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    index = await books.add(theirs.verdict(opened=opened, closed=closed, after=opened, until=until))
    found = (await told(browser, index))["attempts"]
    assert [
        (over, "settled"),
        (tried, "refused"),
        (doubted, "in_doubt"),
        (inside, "settled"),
        (begun, "settled"),
    ] == [(one["attempt"]["tool_call_id"], one["attempt"]["outcome"]) for one in found]


async def test_attempts_are_paged(books: "Books", browser: "Browser", made: "Made", theirs: "Theirs") -> None:
    """The link to older attempts leads through all of them, each once, and ends."""
    opened = await books.add(theirs.reading())
    written = [
        await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer()) for _ in range(120)
    ]
    closed = await books.add(theirs.reading())
    index = await books.add(theirs.verdict(opened=opened, closed=closed, after=opened, until=closed - 1))
    found: list[str] = []
    path: str | None = f"/console/reconcile/{index}"
    while path is not None:
        seen = Strict(await (await browser.get(path)).text())
        links = [str(names["href"]) for tag, names in seen.tags if tag == "a" and "rel" not in names]
        found += [link.rpartition("/")[2] for link in links if link.startswith("/console/calls/")]
        nexts = [names["href"] for tag, names in seen.tags if tag == "a" and names.get("rel") == "next"]
        path = nexts[0] if nexts else None
    assert written[::-1] == found


async def test_named_attempts_lead_to_their_receipts(
    books: "Books", shows: "Shows", browser: "Browser", made: "Made", theirs: "Theirs"
) -> None:
    """A verdict on single attempts lists these; one that is not in the ledger is left out."""
    call_id = await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    call = books.reading.call(call_id)
    assert call is not None
    named = (call.attempts[0].intent.attempt_id, "f" * 32)
    index = await books.add(theirs.verdict("M4", attempts=named, sums=None, until=-1))
    assert [call_id] == [one["attempt"]["tool_call_id"] for one in (await told(browser, index))["attempts"]]
    assert "A finding on 2 attempts of kimi-main" in await shows(f"/reconcile/{index}")
    receipt = await shows(f"/calls/{call_id}")
    assert "≠ MISMATCH" in receipt
    assert "What was found since" in receipt


async def test_a_verdict_without_readings_says_so(
    books: "Books", shows: "Shows", made: "Made", theirs: "Theirs"
) -> None:
    """Where no reading could be had there are no sides, only what the counters last said."""
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    await books.add(theirs.refused())
    index = await books.add(theirs.verdict("U4", sums=None, sentence="No reading can be had: HTTP 401."))
    page = await shows(f"/reconcile/{index}")
    assert "? UNVERIFIED No reading can be had: HTTP 401." in page
    assert "What its counters last said" in page
    assert "refused (HTTP 401)" in page
    assert "Our calls" not in page


async def test_readings_between_are_cut_from_the_middle(
    books: "Books", shows: "Shows", browser: "Browser", theirs: "Theirs"
) -> None:
    """Of many readings the first and the last stay; what only repeats is left out, but for both ends."""
    written = [await books.add(theirs.reading(str(50 - min(number, 60)))) for number in range(READINGS_MAX + 9)]
    span: dict[str, Any] = {"opened": written[0], "closed": written[-1], "after": written[0], "until": written[-1]}
    index = await books.add(theirs.verdict(**span))
    half = READINGS_MAX // 2
    document = await told(browser, index)
    assert [*written[:half], *written[-half:]] == [one["index"] for one in document["readings"]]
    assert document["more_readings"]
    page = await shows(f"/reconcile/{index}")
    assert "There are more between." in page
    assert "balance (closing): -10 USD available" in page
    assert "7 readings between that said the same as before are left out." in page


async def test_earlier_verdicts_on_the_same_time_are_linked(
    books: "Books", shows: "Shows", theirs: "Theirs"
) -> None:
    """A better verdict later is a new entry; each page shows the others whose span touches its own."""
    first = await books.add(theirs.verdict("U2", after=0, until=10))
    later = await books.add(theirs.verdict("P1", after=0, until=10))
    apart = await books.add(theirs.verdict("U3", after=10, until=20))
    page = await shows(f"/reconcile/{later}")
    assert "Other verdicts on this time" in page
    assert f"{first} " in page.partition("Other verdicts")[2]
    assert "U3" not in page.partition("Other verdicts")[2]
    assert "Other verdicts" not in await shows(f"/reconcile/{apart}")


async def test_a_verdict_years_ago_is_found_by_its_span(books: "Books", shows: "Shows", theirs: "Theirs") -> None:
    """However many others stand between, both link each other; the later one ends what the first promised."""
    due = {"due_at": "2026-11-29T07:00:00.000000Z"}
    first = await books.add(theirs.verdict("U2", after=0, until=10, **due))
    assert "It is looked at again at 2026-11-29" in await shows(f"/reconcile/{first}")
    await others(books, theirs)
    later = await books.add(theirs.verdict("M2", after=0, until=10))
    await others(books, theirs)
    for one, other in ((first, later), (later, first)):
        assert f"{other} 2026-11-22" in (await shows(f"/reconcile/{one}")).partition("Other verdicts")[2]
    page = await shows(f"/reconcile/{first}")
    assert f"A later verdict takes its place: entry {later}." in page
    assert "looked at again" not in page
    assert "takes its place" not in await shows(f"/reconcile/{later}")


async def others(books: "Books", theirs: "Theirs") -> None:
    """Judge many other windows of the wallet."""
    for number in range(60):
        await books.add(theirs.verdict(after=10 + number, until=11 + number))


async def test_what_was_due_is_not_promised(books: "Books", shows: "Shows", theirs: "Theirs") -> None:
    """Where the time has passed and nothing better was found, the page says no more than that."""
    index = await books.add(theirs.verdict("U2", due_at="2026-11-22T16:30:00.000000Z"))
    assert "It was to be looked at again at 2026-11-22 16:30:00.000 UTC." in await shows(f"/reconcile/{index}")


async def test_what_is_not_known_is_not_zero(books: "Books", shows: "Shows", theirs: "Theirs") -> None:
    """A movement that cannot be told is unknown, and so are its difference and its bounds."""
    sums = theirs.sums(moved=None, opening=None, closing=None, added="5", classes=())
    index = await books.add(theirs.verdict("U13", sums=sums))
    page = await shows(f"/reconcile/{index}")
    assert "Moved unknown" in page
    assert "paid in or given meanwhile 5 USD" in page
    assert "Between which amounts" not in page
    assert "unknown" in await shows("/reconcile")


async def test_another_entry_is_no_window(books: "Books", shows: "Shows", made: "Made") -> None:
    """An index of another entry, or of none, is 404 with a way on."""
    await books.write(made.tool_call(), made.intent(), made.doubt(cause=DoubtCause.CRASH), made.answer())
    for index in (0, 2, 10**15):
        assert "is no verdict" in await shows(f"/reconcile/{index}", 404)


@pytest.mark.parametrize(
    ("changed", "least", "most"),
    [
        ({}, "0.249975", "0.250025"),
        ({"straddling": "0.1", "in_doubt": "0.4"}, "0.249975", "0.750025"),
        ({"surely": "0", "moved": "0", "tolerance": "0"}, "0", "0"),
        ({"surely": "0.00001", "moved": "-3", "tolerance": "1"}, "0", "1.00001"),
        ({"disputed": "0.1", "moved": "0.3"}, "0.249975", "0.350025"),
    ],
)
def test_bounds_are_exact_and_stay_on_the_line(changed: dict[str, str], least: str, most: str) -> None:
    """What may have moved is worked out to the last digit, and drawn between 0 and 100 per cent."""
    found = bounds(Theirs.sums(**changed))
    assert found is not None
    assert (least, most) == (found.least, found.most)
    places = [float(text.removesuffix("%")) for text in (found.left, found.width, found.at)]
    assert all(0 <= place <= 100 for place in (*places, places[0] + places[1]))


@pytest.mark.parametrize("changed", [{"moved": None}, {"unbounded": True}, {"disputed": None}])
def test_where_nothing_bounds_it_no_bounds_are_shown(changed: dict[str, Any]) -> None:
    """Neither an unknown movement nor one that may be any amount is drawn between two."""
    assert bounds(Theirs.sums(**changed)) is None
