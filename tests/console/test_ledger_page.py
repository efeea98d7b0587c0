"""The Ledger page, its CSV and its JSON."""

import asyncio
import csv
import io
import itertools
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from console import rows
from service.core.entries import Cost, WorstCase
from service.core.money import decimal_text
from service.core.words import CostStatus, DoubtCause, ToolOutcome, ZeroReason
from service.ledger.choosing import CallFilter
from service.ledger.reading import WalletSum

if TYPE_CHECKING:
    from console.rows import Shown
    from tests.conftest import Made
    from tests.console.conftest import Books, Browser, Shows

HOSTILE = "<img src=x onerror=alert(1)>\"'&</td>"


async def fill(books: "Books", made: "Made") -> None:
    """Write one call of every end state."""
    unknown = Cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None, price_version="v")
    unbounded = WorstCase(input_tokens=600, output_tokens=1000, currency=None, amount=None)
    retry = made.intent(2)
    await books.write(
        made.tool_call(),
        made.intent(1),
        made.refusal(1),
        retry,
        made.accepted(2),
        made.settlement(2),
        made.answer(),
    )
    await books.write(
        made.tool_call(),
        made.intent(wallet="kimi-cn"),
        made.settlement(cost=made.cost(currency="CNY", amount="1.75")),
        made.answer(),
    )
    await books.write(made.tool_call(), made.intent(), made.doubt(), made.answer(outcome=ToolOutcome.FAILED))
    await books.write(
        made.tool_call(),
        made.intent(provider="glm", wallet="glm-1", model="glm-x", worst_case=unbounded),
        made.settlement(cost=unknown, model_reported="glm-x"),
        made.answer(),
    )
    await books.write(
        made.tool_call(client="guest"),
        made.intent(simulated=True, wallet="sim"),
        made.settlement(),
        made.answer(),
    )
    await books.write(made.tool_call(), made.intent(simulated=True, wallet="sim"), made.doubt(), made.answer())
    await books.write(made.tool_call(), made.intent(), made.unsent(), made.answer(outcome=ToolOutcome.FAILED))
    await books.write(made.tool_call(tool="version"), made.answer(zero_reason=ZeroReason.NO_MODEL_STEP))
    await books.write(made.tool_call(), made.intent())


def told(total: WalletSum) -> dict[str, Any]:
    """Write a sum as the JSON export must: without a currency an amount is unknown."""
    row = msgspec.to_builtins(total)
    for name in ("cost", "held"):
        pico = row[f"{name}_pico"] if total.currency is not None else None
        row[name] = None if pico is None else decimal_text(pico)
        row[f"{name}_pico"] = None if pico is None else str(pico)
    return dict(row)


@pytest.mark.parametrize("query", ["", "?provider=glm", "?wallet=sim&wallet=kimi-main", "?outcome=failed"])
async def test_json_totals_are_the_readings_sums(
    books: "Books", browser: "Browser", made: "Made", query: str
) -> None:
    """The JSON export adds up to exactly what the ledger's reader sums, for every filter."""
    await fill(books, made)
    wanted = CallFilter(
        provider=("glm",) if "glm" in query else (),
        wallet=("sim", "kimi-main") if "wallet" in query else (),
        outcome=("failed",) if "outcome" in query else (),
    )
    answer = await browser.get(f"/console/calls.json{query}")
    document = await answer.json()
    assert [told(total) for total in books.reading.sums(wanted)] == document["totals"]
    assert books.reading.count(wanted) == document["call_count"] == len(document["calls"])
    assert sum(total.attempts for total in books.reading.sums(wanted)) == document["attempt_count"]


async def test_csv_adds_up_to_the_sums(books: "Books", browser: "Browser", made: "Made") -> None:
    """The CSV's pico column and decimal column add up to the reader's sums, wallet by wallet."""
    await fill(books, made)
    answer = await browser.get("/console/calls.csv")
    assert answer.content_type == "text/csv"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="exai-calls-20261122T170000Z')
    text = await answer.text()
    assert text.count("\n") == text.count("\r\n")
    rows = list(csv.DictReader(io.StringIO(text)))
    for total in books.reading.sums(CallFilter()):
        mine = [
            row
            for row in rows
            if (row["wallet"], row["currency"]) == (total.wallet, total.currency or "")
            and row["attempt_simulated"] == ("true" if total.simulated else "false")
        ]
        assert total.attempts == len(mine)
        assert total.cost_pico == sum(int(row["cost_pico"] or 0) for row in mine)
        assert total.output_tokens == sum(int(row["output_tokens"] or 0) for row in mine)
        held = [int(row["held_pico"] or 0) for row in mine if row["attempt_outcome"] == "in_doubt"]
        assert total.held_pico == sum(held)
        assert all(bool(row["cost"]) == bool(row["cost_pico"]) for row in mine)
    assert {row["call_outcome"] for row in rows if not row["attempt_id"]} == {"ok"}
    assert all(row["opened_at"].endswith("Z") for row in rows)


