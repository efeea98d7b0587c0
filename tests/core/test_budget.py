"""Budgets: whom they govern, what an attempt uses of them, and what is said when one is used up."""

from typing import Any

import msgspec
import pytest

from service.core.budget import (
    FILTERS,
    TOKENS,
    BudgetState,
    Cells,
    Use,
    amount_text,
    amounts,
    governs,
    group,
    limits_of,
    percent,
    states,
    stop,
    unbounded,
    warned,
    warning,
    window,
)
from service.core.entries import BudgetEntry, BudgetTerms, BudgetWarning
from service.core.periods import FOR_EVER, Window
from service.core.words import BudgetEvent, BudgetPeriod

AT = "2026-11-22T16:21:00.000000Z"
DAY = Window("2026-11-21T16:00:00.000000Z", "2026-11-22T16:00:00.000000Z")
USE = Use(
    opened_at=AT,
    client="bob",
    provider="kimi",
    wallet="work",
    model="kimi-k3",
    tool="chat",
    simulated=False,
    currency="USD",
    cost_pico=None,
    held_pico=15 * 10**11,
    tokens=None,
    held_tokens=1600,
)


def use(**changed: Any) -> Use:  # noqa: ANN401 - any field
    """Change the attempt."""
    return msgspec.structs.replace(USE, **changed)


def terms(**changed: Any) -> BudgetTerms:  # noqa: ANN401 - any field
    """Make terms: 5 USD a day in Shanghai."""
    stated = BudgetTerms(name="daily", period=BudgetPeriod.DAY, limits={"USD": "5"}, zone="Asia/Shanghai")
    return msgspec.structs.replace(stated, **changed)


def state(**changed: Any) -> BudgetState:  # noqa: ANN401 - any field
    """Stand at 4.25 of 5 USD."""
    stands = BudgetState(
        terms=terms(),
        window=DAY,
        group=(),
        simulated=False,
        unit="USD",
        limit=5 * 10**12,
        spent=375 * 10**10,
        reserved=5 * 10**11,
    )
    return msgspec.structs.replace(stands, **changed)


@pytest.mark.parametrize("word", FILTERS)
def test_a_filter_governs_its_own_attempts(word: str) -> None:
    """Without one it governs all; with one it governs exactly these."""
    assert governs(terms(), USE)
    assert governs(terms(**{word: getattr(USE, word)}), USE)
    assert not governs(terms(**{word: "another"}), USE)


def test_groups_are_in_the_terms_order() -> None:
    """Attempts are told apart by what the terms say, and by nothing else."""
    assert ((), ("bob", "kimi-k3")) == (group(terms(), USE), group(terms(each=("client", "model")), USE))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {"USD": (0, 15 * 10**11), TOKENS: (0, 1600)}),  # open, or in doubt
        (
            {"cost_pico": 7, "held_pico": None, "tokens": 150, "held_tokens": None},
            {"USD": (7, 0), TOKENS: (150, 0)},
        ),  # settled, or reconciled
        ({"cost_pico": 0, "held_pico": 9, "tokens": 0}, {"USD": (0, 0), TOKENS: (0, 0)}),  # what is known counts
        ({"currency": None, "held_pico": None}, {TOKENS: (0, 1600)}),  # no price is known
        (
            {"held_pico": None, "held_tokens": None},
            {"USD": (0, 0), TOKENS: (0, 0)},
        ),  # refused, unsent, written off
        ({"cost_pico": 7, "held_pico": None}, {"USD": (7, 0), TOKENS: (0, 1600)}),  # reconciled, tokens unknown
    ],
)
def test_what_an_attempt_uses(changed: dict[str, Any], expected: dict[str, tuple[int, int]]) -> None:
    """What is known is spent; until it is known, the worst case is reserved."""
    assert expected == amounts(use(**changed))


@pytest.mark.parametrize(
    ("used", "limit", "reached"),
    [
        *((0, 0, 0), (1, 0, 95), (0, 100, 0), (49, 100, 0), (50, 100, 50), (79, 100, 50), (80, 100, 80)),
        *((94, 100, 80), (95, 100, 95), (200, 100, 95), (1, 3, 0), (2, 3, 50)),
    ],
)
def test_thresholds(used: int, limit: int, reached: int) -> None:
    """The highest that is reached counts, in whole numbers; nothing used is no threshold, even of nothing."""
    assert reached == percent(used, limit)


def test_a_warning_says_how_much_of_what() -> None:
    """Amounts are decimals; the window is told by its begin."""
    expected = BudgetWarning(
        unit="USD", group=(), window=DAY.begins, percent=80, used="4.25", limit="5", simulated=False
    )
    assert expected == warning(state(), 80)


def test_a_warning_in_a_line_of_the_log() -> None:
    """Whoever chose a group's value makes no second line of it; what warns of nothing says its event."""
    entry = BudgetEntry(
        event=BudgetEvent.WARNED, name="daily", terms=None, warning=warning(state(), 80), by="service"
    )
    assert "budget daily has 4.25 of 5 USD spent and reserved, 80 % or more" == warned(entry)
    apart = warning(state(group=("a\nb", "c"), simulated=True), 95)
    said = warned(msgspec.structs.replace(entry, warning=apart))
    assert r"budget daily for 'a\nb', 'c' has 4.25 of 5 USD spent and reserved, 95 % or more, SIMULATED" == said
    assert "budget daily: removed" == warned(
        msgspec.structs.replace(entry, event=BudgetEvent.REMOVED, warning=None)
    )


