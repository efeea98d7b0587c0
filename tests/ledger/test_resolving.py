"""An attempt in doubt is resolved within what can be true of it; a refusal says what is known, and what to do."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.core.words import ResolutionOutcome, ResolutionSource
from service.errors import ActionError
from service.ledger.resolving import WHY_CHARS_MAX, Finding, attempt_in_doubt, resolution
from tests.custody import Custody, custody

if TYPE_CHECKING:
    from service.core.record import Attempt
    from tests.conftest import Made

CALL = "c" * 32
BY = "a test"
FOUND = Finding(
    outcome=ResolutionOutcome.RECONCILED,
    amount="0.25",
    currency="USD",
    tokens=None,
    why="the bill",
    above_bound=False,
)


def found(**changed: Any) -> Finding:  # noqa: ANN401 - any field
    """Find something else out."""
    return msgspec.structs.replace(FOUND, **changed)


@pytest.fixture
def attempt(made: "Made") -> "Attempt":
    """An attempt in doubt that can have cost 1.5 USD and 1,600 tokens."""
    return made.call(made.intent(), made.doubt(), made.answer()).attempts[0]


@pytest.fixture
def kept(tmp_path: Path) -> Custody:
    """A log that does not exist yet."""
    return custody(tmp_path)


async def test_one_attempt_in_doubt_is_found_by_its_call(kept: Custody, made: "Made") -> None:
    """Its call's other attempts do not matter: only one can be meant."""
    second = made.intent(2, retry_of=made.attempt_id(1))
    await kept.write(made.tool_call(), made.intent(), made.unsent(), second, made.doubt(2), made.answer())
    with kept.reading() as reading:
        for word in (CALL, made.attempt_id(2)):
            assert made.attempt_id(2) == attempt_in_doubt(reading, word).intent.attempt_id
        with pytest.raises(ActionError, match=f"attempt {made.attempt_id(1)} is not in doubt: it was unsent"):
            attempt_in_doubt(reading, made.attempt_id(1))


async def test_of_two_in_doubt_one_must_be_named(kept: Custody, made: "Made") -> None:
    """The refusal names both."""
    both = (made.intent(), made.intent(2), made.doubt(), made.doubt(2))
    await kept.write(made.tool_call(), *both, made.answer())
    with kept.reading() as reading, pytest.raises(ActionError, match="2 attempts in doubt") as caught:
        attempt_in_doubt(reading, CALL)
    assert made.attempt_id(1) in caught.value.remedy
    assert made.attempt_id(2) in caught.value.remedy


async def test_what_is_not_in_doubt_is_told_as_it_is(kept: Custody, made: "Made") -> None:
    """Unknown, without an attempt, open, settled, resolved: each has its own words."""
    of = [f"{number:032x}" for number in range(10, 14)]
    doubtful: dict[str, Any] = {"tool_call_id": of[2], "attempt_id": "e" * 32}
    async with kept.writing() as ledger:
        await ledger.append(
            made.tool_call(tool_call_id=of[0]), made.answer(tool_call_id=of[0], zero_reason="cached")
        )
        await ledger.append(made.tool_call(tool_call_id=of[1]), made.intent(tool_call_id=of[1]))
        await ledger.append(
            made.tool_call(tool_call_id=of[2]),
            made.intent(**doubtful),
            made.doubt(**doubtful),
            made.answer(tool_call_id=of[2]),
        )
        with kept.reading() as reading:
            said = resolution(attempt_in_doubt(reading, of[2]), FOUND, by=BY)
            await ledger.append(said)
            for word, what in (
                ("f" * 32, "no attempt and no tool call 'ffff"),
                (of[0], "made no attempt"),
                (of[1], "is open: it may still end by itself"),
                (of[2], "is resolved already: reconciled at 20.* by a test"),
                ("e" * 32, "is resolved already"),
            ):
                with pytest.raises(ActionError, match=what):
                    attempt_in_doubt(reading, word)
        await ledger.append(made.settlement(tool_call_id=of[1]), made.answer(tool_call_id=of[1]))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ("USD", "0.25", None)),
        ({"amount": "0.2500", "tokens": 1600}, ("USD", "0.25", 1600)),
        ({"amount": "0", "currency": None}, ("USD", "0", None)),
        ({"amount": "1.5"}, ("USD", "1.5", None)),
        ({"amount": "2", "tokens": 9999, "above_bound": True}, ("USD", "2", 9999)),
        ({"outcome": ResolutionOutcome.WRITTEN_OFF, "amount": None, "currency": None}, (None, None, None)),
    ],
)
def test_what_is_found_out_becomes_an_entry(
    attempt: "Attempt", changed: dict[str, Any], expected: tuple[str | None, str | None, int | None]
) -> None:
    """It bears who said so and why; the amount in its shortest form, in the currency of the bill."""
    said = resolution(attempt, found(**changed, why="  the bill of November "), by=BY)
    assert expected == (said.currency, said.amount, said.tokens)
    assert (BY, "the bill of November", ResolutionSource.OPERATOR) == (said.by, said.why, said.source)
    assert (CALL, attempt.intent.attempt_id) == (said.tool_call_id, said.attempt_id)


@pytest.mark.parametrize(
    ("changed", "what", "remedy"),
    [
        ({"currency": "CNY"}, "billed in USD, not in CNY", "never converted"),
        ({"currency": "dollars"}, "no ISO 4217", "plain digits"),
        ({"amount": "1e3"}, "no decimal amount", "plain digits"),
        ({"amount": "-1"}, "-1 USD is no cost", "again"),
        ({"amount": "1000001", "above_bound": True}, "1000001 USD is no cost", "again"),
        ({"amount": "1.500000000001"}, r"more than this attempt can have cost, 1\.5 USD", "--above-bound"),
        ({"tokens": 1601}, "more than this attempt can have consumed, 1600", "--above-bound"),
        ({"tokens": -1}, "-1 is no count", "again"),
        ({"tokens": 2**60, "above_bound": True}, "is no count", "again"),
        ({"outcome": ResolutionOutcome.WRITTEN_OFF}, "written off has no amount", "--cost"),
        ({"why": " "}, "one line of 1 to", "--why"),
        ({"why": "a\nb"}, "one line of 1 to", "--why"),
        ({"why": "x" * (WHY_CHARS_MAX + 1)}, "one line of 1 to", "--why"),
    ],
)
def test_what_cannot_be_is_refused(attempt: "Attempt", changed: dict[str, Any], what: str, remedy: str) -> None:
    """Nothing is guessed, rounded or converted."""
    with pytest.raises(ActionError, match=what) as caught:
        resolution(attempt, found(**changed), by=BY)
    assert remedy in caught.value.remedy


def test_without_a_price_the_currency_must_be_said(made: "Made") -> None:
    """Where no price was known nothing bounds the amount, and even nothing costs nothing of some currency."""
    worst = msgspec.structs.replace(made.intent().worst_case, currency=None, amount=None)
    attempt = made.call(made.intent(worst_case=worst), made.doubt(estimate=None), made.answer()).attempts[0]
    with pytest.raises(ActionError, match="no price was known") as caught:
        resolution(attempt, found(amount="0", currency=None), by=BY)
    assert "--cost 0 USD" in caught.value.remedy
    said = resolution(attempt, found(amount="7", currency="CNY"), by=BY)
    assert ("CNY", "7") == (said.currency, said.amount)
