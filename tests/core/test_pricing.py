"""A cost is exact, a bound is never below it, and what no row states has no price."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.entries import Cost, Rates, WorstCase
from service.core.pricing import (
    PriceTable,
    PriceTableError,
    Row,
    Tier,
    cost,
    lines,
    parse_rows,
    worst_case,
    worst_case_of_plan,
)
from service.core.times import utc_ns
from service.core.usage import Usage
from service.core.words import CostStatus

RATES = st.builds(
    lambda whole, digits: f"{whole}.{digits}" if digits else str(whole),
    st.integers(0, 5000),
    st.text("0123456789", max_size=6),
)
BOUNDS = st.none() | st.integers(1, 60_000)
SMALL = st.none() | st.integers(1, 9)
USAGES = st.builds(
    Usage,
    uncached_input_tokens=st.integers(0, 40_000),
    cached_input_tokens=st.integers(0, 40_000),
    cache_write_tokens=st.integers(0, 40_000),
    output_tokens=st.integers(0, 40_000),
    reasoning_tokens=st.just(0),
)
UNKNOWN = Cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None, price_version="v")
COMMON = {"provider": "kimi", "host": "api.moonshot.ai", "model": "kimi-k3", "currency": "USD", "source": "a page"}
PLAIN = {"uncached_input": "0.60", "cached_input": "0.15", "output": "2.5"}
NO_CACHED = {"cached_input": None}
TIERED = {
    "tiers": [
        {
            "input_tokens_below": 32_000,
            "output_tokens_below": 200,
            "uncached_input": "2",
            "cached_input": "0.4",
            "output": "8",
        },
        {"input_tokens_below": 32_000, "uncached_input": "3", "cached_input": "0.6", "output": "14"},
        {
            "input_tokens_below": 200_000,
            "uncached_input": "4",
            "cached_input": "0.8",
            "cache_write": "5",
            "output": "16",
        },
    ]
}


def row(**stated: Any) -> Row:  # noqa: ANN401 - any field
    """Read one row; plain rates unless tiers are stated."""
    fields = COMMON | ({} if "tiers" in stated else PLAIN) | stated
    (read,) = parse_rows({"price": [fields]})
    return read


def usage(uncached: int = 0, cached: int = 0, written: int = 0, output: int = 0) -> Usage:
    """Count tokens."""
    return Usage(
        uncached_input_tokens=uncached,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=0,
    )


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Generate rows, plain and tiered."""

    def rates() -> dict[str, Any]:
        return {
            "uncached_input": draw(RATES),
            "cached_input": draw(st.none() | RATES),
            "cache_write": draw(st.none() | RATES),
            "output": draw(RATES),
        }

    tiers = [
        rates() | {"input_tokens_below": draw(BOUNDS), "output_tokens_below": draw(BOUNDS)}
        for _ in range(draw(st.integers(0, 3)))
    ]
    stated = {"tiers": tiers} if tiers else rates()
    return row(request=draw(RATES), **stated)


@given(rows(), USAGES)
def test_a_cost_is_exact(priced: Row, metered: Usage) -> None:
    """Fractions, worked out apart, give the same amount: nothing is ever rounded."""
    found = cost(metered, priced, "v")
    rates = found.rates
    if rates is None:
        chosen = priced.rates(metered.input_tokens, metered.output_tokens)
        assert chosen is None or (chosen.cached_input is None and metered.cached_input_tokens > 0)
        assert UNKNOWN == found
        return
    exact = Fraction(rates.request) + sum(
        count * Fraction(rate) / 10**6
        for count, rate in (
            (metered.uncached_input_tokens, rates.uncached_input),
            (metered.cached_input_tokens, rates.cached_input or "0"),
            (metered.cache_write_tokens, rates.cache_write),
            (metered.output_tokens, rates.output),
        )
    )
    assert found.amount is not None
    assert exact == Fraction(found.amount)
    shown = sum(amount for *_, amount in lines(metered, rates))
    assert exact - Fraction(rates.request) == Fraction(shown, 10**12)


