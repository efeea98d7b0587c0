"""Rates: what each model costs here, transcribed by hand for the simulator alone.

A rate is whole nano-units (10^-9) of its currency per token: a thousand times the price of a million tokens, so
0.075 a million is 75 nano a token, and every bill is an exact integer.
Sources: platform.kimi.ai/docs/pricing, platform.kimi.com/docs/pricing, docs.z.ai/guides/overview/pricing and
bigmodel.cn/pricing. Where these leave a price open, a bill must still be written: such a line says `chosen here`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

NANO = 10**9


@dataclass(frozen=True, slots=True)
class Rate:
    """What one token costs in nano-units, by its class."""

    uncached: int
    cached: int
    output: int

    def bill_nano(self, prompt: int, cached: int, completion: int) -> int:
        """Price whole token counts; `cached` tokens are part of `prompt`."""
        return (prompt - cached) * self.uncached + cached * self.cached + completion * self.output


@dataclass(frozen=True, slots=True)
class Special:
    """A rate that holds instead of the usual one: for short requests, or before a time. None is no limit."""

    rate: Rate
    prompt_below: int | None = None
    completion_below: int | None = None
    before_ns: int | None = None

    def holds(self, prompt: int, completion: int, at_ns: int) -> bool:
        """Tell whether a completion is within every limit."""
        limits = ((prompt, self.prompt_below), (completion, self.completion_below), (at_ns, self.before_ns))
        return all(limit is None or count < limit for count, limit in limits)


def _rate(per_million: str) -> Rate:
    """Read `uncached/cached/output` prices per million tokens."""
    uncached, cached, output = (int(Decimal(price) * 1000) for price in per_million.split("/"))
    return Rate(uncached, cached, output)


def _rates(table: dict[str, str]) -> dict[str, Rate]:
    return {model: _rate(prices) for model, prices in table.items()}


_FREE = "0/0/0"

_KIMI_USD = _rates(
    {
        "kimi-k3": "3/0.30/15",
        "kimi-k3.1-pro": "2/0.20/10",
        "kimi-k3.1-pro-highspeed": "4/0.20/20",
        "kimi-k2.7-code": "0.95/0.19/4",
        "kimi-k2.7-code-highspeed": "1.9/0.38/8",
        "kimi-k2.6": "0.95/0.16/4",
    }
)

_KIMI_CNY = _rates({"kimi-k3": "20/2/100", "kimi-k2.6": "6.5/1.1/27"})

_GLM_USD = _rates(
    {
        "glm-5.3": "1.4/0.26/4.4",
        "glm-5.2": "1.4/0.26/4.4",
        "glm-5.1": "1.4/0.26/4.4",
        "glm-5.3-flash": "0.15/0.03/0.5",
        "glm-5.3-flashx": "0.37/0.075/1.25",
        "glm-5": "1/0.2/3.2",
        "glm-5-turbo": "1.2/0.24/4",
        "glm-5v-turbo": "1.2/0.24/4",
        "glm-5-code": "1.2/0.3/5",
        "glm-4.7": "0.6/0.11/2.2",
        "glm-4.6": "0.6/0.11/2.2",
        "glm-4.5": "0.6/0.11/2.2",
        "glm-4.7-flashx": "0.07/0.01/0.4",
        "glm-4.5-x": "2.2/0.45/8.9",
        "glm-4.5-air": "0.2/0.03/1.1",
        "glm-4.5-airx": "1.1/0.22/4.5",
        "glm-4.6v": "0.3/0.05/0.9",
        "glm-4.5v": "0.6/0.11/1.8",
        "glm-4-32b-0414-128k": "0.1/0.1/0.1",  # no cached price is stated; chosen here: that of plain input
        "glm-4.7-flash": _FREE,
        "glm-4.5-flash": _FREE,
        "glm-4.6v-flash": _FREE,
    }
)

_GLM_CNY = _rates(
    {
        "glm-5.3": "8/2/28",
        "glm-5.3-flash": "0.8/0.23/2.8",  # chosen here: the same in its first weeks, of which nothing is stated
        "glm-5.3-flashx": "2/0.57/7",
        "glm-4.7": "3/0.6/14",  # stated for prompts below 32 thousand; chosen here: longer ones cost no more
        "glm-4.5-air": "0.8/0.16/2",  # stated for the shortest requests only; chosen here: for all of them
        "glm-4-plus": "5/2.5/5",
        "glm-4.7-flash": _FREE,
        "glm-4-flash-250414": _FREE,
        "glm-z1-flash": _FREE,
    }
)

_RATES = {
    ("kimi", "USD"): _KIMI_USD,
    ("kimi", "CNY"): _KIMI_CNY,
    ("glm", "USD"): _GLM_USD,
    ("glm", "CNY"): _GLM_CNY,
}

_FLASH_FULL_PRICE_NS = int(datetime(2026, 9, 9, 16, tzinfo=UTC).timestamp()) * 10**9

_SPECIALS: Mapping[tuple[str, str], Special] = {
    ("USD", "glm-5.3-flash"): Special(_rate("0.075/0.015/0.25"), before_ns=_FLASH_FULL_PRICE_NS),
    ("CNY", "glm-4.7"): Special(_rate("2/0.4/8"), prompt_below=32_000, completion_below=200),
}


def offered(provider: str, currency: str) -> tuple[str, ...]:
    """List the models an account of this currency may call."""
    return tuple(_RATES[provider, currency])


def bill_nano(
    provider: str, currency: str, model: str, *, prompt: int, cached: int, completion: int, at_ns: int
) -> int:
    """Price one completion at a time, in nano-units of `currency`; raises KeyError for a model not offered."""
    rate = _RATES[provider, currency][model]
    special = _SPECIALS.get((currency, model))
    if special is not None and special.holds(prompt, completion, at_ns):
        rate = special.rate
    return rate.bill_nano(prompt, cached, completion)


def amount_text(nano: int) -> str:
    """Write nano-units as the exact decimal string, without trailing zeros: 49200000 is `0.0492`."""
    sign, size = ("-" if nano < 0 else ""), abs(nano)
    whole, rest = divmod(size, NANO)
    fraction = f"{rest:09d}".rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def amount_nano(text: str) -> int:
    """Read a decimal string as nano-units; raises ValueError when it is no number or finer than a nano-unit."""
    try:
        nano = Decimal(text) * NANO
        exact = nano.is_finite() and nano == nano.to_integral_value()
    except ArithmeticError as error:
        raise ValueError(f"not a decimal amount: {text!r}") from error
    if not exact:
        raise ValueError(f"no whole number of nano-units: {text!r}")
    return int(nano)


# Credits of the coding plan per token, in 10^-5 credits: the published multipliers (x10) over 10 000 tokens.
_CREDITS = {
    "glm-5.3": Rate(69, 17, 240),
    "glm-5.2": Rate(69, 17, 240),
    "glm-5-turbo": Rate(57, 15, 210),
    "glm-4.7": Rate(46, 12, 160),
}
_CREDIT_NANO = NANO // 10**5


def plan_models() -> tuple[str, ...]:
    """List the models the coding plan holds."""
    return tuple(_CREDITS)


def credits_nano(model: str, *, prompt: int, cached: int, completion: int, peak: bool) -> int:
    """Count plan credits in 10^-9 credits; off the peak hours they are halved (source: docs.z.ai/devpack)."""
    full = _CREDITS[model].bill_nano(prompt, cached, completion) * _CREDIT_NANO
    return full if peak else full // 2
