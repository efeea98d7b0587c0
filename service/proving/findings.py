"""Findings: verdicts that no window gives, in sentences. Pure."""

from collections.abc import Sequence

import msgspec

from service.core.books import ReadingEntry, VerdictEntry
from service.core.shapes import Provider
from service.core.verdict import word_of
from service.core.wallet import Wallet
from service.core.window import RULE
from service.ledger.store import AttemptRow
from service.proving import remedies
from service.proving.rounds import decides

NAMED_MAX = 50  # attempts in one verdict


def own_verdict(wallet: Wallet, code: str, sentence: str, attempts: Sequence[str]) -> VerdictEntry:
    """Write a verdict on single attempts."""
    return VerdictEntry(
        rule=RULE,
        provider=wallet.provider,
        wallet=wallet.name,
        simulated=wallet.simulated,
        word=word_of(code),
        code=code,
        sentence=_marked(wallet, sentence),
        attempts=tuple(attempts[:NAMED_MAX]),
    )


def unread(
    wallet: Wallet, provider: Provider, latest: Sequence[ReadingEntry], rows: Sequence[AttemptRow]
) -> VerdictEntry | None:
    """Say that no reading could be had after these attempts had settled; None if one could.

    Args:
        wallet: whose.
        provider: its provider.
        latest: the newest reading of each counter, read or not.
        rows: the attempts that wait, in the log's order; one at least.
    """
    if any(map(decides, latest)):
        return None
    return _blind(wallet, why_unread(wallet, provider, latest), rows)


def switched_off(wallet: Wallet, rows: Sequence[AttemptRow]) -> VerdictEntry:
    """Say of attempts, one at least, that no readings are taken."""
    why = "readings are switched off (EXAI_READINGS=0)"
    return _blind(wallet, f"No balance reading: {why}. Switch them on, or run `exai prove`.", rows)


def around_stolen(wallet: Wallet, proven: VerdictEntry) -> VerdictEntry:
    """Say of a window that it proves nothing: one around it moved too much, and some of that may lie in it."""
    sentence = (
        "The counter moved as our calls explain, but around them it moved more than all calls do: somebody else"
        " spends here, or too much was taken, and it cannot be told that none of that is in this movement."
    )
    return msgspec.structs.replace(proven, word=word_of("U3"), code="U3", sentence=_marked(wallet, sentence))


def _blind(wallet: Wallet, sentence: str, rows: Sequence[AttemptRow]) -> VerdictEntry:
    ends = [row.end_index for row in rows if row.end_index is not None]
    return VerdictEntry(
        rule=RULE,
        provider=wallet.provider,
        wallet=wallet.name,
        simulated=wallet.simulated,
        word=word_of("U4"),
        code="U4",
        sentence=_marked(wallet, sentence),
        after=min(row.intent_index for row in rows) - 1,
        until=max(ends),
    )


def why_unread(wallet: Wallet, provider: Provider, latest: Sequence[ReadingEntry]) -> str:
    """Say why the provider's books cannot be read, and what can be done."""
    why = remedies.why_not_read(latest)
    return f"No balance reading: {why}. {remedies.of_reading(wallet, provider, latest)}"


def doubled(wallet: Wallet, provider_id: str, attempts: Sequence[str]) -> VerdictEntry:
    """Say that one id of the provider's stands on several attempts."""
    sentence = (
        f"The same provider id {provider_id} appears on {len(attempts)} attempts:"
        " one charge may be counted twice, or an old answer was given again."
    )
    return own_verdict(wallet, "M4", sentence, attempts)


def forged(wallet: Wallet, attempt_id: str) -> VerdictEntry:
    """Say that the provider does not know its signature."""
    sentence = (
        "The provider says that the signature on this answer is not its own: somebody else may have answered."
    )
    return own_verdict(wallet, "M8", sentence, (attempt_id,))


def _marked(wallet: Wallet, sentence: str) -> str:
    return f"SIMULATED: {sentence}" if wallet.simulated else sentence
