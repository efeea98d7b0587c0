"""The rows of a list: what a call came to, each from the call's own record, so that no two columns disagree."""

from collections.abc import Mapping

import msgspec

from console.figures import amount
from console.words import ZEROS, plain
from service.core.entries import RefusalEntry, UnsentEntry
from service.core.judged import UNJUDGED, Judged
from service.core.record import ToolCall
from service.core.verdict import Verdict, verdict
from service.core.words import AttemptOutcome, CostStatus
from service.ledger.choosing import CallFilter
from service.ledger.reading import CallLine, Reading
from service.ledger.rows import attempt_row, call_row
from service.ledger.store import AttemptRow


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """One line of what a call cost. `kind` is `spent`, `held`, `unknown` or `zero`; only `spent` is spend."""

    kind: str
    figure: str
    currency: str = ""
    note: str = ""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a call's settled attempts metered."""

    uncached_input: int
    cached_input: int
    cache_write: int
    output: int
    reasoning: int


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One call as a list shows it. `tokens` is None when no attempt was metered."""

    line: CallLine
    verdict: Verdict
    costs: tuple[Cost, ...]
    tokens: Tokens | None

    @property
    def models(self) -> list[tuple[str, str]]:
        """The (provider, model) pairs that were asked, in order, each once."""
        return list(dict.fromkeys((attempt.provider, attempt.model) for attempt in self.line.attempts))


def fetch(reading: Reading, only: CallFilter, *, before: int | None, limit: int, as_of: str) -> list[Shown]:
    """List calls, newest first. Blocks: call it off the loop.

    Raises:
        UnreadableEntryError, BrokenRecordError: the log was damaged.
    """
    with reading.snapshot():
        ids = [line.call.tool_call_id for line in reading.calls(only, before=before, limit=limit)]
        judged = reading.judged(ids)
        listed = [reading.call(tool_call_id) for tool_call_id in ids]
    return [shown(call, as_of=as_of, judged=judged) for call in listed if call is not None]


def shown(call: ToolCall, *, as_of: str, judged: Mapping[str, Judged] = UNJUDGED) -> Shown:
    """Show a call as one row of a list.

    Args:
        call: its record.
        as_of: UTC text of this moment.
        judged: by attempt id, what was found of its attempts since.
    """
    line = CallLine(call_row(call), tuple(attempt_row(attempt) for attempt in call.attempts))
    return Shown(
        line=line,
        verdict=verdict(call, as_of=as_of, judged=judged),
        costs=costs(call, line.attempts),
        tokens=_tokens(line),
    )


def costs(call: ToolCall, attempts: tuple[AttemptRow, ...]) -> tuple[Cost, ...]:
    """Say what a call cost: spend per currency, what is unknown, what is held; else why it cost nothing."""
    found = (*_spent(attempts), *_unknown(attempts), *_held(attempts))
    return found or (Cost(kind="zero", figure="0", note=_why_zero(call)),)


def _spent(attempts: tuple[AttemptRow, ...]) -> list[Cost]:
    sums: dict[str, int] = {}
    for attempt in attempts:
        if attempt.currency is not None and attempt.cost_pico is not None:
            sums[attempt.currency] = sums.get(attempt.currency, 0) + attempt.cost_pico
    free = any(attempt.cost_status == CostStatus.FREE for attempt in attempts)
    note = "this model is priced at zero"
    return [
        Cost(kind="spent", figure=amount(pico), currency=currency, note=note if free and not pico else "")
        for currency, pico in sorted(sums.items())
    ]


def _unknown(attempts: tuple[AttemptRow, ...]) -> list[Cost]:
    found = []
    for attempt in attempts:
        if attempt.cost_status == CostStatus.UNKNOWN_PRICE:
            found.append(Cost(kind="unknown", figure="unknown", note=f"no price is known for {attempt.model}"))
        elif attempt.cost_status == CostStatus.PLAN and attempt.cost_pico is None:
            found.append(Cost(kind="unknown", figure="plan", note="paid by a plan's quota, not per call"))
    return list(dict.fromkeys(found))


def _held(attempts: tuple[AttemptRow, ...]) -> list[Cost]:
    """List what is held at its worst case, one line an attempt: in doubt, or still under way."""
    found = []
    for attempt in attempts:
        if attempt.outcome not in (AttemptOutcome.IN_DOUBT, AttemptOutcome.OPEN):
            continue
        doubted = attempt.outcome is AttemptOutcome.IN_DOUBT
        note = "in doubt: held, not counted as spend" if doubted else "under way: held until it ends"
        if attempt.held_pico is None or attempt.currency is None:
            found.append(Cost(kind="unknown", figure="unknown", note=f"{note}; no price is known"))
        else:
            figure = f"≤ {amount(attempt.held_pico)}"
            found.append(Cost(kind="held", figure=figure, currency=attempt.currency, note=note))
    return found


def _why_zero(call: ToolCall) -> str:
    if not call.attempts:
        reason = call.answer.zero_reason if call.answer else None
        return ZEROS[reason] if reason else "nothing was sent so far"
    match call.attempts[-1].end:
        case RefusalEntry() as refusal:
            return f"the provider refused it: {plain(refusal.reason)}"
        case UnsentEntry() as unsent:
            return f"never left this machine: {plain(unsent.reason)}"
        case _:
            return "no attempt was charged"


def _tokens(line: CallLine) -> Tokens | None:
    metered = [attempt for attempt in line.attempts if attempt.outcome is AttemptOutcome.SETTLED]
    if not metered:
        return None
    return Tokens(
        uncached_input=sum(attempt.uncached_input_tokens or 0 for attempt in metered),
        cached_input=sum(attempt.cached_input_tokens or 0 for attempt in metered),
        cache_write=sum(attempt.cache_write_tokens or 0 for attempt in metered),
        output=sum(attempt.output_tokens or 0 for attempt in metered),
        reasoning=sum(attempt.reasoning_tokens or 0 for attempt in metered),
    )
