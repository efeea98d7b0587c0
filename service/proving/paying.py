"""Paying: what a call costs where nobody names a model, and which models a plan rates. Pure."""

from service.core.pricing import PriceTable
from service.core.shapes import Provider
from service.core.usage import Usage
from service.core.wallet import Wallet

_PROBE = Usage(
    uncached_input_tokens=10**6,
    cached_input_tokens=0,
    cache_write_tokens=0,
    output_tokens=0,
    reasoning_tokens=0,
)


def default_price(wallet: Wallet, provider: Provider, prices: PriceTable, *, at_ns: int) -> str:
    """Say in short what a call of the default model costs: a price, nothing, a plan's credits, or nobody knows."""
    model = provider.model_for(wallet.plan)
    if wallet.plan is not None:
        known = is_rated(wallet, provider, model, at_ns=at_ns)
        return f"{'paid' if known else 'not rated'} by the plan {wallet.plan}"
    row = prices.row(wallet.provider, wallet.price_host or "", model, at_ns)
    return "unknown price" if row is None else "free" if row.free else "priced"


def is_rated(wallet: Wallet, provider: Provider, model: str, *, at_ns: int) -> bool:
    """Whether it is known what a model draws from the wallet's plan."""
    drawn = provider.counters.drawn_pico(plan=wallet.plan or "", model=model, usage=_PROBE, at_ns=at_ns)
    return drawn is not None


def rated(wallet: Wallet, provider: Provider, prices: PriceTable, *, at_ns: int) -> tuple[str, ...]:
    """Name the provider's models that the wallet's plan rates, sorted."""
    known = {row.model for row in prices.rows if row.provider == wallet.provider}
    return tuple(sorted(model for model in known if is_rated(wallet, provider, model, at_ns=at_ns)))
