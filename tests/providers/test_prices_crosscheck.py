"""Our prices against genai-prices 0.2.3, a public table in dollars: equal, or listed here with a reason."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from typing import NamedTuple

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from service.core.pricing import PriceTable, cost
from service.core.times import utc_ns
from service.core.usage import Usage
from service.pricelist import load_prices

USD = {"api.moonshot.ai": "moonshotai", "api.z.ai": "zai"}
THEIRS = {**USD, "api.moonshot.cn": "moonshotai", "open.bigmodel.cn": "zhipuai"}
# Cached and written tokens are disjoint here; each sample is (uncached, cached, written, output).
SAMPLES = {
    "plain": (6000, 0, 0, 2000),
    "cached": (6000, 4000, 0, 2000),
    "written": (6000, 0, 4000, 2000),
    "all": (1, 1, 1, 1),
    "short": (900, 100, 0, 150),
    "long": (150_000, 50_000, 0, 8000),
}
WITH_CACHED = {"cached", "all", "short", "long"}
TIMES = (
    "2026-08-25T00:00:00Z",
    "2026-09-09T15:59:59Z",
    "2026-09-09T16:00:00Z",
    "2026-09-09T23:59:59Z",
    "2026-09-10T00:00:00Z",
    "2026-10-14T23:59:59Z",
    "2026-10-15T00:00:00Z",
    "2026-11-20T12:00:00Z",
)
EVERY = (set(SAMPLES), set(TIMES))
YUAN_PER_DOLLAR = Decimal("7.25")

_FREE = "free models are no part of their table"
_ABSENT = "the model is no part of their table"
_DOLLARS = "they price the mainland host in dollars, as the international one"
_CONVERTED = "they turn yuan into dollars at 7.25, three digits after the point, and know the cheapest tier only"

MISSING = {
    ("api.z.ai", "glm-4.7-flash"): _FREE,
    ("api.z.ai", "glm-4.5-flash"): _FREE,
    ("api.z.ai", "glm-4.6v-flash"): _FREE,
    ("api.z.ai", "glm-5-turbo"): _ABSENT,
    ("api.z.ai", "glm-5v-turbo"): _ABSENT,
    ("api.z.ai", "glm-5-code"): _ABSENT,
    ("open.bigmodel.cn", "glm-4.7-flash"): _FREE,
    ("open.bigmodel.cn", "glm-4-flash-250414"): _FREE,
    ("open.bigmodel.cn", "glm-z1-flash"): _FREE,
    ("open.bigmodel.cn", "glm-5.3-flashx"): _ABSENT,
}


class Difference(NamedTuple):
    """Where and when a model's prices differ, and why."""

    reason: str
    samples: set[str]
    times: set[str]


DIFFERENT = {
    ("api.z.ai", "glm-5.3-flash"): Difference(
        "their dates are whole days: the half price ends with the day in UTC, not at 16:00",
        set(SAMPLES),
        {"2026-09-09T16:00:00Z", "2026-09-09T23:59:59Z"},
    ),
    ("api.z.ai", "glm-4-32b-0414-128k"): Difference(
        "they bill cached input as plain input where its price is not stated; here it is unknown",
        WITH_CACHED,
        set(TIMES),
    ),
    ("api.moonshot.cn", "kimi-k3"): Difference(_DOLLARS, *EVERY),
    ("api.moonshot.cn", "kimi-k2.6"): Difference(_DOLLARS, *EVERY),
    ("open.bigmodel.cn", "glm-5.3"): Difference(_CONVERTED, *EVERY),
    ("open.bigmodel.cn", "glm-5.3-flash"): Difference(_CONVERTED, *EVERY),
    ("open.bigmodel.cn", "glm-4.7"): Difference(_CONVERTED, *EVERY),
    ("open.bigmodel.cn", "glm-4-plus"): Difference(_CONVERTED, *EVERY),
}

