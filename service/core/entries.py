"""Entries: what the ledger's lines say.

An entry is one canonical JSON object. Its first five fields are set by the ledger when it is written;
the rest is what happened.
"""

from typing import Any

import msgspec

from service.core.books import ReadingEntry, VerdictEntry, VerificationEntry
from service.core.canonical import canonical_struct
from service.core.entry import READABLE, VERSION, Entry
from service.core.evidence import Commitment, Signature, Timing, TlsPeer
from service.core.usage import Usage
from service.core.words import (
    AttemptOutcome,
    BudgetEvent,
    BudgetPeriod,
    ClientEvent,
    CostStatus,
    DoubtCause,
    RefusalReason,
    ResolutionOutcome,
    ResolutionSource,
    ToolOutcome,
    UnsentReason,
    ZeroReason,
)

ADOPT = "adopt"
"""The action whose entry may begin a new origin."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Prices per million tokens of each class, and per request, as exact decimals; None was not stated."""

    uncached_input: str
    cached_input: str | None
    cache_write: str
    output: str
    request: str = "0"


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Usage × the price in force at the intent. `amount` and `currency` are None when no price is known."""

    status: CostStatus
    currency: str | None
    amount: str | None
    price_version: str
    rates: Rates | None = None


class WorstCase(msgspec.Struct, frozen=True, kw_only=True):
    """An upper bound of what an attempt can consume; `amount` is None when no price is known."""

    input_tokens: int
    output_tokens: int
    currency: str | None
    amount: str | None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A guess at what an attempt in doubt consumed, from byte counts. Never spend."""

    method: str
    input_tokens: int
    output_tokens: int
    currency: str | None
    amount: str | None


class Idempotency(msgspec.Struct, frozen=True, kw_only=True):
    """A client's wish that equal requests be paid once, without its words.

    Attributes:
        key_sha256: SHA-256 of the client's key, hex.
        request_sha256: HMAC-SHA256, under the key itself, of the tool and its arguments, hex: so nobody who has
            only the ledger can try out what was asked.
    """

    key_sha256: str
    request_sha256: str


class BudgetTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a budget allows, and for which attempts.

    Attributes:
        limits: exact decimal amounts by ISO 4217 code, and whole tokens by the word `tokens`.
        zone: IANA name of the zone whose days and months are meant.
        client, provider, wallet, model, tool: only attempts of this one are governed; None means all.
        each: of these five, by what attempts are told apart: every value has the whole limit for itself.
        allow_unknown_price: whether an attempt of unknown price passes a limit in money; otherwise it is stopped.
    """

    name: str
    period: BudgetPeriod
    limits: dict[str, str]
    zone: str = "UTC"
    client: str | None = None
    provider: str | None = None
    wallet: str | None = None
    model: str | None = None
    tool: str | None = None
    each: tuple[str, ...] = ()
    allow_unknown_price: bool = False


class BudgetWarning(msgspec.Struct, frozen=True, kw_only=True):
    """A share of a limit that is used up, spent and reserved together.

    Attributes:
        unit: an ISO 4217 code or `tokens`.
        group: values of the terms' `each`, in its order.
        window: UTC text of the window's begin; empty for a total.
        percent: the threshold that was passed.
    """

    unit: str
    group: tuple[str, ...]
    window: str
    percent: int
    used: str
    limit: str
    simulated: bool


class ToolCallEntry(Entry, frozen=True, kw_only=True, tag="tool_call"):
    """One admitted `tools/call`. `needs_model`: whether its tool has no good answer but a model's."""

    tool_call_id: str
    client: str
    session: str
    transport: str
    protocol: str
    request_id: str
    tool: str
    arguments: Commitment
    trace_id: str
    parent_span_id: str | None
    parent_sampled: bool | None
    idempotency: Idempotency | None = None
    needs_model: bool = False


class IntentEntry(Entry, frozen=True, kw_only=True, tag="intent"):
    """One request that is about to be sent; durable before its first byte leaves.

    Attributes:
        own_host: whether the endpoint's host is the provider's own; None in entries of version 2.
        plan: the plan that pays, if it is not paid by its tokens.
    """

    tool_call_id: str
    attempt_id: str
    number: int
    retry_of: str | None
    provider: str
    wallet: str
    endpoint: str
    model: str
    stream: bool
    max_output_tokens: int
    nonce: str | None
    client_request_id: str | None
    request: Commitment
    worst_case: WorstCase
    price_version: str
    simulated: bool
    own_host: bool | None = None
    plan: str | None = None


class AcceptedEntry(Entry, frozen=True, kw_only=True, tag="accepted"):
    """The provider's response headers have arrived."""

    tool_call_id: str
    attempt_id: str
    status: int
    provider_ids: dict[str, str]
    headers: dict[str, str]
    other_headers: tuple[str, ...]
    tls: TlsPeer | None


class SettlementEntry(Entry, frozen=True, kw_only=True, tag="settlement"):
    """What the provider metered.

    Attributes:
        usage_raw: the provider's own JSON text.
        text_bytes, reasoning_bytes: size of what the model wrote, as UTF-8; None in entries of version 2.
    """

    tool_call_id: str
    attempt_id: str
    status: int
    usage: Usage
    usage_raw: str
    usage_flags: tuple[str, ...]
    cost: Cost
    model_reported: str | None
    model_known: bool
    finish_reason: str | None
    provider_ids: dict[str, str]
    response: Commitment
    signature: Signature | None
    timing: Timing
    text_bytes: int | None = None
    reasoning_bytes: int | None = None


