"""Rounds of readings, and the ones that windows begin with."""

from itertools import pairwise

from service.core.books import Figure, ReadingEntry
from service.core.times import utc_ns
from service.core.wallet import fingerprint
from service.core.words import ReadingCause, ReadingOutcome
from service.proving.rounds import OPENINGS_MAX, Round, calm, openings, rounds

KEY = "sk-0123456789abcdef"


def reading(index: int, counter: str = "balance", second: int = 0, **changed: object) -> ReadingEntry:
    """A reading of a balance."""
    at = f"2026-11-22T16:{second // 60:02d}:{second % 60:02d}.000000Z"
    figure = Figure(name="available", amount="5", unit="USD", resolution="0.00001")
    fields = {
        "index": index,
        "at": at,
        "provider": "kimi",
        "wallet": "main",
        "counter": counter,
        "endpoint": "https://api.moonshot.ai/v1/users/me/balance",
        "cause": ReadingCause.SCHEDULE,
        "outcome": ReadingOutcome.READ,
        "status": 200,
        "asked_at": at,
        "figures": (figure,) if counter == "balance" else (),
        "tells": {},
        "message": "",
        "provider_ids": {},
        "fingerprint": fingerprint(KEY),
        "simulated": False,
    }
    return ReadingEntry(**fields | changed)  # type: ignore[arg-type] # any field


def indexes(found: list[Round]) -> list[list[int]]:
    """Name rounds by the indexes of their readings."""
    return [[one.index for one in each] for each in found]


def test_what_was_read_together_is_a_round() -> None:
    """A counter that comes again begins the next round."""
    found = [reading(1), reading(2, "account", 1), reading(5, second=2), reading(6, "account", 3)]
    assert [[1, 2], [5, 6]] == indexes(rounds(found))


def test_another_cause_or_a_pause_begins_a_round() -> None:
    """Readings of another errand, or of minutes later, do not belong together."""
    cause = reading(2, "account", 1, cause=ReadingCause.DEMAND)
    assert [[1]] == indexes(rounds([reading(1), cause]))
    assert [[1]] == indexes(rounds([reading(1), reading(2, "account", 600)]))


def test_a_failed_round_is_no_end_of_a_window() -> None:
    """Only what was read and tells of money or quota counts."""
    failed = reading(2, outcome=ReadingOutcome.REFUSED, figures=())
    assert [[1], [3]] == indexes(rounds([reading(1), failed, reading(3)]))


def test_a_window_begins_with_the_last_round_before_an_attempt() -> None:
    """One for each attempt that waits, the widest first; the last round closes the window."""
    found = rounds([reading(10), reading(20), reading(30), reading(40)])
    assert [[10], [30]] == indexes(openings(found, [15, 17, 35]))
    assert [[30]] == indexes(openings(found, [45]))
    assert [[10]] == indexes(openings(found, [5]))
    assert [] == openings(found[:1], [5])


def test_the_windows_tried_are_bounded() -> None:
    """Of many the first and the last are kept, and between them the fewer the older."""
    found = rounds([reading(10 * number) for number in range(1, 600)])
    chosen = [one[0] for one in indexes(openings(found, range(11, 5990, 10)))]
    assert OPENINGS_MAX // 2 < len(chosen) <= OPENINGS_MAX
    assert (10, 5980) == (chosen[0], chosen[-1])
    gaps = [after - before for before, after in pairwise(chosen)]
    assert sorted(gaps, reverse=True) == gaps
    assert [[10], [5740], [5970], [5980]] == indexes(openings(found, range(11, 5990, 10), at_most=4))


def test_a_calm_round_is_one_that_no_earlier_attempt_may_be_billed_after() -> None:
    """Neither an attempt whose bill may still come nor an open one is before it."""
    found = rounds([reading(number, second=number) for number in (10, 20, 30, 40)])
    at_20 = utc_ns(found[1][0].asked_at)
    assert found == calm(found, [])
    assert [[10], [20], [30], [40]] == indexes(calm(found, [(15, at_20)]))
    assert [[10], [30], [40]] == indexes(calm(found, [(15, at_20 + 1)]))
    assert [[10]] == indexes(calm(found, [(15, None), (35, at_20)]))