async def test_the_page_shows_the_sums(books: "Books", shows: "Shows", made: "Made") -> None:
    """Each wallet's spend and holding stand on the page, currencies and simulated money apart."""
    await fill(books, made)
    page = await shows("/calls")
    for total in books.reading.sums(CallFilter()):
        if total.settled and total.currency:
            assert f"{decimal_text(total.cost_pico)} {total.currency} spent" in page
        if total.in_doubt and total.currency:
            assert f"≤ {decimal_text(total.held_pico)} {total.currency} held" in page
    assert "unknown no price is known for 1 settled attempt" in page
    assert "SIMULATED wallets: no real money" in page
    assert "Download all 9 calls with 9 attempts" in page


async def test_every_end_state_has_words(books: "Books", shows: "Shows", made: "Made") -> None:
    """A row says how its call ended, what it cost or why not, and its verdict with sign, word and code."""
    await fill(books, made)
    page = await shows("/calls")
    for words in (
        "answered",
        "failed",
        "still open",
        "0.25 USD",
        "1.75 CNY",
        "≤ 1.5 USD in doubt: held, not counted as spend",
        "≤ 1.5 USD under way: held until it ends",
        "unknown no price is known for glm-x",
        "0 never left this machine: connection refused",
        "0 no model was asked",
        "kimi, 2 attempts",
        "? UNVERIFIED U1: no window decides it",
        "? UNVERIFIED U6",
        "? UNVERIFIED U7",
        "? UNVERIFIED U9",
        "∅ NO CREDIT USED N6",
        "∅ NO CREDIT USED N7",
        "100 in 40 cached 50 out 30 reasoning",
    ):
        assert words in page, words


@pytest.mark.parametrize("reason", list(ZeroReason))
async def test_every_zero_reason_has_words(
    books: "Books", shows: "Shows", made: "Made", reason: ZeroReason
) -> None:
    """A call without attempts says why, whatever the reason."""
    call_id = await books.write(made.tool_call(), made.answer(zero_reason=reason))
    assert "∅ NO CREDIT USED N" in await shows("/calls")
    assert "No provider was asked by any call so far" in await shows("/calls")
    page = await shows(f"/calls/{call_id}")
    assert "This call cost nothing." in page
    assert "There is no id: no provider was asked." in page


@pytest.mark.parametrize(("cause", "outcome"), list(zip(DoubtCause, itertools.cycle(ToolOutcome), strict=False)))
async def test_every_doubt_and_outcome_has_words(
    books: "Books", shows: "Shows", made: "Made", cause: DoubtCause, outcome: ToolOutcome
) -> None:
    """No word of the closed lists is missing from the pages."""
    call_id = await books.write(
        made.tool_call(), made.intent(), made.doubt(cause=cause), made.answer(outcome=outcome)
    )
    assert "UNVERIFIED" in await shows("/calls")
    assert cause.replace("_", " ") in await shows(f"/calls/{call_id}")


async def test_a_strangers_text_stays_text(
    books: "Books", browser: "Browser", shows: "Shows", made: "Made"
) -> None:
    """Markup in a tool's, client's, wallet's, provider's or model's name is shown, never obeyed."""
    opened = made.tool_call(tool=HOSTILE, client=HOSTILE, session=HOSTILE, request_id=HOSTILE)
    named = made.intent(provider=HOSTILE, wallet=HOSTILE, model=HOSTILE, endpoint=HOSTILE)
    await books.write(opened, named, made.settlement(model_reported=HOSTILE), made.answer(error_code=HOSTILE))
    page = await shows("/calls")
    assert page.count("<img src=x onerror=alert(1)>") > 3
    raw = await (await browser.get("/console/calls")).text()
    assert "<img src=x" not in raw


async def test_csv_cells_are_no_formulas(books: "Books", browser: "Browser", made: "Made") -> None:
    """A cell that a spreadsheet would run begins with an apostrophe."""
    for text in ("=cmd()", "+1", "-1", "@x", "\tx", "\rx", "\nx"):
        await books.write(made.tool_call(client=text), made.answer(zero_reason=ZeroReason.CACHED))
    answer = await browser.get("/console/calls.csv")
    rows = list(csv.DictReader(io.StringIO(await answer.text(), newline="")))
    assert {"'=cmd()", "'+1", "'-1", "'@x", "'\tx", "'\rx", "'\nx"} == {row["client"] for row in rows}


async def test_an_empty_ledger_teaches(shows: "Shows") -> None:
    """Before the first call the page says what it can and cannot show, and how to make a call."""
    page = await shows("/calls")
    assert "No call yet" in page
    assert (
        "This ledger (o-test) holds no call. What was used before it began, or elsewhere, it cannot show." in page
    )
    assert "ws://127.0.0.1:8079/mcp" in page
    assert "exai demo" in page


async def test_an_empty_export_is_whole(browser: "Browser") -> None:
    """Without any call the JSON is still a document and the CSV still has its names."""
    document = await (await browser.get("/console/calls.json")).json()
    assert ([], 0, []) == (document["calls"], document["call_count"], document["totals"])
    text = await (await browser.get("/console/calls.csv")).text()
    assert text.startswith("tool_call_id,")
    assert text.count("\r\n") == 1


