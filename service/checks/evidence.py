"""Evidence and limits: how far the log is signed and verified, and which budgets stop calls."""

from collections.abc import Iterable

from service.core.budget import BudgetState, amount_text
from service.core.times import NS_PER_S, utc_ns
from service.ledger.assurance import Assurance
from service.ledger.auditing import Audited
from service.web.health import Check, Detail, State

NEARLY_PERCENT = 95
_NAMED_MAX = 5
_KEEP = "Check that the folder of EXAI_CHECKPOINTS_DIR, and the file of EXAI_WITNESS_FILE if set, can be written."
_LOOK = "Run `exai ledger verify`, and compare with a backup and with checkpoints that were kept elsewhere."


def evidence(found: Assurance, *, now_ns: int) -> Check:
    """Look at how far the log is signed and verified, and whether the audit found something.

    Args:
        found: how far the log can be relied on.
        now_ns: the wall time.
    """
    audited = found.audited
    age_s = None if found.signed_at is None else max(0, (now_ns - utc_ns(found.signed_at)) // NS_PER_S)
    wrong = [*_found(audited), *_unkept(found), *_unread(audited)]
    detail: Detail = {
        "public_key": found.public_key,
        "entries": found.entries,
        "checkpoint_size": found.signed,
        "checkpoint_age_s": age_s,
        "unsigned_entries": found.unsigned,
        "checkpoint_failures": found.failures,
        "witness_file": found.witnessed,
        "verified_entries": audited.verified,
        "problems": audited.problems,
        "first_problem": audited.first.where if audited.first else None,
    }
    return Check(
        name="evidence",
        state=State.DEGRADED if wrong else State.OK,
        sentence=" ".join((*wrong, _signed(found, age_s), _verified(found))),
        detail=detail,
    )


def budgets(states: Iterable[BudgetState]) -> Check:
    """Look at limits. One that stops calls does what its owner wished, so it is well; the sentence says so."""
    known = tuple(states)
    used_up = [state for state in known if state.used >= state.limit]
    nearly = [state for state in known if state.used < state.limit and _percent(state) >= NEARLY_PERCENT]
    detail: Detail = {"limits": len(known), "used_up": len(used_up), "nearly_used_up": len(nearly)}
    if not known:
        sentence = "No limit is in use; `exai budget set` sets one."
        return Check(name="budgets", state=State.OFF, sentence=sentence, detail=detail)
    parts = [f"Limits in use: {len(known)}."]
    if used_up:
        parts.append(f"Used up, so that calls are stopped as was wished: {_named(used_up)}.")
    if nearly:
        parts.append(f"Used to {NEARLY_PERCENT} % or more: {_named(nearly)}.")
    if used_up or nearly:
        parts.append("Raise one with `exai budget set`, or resolve what is in doubt with `exai ledger resolve`.")
    return Check(name="budgets", state=State.OK, sentence=" ".join(parts), detail=detail)


def _found(audited: Audited) -> Iterable[str]:
    if audited.first is not None:
        more = f" ({audited.problems} findings in all)" if audited.problems > 1 else ""
        first = f"{audited.first.where}: {audited.first.sentence}"
        yield f"The audit found that the record was changed: {first}{more}. {_LOOK}"


def _unkept(found: Assurance) -> Iterable[str]:
    if found.failing:
        yield f"Checkpoints cannot be kept: {found.failures} failures since the start. {_KEEP}"


def _unread(audited: Audited) -> Iterable[str]:
    if audited.failure is not None:
        yield f"The audit cannot look: {audited.failure}. It tries again every minute."


def _signed(found: Assurance, age_s: int | None) -> str:
    when = "" if age_s is None else f", {age_s} s ago"
    rest = f"; {found.unsigned} are not signed yet" if found.unsigned else ""
    witness = ", and written to a witness file" if found.witnessed else ""
    return f"{found.signed} of {found.entries} entries are signed{when}{witness}{rest}."


def _verified(found: Assurance) -> str:
    audited = found.audited
    if audited.verified is None:
        return f"How far they are verified is not known yet: the first round is at entry {audited.walked}."
    return f"The first {audited.verified} are verified."


def _percent(state: BudgetState) -> int:
    return state.used * 100 // state.limit if state.limit else 100


def _named(states: list[BudgetState]) -> str:
    shown = [
        f"{state.terms.name} ({amount_text(state.unit, state.limit)}{', SIMULATED' if state.simulated else ''})"
        for state in states[:_NAMED_MAX]
    ]
    more = len(states) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
