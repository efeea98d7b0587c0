"""Sharing: which wallets spend from one account, as far as their keys and the provider tell?"""

from collections.abc import Sequence

from service.core.wallet import Wallet
from service.ledger.reading import Reading
from service.proving.memory import is_of


def sharing(reading: Reading, wallets: Sequence[Wallet], wallet: Wallet) -> list[Wallet]:
    """Name the wallets of one key at one host, or of one name at the provider; the wallet itself last. It blocks.

    Two keys of one account at a provider that tells no name of it are not known to share it: then each one's
    windows hold what the other spent, which is told as somebody else's.
    """
    own, kind = _account(reading, wallet), _kind(wallet)
    others = [
        one for one in wallets if one.name != wallet.name and _kind(one) == kind and _account(reading, one) & own
    ]
    return [*others, wallet]


def _kind(wallet: Wallet) -> tuple[str, str | None, bool, str | None]:
    return wallet.provider, wallet.plan, wallet.simulated, wallet.currency


def _account(reading: Reading, wallet: Wallet) -> frozenset[str]:
    """Give what tells a wallet's account: its key at its host, and what the provider calls it."""
    latest = reading.latest_readings(wallet.name)
    told = {one.account for one in latest if one.account is not None and is_of(one, wallet)}
    return frozenset({f"{wallet.fingerprint} at {wallet.host}", *told})
