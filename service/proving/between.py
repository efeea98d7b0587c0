"""What a proof may say of the window between its readings, by the log and by who answered. Nothing is written."""

import msgspec

from service.core.books import VerdictEntry
from service.core.times import NS_PER_S, utc_text
from service.core.verdict import UNDECIDED, verdict
from service.core.wallet import Wallet
from service.core.window_words import SIMULATED
from service.core.words import VerdictWord
from service.ledger.store import AttemptRow
from service.proving.coverage import came_short
from service.proving.means import Means
from service.proving.narrowing import STOLEN
from service.proving.sharing import sharing

_VERDICTS_SEEN = 20


def committed(means: Means, tool_call_id: str, found: VerdictEntry) -> VerdictEntry:
    """Give the verdict of the log that says the same window, or that proves every attempt of the call. It blocks.

    A wide window may hold one call's shortage, or a stranger's, within its tolerance: what the proof's own two
    readings tell is better evidence, unless they are too blurred to tell anything.

    Args:
        means: the log.
        tool_call_id: the call whose attempts are meant.
        found: what was found of the window; given back where the log has nothing better.
    """
    reading = means.reading
    for one in reading.verdicts(wallet=found.wallet, limit=_VERDICTS_SEEN):
        if (one.opened, one.closed, one.code) == (found.opened, found.closed, found.code):
            return one
    if came_short(found) or found.code == STOLEN or found.word is VerdictWord.MISMATCH:
        return found
    judged = reading.judged((tool_call_id,))
    call = reading.call(tool_call_id)
    windows = [] if call is None else [judged.get(one.intent.attempt_id) for one in call.attempts]
    held = [one.window for one in windows if one is not None and one.window is not None]
    if held and len(held) == len(windows) and all(one.word is VerdictWord.PROVEN for one in held):
        return max(held, key=lambda one: one.index)
    return found


def recent(means: Means, wallet: Wallet) -> list[AttemptRow]:
    """Give the attempts that a wallet's books may not hold yet. It blocks."""
    since_ns = means.clock.now_ns() - int(means.settlings[wallet.name].usual_s * NS_PER_S)
    names = [one.name for one in sharing(means.reading, means.wallets, wallet)]
    return list(means.reading.attempts_of(names, since=utc_text(since_ns)))


def contradicted(means: Means, tool_call_id: str) -> tuple[VerdictWord, str, str] | None:
    """Give what a call's own record shows that no window can better: word, code and sentence. It blocks.

    Returns:
        None where a window's verdict is all there is to say.
    """
    with means.reading.snapshot():
        call = means.reading.call(tool_call_id)
        judged = means.reading.judged((tool_call_id,))
    if call is None:
        return None
    alone = {name: msgspec.structs.replace(one, window=None) for name, one in judged.items()}
    own = verdict(call, as_of=utc_text(means.clock.now_ns()), judged=alone)
    settled = own.code == UNDECIDED or own.word is VerdictWord.NO_CREDIT_USED
    return None if settled else (own.word, own.code, own.sentence.removeprefix(SIMULATED))


def by_whom(wallet: Wallet, found: VerdictEntry) -> tuple[VerdictWord, str, str]:
    """Say a verdict: word, code and sentence. What a relay's counter says proves nothing of the provider."""
    if found.word is not VerdictWord.PROVEN or wallet.own_host or wallet.simulated:
        return found.word, found.code, found.sentence
    whose = f"{wallet.host} is not a host of the provider's own: who answers there may say anything"
    return VerdictWord.UNVERIFIED, "U14", f"{whose}. It says: {found.sentence}"
