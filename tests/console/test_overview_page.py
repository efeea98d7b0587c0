"""The Overview page and its JSON: one moment of the ledger, told once."""

import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from console.pages.overview import LATEST_ROWS
from service.core.entries import Cost, WorstCase
from service.core.money import decimal_text, pico
from service.core.words import CostStatus, DoubtCause, ToolOutcome, ZeroReason
from service.ledger.auditing import Audited
from service.ledger.choosing import CallFilter
from service.ledger.findings import Problem

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Books, Browser, Shows, Theirs

HOSTILE = "<img src=x onerror=alert(1)>\"'&</td>"
UNKNOWN = Cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None, price_version="v")
UNBOUNDED = WorstCase(input_tokens=600, output_tokens=1000, currency=None, amount=None)


async def fill(books: "Books", made: "Made") -> None:
    """Write calls of every kind of end: real and simulated, in two currencies, charged and not."""
    for entries in (
        [made.intent(1), made.refusal(1), made.intent(2), made.accepted(2), made.settlement(2), made.answer()],
        [
            made.intent(wallet="kimi-cn"),
            made.settlement(cost=made.cost(currency="CNY", amount="1.75")),
            made.answer(),
        ],
        [made.intent(), made.doubt(), made.answer(outcome=ToolOutcome.FAILED)],
        [made.intent(), made.doubt(cause=DoubtCause.TOTAL_TIMEOUT), made.answer(outcome=ToolOutcome.FAILED)],
        [
            made.intent(provider="glm", wallet="glm-1", model="glm-x", worst_case=UNBOUNDED),
            made.settlement(cost=UNKNOWN, model_reported="glm-x"),
            made.answer(),
        ],
        [made.intent(), made.settlement(model_reported="m-2", model_known=False), made.answer()],
        [made.intent(), made.settlement(cost=made.cost(status=CostStatus.FREE, amount="0")), made.answer()],
        [made.intent(), made.unsent(), made.answer(outcome=ToolOutcome.FAILED)],
        [made.intent(simulated=True, wallet="sim"), made.settlement(), made.answer()],
        [made.intent(simulated=True, wallet="sim"), made.doubt(), made.answer()],
        [made.answer(zero_reason=ZeroReason.NO_MODEL_STEP)],
        [made.intent()],
    ):
        await books.write(made.tool_call(), *entries)
    await books.write(made.tool_call(client="guest"), made.intent(wallet="mine"), made.settlement(), made.answer())


async def told(browser: "Browser", query: str = "") -> dict[str, Any]:
    """Fetch the page's JSON."""
    answer = await browser.get(f"/console/overview.json{query}")
    assert 200 == answer.status
    document: dict[str, Any] = await answer.json()
    return document


async def test_tiles_are_the_ledgers_totals(books: "Books", browser: "Browser", made: "Made") -> None:
    """Wallet by wallet, the overview's sums are those of the ledger page's JSON of the same range."""
    await fill(books, made)
    overview = await told(browser, "?range=24h")
    bounds = overview["range"]
    calls = await (
        await browser.get(f"/console/calls.json?since={bounds['since']}&until={bounds['until']}")
    ).json()
    names = ("provider", "wallet", "currency", "simulated", "attempts", "settled", "in_doubt", "unpriced")
    tokens = ("uncached_input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")
    assert [
        {**{name: total[name] for name in (*names, *tokens)}, "spent": total["cost"], "held": total["held"]}
        for total in calls["totals"]
    ] == [
        {
            **{name: tile[name] for name in (*names, *tokens)},
            "spent": tile["spent"],
            "held": tile["held"],
        }
        for tile in overview["wallets"]
    ]
    assert calls["call_count"] == sum(one["calls"] for one in overview["verdicts"]) == 13
    assert Counter(call["verdict"]["code"] for call in calls["calls"]) == Counter(
        {
            code: sum(one["calls"] for one in overview["reasons"] if one["code"] == code)
            for code in {one["code"] for one in overview["reasons"]}
        }
    )