_RETIRED = "retired by the provider"
_NOT_STATED = "not on the provider's page as we know it: no row, so unknown"
LEFT_OUT = {
    **dict.fromkeys(
        [
            "kimi-k2",
            "kimi-k2-0711-preview",
            "kimi-k2-0905-preview",
            "kimi-k2-thinking",
            "kimi-k2-thinking-turbo",
            "kimi-k2-turbo-preview",
            "kimi-k2.5",
            "moonshot-v1-128k",
            "moonshot-v1-32k",
            "moonshot-v1-8k",
        ],
        _RETIRED,
    ),
    "glm-4.6v-flashx": _NOT_STATED,
    "glm-ocr": "reads pictures at another route; no chat model",
}


@pytest.fixture(scope="module")
def table() -> PriceTable:
    """The table as the service reads it."""
    return load_prices()


def ours(table: PriceTable, host: str, model: str, sample: str, at: str) -> tuple[str, Decimal] | None:
    """Price a sample by our row; None when no price is stated."""
    uncached, cached, written, output = SAMPLES[sample]
    usage = Usage(
        uncached_input_tokens=uncached,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=0,
    )
    found = cost(usage, table.row(model.partition("-")[0], host, model, utc_ns(at)), table.version)
    return (found.currency, Decimal(found.amount)) if found.currency and found.amount is not None else None


def theirs(host: str, model: str, sample: str, at: str) -> tuple[str, Decimal]:
    """Price a sample by their table, always in dollars; raises LookupError for a model that it does not hold."""
    uncached, cached, written, output = SAMPLES[sample]
    usage = genai_prices.Usage(
        input_tokens=uncached + cached + written,  # theirs holds all input
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
    )
    moment = datetime.fromisoformat(at).astimezone(UTC)
    priced = genai_prices.calc_price(usage, model, provider_id=THEIRS[host], genai_request_timestamp=moment)
    return "USD", priced.total_price


def known_to_them(host: str, model: str) -> bool:
    """Whether their table holds a model."""
    try:
        theirs(host, model, "plain", TIMES[-1])
    except LookupError:
        return False
    return True


def models(table: PriceTable) -> list[tuple[str, str]]:
    """List the models of our table, by host."""
    return sorted({(row.host, row.model) for row in table.rows})


def test_every_model_they_miss_is_listed(table: PriceTable) -> None:
    """What they do not hold cannot be compared: the list says which, no more and no less."""
    missing = {(host, model) for host, model in models(table) if not known_to_them(host, model)}
    assert MISSING.keys() == missing


def test_every_difference_is_listed(table: PriceTable) -> None:
    """Sums are equal to the last digit, but for the models, usages and times of the list: all of those differ."""
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for host, model in models(table):
        for sample, at in product(SAMPLES, TIMES):
            if known_to_them(host, model) and ours(table, host, model, sample, at) != theirs(
                host, model, sample, at
            ):
                found.setdefault((host, model), set()).add((sample, at))
    listed = {which: set(product(stated.samples, stated.times)) for which, stated in DIFFERENT.items()}
    assert listed == found


@pytest.mark.parametrize(
    ("host", "model"), [which for which, stated in DIFFERENT.items() if stated.reason == _CONVERTED]
)
def test_their_dollars_are_our_yuan_converted(table: PriceTable, host: str, model: str) -> None:
    """At 7.25 they come within their rounding of ours: the reason on the list is the true one."""
    at = TIMES[-1]
    priced = ours(table, host, model, "short", at)
    assert priced is not None
    assert priced[0] == "CNY"
    converted = theirs(host, model, "short", at)[1] * YUAN_PER_DOLLAR
    assert abs(converted - priced[1]) <= priced[1] / 100


@pytest.mark.parametrize(
    ("host", "model"), [which for which, stated in DIFFERENT.items() if stated.reason == _DOLLARS]
)
def test_their_mainland_price_is_our_international_one(table: PriceTable, host: str, model: str) -> None:
    """They know one price for both hosts of Kimi, that in dollars."""
    for sample in SAMPLES:
        at = TIMES[-1]
        assert theirs(host, model, sample, at) == ours(table, "api.moonshot.ai", model, sample, at)


def test_every_model_we_leave_out_is_listed(table: PriceTable) -> None:
    """What they price in dollars and we do not has a reason."""
    held = {
        model.id.lower()
        for provider in get_snapshot().providers
        if provider.id in USD.values()
        for model in provider.models
    }
    assert LEFT_OUT.keys() == held - {model for host, model in models(table) if host in USD}
