"""A proof: the provider's counter read, moved by calls of our own, waited for, read again, and judged."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from service.calling.journal import HOLD_S
from service.core.books import ReadingEntry, VerdictEntry
from service.core.money import decimal_text
from service.core.movement import Movement, movements, read
from service.core.proving import Proof, ProofAsked
from service.core.record import Attempt
from service.core.shapes import Completion, Desk
from service.core.times import NS_PER_S
from service.core.usage import Usage
from service.core.window import Found
from service.core.words import ReadingCause, ReadingOutcome, VerdictWord
from service.errors import (
    AttemptInDoubtError,
    BudgetStopError,
    CallCancelledError,
    CallError,
    CallInterruptedError,
    InvalidArgumentsError,
    ProviderRefusedError,
)
from service.proving import remedies
from service.proving.between import by_whom, committed, contradicted, recent
from service.proving.choosing import Chosen, choose
from service.proving.means import Means
from service.proving.pieces import pieces
from service.proving.portion import Portion, portion, target
from service.proving.sums import CameTo, came_to

CALLS_MAX = 12
WAIT_S_MAX = 3600.0
_BEYOND_S = 300.0  # how much longer than usual the books are waited for
_POLL_S = 30.0
_BEYOND_SIMULATED_S = 33.0
_SIMULATED_POLL_S = 0.2
_FRESH_BYTES = 16
_RECORD_READS = 50  # one in the time that an end may be held back

Say = Callable[[str], None]

_log = logging.getLogger(__name__)


async def prove(
    means: Means,
    asked: ProofAsked,
    desk: Desk,
    *,
    tool_call_id: str,
    say: Say | None = None,
    limited: bool = False,
) -> Proof:
    """Prove that a wallet's counter moves by what we say its calls cost.

    Args:
        means: what every proof needs.
        asked: what is to be proved, and at what price.
        desk: the way to a model.
        tool_call_id: the call that the desk is of; what is sent are attempts of it.
        say: gets a line of progress at a time, with its newline.
        limited: whether the caller may see no more than its own calls: then no line tells a balance, and no other
            window than the proof's own is told.

    Raises:
        CallError: it could not be tried; every attempt made is in the ledger by then.
    """
    if asked.wait_s is not None and not 0 <= asked.wait_s <= WAIT_S_MAX:
        raise InvalidArgumentsError(f"a proof waits from 0 to {WAIT_S_MAX:g} s, not {asked.wait_s:g}")
    chosen = await choose(means, asked)
    if isinstance(chosen, Proof):
        return msgspec.structs.replace(chosen, tool_call_id=tool_call_id)
    under_way = _Proving(means, asked, desk, chosen, tool_call_id, say, limited=limited)
    return await under_way.run()


class _Proving:
    """One proof under way."""

    def __init__(
        self,
        means: Means,
        asked: ProofAsked,
        desk: Desk,
        chosen: Chosen,
        tool_call_id: str,
        say: Say | None,
        *,
        limited: bool,
    ) -> None:
        self._means = means
        self._desk = desk
        self._tool_call_id = tool_call_id
        self._chosen = chosen
        self._say_line = say
        self._limited = limited
        simulated = chosen.wallet.simulated
        self._usual_s = usual_s = means.settlings[chosen.wallet.name].usual_s
        self._poll_s = _SIMULATED_POLL_S if simulated else _POLL_S
        self._wait_s = asked.wait_s
        if self._wait_s is None:
            self._wait_s = usual_s + (_BEYOND_SIMULATED_S if simulated else _BEYOND_S)
        self._opening = chosen.opening
        figured = (one.counter for one in read(chosen.opening) if one.figures)
        self._counters = tuple(figured)  # the others tell limits, which no call moves
        self._calls = 0
        self._shown = 0  # by how much the calls must have moved the counter, in its pico-units
        self._attempts: tuple[Attempt, ...] = ()  # as they were written down
        self._failed: tuple[ReadingEntry, ...] = ()  # what the counters said last, where that was nothing
        self._cost = 0  # what they came to at most, in pico-units of the cap
        self._why_stopped = ""

    async def run(self) -> Proof:
        """Do it."""
        await self._calm()
        stood = "read" if self._limited else f"{self._movement(self._opening).opening} {self._unit}"
        self._say(f"opening balance {stood} at {self._at(self._opening)}")
        refused = await self._call_all()
        if self._calls or refused is not None:
            await self._recorded()
        if refused is not None:
            return self._without_window(VerdictWord.NO_CREDIT_USED, "N3", refused)
        if not self._calls:
            return self._without_window(VerdictWord.UNVERIFIED, "U12", self._why_stopped)
        closing, found = await self._wait()
        await self._means.reconciler.reconcile(self._chosen.wallet)
        return await self._proof(closing, found)

    @property
    def _unit(self) -> str:
        return self._chosen.movement.unit

    async def _calm(self) -> None:
        """Wait until the books hold what else the wallet pays for, if the cap cannot outweigh it."""
        waited_s = 0.0
        while waited_s < self._usual_s:
            blur = await self._blur()
            if blur == 0 or (blur is not None and self._outweighed(blur)):
                break
            if not waited_s:
                self._say("waiting: calls of this wallet may not be in its books yet")
            await self._means.pause(self._poll_s)
            waited_s += self._poll_s
        if waited_s:
            self._opening = await self._read(self._opening)

    async def _blur(self) -> int | None:
        """Say what attempts that may not be in the books yet may add at most; None if that has no bound."""
        rows = await asyncio.to_thread(recent, self._means, self._chosen.wallet)
        most = [piece.most for piece in pieces(rows, {}, self._means.measures) if piece.billable]
        return None if None in most else sum(one for one in most if one is not None)

    def _outweighed(self, straddling: int) -> bool:
        """Whether one call within the cap is enough, whatever of this the counter still has to show."""
        one = self._next(straddling)
        return one is not None and one.shown >= target(self._chosen.movement.resolution, 1, straddling)

    def _next(self, straddling: int) -> Portion | None:
        """Choose the next call; None if none is needed, or none that fits would help."""
        chosen, calls = self._chosen, self._calls + 1
        resolution = chosen.movement.resolution
        need = target(resolution, calls, straddling) - self._shown
        found = portion(
            self._means.entropy(_FRESH_BYTES).hex(),
            max(need, 1),
            chosen.cost_max - self._cost,
            shown=chosen.shown,
            cost=chosen.worst,
        )
        raises_target = target(resolution, calls + 1, 0) - target(resolution, calls, 0)
        helps = found is not None and (found.shown >= need or found.shown > raises_target)
        return found if helps else None

    async def _call_all(self) -> str | None:
        """Make the calls; give the reason if the provider refused the first."""
        straddling = await self._blur() or 0
        resolution = self._chosen.movement.resolution
        while self._shown < target(resolution, self._calls, straddling) and self._calls < CALLS_MAX:
            one = self._next(straddling)
            if one is None:
                self._why_stopped = self._capped()
                self._say(self._why_stopped)
                break
            try:
                completion = await self._ask(one)
            except ProviderRefusedError as error:
                if not self._calls:
                    return self._refused(error)
                self._why_stopped = str(error)
                break
            except (CallCancelledError, CallInterruptedError):
                raise
            except CallError as error:
                if not self._calls and not isinstance(error, AttemptInDoubtError):
                    raise
                self._stopped_by(error)
                break
            await self._count(completion.usage, one)
        return None

    async def _ask(self, one: Portion) -> Completion:
        chosen = self._chosen
        return await self._desk.complete(
            one.ask(
                provider=chosen.provider.name,
                wallet=chosen.wallet.name,
                model=chosen.model,
                thinking=chosen.thinking,
            )
        )

    async def _count(self, usage: Usage, one: Portion) -> None:
        shown, cost = self._chosen.shown(usage), self._chosen.worst(usage)
        self._calls += 1
        self._shown += shown or 0  # what is not known moves nothing that can be relied upon
        self._cost += one.cost if cost is None else cost
        before = len(self._attempts)
        await self._recorded()
        self._say(f"call {self._calls}: {self._told_sum(self._attempts[before:])}")

    async def _recorded(self) -> None:
        """Read the call's attempts as they are written down; an end may be held back for a moment."""
        for _ in range(_RECORD_READS):
            call = await asyncio.to_thread(self._means.reading.call, self._tool_call_id)
            self._attempts = () if call is None else call.attempts
            if call is not None and call.attempts and not call.open_attempts:
                return
            await asyncio.sleep(HOLD_S)

    def _came_to(self, attempts: Sequence[Attempt]) -> CameTo:
        return came_to(attempts, self._means.measures[self._chosen.wallet.name])

    def _told_sum(self, attempts: Sequence[Attempt]) -> str:
        """Write what attempts came to; unknown is never zero."""
        came = self._came_to(attempts)
        if came.amount is not None:
            return f"{decimal_text(came.amount)} {self._unit}"
        bound = "" if came.most is None else f", at most {decimal_text(came.most)} {self._unit}"
        return f"an unknown amount{bound}"

    def _stopped_by(self, error: CallError) -> None:
        self._why_stopped = str(error)
        self._say(f"no more calls: {error}")
        if isinstance(error, AttemptInDoubtError):
            self._calls += 1
        elif isinstance(error, BudgetStopError):
            _log.info("a budget ended a proof's calls early", extra={"calls": self._calls})

    def _capped(self) -> str:
        chosen = self._chosen
        left = decimal_text(chosen.cost_max - self._cost)
        made = f"{self._calls} calls were made" if self._calls else "No call was made"
        return (
            f"The next call that helps could cost more than the {left} {self._unit} that are left of the cap of"
            f" {decimal_text(chosen.cost_max)}. {made}. Allow more: --max-cost, or max_cost."
        )

    def _refused(self, error: ProviderRefusedError) -> str:
        chosen = self._chosen
        said = f"The provider refused it: {error.message.rstrip('.')}. No usage was returned. {error.remedy}"
        if remedies.NO_PACKAGE in error.message or error.reason == "no_balance":
            offered = remedies.plan_path(chosen.wallet, chosen.provider) is not None
            if offered and chosen.wallet.plan is None:
                said += f" If the key is a plan's, {remedies.of_plan(chosen.wallet, chosen.provider)}."
        return said

    async def _wait(self) -> tuple[tuple[ReadingEntry, ...], Found | None]:
        """Read until two readings in a row say the same and prove the calls, or the time is over."""
        clock, wait_s = self._means.clock, self._wait_s or 0.0
        began_ns = clock.monotonic_ns()
        closing: tuple[ReadingEntry, ...] = ()
        moved: int | None = None
        while True:
            now = await self._read(closing)
            found = await self._means.reconciler.between(self._chosen.wallet, read(self._opening), read(now))
            waited_s = (clock.monotonic_ns() - began_ns) / NS_PER_S
            least = self._movement(now).least
            moved_by = f"moved {decimal_text(least)} of {self._told_sum(self._attempts)}"
            said = "no reading after the calls yet" if self._after_calls(now) is None else moved_by
            self._say(f"waited {waited_s:.0f} s: {said}")
            is_new = _indexes(now) != _indexes(closing)
            proven = found is not None and found.verdict.word is VerdictWord.PROVEN
            if proven and is_new and closing and moved == least:
                return now, found
            if is_new:
                closing, moved = now, least
            if waited_s >= wait_s:
                return now, found
            await self._means.pause(min(self._poll_s, max(wait_s - waited_s, 0.0)))

    async def _read(self, before: tuple[ReadingEntry, ...]) -> tuple[ReadingEntry, ...]:
        """Ask the counters once more; of one that fails now, what it said before stands."""
        chosen = self._chosen
        fresh = await self._means.readers.read(chosen.wallet, cause=ReadingCause.PROOF, counters=self._counters)
        self._failed = tuple(one for one in fresh if one.outcome is not ReadingOutcome.READ)
        old = {one.counter: one for one in before or self._opening}
        new = {one.counter: one for one in fresh if one.outcome is ReadingOutcome.READ or one.counter not in old}
        return self._means.in_order(chosen.wallet, tuple((old | new).values()))

    def _movement(self, closing: tuple[ReadingEntry, ...]) -> Movement:
        """Compare with the opening; where a counter began anew nothing can be told, and nothing has moved."""
        told = movements(read(self._opening), read(closing))
        return next((one for one in told if one.unit == self._unit), self._chosen.movement)

    def _at(self, readings: tuple[ReadingEntry, ...]) -> str:
        one = self._watched(readings)
        return "" if one is None else one.at

    def _watched(self, readings: tuple[ReadingEntry, ...]) -> ReadingEntry | None:
        """Give the reading whose figures are watched."""
        return next(
            (one for one in read(readings) if any(figure.unit == self._unit for figure in one.figures)), None
        )

    def _after_calls(self, readings: tuple[ReadingEntry, ...]) -> ReadingEntry | None:
        """Give the reading that is watched, if it stands in the log after the calls; else there is none."""
        ends = [one.end.index for one in self._attempts if one.end is not None]
        found, opening = self._watched(readings), self._watched(self._opening)
        last = max((*ends, -1 if opening is None else opening.index))
        return found if found is not None and found.index > last else None

    def _without_window(self, word: VerdictWord, code: str, sentence: str) -> Proof:
        return self._told(word, code, sentence, None, None)

    async def _proof(self, closing: tuple[ReadingEntry, ...], found: Found | None) -> Proof:
        """Say what was found; where the log has the verdict, as it stands there."""
        if self._after_calls(closing) is None:
            return self._told(VerdictWord.UNVERIFIED, *self._unread(), None, None)
        if found is None:
            sentence = "The readings at both ends tell nothing that could be compared. Ask again later."
            return self._told(VerdictWord.UNVERIFIED, "U1", sentence, closing, None)
        verdict, own = found.verdict, (found.verdict.opened, found.verdict.closed)
        written = await asyncio.to_thread(committed, self._means, self._tool_call_id, verdict)
        if not self._limited or (written.opened, written.closed) == own:
            verdict = written
        word, code, sentence = by_whom(self._chosen.wallet, verdict)
        if word is VerdictWord.PROVEN:  # of the window; the call's own record may show otherwise
            against = await asyncio.to_thread(contradicted, self._means, self._tool_call_id)
            word, code, sentence = against or (word, code, sentence)
        if self._why_stopped and word is not VerdictWord.PROVEN:
            sentence = f"{sentence} {self._why_stopped}"
        return self._told(word, code, sentence, closing, verdict)

    def _unread(self) -> tuple[str, str]:
        """Say, as code and sentence, that there is nothing to compare the opening reading with."""
        said = "No reading after the calls was had in the time given, so nothing can be compared"
        if self._failed:
            return "U4", f"{said}: {remedies.why_not_read(self._failed)}."
        return "U1", f"{said}. Wait longer: --wait, or wait_s."

    def _told(
        self,
        word: VerdictWord,
        code: str,
        sentence: str,
        closing: tuple[ReadingEntry, ...] | None,
        verdict: VerdictEntry | None,
    ) -> Proof:
        chosen, came = self._chosen, self._came_to(self._attempts)
        bound = came.most if came.amount is None else None
        return Proof(
            wallet=chosen.wallet.name,
            provider=chosen.provider.name,
            simulated=chosen.wallet.simulated,
            model=chosen.model,
            tool_call_id=self._tool_call_id,
            unit=self._unit,
            calls=len(self._attempts),  # a call that was tried again made several
            spent=None if came.amount is None else decimal_text(came.amount),
            at_most=None if bound is None else decimal_text(bound),
            opening=self._watched(self._opening),
            closing=None if closing is None else self._after_calls(closing),
            verdict=verdict,
            word=word,
            code=code,
            sentence=sentence,
        )

    def _say(self, line: str) -> None:
        if self._say_line is not None:
            played = "SIMULATED: " if self._chosen.wallet.simulated else ""
            self._say_line(f"{played}{line}\n")


def _indexes(readings: Sequence[ReadingEntry]) -> list[int]:
    return [one.index for one in readings]
