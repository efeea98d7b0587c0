"""Tests of the price table that ships with the service, by sums worked out elsewhere."""

import tomllib
from itertools import product
from pathlib import Path

import pytest

import service
from service.core.entries import SettlementEntry
from service.core.pricing import PriceTable, cost, parse_rows, worst_case
from service.core.times import utc_ns
from service.core.usage import Usage
from service.core.words import CostStatus
from service.providers.glm import PROVIDER as GLM
from service.providers.kimi import PROVIDER as KIMI
from service.simulator.rates import amount_text, bill_nano, offered
from tests.rig import ask, rig

HOSTS = {
    ("kimi", "USD"): "api.moonshot.ai",
    ("kimi", "CNY"): "api.moonshot.cn",
    ("glm", "USD"): "api.z.ai",
    ("glm", "CNY"): "open.bigmodel.cn",
}
NOW_NS = utc_ns("2026-11-01T00:00:00Z")
FULL_PRICE_NS = utc_ns("2026-09-09T16:00:00Z")
SAMPLE = Usage(
    uncached_input_tokens=6000,
    cached_input_tokens=4000,
    cache_write_tokens=0,
    output_tokens=2000,
    reasoning_tokens=0,
)


@pytest.fixture(scope="module")
def table() -> PriceTable:
    """The table as the service reads it."""
    folder = Path(service.__file__).parent
    return PriceTable(parse_rows(tomllib.loads((folder / "prices.toml").read_text())))


def usage(uncached: int, cached: int, output: int) -> Usage:
    """Count tokens."""
    return Usage(
        uncached_input_tokens=uncached,
        cached_input_tokens=cached,
        cache_write_tokens=0,
        output_tokens=output,
        reasoning_tokens=0,
    )


def amount(
    table: PriceTable, model: str, currency: str = "USD", at_ns: int = NOW_NS, metered: Usage = SAMPLE
) -> str | None:
    """Price a usage by the row of a model."""
    provider = model.split("-", maxsplit=1)[0]
    row = table.row(provider, HOSTS[provider, currency], model, at_ns)
    return cost(metered, row, table.version).amount


@pytest.mark.parametrize(
    ("model", "currency", "expected"),
    [
        ("kimi-k3", "USD", "0.0492"),
        ("kimi-k3.1-pro", "USD", "0.0328"),
        ("kimi-k2.6", "USD", "0.01434"),
        ("kimi-k2.7-code", "USD", "0.01446"),
        ("glm-4.5", "USD", "0.00844"),
        ("glm-4.6", "USD", "0.00844"),
        ("glm-4.7", "USD", "0.00844"),
        ("glm-5", "USD", "0.0132"),
        ("glm-5.2", "USD", "0.01824"),
        ("glm-5.3", "USD", "0.01824"),
        ("glm-5.3-flash", "USD", "0.00202"),
        ("glm-5.3", "CNY", "0.112"),
        ("glm-4-plus", "CNY", "0.05"),
        ("kimi-k3", "CNY", "0.328"),
        ("kimi-k2.6", "CNY", "0.0974"),
    ],
)
def test_worked_sums(table: PriceTable, model: str, currency: str, expected: str) -> None:
    """10000 tokens in, of which 4000 cached, and 2000 out cost what was worked out apart, to the last digit."""
    assert expected == amount(table, model, currency)


def test_a_price_changes_at_its_moment(table: PriceTable) -> None:
    """The half price of the flash model ended on 2026-09-09 at 16:00 UTC; what it was in yuan is not known."""
    before, after = FULL_PRICE_NS - 1, FULL_PRICE_NS
    assert ("0.00101", "0.00202") == tuple(amount(table, "glm-5.3-flash", "USD", at) for at in (before, after))
    assert (None, "0.01132") == tuple(amount(table, "glm-5.3-flash", "CNY", at) for at in (before, after))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((1000, 0, 199), "0.003592"),
        ((1000, 0, 200), "0.0058"),
        ((21_999, 10_000, 199), "0.04959"),
        ((21_999, 10_000, 200), "0.074797"),
        ((22_000, 10_000, 200), None),
    ],
)
def test_a_tier_is_chosen_by_what_was_metered(
    table: PriceTable, sizes: tuple[int, int, int], expected: str | None
) -> None:
    """The mainland price of glm-4.7 goes by all input and by output; of longer input none is stated."""
    assert expected == amount(table, "glm-4.7", "CNY", metered=usage(*sizes))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((1000, 199), "0.003592"), ((1000, 200), "0.0058"), ((31_999, 200), "0.098797"), ((32_000, 1), None)],
)
def test_the_worst_case_takes_the_dearest_tier_in_reach(
    table: PriceTable, sizes: tuple[int, int], expected: str | None
) -> None:
    """A request that may write 200 tokens is held at the dearer tier; one of unknown price at no amount."""
    row = table.row("glm", HOSTS["glm", "CNY"], "glm-4.7", NOW_NS)
    assert expected == worst_case(*sizes, row).amount


