"""Histories of a wallet, made at random: attempts, bills, payments, and counters that show whole steps.

The provider here keeps its books by arithmetic of its own; nothing of the rule that is tested enters.
"""

import random
from dataclasses import dataclass, field

from service.core.books import ReadingEntry
from service.core.money import PICO_PER_UNIT, decimal_text
from service.core.placing import Piece
from tests.core.two_ends import SETTLING, at, figure, reading

MICRO = 10**6
CENT = PICO_PER_UNIT // 100
STEP = {"balance": 10**7, "spent": 10**3, "credits_5h": PICO_PER_UNIT}
SCALES = {"balance": (1, 100, 9973), "spent": (1, 100, 9973), "credits_5h": (10**4, 10**6, 10**7)}
"""How dear calls are. No few of them come to whole cents: a payment of as much would leave a balance as it was."""
LAST_S = 1000.0


@dataclass
class Call:
    """One attempt: when, what it costs, whether it was billed, and what is known of it."""

    name: str
    began: float
    ended: float
    cost: int
    known: bool
    billed: bool
    billed_at: float
    floor: int
    most: int
    tokens: int = 0
    counted_at: float = 0
    hidden: bool = False


@dataclass
class History:
    """What happened to a wallet, and the readings of it.

    Attributes:
        counter: `balance`, which payments move, `spent`, which they do not, or a plan's `credits_5h`.
        counts: whether the provider counts tokens, too.
        cap: where a plan's counter stops.
        paid: (second, voucher?, pico-units) of each payment.
        charged: (second, pico-units) of what the provider took.
    """

    counter: str
    calls: list[Call]
    paid: list[tuple[float, bool, int]]
    charged: list[tuple[float, int]]
    asked: list[float]
    counts: bool = False
    cap: int | None = None
    readings: list[tuple[ReadingEntry, ...]] = field(default_factory=list)
    indexes: dict[object, int] = field(default_factory=dict)
    truths: list[int] = field(default_factory=list)

    def pieces(self, until: float) -> list[Piece]:
        """Give the attempts as they stand at a time: those that end later are open."""
        return [self._piece(call, until) for call in self.calls if call.began <= until and not call.hidden]

    def _piece(self, call: Call, until: float) -> Piece:
        ended = call.ended <= until
        known = ended and call.known
        return Piece(
            attempt_id=call.name,
            began_at=at(call.began),
            ended_at=at(call.ended) if ended else None,
            intent_index=self.indexes[call.name, "began"],
            end_index=self.indexes[call.name, "ended"] if ended else None,
            least=call.cost if known else 0,
            most=call.cost if known else call.most,
            floor=0 if known else call.floor,
            settled=known,
            classes={"output_tokens": call.tokens} if known else {},
        )


def history(seed: int, *, late: bool = False, doubts: bool = True, payments: bool = True) -> History:
    """Make an honest history.

    Args:
        seed: of all chances.
        late: whether bills may come as late as they may at all, not only as late as usual.
        doubts: whether some attempts end without their usage.
        payments: whether something is paid in.
    """
    rng = random.Random(seed)  # noqa: S311 - a test's chances are to be repeated
    counter = rng.choice(tuple(STEP))
    lag = SETTLING.final_s if late and SETTLING.final_s is not None else SETTLING.usual_s
    scale = rng.choice(SCALES[counter])
    calls = [_call(rng, number, scale, lag, doubts=doubts) for number in range(rng.randrange(9))]
    paid = []
    if payments:
        for _ in range(rng.choice((0, 0, 1, 2))):
            amount = rng.choice((PICO_PER_UNIT, 5 * PICO_PER_UNIT, CENT * rng.randrange(100, 3000)))
            paid.append((rng.uniform(0, LAST_S), rng.random() < 0.3, amount))
    asked = sorted(rng.uniform(0, 1.5 * LAST_S) for _ in range(4))
    made = History(counter, calls, paid, [], asked, counts=rng.random() < 0.7)
    if counter == "credits_5h" and rng.random() < 0.3:
        made.cap = STEP[counter] * rng.randrange(1, 500)
    made.charged = [(call.billed_at, _rounded(rng, call.cost, STEP[counter])) for call in calls if call.billed]
    return read(made, rng)


