"""The Budgets page: terms in words, where each limit stands, and who may see it."""

import csv
from typing import TYPE_CHECKING, Any

import pytest

from console.limits import in_short, near, sentence
from service.core.budget import BudgetState, window
from service.core.entries import BudgetEntry, BudgetTerms
from service.core.words import BudgetEvent, BudgetPeriod

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Books, Browser, Shows

NOON = "2026-11-22T12:00:00.000000Z"


def terms(name: str = "daily", period: str = "day", **changed: Any) -> BudgetTerms:  # noqa: ANN401 - any field
    """Allow 5 USD a day."""
    return BudgetTerms(**{"name": name, "period": BudgetPeriod(period), "limits": {"USD": "5"}} | changed)


async def put(books: "Books", stated: BudgetTerms) -> None:
    """Set a budget."""
    entry = BudgetEntry(event=BudgetEvent.SET, name=stated.name, terms=stated, warning=None, by="somebody")
    await books.ledger.append(entry)


async def lived(books: "Books", made: "Made") -> None:
    """Write a settled, a doubtful and an open call of `owner`, and a simulated one of anna."""
    await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    await books.write(made.tool_call(), made.intent(), made.doubt(), made.answer())
    await books.write(made.tool_call(), made.intent())
    await books.write(made.tool_call(client="anna"), made.intent(simulated=True), made.settlement(), made.answer())


async def test_without_a_budget_it_says_how_to_set_one(shows: "Shows") -> None:
    """A reader learns the command and the lines of the file."""
    page = await shows("/budgets")
    assert "No budget is set" in page
    assert 'exai budget set daily --limit "5 USD" --period day' in page
    assert "[[budget]]" in page


async def test_each_limit_says_where_it_stands(shows: "Shows", books: "Books", made: "Made") -> None:
    """Spent, under way and in doubt stand apart, with what is left, the share and the window."""
    await put(books, terms(limits={"USD": "4", "tokens": "100000"}, zone="Asia/Shanghai"))
    await lived(books, made)
    page = await shows("/budgets")
    for words in (
        "4 USD and 100000 tokens a day (Asia/Shanghai), for all attempts.",
        "USD 81 % used 0.75 of 4 USD left The warning at 80 % is passed. Spent 0.25 USD",
        "Reserved, under way 1.5 USD",
        "Reserved, in doubt 1.5 USD",
        "It counts since 2026-11-22T16:00:00Z (2026-11-23 00:00 in Asia/Shanghai)",
        "and begins anew at 2026-11-23T16:00:00Z (2026-11-24 00:00 in Asia/Shanghai)",
        "tokens 3 % used",
        "SIMULATED No real money. 6 % used 3.75 of 4 USD left",
    ):
        assert words in page, words


async def test_a_limit_that_stops_says_so(shows: "Shows", books: "Books", made: "Made") -> None:
    """Used up is said, with when it begins anew; the overview leads here."""
    await lived(books, made)
    await put(books, terms("all", "total", limits={"USD": "3"}))
    page = await shows("/budgets")
    assert "Used up. Calls that need it are stopped before anything is sent." in page
    assert "It counts all that was ever used, and never begins anew." in page
    assert "Budgets nearly used up: all: 108 % of 3 USD" in await shows("/")


async def test_groups_stand_apart(shows: "Shows", books: "Books", made: "Made", browser: "Browser") -> None:
    """Every value of `each` has a limit of its own; a budget of groups that nobody used has none."""
    await put(books, terms("each", each=("client", "model")))
    await put(books, terms("idle", each=("client",), client="nobody"))
    await lived(books, made)
    page = await shows("/budgets")
    assert "client owner, model kimi-k3, USD 65 % used" in page
    assert "Nothing is used of it in this window." in page
    document = await (await browser.get("/console/budgets.json")).json()
    found = {
        (limit["budget"], limit["group"], limit["simulated"]): (limit["spent"], limit["reserved"], limit["left"])
        for budget in document["budgets"]
        for limit in budget["limits"]
    }
    assert found == {
        ("each", "client owner, model kimi-k3", False): ("0.25", "3", "1.75"),
        ("each", "client anna, model kimi-k3", True): ("0.25", "0", "4.75"),
    }


async def test_the_sheet_says_the_same(browser: "Browser", books: "Books", made: "Made") -> None:
    """CSV has a line for each limit, with the numbers of the JSON."""
    await put(books, terms())
    await lived(books, made)
    answer = await browser.get("/console/budgets.csv")
    assert 'attachment; filename="exai-budgets-20261122T170000Z.csv"' == answer.headers["Content-Disposition"]
    lines = list(csv.DictReader((await answer.text()).splitlines()))
    document = await (await browser.get("/console/budgets.json")).json()
    limits = [limit for budget in document["budgets"] for limit in budget["limits"]]
    assert [(one["spent"], one["reserved"], one["percent"]) for one in lines] == [
        (one["spent"], one["reserved"], str(one["percent"])) for one in limits
    ]
    assert 2 == len(lines)


class TestOwner:
    """A reader who sees one client's calls alone."""

    @pytest.fixture
    def owner(self) -> str:
        """Whose calls alone the reader may see."""
        return "anna"

    async def test_sees_what_is_its_own(
        self, shows: "Shows", books: "Books", made: "Made", browser: "Browser"
    ) -> None:
        """A shared budget says what others spend, so it is not shown; nor are the groups of others."""
        assert "Nothing that belongs to client anna alone limits" in await shows("/budgets")
        await lived(books, made)
        await put(books, terms("shared"))
        await put(books, terms("each", each=("client",)))
        await put(books, terms("hers", client="anna", limits={"USD": "0.25"}))
        page = await shows("/budgets")
        assert "client anna, USD" in page
        for word in ("shared", "client owner"):
            assert word not in page.replace("What several clients share", "")
        document = await (await browser.get("/console/budgets.json")).json()
        assert ["each", "hers"] == [budget["name"] for budget in document["budgets"]]
        assert "Budgets nearly used up: hers: 100 % of 0.25 USD, SIMULATED" in await shows("/")


def test_terms_are_said_in_words() -> None:
    """Period, zone, filters, groups and unknown prices are part of the sentence."""
    assert "5 USD a minute, for all attempts." == sentence(terms(period="minute", zone="Asia/Shanghai"))
    assert (
        "5 USD a month (UTC), for client anna, tool chat; each model has the whole limit;"
        " attempts whose price is not known pass."
    ) == sentence(terms(period="month", client="anna", tool="chat", each=("model",), allow_unknown_price=True))


def test_what_is_nearly_used_up_is_chosen() -> None:
    """From 80 % on; a limit of nothing is always used up."""

    def state(spent: int, limit: int = 100) -> BudgetState:
        stated = terms(limits={"tokens": str(limit)})
        return BudgetState(
            terms=stated,
            window=window(stated, NOON),
            group=(),
            simulated=False,
            unit="tokens",
            limit=limit,
            spent=spent,
            reserved=0,
        )

    assert [80, 0] == [one.spent for one in near([state(79), state(80), state(0, 0)])]
    assert "daily: 100 % of 0 tokens" == in_short(state(0, 0))
