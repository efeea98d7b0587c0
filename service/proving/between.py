"""The window between two sets of readings of our own choice, judged by what is committed. Nothing is written."""

from service.core.books import ReadingEntry, VerdictEntry
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.core.wallet import Wallet
from service.core.window import Ends, Found, judge
from service.core.words import VerdictWord
from service.ledger.store import AttemptRow
from service.proving.means import Means
from service.proving.pieces import UNSETTLED, pieces

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
        shared = sharing(means, wallet)
        rows = [
            row
            for row in means.reading.attempts_of([one.name for one in shared], since=since)
            if (row.provider, row.simulated) == (wallet.provider, wallet.simulated)
        ]
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
    )
    return judge(ends, pieces(rows, records, means.measures), settling)


def sharing(means: Means, wallet: Wallet) -> list[Wallet]:
    """Name the wallets of one account: of one key at one host, or of one name at the provider. It blocks."""
    own = _account(means, wallet)
    kind = (wallet.provider, wallet.plan, wallet.simulated, wallet.currency)
    return [
        one
        for one in means.wallets
        if (one.provider, one.plan, one.simulated, one.currency) == kind and _account(means, one) & own
    ]


def _account(means: Means, wallet: Wallet) -> frozenset[str]:
    told = {one.account for one in means.reading.latest_readings(wallet.name) if one.account is not None}
    return frozenset({f"{wallet.fingerprint} at {wallet.host}", *told})


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
    names = [one.name for one in sharing(means, wallet)]
    return list(means.reading.attempts_of(names, since=utc_text(since_ns)))