def _call(rng: random.Random, number: int, scale: int, lag: float, *, doubts: bool) -> Call:
    began = rng.uniform(0, LAST_S)
    ended = began + rng.choice((0.2, 5, 60))
    cost = MICRO * rng.randrange(1, 100) * scale
    known = not doubts or rng.random() < 0.8
    return Call(
        name=f"call-{number}",
        began=began,
        ended=ended,
        cost=cost,
        known=known,
        billed=known or rng.random() < 0.5,
        billed_at=rng.uniform(began, ended + lag),
        floor=cost // rng.randrange(1, 5),
        most=cost * rng.randrange(1, 5),
        tokens=rng.randrange(1, 5000),
        counted_at=rng.uniform(began, ended + rng.choice((0, lag))),
    )


def _rounded(rng: random.Random, cost: int, step: int) -> int:
    """Bill exactly, or in whole steps of the counter."""
    return rng.choice((cost, (cost + step // 2) // step * step))


def read(made: History, rng: random.Random) -> History:
    """Read the counters at the history's times, and number everything in the order of the log."""
    log: list[tuple[float, tuple[str, int | str]]] = [
        (asked + 0.5, ("reading", place)) for place, asked in enumerate(made.asked)
    ]
    for call in made.calls:
        log += [(call.began, (call.name, "began")), (call.ended, (call.name, "ended"))]
    made.indexes = {what: index for index, (_, what) in enumerate(sorted(log))}
    for place, asked in enumerate(made.asked):
        true_at = asked + rng.uniform(0, 0.5)
        made.truths.append(sum(amount for second, amount in made.charged if second <= true_at))
        of_tokens = (_counted(made, place, asked, true_at),) if made.counts else ()
        made.readings.append((_reading(made, place, asked, true_at), *of_tokens))
    return made


def _counted(made: History, place: int, asked: float, true_at: float) -> ReadingEntry:
    """Read the provider's own counts: of what was billed, be it known to us or not."""
    tokens = [call.tokens for call in made.calls if call.billed and call.counted_at <= true_at]
    counted = figure("output_tokens", str(sum(tokens)), "tokens", "1", "d")
    return reading("credit_usage", counted, second=asked, index=made.indexes["reading", place])


def _reading(made: History, place: int, asked: float, true_at: float) -> ReadingEntry:
    voucher, cash, spent = 2 * PICO_PER_UNIT * (len(made.calls) % 2), 10 * PICO_PER_UNIT, 0
    events = [(second, given, amount) for second, given, amount in made.paid]
    events += [(second, False, -amount) for second, amount in made.charged]
    for second, given, amount in sorted(events):
        if second > true_at:
            break
        drawn = min(voucher, max(0, -amount))
        voucher += amount if given else -drawn
        cash += 0 if given else amount + drawn
        spent += max(0, -amount)
    index, step = made.indexes["reading", place], STEP[made.counter]
    size = decimal_text(step)
    if made.counter == "spent":
        numbers = [figure("spent", decimal_text(spent // step * step), resolution=size)]
    elif made.counter == "credits_5h":
        shown = min(spent, spent if made.cap is None else made.cap)
        cap = None if made.cap is None else decimal_text(made.cap)
        numbers = [figure(made.counter, decimal_text(shown // step * step), "credits", size, "d", cap=cap)]
    else:
        parts = {"voucher": voucher // step * step, "cash": cash // step * step}
        parts["available"] = parts["voucher"] + max(0, parts["cash"])
        numbers = [figure(name, decimal_text(amount), resolution=size) for name, amount in parts.items()]
    return reading(made.counter, *numbers, second=asked, index=index)


def corrupted(seed: int) -> tuple[History, History]:
    """Make an honest history and one that charges otherwise, or holds calls that we do not know."""
    rng = random.Random(seed)  # noqa: S311 - a test's chances are to be repeated
    honest, false = (history(seed, doubts=False, payments=False) for _ in range(2))
    way = rng.choice(("factor", "phantom", "uncounted"))
    if way == "factor":
        factor = rng.choice((0, 5, 8, 12, 20))
        false.charged = [(second, amount * factor // 10) for second, amount in false.charged]
    elif way == "phantom":
        false.charged += [
            (rng.uniform(0, 1000), rng.randrange(1, PICO_PER_UNIT)) for _ in range(rng.randrange(1, 4))
        ]
    elif false.calls:
        gone = rng.choice(false.calls)
        gone.hidden = True
        honest.charged = [each for each in honest.charged if each[0] != gone.billed_at]
    for made in (honest, false):
        made.readings, made.truths = [], []
        read(made, random.Random(seed))  # noqa: S311 - both are read at the same moments
    return honest, false
