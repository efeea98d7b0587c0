"""Windows: did the provider's counter move by what our calls explain? Bounds, never guesses. Pure.

surely billed ≤ moved ≤ surely billed + straddling + in doubt, widened by what the counter's steps may hide
"""

from collections.abc import Iterator, Sequence

import msgspec

from service.core.assignment import Assignment, assign
from service.core.books import ReadingEntry, VerdictEntry, WindowSums
from service.core.movement import (
    CREDITS,
    PERCENT,
    TOKENS,
    Movement,
    compared,
    counted,
    movements,
    read,
    tells,
)
from service.core.placing import Edges, Piece, Placed, Settling, decided, final_ns, place
from service.core.times import utc_ns, utc_text
from service.core.weighing import Weighed, compare, compare_fewer, in_tokens, weigh
from service.core.window_words import blind, sentence
from service.core.words import VerdictWord

__all__ = ["RULE", "Ends", "Found", "Movement", "Piece", "Settling", "judge", "movements"]

RULE = 1
"""The version of this rule; a later one may judge otherwise, in new entries."""
_WORDS = {"P": VerdictWord.PROVEN, "U": VerdictWord.UNVERIFIED, "M": VerdictWord.MISMATCH}
_PROVEN = {CREDITS: "P2", TOKENS: "P3"}
_CLOCKS = "This machine's clock and the provider's disagree, so whether its books are final cannot be told."
_SHARED = "Calls of other wallets of the same account are counted in."


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the rule found of a window.

    Attributes:
        verdict: the entry to write.
        decided: ids of the attempts that lie surely inside and were settled.
        resolved: of the attempts in doubt inside, what each cost, in pico-units; only where exactly one assignment
            fits, and the provider's books are final.
        disputed: whether it also holds attempts that were judged MISMATCH before.
    """

    verdict: VerdictEntry
    decided: frozenset[str]
    resolved: dict[str, int]
    disputed: bool = False


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """A window: the readings at both ends, one of each counter that could be read, and whose they are.

    Attributes:
        unseen: whether packages that pay before money were not read at both ends, although they are offered.
    """

    provider: str
    wallet: str
    simulated: bool
    opening: tuple[ReadingEntry, ...]
    closing: tuple[ReadingEntry, ...]
    shared_with: tuple[str, ...] = ()
    unseen: bool = False


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """A reason, and what belongs to it."""

    code: str
    weighed: Weighed
    due_ns: int | None = None
    resolved: dict[str, int] = {}
    after: str = ""


def judge(ends: Ends, pieces: Sequence[Piece], settling: Settling) -> Found | None:
    """Judge a window; None where nothing was called, nothing moved and so nothing can be said.

    Where money moved less than our calls come to and a token package stands before it, the package's own movement
    is judged in tokens; if that explains them the verdict is on it.

    Attempts in doubt of which the counter says that they were not billed no longer blur the window. One that was
    stays a part of what is uncertain, for its amount is the movement's own rest: it cannot confirm it.

    Args:
        ends: its readings.
        pieces: every attempt of the wallet, and of those that share its account, that may touch the window.
        settling: how the provider's books follow.
    """
    moved = {movement.unit: movement for movement in movements(ends.opening, ends.closing, unseen=ends.unseen)}
    packages, credit = moved.pop(TOKENS, None), moved.pop(CREDITS, None)
    movement = next(iter(moved.values()), credit)
    found = None if movement is None else _Window(ends, movement, pieces, settling).found()
    if packages is None:
        return _blind(ends, pieces, settling) if movement is None else found
    if found is not None and found.verdict.code not in {"U12", "U15"}:
        return found
    drawn = _Window(ends, packages, tuple(map(in_tokens, pieces)), settling).found()
    return drawn if found is None or (drawn is not None and drawn.verdict.code == "P3") else found


class _Window:
    """One movement, and the attempts around it."""

    def __init__(self, ends: Ends, movement: Movement, pieces: Sequence[Piece], settling: Settling) -> None:
        self.ends = ends
        self.movement = movement
        self.settling = settling
        self.pieces = pieces
        self.edges = _edges(ends, movement.counter)
        self.placed = place(pieces, self.edges, settling)
        self.weighed = self._compared(weigh(movement, self.placed))

    def found(self) -> Found | None:
        said = self._say()
        if said is None:
            return None
        due_at = None if said.due_ns is None else utc_text(said.due_ns)
        sums = said.weighed.sums
        after = f"{said.after} {_SHARED if self.ends.shared_with else ''}".strip()
        text = sentence(
            said.code,
            self.edges,
            self.movement.figure,
            sums,
            due_at=due_at,
            unbounded=said.weighed.unbounded,
            straddles=said.weighed.straddles,
            coarse=said.weighed.coarse,
            by_tokens=(said.weighed.contradicted or said.weighed.fewer) and not said.weighed.short,
            disagreed=said.weighed.disagreed and not said.weighed.short,
            late=said.weighed.late_explains,
            after=after,
        )
        return _found(
            self.ends, self.edges, self.placed, said.code, text, sums=sums, due_at=due_at, resolved=said.resolved
        )

    def _say(self) -> _Said | None:
        weighed = self.weighed
        due_ns = self._due_ns(tuple(piece for piece in self.placed.inside if piece.settled))
        if weighed.over:
            return self._over(due_ns)
        if weighed.short:
            return self._said(self._short(final=self._is_final(due_ns)), due_ns)
        if not any(piece.billable for piece in self.placed.inside):
            return None
        return self._explained(due_ns)

    def _explained(self, due_ns: int | None) -> _Said:
        """Say what there is to say where neither more nor less moved than our calls come to."""
        weighed = self.weighed
        if not weighed.exact:
            return _Said(code="U8" if self.movement.unit == CREDITS else "U13", weighed=weighed)
        if weighed.disagreed or weighed.fewer:
            return self._said("U2" if due_ns else "U12", due_ns)
        if weighed.contradicted:
            return self._said("M7" if self._is_final(due_ns) else "U2", due_ns)
        return self._within()

    def _is_final(self, due_ns: int | None) -> bool:
        """Whether the books hold whatever they ever will, by a clock that can be trusted."""
        return due_ns is None and self.edges.clocks_agree

    def _said(self, code: str, due_ns: int | None) -> _Said:
        """Say a reason that depends on whether the books are final, and why that is not known."""
        unknown = due_ns is None and code in {"U2", "U3"} and not self.edges.clocks_agree
        return _Said(code=code, weighed=self.weighed, due_ns=due_ns, after=_CLOCKS if unknown else "")

    def _over(self, due_ns: int | None) -> _Said:
        """Say that more moved than ours come to: who took it is told only where tokens can be compared."""
        if self.weighed.contradicted and due_ns is None:
            return self._said("M7" if self.edges.clocks_agree else "U3", None)
        if not self.weighed.same_tokens or not self.weighed.exact or self.weighed.late_explains:
            return _Said(code="U3", weighed=self.weighed)
        return self._said("M9" if self._is_final(due_ns) else "U3", due_ns)

    def _short(self, *, final: bool) -> str:
        if self.movement.drawn_elsewhere or self.movement.unit == TOKENS:
            return "U15"
        if not final:
            return "U2"
        return "U13" if self.weighed.may_hide else "M2"

    def _within(self) -> _Said:
        due_ns = self._due_ns(self.placed.inside) if self.placed.doubts else None
        assigned = self._assigned() if self._is_final(due_ns) else None
        if assigned is None:
            return _Said(code=self._sharpness(self.weighed), weighed=self.weighed, due_ns=due_ns)
        not_billed = frozenset(name for name in assigned.amounts if name not in assigned.billed)
        weighed = weigh(self.movement, self.placed, not_billed)
        weighed = msgspec.structs.replace(weighed, classes=self.weighed.classes)
        return _Said(
            code=self._sharpness(weighed), weighed=weighed, resolved=assigned.amounts, after=_fitting(assigned)
        )

    def _sharpness(self, weighed: Weighed) -> str:
        if weighed.sharp:
            return _PROVEN.get(self.movement.unit, "P1")
        return "U8" if weighed.coarse and self.movement.unit == CREDITS else "U12"

    def _assigned(self) -> Assignment | None:
        """Look for the only assignment of the doubts; none while anything else may explain the movement."""
        doubts = self.placed.doubts
        others = any(not piece.certain and not piece.in_doubt for piece in self.placed.inside)
        blurred = others or any(piece.billable for piece in (*self.placed.edge, *self.placed.late))
        if blurred or self.movement.drawn_elsewhere or self.weighed.may_hide:
            return None
        return assign(doubts, self.movement.least - self.weighed.surely, self.weighed.tolerance)

    def _due_ns(self, waited_for: Sequence[Piece]) -> int | None:
        """Give the moment from which the books are final; None if they were when the closing reading was asked."""
        moment_ns = final_ns(waited_for, self.settling)
        asked_ns = utc_ns(self.edges.closing.asked_at)
        return moment_ns if moment_ns is not None and asked_ns <= moment_ns else None

    def _compared(self, weighed: Weighed) -> Weighed:
        """Compare the provider's token counts with ours; where others may be in them, only fewer tell."""
        theirs = counted(self.ends.opening, self.ends.closing)
        if theirs is None:
            return weighed
        placed = place(self.pieces, _edges(self.ends, theirs.counter), self.settling)
        inside = self.placed.inside
        metered = any(piece.billable for piece in inside) and all(piece.settled for piece in inside)
        alike = placed.inside == inside and not placed.edge and not self.placed.edge
        if alike and metered and not self.ends.shared_with:
            return compare(weighed, placed, theirs)
        return compare_fewer(weighed, placed, theirs)