def test_cache_writes_cost_their_stated_price(table: PriceTable) -> None:
    """A cache write of five minutes costs what input costs."""
    begins_ns = utc_ns("2026-10-15T00:00:00Z")
    stated = [
        ("USD", "kimi-k3.1-pro-highspeed", NOW_NS),
        ("USD", "kimi-k3.1-pro", NOW_NS),
        ("USD", "kimi-k3", begins_ns),
        ("USD", "kimi-k3", begins_ns - 1),
        ("CNY", "kimi-k3", NOW_NS),
    ]
    rows = [table.row("kimi", HOSTS["kimi", currency], model, at_ns) for currency, model, at_ns in stated]
    expected = [("4", "4"), ("2", "2"), ("3", "3"), (None, "3"), ("20", "20")]
    assert expected == [(row.cache_write, row.uncached_input) for row in rows if row]


def test_free_models_are_free_and_not_unknown(table: PriceTable) -> None:
    """Three models of each host have a price: nothing."""
    free = {(row.currency, row.model) for row in table.rows if row.free}
    assert free == {
        *product(["USD"], ["glm-4.7-flash", "glm-4.5-flash", "glm-4.6v-flash"]),
        *product(["CNY"], ["glm-4.7-flash", "glm-4-flash-250414", "glm-z1-flash"]),
    }


def test_a_rate_not_stated_is_unknown(table: PriceTable) -> None:
    """A model whose cached price nobody states costs a known amount only while nothing was cached."""
    model = "glm-4-32b-0414-128k"
    assert ("0.0012", None) == (amount(table, model, metered=usage(10_000, 0, 2000)), amount(table, model))


def test_a_model_not_stated_is_unknown(table: PriceTable) -> None:
    """What is stated for one host only has no price on the other; unknown is not 0."""
    row = table.row("kimi", HOSTS["kimi", "CNY"], "kimi-k2.7-code", NOW_NS)
    assert (row, cost(SAMPLE, row, table.version).status) == (None, CostStatus.UNKNOWN_PRICE)


def test_every_row_is_for_a_host_that_bills_in_its_currency(table: PriceTable) -> None:
    """A row for a host that no provider has could never hold."""
    for row in table.rows:
        provider = {"kimi": KIMI, "glm": GLM}[row.provider]
        assert (row.host, row.currency) == (provider.price_host(row.host, "real"), provider.currency(row.host))


def test_default_models_move_credit(table: PriceTable) -> None:
    """The model asked by default has a price today on each host, and it is not nothing."""
    for provider, currency in product((KIMI, GLM), ("USD", "CNY")):
        row = table.row(provider.name, HOSTS[provider.name, currency], provider.default_model, NOW_NS)
        assert row is not None
        assert not row.free


def priced_by_us(currency: str, model: str, metered: Usage, at_ns: int) -> bool:
    """Say whether a price is stated for this: the providers' pages leave four gaps."""
    gaps = {
        ("USD", "glm-4-32b-0414-128k"): metered.cached_input_tokens > 0,
        ("CNY", "glm-5.3-flash"): at_ns < FULL_PRICE_NS,
        ("CNY", "glm-4.7"): metered.input_tokens >= 32_000,
        ("CNY", "glm-4.5-air"): True,
    }
    return not gaps.get((currency, model), False)


@pytest.mark.parametrize(("provider", "currency"), HOSTS)
def test_two_transcriptions_of_one_page_agree(table: PriceTable, provider: str, currency: str) -> None:
    """The simulator's rates were written apart: they name the same models and come to the same sums."""
    models = offered(provider, currency)
    ours = {row.model for row in table.rows if row.host == HOSTS[provider, currency]}
    assert ours == set(models) - ({"glm-4.5-air"} if currency == "CNY" else set())
    sizes = [usage(*counts) for counts in product((0, 7, 31_999), (0, 1, 4000), (0, 199, 200))]
    for model, metered, at_ns in product(models, sizes, (FULL_PRICE_NS - 1, FULL_PRICE_NS, NOW_NS)):
        theirs = bill_nano(
            provider,
            currency,
            model,
            prompt=metered.input_tokens,
            cached=metered.cached_input_tokens,
            completion=metered.output_tokens,
            at_ns=at_ns,
        )
        expected = amount_text(theirs) if priced_by_us(currency, model, metered, at_ns) else None
        assert expected == amount(table, model, currency, at_ns, metered), (model, metered, at_ns)


@pytest.mark.parametrize(
    ("key", "currency"), [("sim-9Qd2Lm5Zx8", "USD"), ("sim-cny-7Vb3Kt1Ws6", "CNY")], ids=["USD", "CNY"]
)
@pytest.mark.parametrize("provider", ["kimi", "glm"])
async def test_every_model_settles_in_its_currency(key: str, currency: str, provider: str) -> None:
    """Asked through the desk, each costs what the simulator billed, or is said to have no known price."""
    async with rig(key=key) as put_up:
        for model in offered(provider, currency):
            end = await put_up.end_of(SettlementEntry, ask(provider=provider, model=model))
            known = priced_by_us(currency, model, end.usage, NOW_NS)
            billed = f"{put_up.billed().normalize():f}" if known else None
            assert (currency if known else None, billed) == (end.cost.currency, end.cost.amount), model
            assert put_up.books[-1].currency == currency
