"""What others say of us: does each provider answer, does it take each key, and is our clock near its own?

They are never asked for the sake of a check, which would cost money: what their last answers said is looked
at. Where there was none, the state is unknown, and the sentence says so.
"""

from collections.abc import Mapping, Sequence

from service.checks.watching import Heard, Skew, Watching, word
from service.clock import BACK_S_MAX
from service.core.entries import End, RefusalEntry, SettlementEntry
from service.core.times import NS_PER_S, utc_ns
from service.core.wallet import Wallet
from service.core.words import RefusalReason
from service.web.health import Check, Detail, State

FAILURES_MAX = 3
SKEW_S_MAX = 30
_SET_IT = "Set the clock (NTP): entries bear its time and are never rewritten."
_KEY_REFUSED = {
    RefusalReason.AUTHENTICATION: (
        "refused the key",
        "Check that it is right, of this host and not revoked; a new one needs a new start",
    ),
    RefusalReason.NO_BALANCE: ("said that the account has no balance", "Top it up"),
    RefusalReason.QUOTA_EXHAUSTED: (
        "said that the plan's quota is used up",
        "Extend it, or wait until it is renewed",
    ),
}


def wallets(found: Sequence[Wallet], watching: Watching, *, epoch: int) -> tuple[Check, ...]:
    """Look at each key: did its provider take it when it last answered?"""
    if not found:
        sentence = "No key is configured, so no provider can be asked; set KIMI_API_KEY or GLM_API_KEY."
        return (Check(name="wallet", state=State.DEGRADED, sentence=sentence),)
    return tuple(_wallet(one, watching.wallet(one.name, one.host), epoch) for one in found)


def providers(found: Sequence[Wallet], watching: Watching, *, epoch: int) -> tuple[Check, ...]:
    """Look at how the last attempts at each provider ended, whichever key they had."""
    simulated = {one.provider: one.simulated for one in found}
    return tuple(_provider(name, watching.provider(name), epoch, simulated=it) for name, it in simulated.items())


def clock(now_ns: int, *, last_at: str | None, skews: Mapping[str, Skew]) -> Check:
    """Look at this machine's clock, by the log and by the `Date` of providers' answers.

    Args:
        now_ns: the wall time.
        last_at: when the log's last entry was written.
        skews: by provider, of this start alone: the clock may have been set since an earlier one.
    """
    back_s = 0 if last_at is None else max(0, (utc_ns(last_at) - now_ns) // NS_PER_S)
    off = {name: skew for name, skew in skews.items() if abs(skew.ahead_s) > SKEW_S_MAX}
    state = State.DEGRADED
    if back_s > BACK_S_MAX:
        sentence = f"This machine's clock stands {back_s} s before the ledger's last entry. {_SET_IT}"
    elif off:
        sentence = f"This machine's clock is {_apart(off)}; {SKEW_S_MAX} s are allowed. {_SET_IT}"
    elif skews:
        state, sentence = State.OK, f"This machine's clock is {_apart(skews)}."
    else:
        state = State.UNKNOWN
        sentence = (
            "No provider has answered since the start, so nothing shows whether this machine's clock is right."
        )
    detail: Detail = {"back_s": back_s, **{f"ahead_of_{name}_s": skew.ahead_s for name, skew in skews.items()}}
    return Check(name="clock", state=state, sentence=sentence, detail=detail)


def _wallet(one: Wallet, heard: Heard | None, epoch: int) -> Check:
    answer, of_key = (heard.answer, heard.of_key) if heard else (None, None)
    state, sentence = State.OK, f"Key {one.fingerprint} for {one.host}: "
    if one.simulated:
        sentence = f"SIMULATED, no money is spent. {sentence}"
    if of_key is None:
        state = State.UNKNOWN
        sentence += "no answer has shown yet whether the provider takes the key, so that is not known."
    elif isinstance(of_key, RefusalEntry) and of_key.reason in _KEY_REFUSED:
        state = State.DEGRADED
        what, remedy = _KEY_REFUSED[of_key.reason]
        sentence += f"the provider {what} ({_when(of_key, epoch)}). {remedy}; the next answer will tell."
    elif of_key.epoch != epoch:
        state = State.UNKNOWN
        sentence += f"no answer since the start shows whether the provider takes it; it did before ({of_key.at})."
    else:
        sentence += f"the provider takes it ({of_key.at})."
    detail: Detail = {
        "provider": one.provider,
        "host": one.host,
        "fingerprint": one.fingerprint,
        "simulated": one.simulated,
        "last_answer": None if answer is None else word(answer),
        "last_answer_at": None if answer is None else answer.at,
    }
    return Check(name="wallet", of=one.name, state=state, sentence=sentence, detail=detail)


def _provider(name: str, heard: Heard | None, epoch: int, *, simulated: bool) -> Check:
    if heard is None:
        sentence = "Not asked yet, so whether it answers is not known."
        return Check(name="provider", of=name, state=State.UNKNOWN, sentence=sentence)
    state, last = State.OK, f"{word(heard.last)} ({_when(heard.last, epoch)})"
    if heard.failures >= FAILURES_MAX:
        state = State.DEGRADED
        sentence = f"The last {heard.failures} attempts failed. The last of them: {last}. Its receipt says more."
    elif heard.failures:
        carried = isinstance(heard.answer, SettlementEntry) and heard.answer.epoch == epoch
        state = State.OK if carried else State.UNKNOWN
        sentence = f"The last attempt failed: {last}. It takes {FAILURES_MAX} in a row to be degraded."
    elif heard.last.epoch != epoch:
        state, sentence = State.UNKNOWN, f"Not asked since the start. The last attempt: {last}."
    else:
        sentence = f"The last attempt: {last}."
    detail: Detail = {
        "last": word(heard.last),
        "last_at": heard.last.at,
        "before_this_start": heard.last.epoch != epoch,
        "failures": heard.failures,
        "simulated": simulated,
    }
    return Check(name="provider", of=name, state=state, sentence=sentence, detail=detail)


def _when(end: End, epoch: int) -> str:
    return end.at if end.epoch == epoch else f"{end.at}, before this start"


def _apart(skews: Mapping[str, Skew]) -> str:
    return ", ".join(
        f"{abs(skew.ahead_s)} s {'behind' if skew.ahead_s < 0 else 'ahead of'} {name}'s ({skew.at})"
        for name, skew in skews.items()
    )
