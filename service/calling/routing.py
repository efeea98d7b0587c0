"""Routing: which wallet and model a request goes to. What it cannot place is refused before anything is sent."""

from collections.abc import Mapping, Sequence

import msgspec

from service.core.pricing import PriceTable, Row
from service.core.shapes import Ask, Provider
from service.core.wallet import Wallet
from service.errors import NoWalletError, UnknownModelError


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where one completion goes, and the price row that holds there now (None: its price is not known)."""

    provider: Provider
    wallet: Wallet
    model: str
    row: Row | None


class Router:
    """Chooses routes.

    Args:
        providers: by name.
        wallets: in order of preference; the first of a provider serves it, unless a request names another.
        prices: every known price.
    """

    def __init__(self, providers: Mapping[str, Provider], wallets: Sequence[Wallet], prices: PriceTable) -> None:
        self._providers = dict(providers)
        self._prices = prices
        self._wallets: dict[str, Wallet] = {}
        self._named: dict[str, Wallet] = {}
        for wallet in wallets:
            self._wallets.setdefault(wallet.provider, wallet)
            self._named.setdefault(wallet.name, wallet)

    @property
    def price_version(self) -> str:
        """The version of the price table in use."""
        return self._prices.version

    def route(self, ask: Ask, *, at_ns: int) -> Route:
        """Place a request.

        Raises:
            NoWalletError: no key is configured for the provider that is meant, or no such wallet.
            UnknownModelError: no provider is known to offer the model.
        """
        wallet = self._wanted(ask) if ask.wallet is not None else None
        name = ask.provider if wallet is None else wallet.provider
        name = name or (self._owner(ask.model) if ask.model else next(iter(self._wallets), None))
        wallet = wallet or self._wallets.get(name or "")
        if name is None or wallet is None:
            raise self._no_wallet(name)
        provider = self._providers[name]
        model = ask.model or provider.model_for(wallet.plan)
        owners = self._owners(model)
        if owners and name not in owners:
            raise UnknownModelError(
                f"{provider.title} does not offer the model {model!r}",
                remedy=f"Leave provider out, or name {' or '.join(sorted(owners))}.",
            )
        row = self._prices.row(name, wallet.price_host, model, at_ns) if wallet.price_host else None
        return Route(provider=provider, wallet=wallet, model=model, row=row)

    def _wanted(self, ask: Ask) -> Wallet:
        """Find the wallet that a request names."""
        wallet = self._named.get(ask.wallet or "")
        if wallet is None or ask.provider not in (None, wallet.provider):
            whose = "" if ask.provider is None else f" of {ask.provider}"
            there = ", ".join(one.name for one in self._named.values() if ask.provider in (None, one.provider))
            raise NoWalletError(
                f"there is no wallet {ask.wallet!r}{whose}",
                remedy=f"Name one of: {there or 'none is configured'}.",
            )
        return wallet

    def _owners(self, model: str) -> set[str]:
        """Name the providers whose price rows name a model."""
        return {row.provider for row in self._prices.rows if row.model == model}

    def _owner(self, model: str) -> str:
        """Guess a model's provider: by price rows, else by its family's name."""
        owners = self._owners(model) or {name for name in self._providers if model.startswith(name)}
        for name in self._wallets:
            if name in owners:
                return name
        if owners:
            return min(owners)
        raise UnknownModelError(
            f"no provider is known to offer the model {model!r}",
            remedy=f"Name the provider ({', '.join(sorted(self._providers))}), or one of: {self._known()}.",
        )

    def _known(self) -> str:
        return ", ".join(sorted({row.model for row in self._prices.rows}))

    def _no_wallet(self, name: str | None) -> NoWalletError:
        wanted = [self._providers[name]] if name in self._providers else list(self._providers.values())
        variables = " or ".join(provider.key_variables[0] for provider in wanted)
        return NoWalletError(
            f"no key is configured for {' or '.join(provider.title for provider in wanted)}",
            remedy=f"Set {variables} and start the service again.",
        )