def _fitting(assigned: Assignment) -> str:
    if not assigned.billed:
        return "That leaves nothing for any attempt in doubt."
    one = "one attempt" if len(assigned.billed) == 1 else "one set of attempts"
    return f"The rest fits only {one} in doubt."


def _edges(ends: Ends, counter: str) -> Edges:
    opening, closing = (
        next(reading for reading in read(readings) if reading.counter == counter)
        for readings in (ends.opening, ends.closing)
    )
    return Edges(opening=opening, closing=closing)


def _blind(ends: Ends, pieces: Sequence[Piece], settling: Settling) -> Found | None:
    """Say why calls are not judged although both ends were read; None where no counter was read at both."""
    edges = next(_alike(ends), None)
    if edges is None:
        return None
    placed = place(pieces, edges, settling)
    if not any(piece.billable for piece in placed.inside):
        return None
    percent = any(both.unit == PERCENT for both in compared((edges.opening,), (edges.closing,)).values())
    code = "U8" if percent else "U12"
    return _found(ends, edges, placed, code, blind(code, edges))


def _alike(ends: Ends) -> Iterator[Edges]:
    """Pair the readings of each counter that tells of consumption at both ends."""
    closing = {reading.counter: reading for reading in read(ends.closing) if tells(reading)}
    for reading in read(ends.opening):
        if tells(reading) and reading.counter in closing:
            yield Edges(opening=reading, closing=closing[reading.counter])


def _found(
    ends: Ends,
    edges: Edges,
    placed: Placed,
    code: str,
    text: str,
    *,
    sums: WindowSums | None = None,
    due_at: str | None = None,
    resolved: dict[str, int] | None = None,
) -> Found:
    until, ids = decided(placed, edges)
    verdict = VerdictEntry(
        rule=RULE,
        provider=ends.provider,
        wallet=ends.wallet,
        simulated=ends.simulated,
        word=_WORDS[code[0]],
        code=code,
        sentence=text,
        after=edges.opening.index,
        until=until,
        opened=edges.opening.index,
        closed=edges.closing.index,
        sums=sums,
        due_at=due_at,
        shared_with=ends.shared_with,
    )
    return Found(verdict=verdict, decided=ids, resolved=resolved or {}, disputed=placed.disputed)
