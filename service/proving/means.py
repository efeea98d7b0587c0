"""The means of a proof: what reads a provider's books, what judges them, and which wallet is meant."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.core.books import ReadingEntry, VerdictEntry
from service.core.pricing import PriceTable
from service.core.shapes import Clock, Provider
from service.core.wallet import Wallet
from service.core.window import Found, Settling
from service.core.words import ReadingCause
from service.errors import InvalidArgumentsError, NoWalletError
from service.ledger.reading import Reading
from service.proving.pieces import Measure

_WORD_CHARS_MAX = 64  # of what was asked, in an error


class Reads(Protocol):
    """Whoever asks the provider's counters, and writes down what they say."""

    async def read(
        self, wallet: Wallet, *, cause: ReadingCause, counters: Collection[str] | None = None
    ) -> tuple[ReadingEntry, ...]:
        """Ask them, as far as their rate allows; else give what they said last."""


class Reconciles(Protocol):
    """Whoever holds readings against our calls."""

    async def reconcile(self, wallet: Wallet) -> VerdictEntry | None:
        """Judge a wallet by what is committed, and append what follows."""

    async def between(
        self, wallet: Wallet, opening: tuple[ReadingEntry, ...], closing: tuple[ReadingEntry, ...]
    ) -> Found | None:
        """Judge a window between two sets of readings by the same rule; append nothing."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What every proof needs, made once.

    Attributes:
        wallets: in order of preference.
        providers: by name.
        measures: by wallet, what its attempts are measured in.
        settlings: by wallet, how the provider's books follow.
        entropy: gives that many unpredictable bytes.
        checkpoint: the newest signed one of the ledger, as its text.
        pause: waits that many seconds.
    """

    wallets: Sequence[Wallet]
    providers: Mapping[str, Provider]
    prices: PriceTable
    readers: Reads
    reconciler: Reconciles
    reading: Reading
    measures: Mapping[str, Measure]
    settlings: Mapping[str, Settling]
    clock: Clock
    entropy: Callable[[int], bytes]
    console_url: str
    checkpoint: Callable[[], str | None]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    def meant(self, name: str | None) -> tuple[Wallet, ...]:
        """Give the wallet of a name, those of a provider of that name, or all of them.

        Raises:
            InvalidArgumentsError: there is none of that name.
            NoWalletError: there is none at all.
        """
        if not self.wallets:
            variables = " or ".join(provider.key_variables[0] for provider in self.providers.values())
            raise NoWalletError("no key is configured", remedy=f"Set {variables} and start the service again.")
        found = tuple(wallet for wallet in self.wallets if name in (None, wallet.name))
        found = found or tuple(wallet for wallet in self.wallets if wallet.provider == name)
        if not found:
            names = ", ".join(wallet.name for wallet in self.wallets)
            raise InvalidArgumentsError(
                f"there is no wallet {(name or '')[:_WORD_CHARS_MAX]!r}", remedy=f"There are: {names}."
            )
        return found

    def in_order(self, wallet: Wallet, readings: Sequence[ReadingEntry]) -> tuple[ReadingEntry, ...]:
        """Put readings into the order in which the provider names its counters."""
        names = self.providers[wallet.provider].counters.names
        return tuple(
            sorted(readings, key=lambda one: names.index(one.counter) if one.counter in names else len(names))
        )
