"""Equipping: the writer as every command and start has it, with budgets, ballast and the secrets it refuses."""

from service.ledger.ballast import Ballast
from service.ledger.limiting import limiting
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from service.settings import TOKEN_CHARS_MIN, Settings


def equipped(store: SqliteStore, settings: Settings, *, at: str, ballast: Ballast) -> Writer:
    """Put the writer of a store together; nobody writes to a ledger with less.

    Args:
        store: owned by the writer from now on.
        settings: whose keys and token no entry may hold.
        at: UTC text of the time.
        ballast: of the store's folder.
    """
    return Writer(store, budgets=limiting(store, at=at), ballast=ballast, canaries=canaries(settings))


def canaries(settings: Settings) -> tuple[bytes, ...]:
    """List the secrets that no entry may hold; a short one could stand in an entry by chance."""
    known = [source.key for source in settings.wallets]
    if settings.ws_token is not None:
        known.append(settings.ws_token)
    return tuple(key.reveal().encode() for key in known if len(key.reveal()) >= TOKEN_CHARS_MIN)
