"""Verdicts in sums: every call's verdict as one SQL expression, equal to `core.verdict` for every record.

The tables hold no verdict, because a later rule may judge better; so it is derived each time it is asked for.
"""

from collections.abc import Iterable

import msgspec

from service.core.verdict import CODES, GRAVITY, STILL_OPEN, TIMED_OUT, ZERO, word_of
from service.core.words import AttemptOutcome, CostStatus, VerdictWord

_PICO_SPLIT = 10**6  # amounts are summed in two halves, so that no sum passes SQLite's 64 bits


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


def _entry_of_attempt(kind: str, condition: str) -> str:
    """Ask whether the attempt's ending entry, which the tables do not show whole, meets a condition."""
    return (
        "EXISTS (SELECT 1 FROM entries WHERE entries.tool_call_id = one.tool_call_id"  # noqa: S608 - our own words
        f" AND entries.kind = '{kind}'"
        " AND CAST(entries.entry AS TEXT) ->> '$.attempt_id' = one.attempt_id"
        f" AND {condition})"
    )


def _expression() -> str:
    """Write the rule over `calls`: a call's gravest attempt speaks; without attempts, its zero reason."""
    place = {code: str(at) for at, code in enumerate(GRAVITY)}
    text = "CAST(entries.entry AS TEXT)"
    causes = ", ".join(f"'{cause}'" for cause in sorted(TIMED_OUT))
    other_model = _entry_of_attempt(
        "settlement", f"NOT {text} ->> '$.model_known' AND {text} ->> '$.model_reported' IS NOT NULL"
    )
    timed_out = _entry_of_attempt("doubt", f"{text} ->> '$.cause' IN ({causes})")
    settled = _case(
        [
            (other_model, place["M3"]),
            (f"one.cost_status = '{CostStatus.UNKNOWN_PRICE}'", place["U7"]),
            (f"one.cost_status = '{CostStatus.FREE}'", place["N4"]),
        ]
    )
    attempt = _case(
        [
            (f"'{AttemptOutcome.SETTLED}'", f"CASE {settled} ELSE {place['U4']} END"),
            (f"'{AttemptOutcome.REFUSED}'", place["N3"]),
            (f"'{AttemptOutcome.UNSENT}'", place["N6"]),
            (f"'{AttemptOutcome.RECONCILED}'", place["U10"]),
            (f"'{AttemptOutcome.WRITTEN_OFF}'", place["U11"]),
            (f"'{AttemptOutcome.IN_DOUBT}'", f"CASE WHEN {timed_out} THEN {place['U5']} ELSE {place['U6']} END"),
        ]
    )
    gravest = f"min(CASE one.outcome {attempt} ELSE {place[STILL_OPEN]} END)"
    codes = _case((at, f"'{code}'") for code, at in place.items())
    zeros = _case((f"'{reason}'", f"'{code}'") for reason, (code, _) in ZERO.items())
    return (
        f"CASE WHEN calls.attempts = 0 THEN CASE calls.zero_reason {zeros} ELSE '{STILL_OPEN}' END"  # noqa: S608 - our own words
        f" ELSE (SELECT CASE {gravest} {codes} END FROM attempts AS one"
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