def test_where_limits_stand() -> None:
    """By group, real before simulated, each unit of the terms; one that nobody used stands at zero."""
    both = terms(limits={"USD": "5", "tokens": "10"})
    assert {"USD": 5 * 10**12, TOKENS: 10} == limits_of(both)
    assert [("USD", 0, 0), (TOKENS, 0, 0)] == [
        (one.unit, one.spent, one.reserved) for one in states(both, DAY, {})
    ]
    assert () == states(terms(each=("client",)), DAY, {})
    cells: Cells = {(("b",), True, "USD"): (1, 2), (("b",), False, TOKENS): (3, 4), (("a",), True, "USD"): (5, 6)}
    apart = msgspec.structs.replace(both, each=("client",))
    assert [
        (("a",), True, "USD", 5, 6),
        (("a",), True, TOKENS, 0, 0),
        (("b",), False, "USD", 0, 0),
        (("b",), False, TOKENS, 3, 4),
        (("b",), True, "USD", 1, 2),
        (("b",), True, TOKENS, 0, 0),
    ] == [(one.group, one.simulated, one.unit, one.spent, one.reserved) for one in states(apart, DAY, cells)]
    assert [(10, 7, DAY)] == [(one.limit, one.used, one.window) for one in states(apart, DAY, cells)[3:4]]


def test_a_stop_says_what_when_and_how() -> None:
    """Budget, limit, spent, reserved, what the attempt could use, the reset in UTC and there, and what to do."""
    stopped = stop(state(terms=terms(client="bob")), 15 * 10**11)
    assert (
        "Budget 'daily' allows 5 USD a day: 3.75 USD spent, 0.5 USD reserved, and this attempt could use 1.5 USD"
        " at most. It begins anew at 2026-11-22T16:00:00Z (2026-11-23 00:00 in Asia/Shanghai)."
    ) == str(stopped)
    assert (
        "Wait until then, lower max_output_tokens, or raise it with `exai budget set daily --limit …`"
        " (in exai.toml if it is stated there)."
    ) == stopped.remedy
    assert (True, DAY.ends) == (stopped.retryable, stopped.resets_at)


def test_a_stop_tells_no_client_what_others_spent() -> None:
    """Where a limit is shared it stands alone, with what this attempt could use; a client's own use is its own."""
    used = "3.75 USD spent"
    shared = (state(), state(terms=terms(each=("wallet",)), group=("work",)))
    own = (state(terms=terms(client="bob")), state(terms=terms(each=("client",)), group=("bob",)))
    assert [False, False, True, True] == [used in str(stop(one, 15 * 10**11)) for one in (*shared, *own)]
    assert (
        "Budget 'daily' allows 5 USD a day, and this attempt could use 1.5 USD at most."
        " It begins anew at 2026-11-22T16:00:00Z (2026-11-23 00:00 in Asia/Shanghai)."
    ) == str(stop(state(), 15 * 10**11))


def test_waiting_is_no_remedy_for_what_never_fits() -> None:
    """An attempt above the whole limit, and a total, cannot be retried as they are."""
    large = stop(state(), 5 * 10**12 + 1)
    assert (False, DAY.ends) == (large.retryable, large.resets_at)
    assert large.remedy.startswith("Lower max_output_tokens, or raise it with `exai budget set daily --limit …`")
    whole = stop(
        state(
            terms=terms(period=BudgetPeriod.TOTAL, each=("client", "model")),
            window=FOR_EVER,
            group=("bob", "kimi-k3"),
            unit=TOKENS,
            limit=1000,
            spent=900,
            reserved=0,
        ),
        101,
    )
    assert (
        "Budget 'daily' for client bob and model kimi-k3 allows 1000 tokens in all: 900 tokens spent, 0 tokens"
        " reserved, and this attempt could use 101 tokens at most."
    ) == str(whole)
    assert (False, None) == (whole.retryable, whole.resets_at)


@pytest.mark.parametrize(
    ("changed", "of", "said"),
    [
        (
            {},
            {"held_pico": None},
            "limits USD, and no price is known of kimi-k3 at work: what it could cost has no",
        ),
        (
            {"limits": {"USD": "1", "CNY": "1"}},
            {"currency": None, "held_pico": None},
            "limits USD and CNY, and no",
        ),
        ({}, {"currency": "CNY"}, "limits USD, and the wallet work is billed in CNY, which it does not name"),
        ({"each": ("client",)}, {"currency": "CNY"}, "Budget 'daily' for client bob limits USD"),
    ],
)
def test_what_has_no_bound_is_stopped(changed: dict[str, Any], of: dict[str, Any], said: str) -> None:
    """A limit in money stops what has no worst case in it, unless it is told to let it pass."""
    stopped = unbounded(terms(**changed), use(**of))
    assert stopped is not None
    assert said in str(stopped)
    assert (False, None) == (stopped.retryable, stopped.resets_at)
    assert "exai budget set daily --allow-unknown-price" in stopped.remedy
    assert unbounded(terms(**changed, allow_unknown_price=True), use(**of)) is None
    assert unbounded(terms(**changed | {"limits": {"tokens": "1"}}), use(**of)) is None


def test_what_has_a_bound_is_not_stopped_for_lack_of_one() -> None:
    """A known worst case in a currency that is named is a matter of arithmetic."""
    assert unbounded(terms(), USE) is None


@pytest.mark.parametrize("currency", ["USD", "CNY", None])
def test_what_can_cost_no_money_passes_every_budget_of_money(currency: str | None) -> None:
    """A plan pays in credits: neither another currency nor the lack of one stops it."""
    assert unbounded(terms(), use(currency=currency, held_pico=0)) is None


def test_amounts_and_windows() -> None:
    """Tokens are whole numbers; the window is that of the terms' period in their zone."""
    assert ("0.000000000001 USD", "7 tokens") == (amount_text("USD", 1), amount_text(TOKENS, 7))
    assert DAY == window(terms(), "2026-11-22T15:59:59.999999Z")
