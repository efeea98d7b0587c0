"""The standing of a range's calls: the first sentence of the console, and what belongs to it.

Pure. Real and simulated calls get a sentence each; currencies are never added. No state is said that no verdict
shows: without a call whose verdict is PROVEN nothing is called confirmed, and never without the time of the last
reading, but to a reader of one client's calls alone, who is told of no reading.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from console.codes import CODES
from console.figures import counted, grouped, moment
from console.tallies import DOUBTED, UNPRICED, held_text, share_text, spent_text
from console.wallets import Books
from console.words import plain
from service.core.books import VerdictEntry
from service.core.verdict import STILL_OPEN, UNDECIDED
from service.core.words import VerdictWord
from service.ledger.verdicts import VerdictCount, VerdictSum

UNREAD_CODE = "U4"
FINAL_CODE = "U2"
UNREAD = (UNREAD_CODE, UNDECIDED)
"""The codes of calls that wait for a reading, or for which none can be had."""
OPEN_QUESTIONS = (
    (DOUBTED, "in doubt"),
    ((UNREAD_CODE,), "recorded but not confirmed for want of a reading"),
    ((FINAL_CODE,), "in windows that came short so far"),
    (("U3",), CODES["U3"].calls),
    (("U11",), "written off, whether billed or not"),
    (("U14",), CODES["U14"].calls),
    (("U17",), "of a provider whose answers do not say whose they are"),
)
"""What contradicts no call and is not well either: where any is, it is not said that nothing looks wrong."""


class State(StrEnum):
    """What the sentence is about."""

    CONFIRMED = "confirmed"
    SETTLING = "settling"
    MISMATCH = "mismatch"
    UNCHARGED = "uncharged"
    UNCONFIRMED = "unconfirmed"
    BLIND = "blind"
    QUIET = "quiet"


WORD_OF: dict[State, VerdictWord | None] = {
    State.CONFIRMED: VerdictWord.PROVEN,
    State.SETTLING: VerdictWord.UNVERIFIED,
    State.MISMATCH: VerdictWord.MISMATCH,
    State.UNCHARGED: VerdictWord.NO_CREDIT_USED,
    State.UNCONFIRMED: VerdictWord.UNVERIFIED,
    State.BLIND: VerdictWord.UNVERIFIED,
    State.QUIET: None,
}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How calls of one kind stand.

    Attributes:
        lead: the sentence.
        more: what belongs to it.
        checked: when the counters were last read, in words; empty where no call could be charged, and for a reader
            of one client's calls alone.
    """

    state: State
    simulated: bool
    lead: str
    more: tuple[str, ...] = ()
    checked: str = ""

    @property
    def word(self) -> VerdictWord | None:
        """The verdict that the sentence stands under; None if there was no call."""
        return WORD_OF[self.state]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one kind: all real, or all simulated.

    Attributes:
        when: which calls these are, for example `in the last 7 days`.
        books: the wallets that these calls spent from, as far as any counter of them was asked.
        blind: those of them that cannot be read and that some of these calls wait for.
        short: the verdicts on windows for which some of these calls wait for a final bill.
        as_of: UTC text of this moment.
        reads: whether the reader may be told of readings.
    """

    counts: Sequence[VerdictCount]
    sums: Sequence[VerdictSum]
    when: str
    books: Sequence[Books] = ()
    blind: Sequence[str] = ()
    short: Sequence[VerdictEntry] = ()
    as_of: str = ""
    simulated: bool = False
    reads: bool = True

    @property
    def whose(self) -> str:
        """Whose books confirm a charge; a sentence may begin with it."""
        return "The simulators' books" if self.simulated else "The providers' own books"

    def calls(self, word: VerdictWord | None = None) -> int:
        """Count its calls, all or those of one verdict."""
        return sum(one.calls for one in self.counts if word in (None, one.word))

    def spent(self, word: VerdictWord | None = None) -> str:
        """Say what they cost, per currency; empty where nothing was spent."""
        return spent_text([one for one in self.sums if word in (None, one.word)])

    @property
    def due(self) -> str:
        """When books that came short are final, the earliest and the latest time to come; empty if unknown."""
        found = {one.due_at for one in self.short if one.due_at is not None and one.due_at > self.as_of}
        if not found:
            return ""
        first, last = moment(min(found)), moment(max(found))
        return f"at {first}" if len(found) == 1 else f"between {first} and {last}"


def standings(
    counts: Sequence[VerdictCount],
    sums: Sequence[VerdictSum],
    *,
    when: str,
    owner: str | None = None,
    books: Sequence[Books] = (),
    blind: Sequence[str] = (),
    short: Sequence[VerdictEntry] = (),
    as_of: str = "",
) -> tuple[Standing, ...]:
    """Say how the calls of a range stand: the real ones first, then the simulated.

    Calls that asked no provider are said with the real ones, or, where all others are simulated, with these.

    Args:
        counts: of the range.
        sums: of the same calls.
        when: which calls these are, for example `in the last 7 days`.
        owner: the one client whose calls were counted, to whom no reading is told of; None for all.
        books: the wallets that these calls spent from.
        blind: those of them that cannot be read and that some of these calls wait for, by `UNREAD`.
        short: the verdicts on windows for which some of these calls wait for a final bill, by `FINAL_CODE`.
        as_of: UTC text of this moment.
    """
    if not counts:
        of = "" if owner is None else f" of client {owner}"
        return (Standing(state=State.QUIET, simulated=False, lead=f"This ledger holds no call{of} {when}."),)
    only_simulated = all(one.simulated for one in counts if one.asked) and any(one.asked for one in counts)
    found = []
    for simulated in (False, True):
        of_kind = [one for one in counts if (one.simulated if one.asked else only_simulated) is simulated]
        if of_kind:
            group = Group(
                counts=of_kind,
                sums=[one for one in sums if one.simulated is simulated],
                when=when,
                books=[one for one in books if one.simulated is simulated],
                blind=[one.wallet for one in books if one.simulated is simulated and one.wallet in blind],
                short=[one for one in short if one.simulated is simulated],
                as_of=as_of,
                simulated=simulated,
                reads=owner is None,
            )
            found.append(sentence(group))
    return tuple(found)


def sentence(group: Group) -> Standing:
    """Say how calls of one kind stand; of simulated ones the sentence begins with that word."""
    state = _state(group)
    lead = _lead(state, group)
    more = [*_unread(state, group), *_waiting(group)]
    uncharged = group.calls(VerdictWord.NO_CREDIT_USED)
    if uncharged and state is not State.UNCHARGED:
        more.append(f"{counted(uncharged, 'call')} used no credit: {', '.join(_why_zero(group))}.")
    return Standing(
        state=state,
        simulated=group.simulated,
        lead=f"SIMULATED: {lead}" if group.simulated else lead,
        more=tuple(more),
        checked=_checked(group) if group.reads and state is not State.UNCHARGED else "",
    )


def _state(group: Group) -> State:
    """Let the gravest verdict speak: what disagrees, what waits, what is confirmed, what cost nothing."""
    if group.calls(VerdictWord.MISMATCH):
        return State.MISMATCH
    proven = group.calls(VerdictWord.PROVEN)
    if group.calls(VerdictWord.UNVERIFIED):
        if group.blind:
            return State.BLIND
        return State.SETTLING if proven else State.UNCONFIRMED
    return State.CONFIRMED if proven else State.UNCHARGED


def _lead(state: State, group: Group) -> str:
    when, what = group.when, counted(group.calls(), "call")
    match state:
        case State.MISMATCH:
            return _wrong(group)
        case State.CONFIRMED:
            spent = group.spent(VerdictWord.PROVEN)
            of = f" You spent {spent}." if spent else ""
            calls = group.calls(VerdictWord.PROVEN)
            every = "The one charged call" if calls == 1 else f"All {counted(calls, 'charged call')}"
            return f"{every} {when} {'is' if calls == 1 else 'are'} confirmed by {group.whose.lower()}.{of}"
        case State.SETTLING:
            return f"{_nothing(group)} {_proven(group)}."
        case State.BLIND:
            waiting = sum(one.calls for one in group.counts if one.code in UNREAD)
            verb = "is" if waiting == 1 else "are"
            return (
                f"We cannot read {', '.join(group.blind)}. Of {what} {when} {grouped(waiting)} {verb} recorded but"
                f" not confirmed for want of a reading. {_proven(group)}."
            )
        case State.UNCONFIRMED:
            return f"{_nothing(group)} {group.whose} confirm no charge yet."
        case _:
            none = "it was not charged" if group.calls() == 1 else "none was charged"
            return f"{what} {when}, {none}: {', '.join(_why_zero(group))}."


def _wrong(group: Group) -> str:
    wrong = group.calls(VerdictWord.MISMATCH)
    spent = group.spent(VerdictWord.MISMATCH)
    of = f" ({spent})" if spent else ""
    others = spent_text([one for one in group.sums if one.word is not VerdictWord.MISMATCH])
    rest = f" The other {others} is proven or waiting." if others else ""
    verb = "disagrees" if wrong == 1 else "disagree"
    return f"{wrong} of {counted(group.calls(), 'call')} {group.when} {verb} with the provider{of}.{rest}"


def _nothing(group: Group) -> str:
    """Say that nothing looks wrong, unless something is an open question that contradicts no call."""
    what = counted(group.calls(), "call")
    found = []
    for codes, said in OPEN_QUESTIONS:
        calls = sum(one.calls for one in group.counts if one.code in codes)
        final = f", final {group.due}" if FINAL_CODE in codes and group.due else ""
        if calls:
            found.append(f"{grouped(calls)} {'is' if calls == 1 else 'are'} {said}{final}")
    if found:
        return f"Of {what} {group.when} {'; '.join(found)}."
    return f"Nothing looks wrong {group.when}: {what}."


def _proven(group: Group) -> str:
    """Say how much of what was spent is proven, per currency; where no money is known, how many calls."""
    share = share_text(group.sums, VerdictWord.PROVEN)
    charged = group.calls() - group.calls(VerdictWord.NO_CREDIT_USED)
    calls = f"{group.calls(VerdictWord.PROVEN)} of {counted(charged, 'call')} proven"
    return f"{share} is proven, {calls}" if share else calls


def _unread(state: State, group: Group) -> list[str]:
    """Say of each wallet that cannot be read why, since when, and what helps."""
    said = []
    for one in group.books:
        for failure in one.failures if one.blind and state is not State.UNCHARGED else ():
            since = f"since {moment(failure.since)}"
            said.append(
                f"{one.wallet}, {plain(failure.counter)}: {failure.said}, {since}. {failure.remedy}".rstrip()
            )
    return said


def _waiting(group: Group) -> list[str]:
    """Say of each kind of unverified call what it waits for."""
    kinds = [
        ((UNDECIDED,), CODES[UNDECIDED].calls, ""),
        ((FINAL_CODE,), CODES[FINAL_CODE].calls, f"It is due {group.due}." if group.due else ""),
        ((UNREAD_CODE,), CODES[UNREAD_CODE].calls, "The charge is not confirmed."),
        (DOUBTED, "in doubt: sent, and no usage came back", "Held at the worst case, not counted as spend."),
        ((UNPRICED,), "metered, without a known price", "Unknown is not zero."),
        ((STILL_OPEN,), CODES[STILL_OPEN].calls, ""),
    ]
    named = {code for codes, _, _ in kinds for code in codes}
    others = {one.code for one in group.counts if one.word is VerdictWord.UNVERIFIED} - named
    kinds += [((code,), CODES[code].calls, "") for code in sorted(others)]
    said = []
    for codes, what, why in kinds:
        calls = sum(one.calls for one in group.counts if one.code in codes)
        amounts = [one for one in group.sums if one.code in codes]
        money = " and ".join(filter(None, (spent_text(amounts), held_text(amounts))))
        if calls:
            of = f" ({money})" if money else ""
            said.append(f"{counted(calls, 'call')} {what}{of}. {why}".rstrip())
    return said


def _why_zero(group: Group) -> list[str]:
    """List why calls cost nothing, the most frequent reason first."""
    by_code: dict[str, int] = {}
    for one in group.counts:
        if one.word is VerdictWord.NO_CREDIT_USED:
            by_code[one.code] = by_code.get(one.code, 0) + one.calls
    listed = sorted(by_code.items(), key=lambda found: (-found[1], found[0]))
    return [f"{calls} {CODES[code].calls}" for code, calls in listed]


def _checked(group: Group) -> str:
    """Say when every wallet had been read at the latest, not when it was judged; one that never was is named."""
    times = [one.read_at for one in group.books if one.read_at is not None]
    if not times:
        return f"No {'simulator' if group.simulated else 'provider'}'s balance or quota has been read yet."
    unread = [one.wallet for one in group.books if one.read_at is None]
    but = f", but for {', '.join(unread)}" if unread else ""
    return f"{group.whose} were last read at {moment(min(times))}{but}."
