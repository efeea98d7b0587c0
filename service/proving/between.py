"""The window between two sets of readings of our own choice, judged by what is committed. Nothing is written."""

from collections.abc import Sequence

import msgspec

from service.core.books import ReadingEntry, VerdictEntry
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.core.verdict import UNDECIDED, verdict
from service.core.wallet import Wallet
from service.core.window import Ends, Found, judge
from service.core.window_words import SIMULATED
from service.core.words import VerdictWord
from service.ledger.store import AttemptRow
from service.proving.coverage import disputed, first_proven, followed, holding
from service.proving.means import Means
from service.proving.memory import verdicts_since
from service.proving.packages import unseen
from service.proving.pieces import UNSETTLED, pieces
from service.proving.sharing import sharing

RECORDS_MAX = 50  # attempts without a settlement whose records are read; the newest
_VERDICTS_SEEN = 20


def found_between(
    means: Means, wallet: Wallet, opening: tuple[ReadingEntry, ...], closing: tuple[ReadingEntry, ...]
) -> Found | None:
    """Judge a window. It blocks, so it belongs on a thread.

    Args:
        means: the log, and how attempts are measured.
        wallet: whose counter it is.
        opening: readings that were read, at its begin.
        closing: the same at its end.

    Raises:
        StoreError: the log cannot be read.
    """
    settling = means.settlings[wallet.name]
    first_ns = min(utc_ns(one.asked_at) for one in opening)
    since = utc_text(first_ns - int(settling.usual_s * NS_PER_S) - NS_PER_S)
    with means.reading.snapshot():
        shared = sharing(means.reading, means.wallets, wallet)
        rows = [
            row
            for row in means.reading.attempts_of([one.name for one in shared], since=since)
            if (row.provider, row.simulated) == (wallet.provider, wallet.simulated)
        ]
        proven, held = _judged(means, shared, rows, since)
        records = {}
        for row in [one for one in rows if one.outcome in UNSETTLED][-RECORDS_MAX:]:
            call = means.reading.call(row.tool_call_id)
            if call is not None:
                records[row.attempt_id] = call.attempt(row.attempt_id)
    ends = Ends(
        provider=wallet.provider,
        wallet=wallet.name,
        simulated=wallet.simulated,
        opening=opening,
        closing=closing,
        shared_with=tuple(one.name for one in shared if one.name != wallet.name),
        unseen=unseen(means.reading, wallet, means.measures[wallet.name], opening, closing),
    )
    weighed = disputed(pieces(rows, records, means.measures), held)
    return judge(ends, followed(weighed, proven, held), settling)


def _judged(
    means: Means, shared: Sequence[Wallet], rows: Sequence[AttemptRow], since: str
) -> tuple[dict[str, VerdictEntry], dict[str, VerdictEntry]]:
    """Give by attempt the first window that is PROVEN with it, and the one that holds."""
    proven: dict[str, VerdictEntry] = {}
    held: dict[str, VerdictEntry] = {}
    for one in shared:
        own = [row for row in rows if row.wallet == one.name]
        verdicts = verdicts_since(means.reading, one.name, since, simulated=one.simulated)
        proven |= first_proven(own, verdicts)
        held |= holding(own, verdicts)
    return proven, held


def committed(means: Means, tool_call_id: str, found: VerdictEntry) -> VerdictEntry:
    """Give the verdict of the log that says the same window, or that proves every attempt of the call. It blocks.

    Args:
        means: the log.
        tool_call_id: the call whose attempts are meant.
        found: what was found of the window; given back where the log has nothing better.
    """
    reading = means.reading
    for one in reading.verdicts(wallet=found.wallet, limit=_VERDICTS_SEEN):
        if (one.opened, one.closed, one.code) == (found.opened, found.closed, found.code):
            return one
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
