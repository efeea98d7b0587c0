"""Windows as tests make them, and the one reason that each must have."""

from email.utils import formatdate

import msgspec

from service.core.books import ReadingEntry
from service.core.money import decimal_text, pico
from service.core.placing import Piece, Settling
from service.core.times import NS_PER_S, utc_ns
from service.core.window import Ends
from service.core.words import ReadingOutcome
from tests.core.two_ends import (
    CLOSED_INDEX,
    CLOSED_S,
    OPENED_INDEX,
    SETTLING,
    at,
    balance,
    doubt,
    ends,
    figure,
    piece,
    reading,
    spent,
)

DAILY = Settling(usual_s=10)
OUT = {"output_tokens": 1000}
CALL = piece("a", "1")


def money(before: str, after: str, *, second: float = CLOSED_S, shared_with: tuple[str, ...] = ()) -> Ends:
    """Make a window of a balance."""
    return ends(balance(before), balance(after), second=second, shared_with=shared_with)


def spend(
    moved: str,
    *beside: tuple[ReadingEntry, ReadingEntry],
    second: float = CLOSED_S,
    shared_with: tuple[str, ...] = (),
) -> Ends:
    """Make a window of a spend counter, with other counters beside it."""
    opening, closing = ([each[place] for each in beside] for place in (0, 1))
    after = spent(decimal_text(pico("1") + pico(moved)))
    return ends(spent("1"), *opening, after, *closing, second=second, shared_with=shared_with)


def tokens(before: str, after: str) -> tuple[ReadingEntry, ReadingEntry]:
    """Make both readings of packages."""
    first, second = (
        reading("packages", figure("package_tokens", each, "tokens", "1")) for each in (before, after)
    )
    return first, second


def usage(output: int, since: str = "d") -> tuple[ReadingEntry, ReadingEntry]:
    """Make both readings of the provider's own counts."""
    first, second = (
        reading("credit_usage", figure("output_tokens", str(count), "tokens", "1", begun))
        for count, begun in ((0, "d"), (output, since))
    )
    return first, second


def quota(before: str, after: str, *, name: str = "credits_5h", unit: str = "credits", since: str = "d") -> Ends:
    """Make a window of a plan."""
    first = reading("quota", figure(name, before, unit, "1", "d"))
    return ends(first, reading("quota", figure(name, after, unit, "1", since)))


def dated(window: Ends, skew_s: float) -> Ends:
    """Let the answers' dates differ from this machine's clock."""
    said = [
        [
            msgspec.structs.replace(one, date=formatdate(utc_ns(one.at) / NS_PER_S + skew_s, usegmt=True))
            for one in readings
        ]
        for readings in (window.opening, window.closing)
    ]
    return msgspec.structs.replace(window, opening=tuple(said[0]), closing=tuple(said[1]))


def half_dated(window: Ends, skew_s: float) -> Ends:
    """Let the dates differ at the window's end alone."""
    return msgspec.structs.replace(window, closing=dated(window, skew_s).closing)


def unpriced(one: Piece) -> Piece:
    """Leave an attempt without a bound."""
    return msgspec.structs.replace(one, least=0, most=None)


def plan(
    before: str,
    after: str,
    *beside: tuple[ReadingEntry, ReadingEntry],
    cap: str = "2000",
    second: float = CLOSED_S,
) -> Ends:
    """Make a window of a plan that has a cap, with other counters beside it."""
    first, last = (
        reading("quota", figure("credits_5h", amount, "credits", "1", "d", cap=cap)) for amount in (before, after)
    )
    opening, closing = ([each[place] for each in beside] for place in (0, 1))
    return ends(first, *opening, last, *closing, second=second)


def apart(
    window: Ends,
    *,
    opened: tuple[float, int] = (0, OPENED_INDEX),
    closed: tuple[float, int] = (CLOSED_S, CLOSED_INDEX),
) -> Ends:
    """Let the last counter of both ends be read at other times than the first, and stand elsewhere in the log."""
    said = [
        (
            *readings[:-1],
            msgspec.structs.replace(readings[-1], asked_at=at(second), at=at(second + 0.5), index=index),
        )
        for readings, (second, index) in ((window.opening, opened), (window.closing, closed))
    ]
    return msgspec.structs.replace(window, opening=said[0], closing=said[1])