@given(rows(), USAGES, st.integers(0, 1000), st.integers(0, 1000))
def test_no_cost_is_above_the_worst_case(priced: Row, metered: Usage, input_more: int, output_more: int) -> None:
    """Whatever class and tier the tokens fall in, a bound on their numbers bounds their cost.

    And where it has an amount, no usage in reach is without a price.
    """
    worst = worst_case(metered.input_tokens + input_more, metered.output_tokens + output_more, priced)
    found = cost(metered, priced, "v")
    assert worst.input_tokens - input_more == metered.input_tokens
    assert (worst.amount is None) == (worst.currency is None)
    if worst.amount is not None:
        assert found.amount is not None
        assert Fraction(found.amount) <= Fraction(worst.amount)


@given(st.lists(st.tuples(SMALL, SMALL), max_size=4), st.integers(0, 8), st.integers(0, 8))
def test_the_tiers_in_reach_are_those_of_every_smaller_request(
    bounds: list[tuple[int | None, int | None]], input_max: int, output_max: int
) -> None:
    """Trying every size one by one finds the same tiers, and the same gaps between them."""
    tiers = [
        {"input_tokens_below": below_in, "output_tokens_below": below_out, "uncached_input": "1", "output": str(n)}
        for n, (below_in, below_out) in enumerate(bounds)
    ]
    priced = row(**({"tiers": tiers} if tiers else {}))
    tried = {
        priced.rates(size_in, size_out) for size_in in range(input_max + 1) for size_out in range(output_max + 1)
    }
    assert tried == priced.reachable(input_max, output_max)


@pytest.mark.parametrize(
    ("stated", "metered", "amount"),
    [
        (PLAIN, usage(1000, 2000, 0, 300), "0.00165"),
        (PLAIN, usage(written=1000), "0.0006"),
        (PLAIN | {"cache_write": "1.2"}, usage(written=1000), "0.0012"),
        (PLAIN, usage(1, 0, 0, 0), "0.0000006"),
        (PLAIN | {"request": "0.01"}, usage(), "0.01"),
        (PLAIN | {"output": "0.000001"}, usage(output=1), "0.000000000001"),
        (TIERED, usage(31_999, output=199), "0.06559"),
        (TIERED, usage(31_999, output=200), "0.098797"),
        (TIERED, usage(32_000, output=1), "0.128016"),
        (TIERED, usage(32_000, 0, 1000, 1), "0.133016"),
        (TIERED, usage(200_000), None),
        (PLAIN | NO_CACHED, usage(1000, 0, 1000, 300), "0.00195"),
        (PLAIN | NO_CACHED, usage(1000, 1, 1000, 300), None),
    ],
)
def test_sums_worked_out_by_hand_come_out(stated: dict[str, Any], metered: Usage, amount: str | None) -> None:
    """Each class at its own rate, cache writes as plain input unless stated, tiers by size, fees once.

    No amount where no tier fits, or where cached tokens were metered and their rate is not stated.
    """
    assert amount == cost(metered, row(**stated), "v").amount


@pytest.mark.parametrize(
    ("stated", "sizes", "amount"),
    [
        (PLAIN, (10_000, 1000), "0.0085"),
        (PLAIN | {"cached_input": "0.7", "request": "1"}, (10_000, 1000), "1.0095"),
        (PLAIN | {"cache_write": "1"}, (10_000, 1000), "0.0125"),
        (TIERED, (10_000, 199), "0.021592"),
        (TIERED, (10_000, 200), "0.0328"),
        (TIERED, (31_999, 1000), "0.109997"),
        (TIERED, (32_000, 1000), "0.176"),
        (TIERED, (199_999, 1000), "1.015995"),
    ],
)
def test_the_worst_case_takes_the_dearest_class_and_tier_in_reach(
    stated: dict[str, Any], sizes: tuple[int, int], amount: str
) -> None:
    """All input at its dearest rate of any tier that a request up to these sizes falls in, all output, the fee."""
    assert amount == worst_case(*sizes, row(**stated)).amount


@pytest.mark.parametrize(
    ("stated", "sizes"),
    [
        (TIERED, (200_000, 0)),
        ({"tiers": [{"output_tokens_below": 5, **PLAIN}]}, (0, 5)),
        (PLAIN | NO_CACHED, (1, 1)),
        ({"tiers": [{"input_tokens_below": 9, **PLAIN}, PLAIN | NO_CACHED]}, (9, 0)),
    ],
)
def test_there_is_no_bound_where_a_price_in_reach_is_not_stated(
    stated: dict[str, Any], sizes: tuple[int, int]
) -> None:
    """A larger amount than any known one may be charged there: unknown is not the dearest known."""
    expected = WorstCase(input_tokens=sizes[0], output_tokens=sizes[1], currency=None, amount=None)
    assert expected == worst_case(*sizes, row(**stated))