class RefusalEntry(Entry, frozen=True, kw_only=True, tag="refusal"):
    """A complete error of the provider, without usage."""

    tool_call_id: str
    attempt_id: str
    status: int
    reason: RefusalReason
    retryable: bool
    retry_after_ms: int | None
    provider_type: str | None
    provider_code: str | None
    message: str
    provider_ids: dict[str, str]
    timing: Timing


class UnsentEntry(Entry, frozen=True, kw_only=True, tag="unsent"):
    """The attempt failed before its first byte left."""

    tool_call_id: str
    attempt_id: str
    reason: UnsentReason
    message: str
    timing: Timing


class DoubtEntry(Entry, frozen=True, kw_only=True, tag="doubt"):
    """The first byte left and no usage came back. Held at the intent's worst case."""

    tool_call_id: str
    attempt_id: str
    cause: DoubtCause
    message: str
    status: int | None
    model_reported: str | None
    finish_reason: str | None
    provider_ids: dict[str, str]
    response: Commitment | None
    estimate: Estimate | None
    timing: Timing | None


class AnswerEntry(Entry, frozen=True, kw_only=True, tag="answer"):
    """The tool call is closed."""

    tool_call_id: str
    outcome: ToolOutcome
    zero_reason: ZeroReason | None
    error_code: str | None
    response: Commitment | None
    duration_us: int | None
    replay_of: str | None = None


class ResolutionEntry(Entry, frozen=True, kw_only=True, tag="resolution"):
    """What became of an attempt in doubt, by whose word and why. It may follow its call's answer.

    Attributes:
        currency, amount: what it cost, as an exact decimal; both None when it was written off.
        tokens: what it consumed in all, if that is known.
        by: who said so.
        tolerance: how far from `amount` it may lie, as an exact decimal; None where a person stated it.
    """

    tool_call_id: str
    attempt_id: str
    outcome: ResolutionOutcome
    currency: str | None
    amount: str | None
    tokens: int | None
    source: ResolutionSource
    by: str
    why: str
    tolerance: str | None = None


class BudgetEntry(Entry, frozen=True, kw_only=True, tag="budget"):
    """A budget was set, removed, or is nearly used up: the first has `terms`, the last a `warning`."""

    event: BudgetEvent
    name: str
    terms: BudgetTerms | None
    warning: BudgetWarning | None
    by: str


class ClientEntry(Entry, frozen=True, kw_only=True, tag="client"):
    """A named token was made or revoked; the token itself stands nowhere.

    Attributes:
        name: the client that its calls are recorded for.
        token_sha256: hex; tells which token of this name.
        expires_at: UTC text; None for never.
    """

    event: ClientEvent
    name: str
    scopes: tuple[str, ...]
    token_sha256: str
    expires_at: str | None
    by: str


class ActionEntry(Entry, frozen=True, kw_only=True, tag="action"):
    """Something a person did to the ledger as a whole: `adopt`, `backup`, `archive`."""

    action: str
    by: str
    detail: dict[str, str]


class SystemEntry(Entry, frozen=True, kw_only=True, tag="system"):
    """Something about the service itself: `start` and `stop` of an epoch."""

    event: str
    detail: dict[str, str]


End = SettlementEntry | RefusalEntry | UnsentEntry | DoubtEntry
OfCall = (
    ToolCallEntry
    | IntentEntry
    | AcceptedEntry
    | SettlementEntry
    | RefusalEntry
    | UnsentEntry
    | DoubtEntry
    | AnswerEntry
    | ResolutionEntry
)
OfBooks = ReadingEntry | VerificationEntry | VerdictEntry
OfLedger = BudgetEntry | ClientEntry | ActionEntry | SystemEntry | OfBooks
AnyEntry = OfCall | OfLedger

ENDS: dict[type[Entry], AttemptOutcome] = {
    SettlementEntry: AttemptOutcome.SETTLED,
    RefusalEntry: AttemptOutcome.REFUSED,
    UnsentEntry: AttemptOutcome.UNSENT,
    DoubtEntry: AttemptOutcome.IN_DOUBT,
}

_decoder = msgspec.json.Decoder(AnyEntry)


class UnreadableEntryError(ValueError):
    """The bytes are no entry of this version."""


def encode(entry: Entry) -> bytes:
    """Write an entry as its exact, canonical bytes."""
    return canonical_struct(entry)


def decode(line: bytes) -> AnyEntry:
    """Read an entry's bytes.

    Raises:
        UnreadableEntryError: the bytes are not an entry, or are of a later version.
    """
    try:
        entry: AnyEntry = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEntryError(str(error)) from error
    if entry.v not in READABLE:
        raise UnreadableEntryError(f"the entry's version is {entry.v}; this program reads up to {VERSION}")
    return entry


def call_id(entry: AnyEntry) -> str | None:
    """Name the tool call that an entry belongs to; None if it belongs to none."""
    return None if isinstance(entry, OfLedger) else entry.tool_call_id


def kind(entry: Entry) -> str:
    """Name an entry's kind, as its bytes do."""
    tag: Any = type(entry).__struct_config__.tag
    return str(tag)