async def test_every_view_of_the_money_agrees(books: "Books", browser: "Browser", made: "Made") -> None:
    """Tiles, verdicts, chart and totals add up to the same amounts, per currency, real and simulated apart."""
    await fill(books, made)
    overview = await told(browser)
    views = [
        _summed(overview[name], "spent") for name in ("wallets", "verdict_sums", "spending_over_time", "totals")
    ]
    assert {("USD", False): pico("0.75"), ("CNY", False): pico("1.75"), ("USD", True): pico("0.25")} == views[0]
    assert [views[0]] * 4 == views
    assert {("USD", False): pico("3"), ("USD", True): pico("1.5")} == _summed(overview["wallets"], "held")
    assert _summed(overview["wallets"], "held") == _summed(overview["verdict_sums"], "held")


def _summed(rows: list[dict[str, Any]], name: str) -> dict[tuple[str, bool], int]:
    sums: Counter[tuple[str, bool]] = Counter()
    for row in rows:
        if row[name] is not None:
            sums[row["currency"], row["simulated"]] += pico(row[name])
    return {key: amount for key, amount in sums.items() if amount}


async def test_the_page_shows_what_its_json_says(
    books: "Books", browser: "Browser", shows: "Shows", made: "Made"
) -> None:
    """Sentences, counts, amounts, problems and addresses of the JSON all stand on the page."""
    await fill(books, made)
    overview = await told(browser)
    page = await shows("/")
    raw = (await (await browser.get("/console/")).text()).replace("&amp;", "&")
    for standing in overview["standings"]:
        assert standing["lead"] in page
        for said in standing["more"]:
            assert said in page
    for problem in overview["problems"]:
        assert problem["said"] in page
        assert f'href="{problem["address"]}"' in raw
    for tile in overview["wallets"]:
        if tile["spent"] not in (None, "0"):
            assert f"{tile['spent']} {tile['currency']} spent" in page
        if tile["in_doubt"]:
            assert f"≤ {tile['held']} {tile['currency']} held" in page
        assert tile["host"] in page
    for words in (
        "≠ MISMATCH",
        "SIMULATED: Of 2 calls in the last 7 days 1 is in doubt.",
        "unknown no price is known for 1 settled attempt",
        "SIMULATED providers and wallets: no real money",
        "A call with attempts in several tiles counts in each.",
        "Judged at 2026-11-22 17:00:00.000 UTC",
        "No provider's balance or quota has been read yet.",
        "All 13 calls of this range in the ledger",
        "Not drawn, of 13 attempts: 1 without a known price, 3 in doubt, 1 under way. Unknown is not zero.",
        "0 calls",
    ):
        assert words in page, words


async def test_every_address_leads_to_as_many_calls(books: "Books", browser: "Browser", made: "Made") -> None:
    """A verdict's and a problem's link shows exactly the calls that were counted for it."""
    await fill(books, made)
    raw = (await (await browser.get("/console/")).text()).replace("&amp;", "&")
    found = re.findall(
        r'href="/console/(calls\?[^"]+)">\s*<span class="badge.*?<span class="figure">(\d+)', raw, re.DOTALL
    )
    assert 4 == len(found)
    for address, number in found:
        answer = await (await browser.get(f"/console/{address.replace('calls?', 'calls.json?')}")).json()
        assert int(number) == answer["call_count"], address
    for problem in (await told(browser))["problems"]:
        answer = await (await browser.get(problem["address"].replace("calls?", "calls.json?"))).json()
        assert problem["calls"] == answer["call_count"], problem


async def test_every_bar_leads_to_its_calls(books: "Books", browser: "Browser", made: "Made") -> None:
    """The calls behind a bar's link cost what the bar says."""
    await fill(books, made)
    raw = (await (await browser.get("/console/?range=24h")).text()).replace("&amp;", "&")
    bars = re.findall(r'<a href="/console/calls(\?[^"]+)" aria-label="[^:]+:\d\d: ([0-9.]+) ([A-Z]+);', raw)
    assert {("1.75", "CNY"), ("0.75", "USD"), ("0.25", "USD")} == {
        (amount, currency) for _, amount, currency in bars
    }
    for query, amount, currency in bars:
        answer = await (await browser.get(f"/console/calls.json{query}")).json()
        costs = {
            sum(
                int(total["cost_pico"])
                for total in answer["totals"]
                if (total["currency"], total["simulated"]) == kind
            )
            for kind in ((currency, False), (currency, True))
        }
        assert pico(amount) in costs