def test_what_no_row_states_has_no_price() -> None:
    """Unknown is never zero: neither a cost nor a bound has an amount."""
    assert UNKNOWN == cost(usage(1), None, "v")
    bound = worst_case(5, 6, None)
    assert (bound.input_tokens, bound.output_tokens, bound.currency, bound.amount) == (5, 6, None, None)


@pytest.mark.parametrize(
    ("stated", "status"),
    [
        (PLAIN, CostStatus.PRICED),
        ({"uncached_input": "0", "cached_input": "0.000", "output": "0"}, CostStatus.FREE),
        ({"uncached_input": "0", "cached_input": "0", "output": "0", "request": "0.1"}, CostStatus.PRICED),
        ({"uncached_input": "0", "cached_input": "0", "output": "1"}, CostStatus.PRICED),
        ({"uncached_input": "0", "cached_input": None, "output": "0"}, CostStatus.PRICED),
    ],
)
def test_free_is_a_row_that_never_charges(stated: dict[str, Any], status: CostStatus) -> None:
    """A model is free by its price, not because one call happened to cost nothing or a rate is not stated."""
    found = cost(usage(), row(**stated), "v")
    assert (status, "USD") == (found.status, found.currency)


def test_what_a_plan_pays_has_no_amount() -> None:
    """Whatever the row says, its credits are no money; its worst case is none of it, and so bounded."""
    found = cost(usage(), row(), "v1", plan="coding")
    assert (CostStatus.PLAN, None, None) == (found.status, found.currency, found.amount)
    bound = worst_case_of_plan(5, 6, "USD")
    assert ("0", "USD", 5, 6) == (bound.amount, bound.currency, bound.input_tokens, bound.output_tokens)


def test_a_cost_is_worked_out_line_by_line() -> None:
    """Each class with a stated rate has a line: its tokens, its rate and its amount in pico-units."""
    rates = Rates(uncached_input="0.6", cached_input="0.15", cache_write="0.7", output="2.5")
    expected = (
        ("uncached_input", 10, "0.6", 6_000_000),
        ("cached_input", 20, "0.15", 3_000_000),
        ("cache_write", 30, "0.7", 21_000_000),
        ("output", 40, "2.5", 100_000_000),
    )
    assert expected == lines(usage(10, 20, 30, 40), rates)
    unstated = msgspec.structs.replace(rates, cached_input=None)
    assert (expected[0], *expected[2:]) == lines(usage(10, 0, 30, 40), unstated)


def test_a_row_holds_from_its_beginning_until_before_its_end() -> None:
    """Times are half-open, so that two rows meet without a gap and without an overlap."""
    change = "2026-11-01T00:00:00Z"
    table = PriceTable([row(valid_to=change, output="2"), row(valid_from=change, output="3")])
    at = utc_ns(change)

    def output(at_ns: int) -> str | None:
        found = table.row("kimi", "api.moonshot.ai", "kimi-k3", at_ns)
        return found.output if found else None

    assert [output(at_ns) for at_ns in (0, at - 1, at, at * 2)] == ["2", "2", "3", "3"]


def test_a_row_is_found_by_provider_host_and_model() -> None:
    """A name on another host is another price, and outside its time a row has none."""
    table = PriceTable([row(valid_from="2026-01-01T00:00:00Z"), row(model="kimi-k2"), row(host="api.moonshot.cn")])
    late = utc_ns("2026-06-01T00:00:00Z")
    assert table.rows[0] is table.row("kimi", "api.moonshot.ai", "kimi-k3", late)
    assert table.row("kimi", "api.moonshot.ai", "kimi-k3", 0) is None
    assert table.row("glm", "api.moonshot.ai", "kimi-k3", late) is None
    assert table.row("kimi", "api.moonshot.ai", "kimi", late) is None
    assert table.models("kimi", "api.moonshot.ai", late) == ("kimi-k2", "kimi-k3")
    assert table.models("kimi", "api.moonshot.ai", 0) == ("kimi-k2",)