async def test_filters_choose(books: "Books", shows: "Shows", made: "Made") -> None:
    """A filter keeps what it names; one that fits nothing says so and leads back."""
    await fill(books, made)
    assert "1 call matches the filter" in await shows("/calls?client=guest")
    assert "2 calls match the filter" in await shows("/calls?wallet=sim")
    assert "1 call matches the filter" in await shows("/calls?outcome=open")
    assert "9 calls match the filter" in await shows("/calls?since=2026-11-22&until=2027-01-01T00:00")
    assert "No call matches this filter. Show all calls" in await shows("/calls?tool=nothing&model=")
    assert "0 calls match the filter" in await shows("/calls?until=2026-11-22T16:00:00%2B00:00")


async def test_older_walks_through_all_calls(books: "Books", browser: "Browser", made: "Made") -> None:
    """Following Older from page to page shows every call once; the filter stays in the address."""
    written = [await books.write(made.tool_call(), made.answer(zero_reason="cached")) for _ in range(5)]
    path, seen = "/console/calls?client=owner&limit=2", []
    for _ in range(3):
        page = await (await browser.get(path)).text()
        seen += [part[:32] for part in page.split('href="/console/calls/')[1:]]
        onward = page.split('rel="next" href="')[1:]
        assert ("Newest" in page) == ("before" in path)
        path = onward[0].split('"')[0].replace("&amp;", "&") if onward else ""
    assert path == ""
    assert list(reversed(written)) == seen


async def test_an_export_is_whole_beyond_a_batch(books: "Books", browser: "Browser", made: "Made") -> None:
    """An export holds every call though it is read in batches; limit and before cut it where they say."""
    for _ in range(401):
        await books.write(made.tool_call(), made.answer(zero_reason="cached"))
    document = await (await browser.get("/console/calls.json")).json()
    assert len({call["tool_call_id"] for call in document["calls"]}) == document["call_count"] == 401
    few = await (await browser.get("/console/calls.json?limit=201")).json()
    assert document["calls"][:201] == few["calls"]
    last = few["calls"][-1]["opened_index"]
    rest = await (await browser.get(f"/console/calls.json?before={last}")).json()
    assert document["calls"][201:] == rest["calls"]


@pytest.mark.parametrize("owner", ["guest"])
async def test_a_reader_that_owns_some_calls_sees_no_others(
    books: "Books", browser: "Browser", shows: "Shows", made: "Made", owner: str
) -> None:
    """List, sums, choices, exports and receipts hold the owner's calls alone, whatever the address asks for."""
    await fill(books, made)
    calls = books.reading.calls(CallFilter(), limit=100)
    foreign = next(line.call.tool_call_id for line in calls if line.call.client != owner)
    for path in ("/calls.json", "/calls.json?client=guest"):
        exported = msgspec.json.decode(await (await browser.get(f"/console{path}")).read())
        assert [owner] == [call["client"] for call in exported["calls"]]
        assert [told(total) for total in books.reading.sums(CallFilter(owner=owner))] == exported["totals"]
    others = await (await browser.get("/console/calls.json?client=client")).read()
    assert [] == msgspec.json.decode(others)["calls"]
    page = await shows("/calls")
    assert "1 call" in page
    assert "kimi-cn" not in page
    assert "Nothing is here" in await shows(f"/calls/{foreign}", 404)


async def test_the_page_is_of_one_moment(
    books: "Books", shows: "Shows", made: "Made", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is committed while the page is read is in rows, count and sums, or in none of them."""
    calls = (made.tool_call(), made.intent(), made.settlement(), made.answer())
    await books.write(*calls)
    loop, fetch = asyncio.get_running_loop(), rows.fetch

    def late(*args: Any, **names: Any) -> "list[Shown]":  # noqa: ANN401 - passed on
        found = fetch(*args, **names)
        asyncio.run_coroutine_threadsafe(books.write(*calls), loop).result(20)
        return found

    monkeypatch.setattr("console.pages.ledger.fetch", late)
    page = await shows("/calls")
    assert "Download all 1 call with 1 attempt" in page
    assert 2 == books.reading.count(CallFilter())


async def test_a_time_may_be_written_as_on_the_other_pages(books: "Books", shows: "Shows", made: "Made") -> None:
    """A space stands for the T, and a time without a zone is UTC."""
    await fill(books, made)
    assert "9 calls match the filter" in await shows("/calls?since=2026-11-22+16:00&until=2026-11-22%2017:00")
    assert "0 calls match the filter" in await shows("/calls?since=2026-11-22%2017:00")


async def test_the_form_keeps_the_exact_range(books: "Books", browser: "Browser", made: "Made") -> None:
    """Pressing Show asks for the same microseconds that were asked for."""
    await fill(books, made)
    since, until = "2026-11-22T16:00:05.000001Z", "2026-11-22T16:30:00.999999Z"
    raw = await (await browser.get(f"/console/calls?since={since}&until={until}")).text()
    assert [since, until] == re.findall(r'<input name="(?:since|until)" value="([^"]+)"', raw)