async def test_an_empty_ledger_teaches(shows: "Shows", browser: "Browser") -> None:
    """Before the first call the page says what it can and cannot show, and the exact commands for a first call."""
    page = await shows("/")
    assert "No call yet" in page
    assert (
        "This ledger (o-test) holds no call. What was used before it began, or elsewhere, it cannot show." in page
    )
    assert '{"mcpServers": {"exai": {"type": "ws", "url": "ws://127.0.0.1:8079/mcp"}}}' in page
    assert "exai demo" in page
    overview = await told(browser)
    assert ([], []) == (overview["wallets"], overview["problems"])
    assert ["quiet"] == [one["state"] for one in overview["standings"]]


async def test_a_quiet_range_leads_to_the_newest_call(books: "Books", shows: "Shows", made: "Made") -> None:
    """Where the range holds no call, the page says so and names the newest one there is."""
    await books.write(made.tool_call(), made.answer(zero_reason="cached"))
    page = await shows("/?from=2026-11-20&to=2026-11-21&tz=Asia/Kolkata")
    assert "This ledger holds no call from 2026-11-20 until 2026-11-21 (Asia/Kolkata)." in page
    assert "The newest call is of 2026-11-22 16:00" in page
    assert "by verdict" not in page


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (("answer", {"zero_reason": "cached"}), "1 answered from the cache"),
        (("answer", {"zero_reason": "no_model_step"}), "1 whose tool asked no model"),
        (("refusal", {}), "1 refused by the provider, which metered nothing"),
        (("unsent", {}), "1 that never left this machine"),
        (
            ("settlement", {"cost": Cost(status=CostStatus.FREE, currency="USD", amount="0", price_version="v")}),
            "1 of a model that is priced at zero",
        ),
    ],
)
async def test_an_honest_zero_says_why(
    books: "Books", shows: "Shows", made: "Made", entries: tuple[str, dict[str, Any]], words: str
) -> None:
    """Whatever the reason that no credit moved, overview, list and receipt say it in words."""
    name, changes = entries
    ending = (
        [made.answer(**changes)]
        if name == "answer"
        else [made.intent(), getattr(made, name)(**changes), made.answer()]
    )
    call_id = await books.write(made.tool_call(), *ending)
    page = await shows("/")
    assert f"∅ NO CREDIT USED 1 call in the last 7 days, it was not charged: {words}." in page
    assert "Nothing was spent, so there is nothing to draw." in page
    assert "∅ NO CREDIT USED" in await shows("/calls")
    assert "This call cost nothing" in await shows(f"/calls/{call_id}")


async def test_latest_calls_are_few(books: "Books", shows: "Shows", made: "Made") -> None:
    """The page lists a dozen calls and leads to the others."""
    for _ in range(LATEST_ROWS + 2):
        await books.write(made.tool_call(), made.answer(zero_reason="cached"))
    page = await shows("/")
    assert LATEST_ROWS == page.count("no provider was asked")
    assert "All 14 calls of this range in the ledger" in page


async def test_a_strangers_text_stays_text(
    books: "Books", browser: "Browser", shows: "Shows", made: "Made"
) -> None:
    """Markup in a client's, wallet's, provider's, model's or host's name is shown, never obeyed."""
    named = made.intent(provider=HOSTILE, wallet=HOSTILE, model=HOSTILE, endpoint=f"https://{HOSTILE}/v1")
    await books.write(made.tool_call(client=HOSTILE, tool=HOSTILE), named, made.settlement(), made.answer())
    page = await shows("/")
    assert page.count("<img src=x onerror=alert(1)>") > 5
    assert "<img src=x" not in await (await browser.get("/console/")).text()


