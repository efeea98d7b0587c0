"""The six checks of an attempt: sent, answered, metered, plausible, priced, settled; each with its evidence.

Every sentence is written from entries, so whoever has them can write it again. A check that fails belongs to a
verdict of MISMATCH; what cannot be told is `not available` and never passes for either.
"""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from service.core.books import VerdictEntry, VerificationEntry
from service.core.entries import Cost, DoubtEntry, Rates, RefusalEntry, SettlementEntry, UnsentEntry
from service.core.evidence import Signature
from service.core.judged import NOTHING, Judged
from service.core.money import pico
from service.core.plausible import plausible
from service.core.record import Attempt
from service.core.timely import untimely
from service.core.usage import Usage
from service.core.verdict import UNDECIDED, own_code
from service.core.words import CheckState, CostStatus, ResolutionSource, VerdictWord, VerificationOutcome

_ID_NAMES_MAX = 4
_FINGERPRINT_CHARS = 16

CheckName = Literal["sent", "answered", "metered", "plausible", "priced", "settled"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One of the six: what was found, and one sentence of evidence."""

    name: CheckName
    state: CheckState
    evidence: str


Found = tuple[CheckState, str]


def checks(attempt: Attempt, judged: Judged = NOTHING) -> tuple[Check, ...]:
    """Check an attempt by its record and by what was found of it since.

    Args:
        attempt: its record so far.
        judged: the verdicts and the verification that speak of it.
    """
    likely = plausible(attempt)
    return (
        _check("sent", _sent(attempt)),
        _check("answered", _answered(attempt, judged)),
        _check("metered", _metered(attempt)),
        _check("plausible", (likely.state, likely.evidence)),
        _check("priced", _priced(attempt)),
        _check("settled", _settled(attempt, judged)),
    )


def _check(name: CheckName, found: Found) -> Check:
    state, evidence = found
    return Check(name=name, state=state, evidence=evidence)


def _sent(attempt: Attempt) -> Found:
    if isinstance(attempt.end, UnsentEntry):
        return CheckState.NOT_NEEDED, "No byte left this machine."
    host = urlsplit(attempt.intent.endpoint).hostname
    if attempt.http_status is not None:
        state, evidence = _reached(attempt, host or "")
        return state, f"{evidence}; HTTP {attempt.http_status}."
    if attempt.end is None:
        return CheckState.NOT_YET, f"No answer from {host} has begun."
    return CheckState.NOT_AVAILABLE, f"No answer from {host} began."


def _reached(attempt: Attempt, host: str) -> Found:
    own = attempt.intent.own_host
    if attempt.simulated:
        return CheckState.NOT_AVAILABLE, f"A simulator at {host} stands in for the provider"
    if not own:
        why = "is not known to be" if own is None else "is not"
        return CheckState.NOT_AVAILABLE, f"{host} {why} {attempt.intent.provider}'s own host"
    peer = None if attempt.accepted is None else attempt.accepted.tls
    if peer is None:
        return CheckState.NOT_AVAILABLE, f"No certificate of {host} is on record"
    certificate = f"SHA-256 {peer.fingerprint[:_FINGERPRINT_CHARS]}…"
    return CheckState.PASS, f"{peer.version} to {host}, whose certificate was verified ({certificate})"


def _answered(attempt: Attempt, judged: Judged) -> Found:
    wrong = _contradicted(attempt, judged.own)
    if wrong is not None:
        return CheckState.FAIL, wrong
    match attempt.end:
        case None:
            return CheckState.NOT_YET, "The attempt is still under way."
        case UnsentEntry():
            return CheckState.NOT_NEEDED, "Nobody was asked."
        case SettlementEntry(signature=Signature()):
            return _signed(attempt, judged.verification)
        case SettlementEntry() if attempt.intent.nonce is not None:
            return CheckState.NOT_AVAILABLE, f"{_ids(attempt)} The answer came without the provider's signature."
        case _:
            return (CheckState.PASS if attempt.provider_ids else CheckState.NOT_AVAILABLE), _ids(attempt)


def _contradicted(attempt: Attempt, own: VerdictEntry | None) -> str | None:
    """Say what speaks against the provider's having answered this request: a finding, a false time, a model."""
    if own is not None and own.word is VerdictWord.MISMATCH:
        return own.sentence
    late = untimely(attempt)
    if late is not None:
        return late
    end = attempt.end
    if isinstance(end, SettlementEntry) and end.model_reported is not None and not end.model_known:
        return f"The answer names model {end.model_reported}; we asked for {attempt.intent.model}."
    return None


def _signed(attempt: Attempt, verification: VerificationEntry | None) -> Found:
    if verification is None:
        return CheckState.NOT_YET, f"{_ids(attempt)} Whether the signature is its own has not been asked yet."
    match verification.outcome:
        case VerificationOutcome.VALID:
            said = f"It confirmed at {verification.at} that it accepted this request's nonce and model."
            return CheckState.PASS, f"{_ids(attempt)} {said}"
        case VerificationOutcome.INVALID:
            return CheckState.FAIL, f"The provider said at {verification.at} that the signature is not its own."
        case _:
            status = "no answer" if verification.status is None else f"HTTP {verification.status}"
            return CheckState.NOT_AVAILABLE, f"{_ids(attempt)} It could not say whether it signed it ({status})."


def _ids(attempt: Attempt) -> str:
    given = ", ".join(f"{name} {value}" for name, value in sorted(attempt.provider_ids.items())[:_ID_NAMES_MAX])
    return f"The provider's own ids: {given}." if given else "The provider gave no id of its own."


def _metered(attempt: Attempt) -> Found:
    match attempt.end:
        case None:
            return CheckState.NOT_YET, "The attempt is still under way."
        case SettlementEntry() as settled:
            flags = ", ".join(flag.replace("_", " ") for flag in settled.usage_flags)
            noted = f" Its own numbers do not all agree: {flags}." if flags else ""
            return CheckState.PASS, f"The provider counted {_counted(settled.usage)}.{noted}"
        case DoubtEntry():
            return CheckState.NOT_AVAILABLE, "The request was sent, and no usage came back."
        case _:
            return CheckState.NOT_NEEDED, "Nothing was metered: there was no answer to meter."


def _counted(usage: Usage) -> str:
    written = f"{usage.cache_write_tokens:,} cache write, " if usage.cache_write_tokens else ""
    return (
        f"{usage.uncached_input_tokens:,} uncached input, {usage.cached_input_tokens:,} cached input, {written}"
        f"{usage.output_tokens:,} output tokens (of which {usage.reasoning_tokens:,} reasoning)"
    )


def _priced(attempt: Attempt) -> Found:
    said, model = attempt.resolution, attempt.intent.model
    if said is not None and said.amount is not None:
        how = "is what the counter leaves" if said.source is ResolutionSource.READINGS else "was stated"
        return CheckState.NOT_AVAILABLE, f"{said.amount} {said.currency} {how}, not worked out from usage."
    match attempt.end:
        case None:
            return CheckState.NOT_YET, "The attempt is still under way."
        case SettlementEntry() as settled:
            return _worked_out(settled.cost, settled.usage, model)
        case DoubtEntry():
            return CheckState.NOT_AVAILABLE, "Without usage there is nothing to price."
        case _:
            return CheckState.NOT_NEEDED, "Nothing was metered, so there is nothing to price."


def _worked_out(cost: Cost, usage: Usage, model: str) -> Found:
    match cost.status:
        case CostStatus.PRICED:
            line = "Usage at the price in force" if cost.rates is None else _line(cost.rates, usage)
            return CheckState.PASS, f"{line} comes to {cost.amount} {cost.currency} (prices {cost.price_version})."
        case CostStatus.FREE:
            return CheckState.PASS, f"{model} is priced at zero (prices {cost.price_version})."
        case CostStatus.PLAN:
            return CheckState.NOT_NEEDED, "A plan's quota pays for it, not money."
        case _:
            return CheckState.NOT_AVAILABLE, f"No price of {model} is known (prices {cost.price_version})."


def _line(rates: Rates, usage: Usage) -> str:
    terms = (
        (usage.uncached_input_tokens, "uncached input", rates.uncached_input),
        (usage.cached_input_tokens, "cached input", rates.cached_input),
        (usage.cache_write_tokens, "cache write", rates.cache_write),
        (usage.output_tokens, "output", rates.output),
    )
    counted = " + ".join(f"{count:,} {name} × {rate}" for count, name, rate in terms if count)
    line = f"{counted}, per million tokens" if counted else "No token"
    fee = "" if pico(rates.request) == 0 else f", and {rates.request} for the request"
    return f"{line}{fee},"


def _settled(attempt: Attempt, judged: Judged) -> Found:
    said = attempt.resolution
    if said is not None:
        return CheckState.NOT_AVAILABLE, f"Resolved by {said.by}: {said.why}"
    match attempt.end:
        case UnsentEntry() | RefusalEntry():
            return CheckState.NOT_NEEDED, "Nothing was metered, so no counter should have moved."
        case SettlementEntry(cost=Cost(status=CostStatus.FREE)):
            return CheckState.NOT_NEEDED, "It costs nothing, so no counter should have moved."
        case SettlementEntry() if judged.window is not None:
            return _by_window(attempt, judged.window, speaks=judged.own is None)
        case SettlementEntry():
            return CheckState.NOT_YET, "No window between two readings decides it."
        case _:
            return CheckState.NOT_YET, "What it cost is not known, so no window can settle it yet."


def _by_window(attempt: Attempt, window: VerdictEntry, *, speaks: bool) -> Found:
    """Say what the window's verdict says; a provider's counter that a stranger shows proves nothing.

    A shortage is the attempt's only if the window's verdict is: where the record or a finding says otherwise of
    it, others in the window may be what is short.
    """
    if window.word is VerdictWord.MISMATCH:
        is_its_own = speaks and own_code(attempt) == UNDECIDED
        return (CheckState.FAIL if is_its_own else CheckState.NOT_AVAILABLE), window.sentence
    if window.word is VerdictWord.PROVEN:
        if not attempt.simulated and attempt.intent.own_host is not True:
            said = "A host that is not known to be the provider's own said so."
            return CheckState.NOT_AVAILABLE, f"{window.sentence} {said}"
        return CheckState.PASS, window.sentence
    if window.due_at is None:
        return CheckState.NOT_AVAILABLE, window.sentence
    return CheckState.NOT_YET, f"{window.sentence} It is looked at again at {window.due_at}."
