"""What was last heard is a view of entries: of each provider, each wallet and the log itself."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.checks.watching import Heard, watched, word
from service.core.entries import End, SystemEntry
from service.core.record import Step
from service.core.words import DoubtCause, RefusalReason, UnsentReason
from service.errors import StoreBrokenError
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore

if TYPE_CHECKING:
    from tests.checks.conftest import Hearing
    from tests.conftest import Made

HOST = "api.moonshot.ai"
DATE = "Sun, 22 Nov 2026 16:20:15 GMT"


def heard(hearing: "Hearing") -> Heard:
    """Give what was heard of Kimi."""
    found = hearing.watching.provider("kimi")
    assert found is not None
    return found


def test_nothing_heard_is_nothing(hearing: "Hearing") -> None:
    """Before the first entry there is no last one, of nobody."""
    watching = hearing.watching
    assert (None, None, None, {}) == (
        watching.last_at,
        watching.provider("kimi"),
        watching.wallet("kimi-main", HOST),
        watching.skews(1),
    )


def test_an_attempt_that_has_not_ended_says_nothing_yet(hearing: "Hearing") -> None:
    """An intent is no answer; but it is the log's last entry."""
    hearing.hear()
    assert hearing.watching.provider("kimi") is None
    assert hearing.watching.last_at is not None


def test_failures_add_up_until_an_answer(hearing: "Hearing", made: "Made") -> None:
    """Unsent, in doubt and refused attempts count in a row; a settlement ends the row."""
    ends: tuple[End, ...] = (made.unsent(), made.doubt(), made.refusal())
    for number, end in enumerate(ends, 1):
        hearing.hear(end)
        assert number == heard(hearing).failures
    hearing.hear(made.settlement())
    assert (0, "settled") == (heard(hearing).failures, word(heard(hearing).last))


@pytest.mark.parametrize("reason", [RefusalReason.INVALID_REQUEST, RefusalReason.CONTENT_FILTERED])
def test_a_refusal_that_the_request_brought_on_itself_is_an_answer(
    hearing: "Hearing", made: "Made", reason: RefusalReason
) -> None:
    """A provider that reads a request and refuses it works."""
    hearing.hear(made.unsent())
    hearing.hear(made.refusal(reason=reason))
    assert (0, f"refused, {reason}") == (heard(hearing).failures, word(heard(hearing).last))


@pytest.mark.parametrize("end", ["cancelled", "stopping", "crash", "unsent"])
def test_what_was_ended_here_says_nothing_of_the_provider(hearing: "Hearing", made: "Made", end: str) -> None:
    """A cancel, a stop and a crash neither add to the row nor end it."""
    ended: End = (
        made.unsent(reason=UnsentReason.CANCELLED) if end == "unsent" else made.doubt(cause=DoubtCause(end))
    )
    hearing.hear(made.unsent())
    before = heard(hearing)
    hearing.hear(ended)
    assert before == heard(hearing)


def test_an_answer_outlives_a_lost_one(hearing: "Hearing", made: "Made") -> None:
    """The last answer stays the last answer while attempts after it fail without one."""
    hearing.hear(made.refusal(reason=RefusalReason.AUTHENTICATION))
    hearing.hear(made.doubt())
    found = hearing.watching.wallet("kimi-main", HOST)
    assert found is not None
    assert found.answer is not None
    assert ("refused, authentication", "in doubt, stream_cut") == (word(found.answer), word(found.last))


def test_wallets_and_providers_are_kept_apart(hearing: "Hearing", made: "Made") -> None:
    """One wallet's refusal is not another's, but both are their provider's."""
    hearing.hear(made.settlement())
    hearing.hear(made.refusal(), wallet="kimi-other")
    watching = hearing.watching
    main, other, kimi = (
        watching.wallet("kimi-main", HOST),
        watching.wallet("kimi-other", HOST),
        watching.provider("kimi"),
    )
    assert main is not None
    assert other is not None
    assert (0, 1, other.last) == (main.failures, other.failures, kimi and kimi.last)
    assert watching.provider("glm") is None


@pytest.mark.parametrize(
    ("date", "ahead_s"),
    [
        (DATE, 45),
        ("Sun, 22 Nov 2026 16:22:00 GMT", -60),
        ("Sun, 22 Nov 2026 16:21:00", 0),
        ("yesterday", None),
        ("Sun, 22 Nov 99999 16:21:00 GMT", None),
        (None, None),
    ],
)
def test_a_date_is_compared_with_our_time(
    hearing: "Hearing", made: "Made", date: str | None, ahead_s: int | None
) -> None:
    """A header that is no date, or is not there, says nothing; one without a zone is GMT, as all are."""
    hearing.hear(made.accepted(headers={} if date is None else {"date": date}))
    skews = hearing.watching.skews(1)
    assert ({} if ahead_s is None else {"kimi": ahead_s}) == {name: skew.ahead_s for name, skew in skews.items()}


def test_a_date_of_an_earlier_start_is_forgotten(hearing: "Hearing", made: "Made") -> None:
    """The clock may have been set since then."""
    hearing.hear(made.accepted(headers={"date": DATE}))
    assert {} == hearing.watching.skews(2)


def test_the_services_own_entries_are_heard(hearing: "Hearing") -> None:
    """An entry of no call is the log's last one, too."""
    entry = SystemEntry(event="start", detail={}, at="2026-11-22T17:00:00.000000Z")
    hearing.watching.take([Step(entry, None)])
    assert entry.at == hearing.watching.last_at


def test_a_log_that_cannot_be_read_is_no_log_to_begin_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damaged entries refuse the start with the first index that was asked for, and a remedy."""

    def damaged(_first: int, _count: int) -> list[Step]:
        raise ValueError("no entry")

    store = SqliteStore(tmp_path, new_origin="o")
    reading = Reading(tmp_path)
    assert watched(reading, next_index=0).last_at is None
    monkeypatch.setattr(reading, "steps", damaged)
    with pytest.raises(StoreBrokenError, match="entries from 700 on") as caught:
        watched(reading, next_index=1200)
    assert "ledger verify" in caught.value.remedy
    reading.close()
    store.close()
