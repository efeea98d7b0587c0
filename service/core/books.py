"""The provider's own books, as entries: what its counters said, what it said of its signature, and what follows.

None of these belongs to one tool call's history: a reading is of a wallet, a verification comes when its call
may be long closed, a verdict speaks of many calls at once.
"""

import msgspec

from service.core.entry import Entry
from service.core.words import (
    ReadingCause,
    ReadingOutcome,
    VerdictWord,
    VerificationOutcome,
)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a provider's counter, as the provider stated it.

    Attributes:
        name: what it counts; a word of the provider's file, such as `available`, `spent`, `credits_5h`.
        amount: exact decimal; less than zero for a debt.
        unit: ISO 4217 code, `credits`, `tokens`, `requests` or `percent`.
        resolution: exact decimal: the smallest step that the counter shows.
        since: UTC text of when it began to count from zero; None never begins anew.
        cap: where it ends; None if it does not.
        resets_at: UTC text of when it begins anew.
    """

    name: str
    amount: str
    unit: str
    resolution: str
    since: str | None = None
    cap: str | None = None
    resets_at: str | None = None


class ReadingEntry(Entry, frozen=True, kw_only=True, tag="reading"):
    """What one of a provider's own counters said of a wallet, or why it said nothing.

    The figures were true at one moment between `asked_at` and `at`.

    Attributes:
        counter: which one; a word of the provider's file, such as `balance`.
        cause: why it was asked.
        status: of HTTP; None if no answer came.
        account: first 16 hex of the SHA-256 of the organisation's id, where the provider tells it.
        tells: what else it said of the account: limits, tier. No ids, no names.
        message: the provider's error, redacted; empty if it was read.
        date: the answer's `Date` header.
        fingerprint: first 8 hex of the SHA-256 of the key that asked: under one name another account's may come.
    """

    provider: str
    wallet: str
    counter: str
    endpoint: str
    cause: ReadingCause
    outcome: ReadingOutcome
    status: int | None
    asked_at: str
    figures: tuple[Figure, ...] = ()
    account: str | None = None
    tells: dict[str, str]
    message: str
    provider_code: str | None = None
    provider_ids: dict[str, str]
    date: str | None = None
    fingerprint: str | None = None
    simulated: bool


class VerificationEntry(Entry, frozen=True, kw_only=True, tag="verification"):
    """What the provider answered when it was asked whether a settlement's signature is its own.

    `valid` says that it accepted this nonce and model at that time: nothing of success, content or tokens
    (source: platform.kimi.com, request signature).
    """

    tool_call_id: str
    attempt_id: str
    provider: str
    wallet: str
    outcome: VerificationOutcome
    status: int | None
    message: str
    asked_at: str
    provider_ids: dict[str, str]
    simulated: bool


class TokenClass(msgspec.Struct, frozen=True, kw_only=True):
    """What both sides counted of one class in a window; `theirs` is None where the provider does not count it."""

    name: str
    ours: int
    theirs: int | None


class WindowSums(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides of a window. Amounts are exact decimals of `unit`.

    Attributes:
        unit: ISO 4217 code, `credits` or `tokens`.
        opening, closing: the counter's own numbers, for people; None where several make it up.
        moved: by how much the provider's counter says it was consumed; None where that cannot be told.
        added: what was paid in or given meanwhile, as far as it can be told; None if nothing was.
        surely: cost of attempts that began and were billed inside.
        straddling: the most that metered attempts may have added at its edges, at a change of rates, or if their
            books are not final.
        in_doubt: the most that attempts in doubt, open or unpriced may have added, as far as that has a bound.
        unbounded: whether that of one of them has none.
        disputed: the most that attempts may have added that had been judged MISMATCH; None where it has no bound.
        tolerance: what the counter's steps may hide.
        attempts: how many attempts `surely` adds up.
        classes: what both sides counted.
        contradicted: whether the provider's own counts of tokens disagreed with its answers here, or did before
            and cannot be compared any more.
    """

    unit: str
    opening: str | None
    closing: str | None
    moved: str | None
    added: str | None
    surely: str
    straddling: str
    in_doubt: str
    tolerance: str
    attempts: int
    classes: tuple[TokenClass, ...] = ()
    unbounded: bool = False
    disputed: str | None = "0"
    contradicted: bool = False


class VerdictEntry(Entry, frozen=True, kw_only=True, tag="verdict"):
    """What a rule found of a wallet's window, or of single attempts. It is never set by hand.

    A better one later is a new entry. A window's verdict decides the attempts of its wallet whose intent stands
    after the entry `after` and whose end stands at or before the entry `until`: indexes of the log, so no clock
    can move them.

    Attributes:
        rule: version of the rule.
        attempts: the ids of the attempts that are meant, if it is on single ones; then it has no window.
        opened, closed: indexes of the readings at the window's ends; both None without a reading.
        due_at: UTC text of when it is looked at again; None if this is the last word.
        shared_with: other wallets of the same account whose calls are counted in.
    """

    rule: int
    provider: str
    wallet: str
    simulated: bool
    word: VerdictWord
    code: str
    sentence: str
    after: int = -1
    until: int = -1
    attempts: tuple[str, ...] = ()
    opened: int | None = None
    closed: int | None = None
    sums: WindowSums | None = None
    due_at: str | None = None
    shared_with: tuple[str, ...] = ()
