"""Tests of the price table that ships with the service, by sums worked out elsewhere."""

import tomllib
from pathlib import Path

import pytest

import service
from service.core.pricing import PriceTable, cost, parse_rows
from service.core.times import utc_ns
from service.core.usage import Usage
from service.core.words import CostStatus
from service.providers.glm import PROVIDER as GLM
from service.providers.kimi import PROVIDER as KIMI

HOSTS = {"kimi": "api.moonshot.ai", "glm": "api.z.ai"}
NOW_NS = utc_ns("2026-11-01T00:00:00Z")
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


def _amount(table: PriceTable, model: str, at_ns: int = NOW_NS) -> str | None:
    provider = model.split("-", maxsplit=1)[0]
    row = table.row(provider, HOSTS[provider], model, at_ns)
    return cost(SAMPLE, row, table.version).amount


@pytest.mark.parametrize(
    ("model", "amount"),
    [
        ("kimi-k3", "0.0492"),
        ("kimi-k3.1-pro", "0.0328"),
        ("kimi-k2.6", "0.01434"),
        ("kimi-k2.7-code", "0.01446"),
        ("glm-4.5", "0.00844"),
        ("glm-4.6", "0.00844"),
        ("glm-4.7", "0.00844"),
        ("glm-5", "0.0132"),
        ("glm-5.2", "0.01824"),
        ("glm-5.3", "0.01824"),
        ("glm-5.3-flash", "0.00202"),
    ],
)
def test_worked_sums(table: PriceTable, model: str, amount: str) -> None:
    """10000 tokens in, of which 4000 cached, and 2000 out cost what other tables say, to the last digit."""
    assert amount == _amount(table, model)


def test_a_price_changes_at_its_moment(table: PriceTable) -> None:
    """The half price of the flash model ended on 2026-09-09 at 16:00 UTC, not a moment later."""
    end_ns = utc_ns("2026-09-09T16:00:00Z")
    assert (
        _amount(table, "glm-5.3-flash", end_ns - 1),
        _amount(table, "glm-5.3-flash", end_ns),
    ) == ("0.00101", "0.00202")


def test_cache_writes_cost_their_stated_price(table: PriceTable) -> None:
    """A cache write of five minutes costs what input costs."""
    row = table.row("kimi", HOSTS["kimi"], "kimi-k3.1-pro-highspeed", NOW_NS)
    assert row is not None
    assert (row.cache_write, row.uncached_input) == ("4", "4")


def test_free_models_are_free_and_not_unknown(table: PriceTable) -> None:
    """The three free models have a price: nothing."""
    free = {row.model for row in table.rows if row.free}
    assert {"glm-4.7-flash", "glm-4.5-flash", "glm-4.6v-flash"} == free


def test_a_price_not_stated_is_unknown(table: PriceTable) -> None:
    """A model whose cached price nobody states has no price, which is not 0."""
    row = table.row("glm", HOSTS["glm"], "glm-4-32b", NOW_NS)
    assert (row, cost(SAMPLE, row, table.version).status) == (None, CostStatus.UNKNOWN_PRICE)


def test_default_models_move_credit(table: PriceTable) -> None:
    """The model asked by default has a price today and it is not nothing."""
    for provider in (KIMI, GLM):
        row = table.row(provider.name, HOSTS[provider.name], provider.default_model, NOW_NS)
        assert row is not None
        assert not row.free