def test_a_row_knows_the_names_that_answers_may_report() -> None:
    """An answer may carry a dated name of the same model."""
    assert {"kimi-k3", "kimi-k3-0901"} == row(reports=["kimi-k3-0901"]).names


def test_the_version_is_the_hash_of_the_whole_table() -> None:
    """Equal tables have one version of 16 hex; any change makes another."""
    table = PriceTable([row()])
    assert table.version == PriceTable([row()]).version
    assert len(table.version) == len(bytes.fromhex(table.version)) * 2 == 16
    others = {
        PriceTable([row(**change)]).version for change in ({"output": "2.50"}, {"source": "b"}, {"model": "m"})
    }
    assert len({table.version, PriceTable([]).version, *others}) == 5


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({}, {"valid_from": "2026-01-01T00:00:00Z"}),
        ({"valid_to": "2026-01-01T00:00:01Z"}, {"valid_from": "2026-01-01T00:00:00Z"}),
        ({"valid_from": "2026-01-01T00:00:00Z"}, {"valid_to": "2026-02-01T00:00:00Z"}),
        ({"valid_from": "2026-01-01T08:00:01+08:00"}, {"valid_to": "2026-01-01T00:00:02Z"}),
    ],
)
def test_two_rows_in_force_at_once_are_refused(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Otherwise the price would depend on the order of rows."""
    for pair in ((first, second), (second, first)):
        with pytest.raises(
            PriceTableError, match="another row of this model is in force at the same time"
        ) as caught:
            PriceTable([row(model="other"), *(row(**stated) for stated in pair)])
        assert {1, 2} == set(caught.value.places)
        with pytest.raises(PriceTableError, match="in force at the same time"):
            parse_rows({"price": [COMMON | PLAIN | stated for stated in pair]})


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"output": None}, "must be stated, or tiers"),
        ({"output": "2.1234567"}, "output = '2.1234567' is no decimal with at most 6 digits"),
        ({"output": "-1"}, "output = '-1' is no decimal"),
        ({"output": "1e3"}, "output = '1e3' is no decimal"),
        ({"output": 2.5}, "got `float`"),
        ({"request": "x"}, "request = 'x' is no decimal"),
        ({"outptu": "1"}, r"price row 2 \(kimi-k3\): Object contains unknown field `outptu`"),
        ({"model": 3}, r"price row 2: Expected `str`, got `int` - at `\$.model`"),
        ({"tiers": [{"input_tokens_below": 0, **PLAIN}]}, "Expected `int` >= 1"),
        ({"tiers": [PLAIN] * 17}, "Expected `array` of length <= 16"),
        ({"currency": "usd"}, "no ISO 4217"),
        ({"valid_from": "2026-01-01"}, "names no time zone"),
        ({"valid_to": "soon"}, "Invalid isoformat"),
        ({"valid_from": "2026-01-01T00:00:00Z", "valid_to": "2026-01-01T00:00:00Z"}, "must come after valid_from"),
        ({"tiers": [PLAIN]}, "plain rates stand beside tiers"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused(changed: dict[str, Any], why: str) -> None:
    """The text says which row and what is wrong with it, and the error where the row stands."""
    with pytest.raises(PriceTableError, match=why) as caught:
        parse_rows({"price": [COMMON | PLAIN | {"model": "kimi-k2"}, COMMON | PLAIN | changed]})
    assert (1,) == caught.value.places


def test_a_broken_row_never_enters_a_table() -> None:
    """A row made in code is held to the same rules."""
    broken = msgspec.structs.replace(row(), tiers=(Tier(uncached_input="1", cached_input="1", output="1"),))
    with pytest.raises(PriceTableError, match=r"price row kimi/api.moonshot.ai/kimi-k3 from ever: plain rates"):
        PriceTable([broken])


def test_a_price_file_holds_rows_only() -> None:
    """An unknown key is a mistake, not a wish; an empty file is no mistake."""
    assert parse_rows({}) == ()
    with pytest.raises(PriceTableError, match="unknown key 'prices'"):
        parse_rows({"prices": []})
    for price in (3, {"model": "kimi-k3"}):
        with pytest.raises(PriceTableError, match=r"begin each row with \[\[price\]\]"):
            parse_rows({"price": price})
    with pytest.raises(PriceTableError, match="price row 1: Expected `object`, got `int`"):
        parse_rows({"price": [3]})
