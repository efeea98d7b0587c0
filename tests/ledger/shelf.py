"""Entries of a provider's books for tests, and what they decide, told a second time: by looking at every pair."""

from collections.abc import Iterable
from itertools import product
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from service.core.books import Figure, ReadingEntry, VerdictEntry, VerificationEntry
from service.core.entries import AnyEntry, IntentEntry, OfBooks, SettlementEntry
from service.core.verdict import word_of
from service.core.words import ReadingCause, ReadingOutcome, VerificationOutcome

WALLET = "kimi-main"
AT = "2026-11-22T16:21:00.000000Z"
BALANCE = Figure(name="available", amount="49.5", unit="USD", resolution="0.00001")


def reading(**changed: Any) -> ReadingEntry:  # noqa: ANN401 - any field
    """Read a balance."""
    entry = ReadingEntry(
        provider="kimi",
        wallet=WALLET,
        counter="balance",
        endpoint="https://api.moonshot.ai/v1/users/me/balance",
        cause=ReadingCause.SCHEDULE,
        outcome=ReadingOutcome.READ,
        status=200,
        asked_at=AT,
        figures=(BALANCE,),
        tells={},
        message="",
        provider_ids={},
        simulated=False,
    )
    return msgspec.structs.replace(entry, **changed)


def window(after: int, until: int, code: str = "P1", **changed: Any) -> VerdictEntry:  # noqa: ANN401 - any field
    """Judge a window."""
    entry = VerdictEntry(
        rule=1,
        provider="kimi",
        wallet=WALLET,
        simulated=False,
        word=word_of(code),
        code=code,
        sentence=f"What {code} says.",
        after=after,
        until=until,
    )
    return msgspec.structs.replace(entry, **changed)


def own(*attempts: str, code: str = "M4", **changed: Any) -> VerdictEntry:  # noqa: ANN401 - any field
    """Judge single attempts."""
    return window(-1, -1, code, attempts=attempts, **changed)


def verification(
    tool_call_id: str, attempt_id: str, outcome: VerificationOutcome = VerificationOutcome.VALID
) -> VerificationEntry:
    """Say whose a signature is."""
    return VerificationEntry(
        tool_call_id=tool_call_id,
        attempt_id=attempt_id,
        provider="kimi",
        wallet=WALLET,
        outcome=outcome,
        status=200,
        message="",
        asked_at=AT,
        provider_ids={},
        simulated=False,
    )


def books(
    attempts: list[tuple[str, str]], last: int, wallets: tuple[str, ...] = (WALLET, "other")
) -> st.SearchStrategy[OfBooks]:
    """Draw an entry about some attempts, by ids of call and attempt, of a log that may reach a last index."""
    place = st.integers(-1, last + 2)
    named = st.sampled_from([*attempts, ("0" * 32, "f" * 32)])
    whose: dict[str, Any] = {"wallet": st.sampled_from(wallets), "simulated": st.booleans()}
    return st.one_of(
        st.builds(
            reading,
            counter=st.sampled_from(["balance", "quota"]),
            outcome=st.sampled_from(ReadingOutcome),
            **whose,
        ),
        st.builds(window, place, place, st.sampled_from(["P1", "P2", "U2", "U3", "M2"]), **whose),
        st.builds(
            lambda names, code: own(*(one for _, one in names), code=code),
            st.lists(named, min_size=1, max_size=3),
            st.sampled_from(["M4", "M8"]),
        ),
        st.builds(
            lambda name, outcome: verification(name[0], name[1], outcome),
            named,
            st.sampled_from(VerificationOutcome),
        ),
    )


class Found(NamedTuple):
    """What a log says of one attempt beside its own record, as indexes of entries, and how often it was asked."""

    own: int | None = None
    window: int | None = None
    last: int | None = None
    verification: int | None = None
    tries: int = 0


def found(entries: Iterable[AnyEntry]) -> dict[tuple[str, int], Found]:
    """Look at every attempt and every entry of the books; of which nothing is said is left out."""
    told = list(entries)
    of_books = [entry for entry in told if isinstance(entry, OfBooks)]
    intents = [entry for entry in told if isinstance(entry, IntentEntry)]
    ends = {(one.tool_call_id, one.attempt_id): one.index for one in told if isinstance(one, SettlementEntry)}
    said = {}
    for intent in intents:
        one = Found()
        for entry in of_books:
            if entry.index > intent.index:
                one = _after(one, entry, intent, ends.get((intent.tool_call_id, intent.attempt_id)), told)
        if one != Found():
            said[intent.tool_call_id, intent.number] = one
    return said


def _after(one: Found, entry: OfBooks, intent: IntentEntry, end: int | None, told: list[AnyEntry]) -> Found:
    if isinstance(entry, VerificationEntry):
        if (entry.tool_call_id, entry.attempt_id) != (intent.tool_call_id, intent.attempt_id):
            return one
        return one._replace(verification=entry.index, tries=one.tries + 1)
    if isinstance(entry, ReadingEntry):
        return one
    if entry.attempts:
        return one._replace(own=entry.index) if intent.attempt_id in entry.attempts else one
    inside = end is not None and entry.after < intent.index and end <= entry.until and end < entry.index
    if not inside or (entry.wallet, entry.simulated) != (intent.wallet, intent.simulated):
        return one
    before = None if one.window is None else told[one.window]
    stays = isinstance(before, VerdictEntry) and (before.code[0], entry.code[0]) in {
        *product("P", "PUM"),
        ("M", "U"),
    }
    return one._replace(window=one.window if stays else entry.index, last=entry.index)
