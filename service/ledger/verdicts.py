"""Verdicts in sums: every call's verdict as one SQL expression, equal to `core.verdict` for every record.

The tables hold what each attempt's own record says, and which verdict entries decide it; no call's verdict, which
follows from these and changes without an entry of the call.
"""

from collections.abc import Iterable

import msgspec

from service.core.verdict import CODES, GRAVITY, PHANTOM, REPEATS, STILL_OPEN, UNDECIDED, ZERO, word_of
from service.core.words import AttemptOutcome, CostStatus, ToolOutcome, VerdictWord

_PICO_SPLIT = 10**6  # amounts are summed in two halves, so that no sum passes SQLite's 64 bits
_CODE_CHARS_MAX = max(map(len, GRAVITY))


class VerdictCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls have a verdict for one reason. Every call is in exactly one of these.

    Attributes:
        simulated: whether a simulator answered any attempt of theirs.
        asked: whether they made any attempt at all.
    """

    code: str
    simulated: bool
    asked: bool
    calls: int

    @property
    def word(self) -> VerdictWord:
        """The verdict."""
        return word_of(self.code)


class VerdictSum(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempts of calls with a verdict for one reason came to, in one currency.

    Attributes:
        currency: None where no price is known.
        cost_pico: spend.
        held_pico: the worst case of what is in doubt; not spend.
        in_doubt: attempts in doubt.
        unpriced: settled attempts without a price.
    """

    code: str
    simulated: bool
    currency: str | None
    cost_pico: int
    held_pico: int
    in_doubt: int
    unpriced: int

    @property
    def word(self) -> VerdictWord:
        """The verdict."""
        return word_of(self.code)


def codes_of(wanted: Iterable[str]) -> list[str]:
    """List the codes that verdicts' words, or codes, stand for."""
    return sorted({code for value in wanted for code in CODES if value in (code, word_of(code))})


def _case(pairs: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"WHEN {when} THEN {then}" for when, then in pairs)


def _expression() -> str:
    """Write the rule over `calls`: a call's gravest attempt speaks; without attempts, its zero reason."""
    places = f" {' '.join(GRAVITY)} "  # a code's place in it is its gravity, found with one call
    code = f"coalesce(judged.own_code, CASE WHEN one.code = '{UNDECIDED}' THEN judged.window_code END, one.code)"
    gravest = f"min(nullif(instr('{places}', ' ' || {code} || ' '), 0))"
    zeros = _case((f"'{reason}'", f"'{code}'") for reason, (code, _) in ZERO.items())
    repeats = ", ".join(f"'{reason}'" for reason in sorted(REPEATS))
    phantom = f"calls.needs_model AND calls.outcome = '{ToolOutcome.OK}' AND calls.zero_reason NOT IN ({repeats})"
    return (
        f"CASE WHEN calls.attempts = 0 THEN CASE WHEN {phantom} THEN '{PHANTOM}' ELSE"  # noqa: S608 - our own words
        f" CASE calls.zero_reason {zeros} ELSE '{STILL_OPEN}' END END"
        f" ELSE (SELECT rtrim(substr('{places}', {gravest} + 1, {_CODE_CHARS_MAX})) FROM attempts AS one"
        " LEFT JOIN judged ON judged.tool_call_id = one.tool_call_id AND judged.number = one.number"
        " WHERE one.tool_call_id = calls.tool_call_id) END"
    )


CODE = _expression()


def counts_query(condition: str) -> str:
    """Write the query whose rows are VerdictCounts.

    Args:
        condition: ` WHERE …` over `calls`, or nothing.
    """
    return (
        f"SELECT {CODE}, calls.simulated, calls.attempts > 0, count(*) FROM calls{condition}"  # noqa: S608 - our own words
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )


def sums_query(condition: str) -> str:
    """Write the query whose rows `verdict_sum` reads."""
    doubted = f"attempts.outcome = '{AttemptOutcome.IN_DOUBT}'"
    halves = ", ".join(
        f"coalesce(sum({amount} {sign} {_PICO_SPLIT}), 0)"
        for amount in ("cost_pico", f"CASE WHEN {doubted} THEN held_pico END")
        for sign in ("/", "%")
    )
    return (
        f"SELECT {CODE}, attempts.simulated, attempts.currency, {halves}, sum({doubted}),"  # noqa: S608 - our own words
        f" coalesce(sum(cost_status = '{CostStatus.UNKNOWN_PRICE}'), 0)"
        f" FROM attempts JOIN calls USING (tool_call_id){condition} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )


def verdict_sum(
    code: str,
    simulated: int,
    currency: str | None,
    cost_high: int,
    cost_low: int,
    held_high: int,
    held_low: int,
    in_doubt: int,
    unpriced: int,
) -> VerdictSum:
    """Read one row of `sums_query`: put the halves of its amounts together."""
    return VerdictSum(
        code=code,
        simulated=bool(simulated),
        currency=currency,
        cost_pico=cost_high * _PICO_SPLIT + cost_low,
        held_pico=held_high * _PICO_SPLIT + held_low,
        in_doubt=in_doubt,
        unpriced=unpriced,
    )
