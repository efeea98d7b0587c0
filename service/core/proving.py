"""A proof of consumption, asked and found: what it may cost, what both sides said, and the verdict on it."""

import msgspec

from service.core.books import ReadingEntry, VerdictEntry
from service.core.words import VerdictWord


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What the counters of one wallet last said.

    Attributes:
        currency: what it is billed in; None if that is not known.
        readings: the newest of each counter, read or not, in the provider's order.
        as_of: UTC text of this moment.
    """

    wallet: str
    provider: str
    host: str
    plan: str | None
    currency: str | None
    simulated: bool
    readings: tuple[ReadingEntry, ...]
    as_of: str


class ProofAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be proved, and at what price.

    Attributes:
        wallet: its name; None for the first that can be proved.
        model: None for the default model of the wallet's provider.
        max_cost: the most that the calls may come to, an exact decimal of the wallet's unit; None: a small one.
        wait_s: how long the counter is waited for at most; None: what the provider usually needs, and some more.
    """

    wallet: str | None = None
    model: str | None = None
    max_cost: str | None = None
    wait_s: float | None = None


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof found.

    Attributes:
        unit: of amounts: ISO 4217 code or `credits`.
        tool_call_id: the call that made them; its receipt holds each one.
        calls: how many attempts were made.
        spent: what their settlements come to, or what the plan counts for them, an exact decimal; None if that of
            one is not known: it is in doubt, has no price, or ended in hours that its plan counts otherwise.
        at_most: what they may have been billed at most where `spent` is None; None if that has no bound.
        opening, closing: the readings before and after the calls; None where none could be had.
        verdict: on the window between them; None if none could be reached.
        word, code, sentence: the verdict in short, also where there is no window.
    """

    wallet: str
    provider: str
    simulated: bool
    model: str
    tool_call_id: str | None = None
    unit: str | None
    calls: int
    spent: str | None
    at_most: str | None = None
    opening: ReadingEntry | None
    closing: ReadingEntry | None
    verdict: VerdictEntry | None
    word: VerdictWord
    code: str
    sentence: str


def ours(proof: Proof) -> str:
    """Say what a proof's calls came to by our own account; what is not known is never said as zero."""
    unit = proof.unit or ""
    if proof.spent is not None:
        return f"{proof.spent} {unit}".strip()
    if proof.at_most is None:
        return "an unknown amount"
    return f"an unknown amount: at most {proof.at_most} {unit} may have been billed"