@pytest.mark.parametrize("owner", ["guest"])
async def test_a_reader_that_owns_some_calls_sees_no_others(
    books: "Books", browser: "Browser", shows: "Shows", made: "Made", owner: str
) -> None:
    """Sentence, counts, tiles, chart and rows are of the owner's calls alone."""
    await fill(books, made)
    page = await shows("/")
    assert "1 call, by verdict" in page
    assert "in the last 7 days: 1 call." in page
    overview = await told(browser)
    assert ["mine"] == [tile["wallet"] for tile in overview["wallets"]]
    assert 1 == sum(one["calls"] for one in overview["verdicts"])
    assert [] == overview["problems"]
    (only,) = books.reading.sums(CallFilter(owner=owner))
    assert {decimal_text(only.cost_pico)} == {
        row["spent"]
        for name in ("wallets", "verdict_sums", "spending_over_time", "totals")
        for row in overview[name]
    }
    for other in ("kimi-cn", "glm-1", "SIMULATED"):
        assert other not in page


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?ragne=7d", "This page knows no parameter named 'ragne'."),
        ("?range=never", "there is no range 'never'. Say one of: 1h, 24h, 7d, 30d, mtd, today"),
        ("?range=7d&from=2026-11-01", "a range stands beside from or to"),
        ("?from=yesterday", "from is 'yesterday', which is no time"),
        ("?from=2026-11-22&to=2026-11-21", "is not later than from"),
        ("?tz=Mars/Olympus", "there is no time zone 'Mars/Olympus'"),
        ("?tz=../../etc/passwd", "there is no time zone"),
        ("?tz=UTC&tz=UTC", "tz may be given once only."),
    ],
)
async def test_a_bad_range_is_explained(shows: "Shows", browser: "Browser", query: str, sentence: str) -> None:
    """What is no range is refused with a sentence and every name that the page knows, as JSON too."""
    page = await shows(f"/{query}", 400)
    assert sentence in page
    for name in ("range", "from", "to", "tz"):
        assert f"{name}: " in page
    assert "outcome: " not in page
    answer = await browser.get(f"/console/overview.json{query}")
    assert (400, True) == (answer.status, sentence in (await answer.json())["error"]["message"])


async def test_a_zone_cuts_the_days(books: "Books", browser: "Browser", shows: "Shows", made: "Made") -> None:
    """Today is the zone's day, the page says whose, and the links keep it."""
    await fill(books, made)
    assert "today (Asia/Kolkata)" in await shows("/?range=today&tz=Asia/Kolkata")
    overview = await told(browser, "?range=today&tz=Asia/Kolkata")
    assert "2026-11-21T18:30:00.000000Z" == overview["range"]["since"]
    assert {"2026-11-22T21:00+05:30"} == {row["hour"] for row in overview["spending_over_time"]}
    raw = await (await browser.get("/console/?range=today&tz=Asia/Kolkata")).text()
    assert 6 == len(re.findall(r'href="/console/\?range=[0-9a-z]+&amp;tz=Asia%2FKolkata"', raw))


async def test_headings_go_down_in_order(books: "Books", browser: "Browser", made: "Made") -> None:
    """There is one first heading, none skips a level, and every section and drawing has a name."""
    await fill(books, made)
    raw = await (await browser.get("/console/")).text()
    levels = [int(level) for level in re.findall(r"<h([1-6])", raw)]
    assert 1 == levels[0] == levels.count(1)
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    ids = re.findall(r' id="([^"]+)"', raw)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'aria-labelledby="([^"]+)"', raw)) <= set(ids)
    assert raw.count('class="plot"') == raw.count('role="group" aria-label="Spend by')


async def test_how_far_the_record_can_be_relied_on_is_said(books: "Books", shows: "Shows", made: "Made") -> None:
    """One line says how much is recorded, signed by which key, and verified; what the audit found comes first."""
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    books.signed = 4
    page = await shows("/")
    assert "5 entries, signed up to 4 at 16:59:30 UTC by 01234567, not verified yet since the start" in page
    books.audited = Audited(verified=3, problems=1, first=Problem(2, "it is wrong"))
    assert "≠ The record was changed: entry 2. 5 entries, signed up to 4" in (page := await shows("/"))
    assert "verified up to 3" in page
    books.failing, books.audited = True, Audited(failure="why")
    page = await shows("/")
    assert "(no newer checkpoint could be kept)" in page
    assert "(the audit cannot look)" in page


async def test_a_wallet_is_only_called_unreadable_where_calls_wait_for_it(
    books: "Books", browser: "Browser", made: "Made", theirs: "Theirs"
) -> None:
    """A call that another verdict decided waits for no reading, however blind its wallet is now."""
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    for entry in (theirs.verdict("U12"), theirs.refused()):
        await books.add(entry)
    (standing,) = (await told(browser))["standings"]
    assert ("unconfirmed", False) == (standing["state"], "cannot read" in standing["lead"])
    await books.add(theirs.verdict("U4"))
    (standing,) = (await told(browser))["standings"]
    assert "blind" == standing["state"]
    assert standing["lead"].startswith("We cannot read kimi-main. Of 1 call in the last 7 days 1 is recorded but")
