"""Timely: an answer's signature is of its own time, by our clock or, where that is off, by the answer's."""

from email.utils import formatdate
from typing import TYPE_CHECKING

import msgspec
import pytest

from service.core.evidence import Signature
from service.core.record import Attempt
from service.core.timely import untimely
from service.core.times import NS_PER_S, utc_ns, utc_text
from tests.conftest import AT

if TYPE_CHECKING:
    from tests.conftest import Made

SENT_S = utc_ns(AT) // NS_PER_S
DAY_S = 86_400


def signed(made: "Made", at: str, *, dated_s: int | None = None) -> Attempt:
    """Make an attempt whose answer is signed at a time, and bears a date."""
    headers = {} if dated_s is None else {"date": formatdate(dated_s, usegmt=True)}
    signature = Signature(nonce="n", timestamp=at, signature="s", model="kimi-k3")
    call = made.call(made.intent(), made.accepted(headers=headers), made.settlement(signature=signature))
    return call.attempts[0]


@pytest.mark.parametrize(
    ("apart_s", "dated_s", "timely"),
    [
        (0, None, True),
        (600, None, True),
        (-600, 0, True),
        (601, None, False),
        (601, 0, False),
        (601, 300, False),
        (DAY_S, DAY_S, True),
        (DAY_S + 300, DAY_S, True),
        (DAY_S + 301, DAY_S, False),
        (DAY_S - 301, DAY_S, False),
        (-DAY_S, -DAY_S, True),
    ],
)
def test_a_signature_is_of_its_attempts_time(
    made: "Made",
    apart_s: int,
    dated_s: int | None,
    timely: bool,  # noqa: FBT001 - what is expected
) -> None:
    """By our clock; a date of the answer counts only where it shows that our clock is off."""
    dated = None if dated_s is None else SENT_S + dated_s
    said = untimely(signed(made, str((SENT_S + apart_s) * 1000 + utc_ns(AT) // 10**6 % 1000), dated_s=dated))
    assert timely is (said is None)


@pytest.mark.parametrize(
    ("apart_s", "dated_s", "timely"),
    [(-1000, -601, True), (-1001, -600, False), (-640, -300, False), (700, 100, True), (701, 100, False)],
)
def test_a_long_attempt_may_be_signed_while_it_runs(
    made: "Made",
    apart_s: int,
    dated_s: int,
    timely: bool,  # noqa: FBT001 - what is expected
) -> None:
    """Here it took 100 s; by a date that shows that our clock is off it may be signed as long before that."""
    one = signed(made, str((SENT_S + apart_s) * 1000), dated_s=SENT_S + dated_s)
    assert one.end is not None
    ended = msgspec.structs.replace(one.end, at=utc_text((SENT_S + 100) * NS_PER_S))
    assert timely is (untimely(msgspec.structs.replace(one, end=ended)) is None)


@pytest.mark.parametrize("timestamp", ["yesterday", "", "-5", "²", "9" * 15, "\x1b[31m" + "x" * 500])
def test_a_time_that_cannot_be_read_is_not_the_attempts(made: "Made", timestamp: str) -> None:
    """And what a stranger wrote there is shown short and escaped."""
    said = untimely(signed(made, timestamp))
    assert said is not None
    assert "bears no time that can be read" in said
    assert said.isprintable()
    assert len(said) < 150


def test_an_old_signature_is_told_with_both_times(made: "Made") -> None:
    """So that anybody can compare them."""
    said = untimely(signed(made, "1700000000000"))
    assert said is not None
    assert "is of 2023-11-14T22:13:20" in said
    assert f"ran from {AT}" in said


def test_what_bears_no_signature_is_not_untimely(made: "Made") -> None:
    """Neither an answer without one nor an attempt without an answer."""
    for end in (made.settlement(), made.doubt()):
        assert untimely(made.call(made.intent(), end).attempts[0]) is None


def test_a_date_that_is_none_says_nothing(made: "Made") -> None:
    """Then our clock alone counts."""
    one = made.call(
        made.intent(),
        made.accepted(headers={"date": "soon"}),
        made.settlement(signature=Signature(nonce="n", timestamp="1", signature="s", model="kimi-k3")),
    )
    assert untimely(one.attempts[0]) is not None
