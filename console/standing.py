"""The standing of a range's calls: the first sentence of the console, as far as verdicts exist.

Pure. Real and simulated calls get a sentence each. No state is said that no verdict shows: without a call
whose verdict is PROVEN nothing is called confirmed.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from console.figures import counted
from console.tallies import DOUBTED, UNPRICED, held_text, spent_text
from console.words import WHY_ZERO
from service.core.verdict import STILL_OPEN
from service.core.words import VerdictWord
from service.ledger.verdicts import VerdictCount, VerdictSum

UNCONFIRMED_CODE = "U4"


class State(StrEnum):
    """What the sentence is about."""

    CONFIRMED = "confirmed"
    SETTLING = "settling"
    MISMATCH = "mismatch"
    UNCHARGED = "uncharged"
    UNCONFIRMED = "unconfirmed"
    QUIET = "quiet"


WORD_OF: dict[State, VerdictWord | None] = {
    State.CONFIRMED: VerdictWord.PROVEN,
    State.SETTLING: VerdictWord.UNVERIFIED,
    State.MISMATCH: VerdictWord.MISMATCH,
    State.UNCHARGED: VerdictWord.NO_CREDIT_USED,
    State.UNCONFIRMED: VerdictWord.UNVERIFIED,
    State.QUIET: None,
}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How calls of one kind stand. `lead` is the sentence; `more` says what belongs to it."""

    state: State
    simulated: bool
    lead: str
    more: tuple[str, ...] = ()

    @property
    def word(self) -> VerdictWord | None:
        """The verdict that the sentence stands under; None if there was no call."""
        return WORD_OF[self.state]


def standings(
    counts: Sequence[VerdictCount], sums: Sequence[VerdictSum], *, when: str, owner: str | None = None
) -> tuple[Standing, ...]:
    """Say how the calls of a range stand: the real ones first, then the simulated.

    Calls that asked no provider are said with the real ones, or, where all others are simulated, with these.

    Args:
        counts: of the range.
        sums: of the same calls.
        when: which calls these are, for example `in the last 7 days`.
        owner: the one client whose calls were counted; None for all.
    """
    if not counts:
        of = "" if owner is None else f" of client {owner}"
        return (Standing(state=State.QUIET, simulated=False, lead=f"This ledger holds no call{of} {when}."),)
    only_simulated = all(one.simulated for one in counts if one.asked) and any(one.asked for one in counts)
    found = []
    for simulated in (False, True):
        group = [one for one in counts if (one.simulated if one.asked else only_simulated) is simulated]
        if group:
            amounts = [one for one in sums if one.simulated is simulated]
            found.append(sentence(group, amounts, when=when, simulated=simulated))
    return tuple(found)


def sentence(
    counts: Sequence[VerdictCount], sums: Sequence[VerdictSum], *, when: str, simulated: bool
) -> Standing:
    """Say how calls of one kind stand.

    Args:
        counts: of calls that are all real or all simulated; at least one.
        sums: of the same calls.
        when: which calls these are.
        simulated: whether they are simulated; then the sentence begins with the word.
    """
    calls = {word: sum(one.calls for one in counts if one.word is word) for word in VerdictWord}
    state = _state(calls)
    spent = spent_text([one for one in sums if WORD_OF[state] is one.word])
    lead = _lead(state, calls, spent, when)
    more = [] if state is State.CONFIRMED else _proven(calls, sums)
    more += _waiting(counts, sums)
    if state is State.UNCHARGED:
        more += _why_zero(counts)
    elif uncharged := calls[VerdictWord.NO_CREDIT_USED]:
        more += [f"{counted(uncharged, 'call')} used no credit: {', '.join(_why_zero(counts))}."]
    return Standing(
        state=state,
        simulated=simulated,
        lead=f"SIMULATED: {lead}" if simulated else lead,
        more=tuple(more),
    )


def _state(calls: dict[VerdictWord, int]) -> State:
    """Let the gravest verdict speak: what disagrees, what waits, what is confirmed, what cost nothing."""
    if calls[VerdictWord.MISMATCH]:
        return State.MISMATCH
    if calls[VerdictWord.UNVERIFIED]:
        return State.SETTLING if calls[VerdictWord.PROVEN] else State.UNCONFIRMED
    return State.CONFIRMED if calls[VerdictWord.PROVEN] else State.UNCHARGED


def _lead(state: State, calls: dict[VerdictWord, int], spent: str, when: str) -> str:
    everything = sum(calls.values())
    what = counted(everything, "call")
    of = f" ({spent})" if spent else ""
    match state:
        case State.MISMATCH:
            wrong = calls[VerdictWord.MISMATCH]
            verb = "disagrees" if wrong == 1 else "disagree"
            return f"{wrong} of {what} {when} {verb} with what the provider said{of}."
        case State.CONFIRMED:
            proven = counted(calls[VerdictWord.PROVEN], "charged call")
            return f"The providers' own books confirm every charge {when}: {proven}{of}."
        case State.SETTLING:
            return f"Nothing contradicts the {what} {when}; some charges are not confirmed yet."
        case State.UNCONFIRMED:
            return (
                f"Nothing contradicts the {what} {when}, and nothing outside this service confirms a charge yet."
            )
        case _:
            none = "and it cost nothing" if everything == 1 else "and none cost anything"
            return f"{what} {when}, {none}."


def _proven(calls: dict[VerdictWord, int], sums: Sequence[VerdictSum]) -> list[str]:
    proven = calls[VerdictWord.PROVEN]
    spent = spent_text([one for one in sums if one.word is VerdictWord.PROVEN])
    return [f"{counted(proven, 'call')} proven{f' ({spent})' if spent else ''}."] if proven else []


def _waiting(counts: Sequence[VerdictCount], sums: Sequence[VerdictSum]) -> list[str]:
    """Say of each kind of unverified call what it waits for."""
    said = []
    kinds = (
        ((UNCONFIRMED_CODE,), "answered and metered", "No balance was read, so the charge is not confirmed."),
        (DOUBTED, "in doubt: sent, and no usage came back", "Held at the worst case, not counted as spend."),
        ((UNPRICED,), "metered, without a known price", "Unknown is not zero."),
        ((STILL_OPEN,), "still open", ""),
    )
    named = {code for codes, _, _ in kinds for code in codes}
    others = tuple({one.code for one in counts if one.word is VerdictWord.UNVERIFIED and one.code not in named})
    for codes, what, why in (*kinds, (others, "waiting for confirmation", "")):
        calls = sum(one.calls for one in counts if one.code in codes)
        amounts = [one for one in sums if one.code in codes]
        money = " and ".join(filter(None, (spent_text(amounts), held_text(amounts))))
        if calls:
            of = f" ({money})" if money else ""
            said.append(f"{counted(calls, 'call')} {what}{of}. {why}".rstrip())
    return said


def _why_zero(counts: Sequence[VerdictCount]) -> list[str]:
    """List why calls cost nothing, the most frequent reason first."""
    by_code: dict[str, int] = {}
    for one in counts:
        if one.word is VerdictWord.NO_CREDIT_USED:
            by_code[one.code] = by_code.get(one.code, 0) + one.calls
    listed = sorted(by_code.items(), key=lambda found: (-found[1], found[0]))
    return [f"{calls} {WHY_ZERO.get(code, code)}" for code, calls in listed]