METERED = piece("a", "1", classes=OUT)
LATER = piece("b", "1", began=60, ended=70, classes=OUT)
BILLED_LATE = piece("late", "0.5", began=-60, ended=-20)
DISAGREED = msgspec.structs.replace(METERED, contradicted=True)
DISAGREED_AT_THE_EDGE = piece("b", "0.01", ended=999, contradicted=True)
LATE = piece("a", "1", began=900, ended=950)
PACKED = tokens("5000", "4000")
CASES: list[tuple[str, Ends, list[Piece], Settling, str | None]] = [
    ("balance", money("5", "4"), [CALL], SETTLING, "P1"),
    ("spend counter", spend("1"), [CALL], SETTLING, "P1"),
    ("plan", quota("100", "200"), [piece("a", "100")], SETTLING, "P2"),
    ("package", spend("0", PACKED), [METERED], SETTLING, "P3"),
    ("package alone", ends(*PACKED), [METERED], SETTLING, "P3"),
    ("package, and money too small to see", money("5", "5"), [piece("a", "0.00001")], SETTLING, "U12"),
    ("short and final", money("5", "4.5"), [CALL], SETTLING, "M2"),
    ("short and not final", money("5", "4.5", second=130), [CALL], SETTLING, "U2"),
    ("short just final", money("5", "4.5", second=130.001), [CALL], SETTLING, "M2"),
    ("short until the daily bill", money("5", "4.5"), [CALL], DAILY, "U2"),
    ("short after the daily bill", money("5", "4.5", second=20 * 3600 + 1), [CALL], DAILY, "M2"),
    ("short by a clock that is off", dated(money("5", "4.5"), 301), [CALL], SETTLING, "U2"),
    ("short by a clock that was set", half_dated(money("5", "4.5"), 400), [CALL], SETTLING, "U2"),
    ("short by a clock that is hardly off", dated(money("5", "4.5"), -299), [CALL], SETTLING, "M2"),
    ("nothing moved, and final", spend("0"), [CALL], SETTLING, "M2"),
    ("short by what may be paid in", money("5", "4.5"), [piece("a", "2.5")], SETTLING, "U13"),
    ("nothing moved of a balance, and final", money("5", "5"), [piece("a", "2.5")], SETTLING, "M2"),
    ("nothing moved of a balance, and not final", money("5", "5"), [piece("a", "2.5")], DAILY, "U2"),
    ("paid in", money("5", "9"), [CALL], SETTLING, "U13"),
    ("short beside a package at rest", spend("0", tokens("5", "5")), [METERED], SETTLING, "U15"),
    (
        "short beside a package that moved otherwise",
        spend("0", tokens("5000", "4900")),
        [METERED],
        SETTLING,
        "U15",
    ),
    ("short beside a package that paid for more", spend("0", tokens("5000", "3000")), [METERED], SETTLING, "U15"),
    ("short beside a package that was used up", spend("0.5", tokens("1000", "0")), [METERED], SETTLING, "P3"),
    (
        "blurred beside a package that was used up",
        spend("1", tokens("5", "0")),
        [METERED, doubt("x", "0.4")],
        SETTLING,
        "U12",
    ),
    ("charged although a package is there", spend("1", tokens("5", "5")), [METERED], SETTLING, "P1"),
    ("charged while a package moved", spend("1", PACKED), [METERED], SETTLING, "P1"),
    ("a package moved and nobody called", ends(*PACKED), [], SETTLING, "U3"),
    ("a package moved beside money and nobody called", spend("0", PACKED), [], SETTLING, "U3"),
    ("a package moved less", ends(*tokens("5000", "4500")), [METERED], SETTLING, "U15"),
    ("more than ours", money("5", "3.5"), [CALL], SETTLING, "U3"),
    ("more, and nobody called", money("5", "4.9"), [], SETTLING, "U3"),
    ("more, and paid in", ends(balance("5", voucher="2", cash="3"), balance("8", cash="8")), [], SETTLING, "U3"),
    ("within the steps, and nobody called", money("5", "4.99998"), [], SETTLING, None),
    ("nothing at all", money("5", "5"), [], SETTLING, None),
    ("free calls only", money("5", "5"), [piece("a", "0")], SETTLING, None),
    ("only at the edge", money("5", "4.5"), [piece("a", ended=999)], SETTLING, "U3"),
    ("only at the edge, explained", money("5", "4.95"), [piece("a", ended=999)], SETTLING, None),
    ("too small", money("5", "4.9999"), [piece("a", "0.0001")], SETTLING, "U12"),
    ("blurred by the edge", money("5", "4"), [CALL, piece("b", ended=999)], SETTLING, "U12"),
    ("hardly blurred by the edge", money("5", "4"), [CALL, piece("b", "0.04", ended=999)], SETTLING, "P1"),
    ("blurred by an open attempt", money("5", "4"), [CALL, doubt("b", ended=None)], SETTLING, "U12"),
    ("blurred by no price", spend("1.5"), [CALL, piece("b", "0", most=None)], SETTLING, "U12"),
    ("short beside no price", spend("0.5"), [CALL, piece("b", "0", most=None)], SETTLING, "M2"),
    (
        "short beside a doubt that is not final",
        spend("0.5", second=200),
        [CALL, doubt("b", ended=150)],
        SETTLING,
        "M2",
    ),
    ("at its cap", plan("1990", "2000"), [piece("a", "300")], SETTLING, "U8"),
    ("above its cap", plan("1990", "2010"), [piece("a", "300")], SETTLING, "U8"),
    ("just below its cap", plan("1990", "1999"), [piece("a", "300")], SETTLING, "M2"),
    ("at its cap, and more", plan("1000", "2000"), [piece("a", "300")], SETTLING, "U3"),
    (
        "at its cap, same tokens, and more",
        plan("1000", "2000", usage(1000)),
        [piece("a", "300", classes=OUT)],
        SETTLING,
        "U3",
    ),
    ("at its cap, and nobody called", plan("2000", "2000"), [], SETTLING, None),
    ("a coarse plan", quota("100", "110"), [piece("a", "10")], SETTLING, "U8"),
    ("a blurred plan", quota("100", "200"), [piece("a", "100"), piece("b", "50", ended=999)], SETTLING, "U12"),
    ("a plan in percent", quota("1", "1", name="percent_5h", unit="percent"), [CALL], SETTLING, "U8"),
    ("a plan that began anew", quota("9", "1", since="e"), [CALL], SETTLING, "U12"),
    ("a plan that began anew, uncalled", quota("9", "1", since="e"), [], SETTLING, None),
    ("nothing that tells", ends(*usage(1000)), [CALL], SETTLING, None),
    ("counters of two kinds", ends(spent("1"), balance("5")), [CALL], SETTLING, None),
    ("nothing read", ends(balance("5", outcome=ReadingOutcome.REFUSED), balance("4")), [CALL], SETTLING, None),
    ("fewer tokens", spend("1", usage(900)), [METERED], SETTLING, "M7"),
    ("fewer tokens, money more", spend("2", usage(900)), [METERED], SETTLING, "M7"),
    ("more tokens", spend("1", usage(1100)), [METERED], SETTLING, "P1"),
    ("fewer tokens, not final", spend("1", usage(900), second=120), [METERED], SETTLING, "U2"),
    ("fewer tokens, more money, not final", spend("2", usage(900), second=120), [METERED], SETTLING, "U3"),
    (
        "fewer tokens beside an edge",
        spend("1", usage(900)),
        [METERED, piece("b", "0", ended=999)],
        SETTLING,
        "U12",
    ),
    ("fewer tokens, shared", spend("1", usage(900), shared_with=("v",)), [METERED], SETTLING, "U12"),
    ("more tokens, shared", spend("1", usage(1100), shared_with=("v",)), [METERED], SETTLING, "P1"),
    ("fewer tokens beside a doubt", spend("1", usage(900)), [METERED, doubt("b")], SETTLING, "U12"),
    ("the same, not final", spend("1", usage(900), second=120), [METERED, doubt("b")], SETTLING, "U2"),
    ("the same, and too little money", spend("0.5", usage(900)), [METERED, doubt("b")], SETTLING, "M2"),
    ("the same, and too much money", spend("3", usage(900)), [METERED, doubt("b")], SETTLING, "U3"),
    ("the same beside a package", spend("1", usage(900), PACKED), [METERED, doubt("b")], SETTLING, "U12"),
    ("more tokens beside a doubt", spend("1", usage(1100)), [METERED, doubt("b")], SETTLING, "P1"),
    (
        "a free call that is counted",
        spend("1", usage(2000)),
        [METERED, piece("f", "0", classes=OUT)],
        SETTLING,
        "P1",
    ),
    ("tokens of fewer calls", apart(spend("2", usage(1000)), opened=(45, 150)), [METERED, LATER], SETTLING, "P1"),
    (
        "tokens of fewer calls, and fewer",
        apart(spend("2", usage(900)), opened=(45, 150)),
        [METERED, LATER],
        SETTLING,
        "U12",
    ),
    (
        "tokens at an edge of their own",
        apart(spend("1", usage(1100)), opened=(-5, OPENED_INDEX)),
        [METERED, piece("e", "0.01", began=-20, ended=-12, classes=OUT)],
        SETTLING,
        "P1",
    ),
    (
        "money at an edge of its own",
        apart(spend("1", usage(1100)), closed=(900, 850)),
        [METERED, piece("e", "0.01", began=950, ended=995, classes=OUT, intent_index=870)],
        SETTLING,
        "P1",
    ),
    ("fewer tokens of another day", spend("1", usage(900, since="e")), [METERED], SETTLING, "P1"),
    ("same tokens, more money", spend("2", usage(1000)), [METERED], SETTLING, "M9"),
    ("no tokens, more credits, and nobody called", plan("100", "400", usage(0)), [], DAILY, "U3"),
    ("some tokens, more credits, and nobody called", plan("100", "400", usage(9)), [], DAILY, "U3"),
    ("no tokens, more credits, and a free call", plan("100", "400", usage(0)), [piece("f", "0")], DAILY, "U3"),
    (
        "same tokens, and a bill that may be late",
        spend("1.5", usage(1000)),
        [METERED, BILLED_LATE],
        SETTLING,
        "U3",
    ),
    (
        "same tokens, and one of no known price",
        spend("9", usage(1000)),
        [METERED, unpriced(BILLED_LATE)],
        SETTLING,
        "U3",
    ),
    ("same tokens, and more than a late bill", spend("1.6", usage(1000)), [METERED, BILLED_LATE], SETTLING, "M9"),
    (
        "fewer tokens, and a bill that may be late",
        spend("1.5", usage(900)),
        [METERED, BILLED_LATE],
        SETTLING,
        "M7",
    ),
    (
        "same tokens, more money, and paid in",
        ends(balance("5", voucher="2", cash="3"), usage(0)[0], balance("8", cash="8"), usage(1000)[1]),
        [METERED],
        SETTLING,
        "U3",
    ),
    ("same tokens, more money, not final", spend("2", usage(1000), second=120), [METERED], SETTLING, "U3"),
    ("fewer tokens, a clock that is off", dated(spend("1", usage(900)), -302), [METERED], SETTLING, "U2"),
    ("fewer tokens, money more, a clock off", dated(spend("2", usage(900)), 9e3), [METERED], SETTLING, "U3"),
    ("same tokens, more money, a clock off", dated(spend("2", usage(1000)), 9e3), [METERED], SETTLING, "U3"),
    ("fewer tokens before, and no count now", spend("1"), [DISAGREED], SETTLING, "U12"),
    ("fewer tokens before, and of another day", spend("1", usage(900, since="e")), [DISAGREED], SETTLING, "U12"),
    ("fewer tokens before, at an edge", spend("1"), [CALL, DISAGREED_AT_THE_EDGE], SETTLING, "P1"),
    ("fewer tokens before, not final", spend("1", second=120), [DISAGREED], SETTLING, "U2"),
    ("fewer tokens before, and all now", spend("1", usage(1000)), [DISAGREED], SETTLING, "P1"),
    ("fewer tokens before, and still", spend("1", usage(900)), [DISAGREED], SETTLING, "M7"),
    ("same tokens, less money", spend("0.5", usage(1000)), [METERED], SETTLING, "M2"),
]
