"""Maturing: what of a short window the books must hold by now."""

import msgspec

from service.core.books import Figure, ReadingEntry
from service.core.window import Ends, Found, Piece, Settling, judge
from service.proving.maturing import matured
from tests.proving.test_rounds import reading

SETTLING = Settling(usual_s=2, final_s=30)
PICO = 10**12


def balance(index: int, second: int, amount: str) -> ReadingEntry:
    """A balance at a second."""
    figure = Figure(name="available", amount=amount, unit="USD", resolution="0.00001")
    return reading(index, second=second, figures=(figure,))


def piece(index: int, second: int) -> Piece:
    """A call that cost 0.3 USD and ended at a second: less than any payment that could hide it."""
    at = f"2026-11-22T16:{second // 60:02d}:{second % 60:02d}.000000Z"
    return Piece(
        attempt_id=str(index),
        began_at=at,
        ended_at=at,
        intent_index=index,
        end_index=index + 1,
        least=PICO * 3 // 10,
        most=PICO * 3 // 10,
        settled=True,
    )


def ends(closing: str) -> Ends:
    """A window of fifty seconds."""
    return Ends(
        provider="kimi",
        wallet="main",
        simulated=False,
        opening=(balance(1, 0, "50"),),
        closing=(balance(100, 50, closing),),
    )


def judged(window: Ends, pieces: list[Piece]) -> Found:
    """Judge a window that comes short and may move yet."""
    found = judge(window, pieces, SETTLING)
    assert found is not None
    assert "U2" == found.verdict.code
    return found


def test_old_calls_that_nobody_billed() -> None:
    """The balance did not move: those that must be in the books by now are a MISMATCH, and only they."""
    window, pieces = ends("50"), [piece(10, 5), piece(20, 10), piece(30, 45)]
    found = matured(judged(window, pieces), window, pieces, SETTLING)
    assert found is not None
    assert ("M2", 21, frozenset({"10", "20"})) == (found.verdict.code, found.verdict.until, found.decided)
    sums = found.verdict.sums
    assert sums is not None
    assert ("0.6", "0.3", "0") == (sums.surely, sums.straddling, sums.in_doubt)
    assert "calls whose books are not final may come to 0.3 USD" in found.verdict.sentence


def test_what_new_calls_moved_may_hide_old_ones() -> None:
    """The counter moved by as much as the old calls cost: which ones were billed cannot be told."""
    window, pieces = ends("49.4"), [piece(10, 5), piece(20, 10), piece(30, 45)]
    assert matured(judged(window, pieces), window, pieces, SETTLING) is None


def test_nothing_is_final_yet() -> None:
    """Without a call whose books are final there is nothing to say."""
    window, pieces = ends("50"), [piece(20, 30), piece(30, 45)]
    assert matured(judged(window, pieces), window, pieces, SETTLING) is None


def test_the_caller_keeps_its_pieces() -> None:
    """What was judged is not changed."""
    window, pieces = ends("50"), [piece(10, 5), piece(30, 45)]
    before = msgspec.json.encode(pieces)
    matured(judged(window, pieces), window, pieces, SETTLING)
    assert before == msgspec.json.encode(pieces)
