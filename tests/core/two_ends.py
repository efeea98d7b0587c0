"""Readings, attempts and windows as tests write them: seconds of one day, decimal amounts."""

from typing import Any

import msgspec

from service.core.books import Figure, ReadingEntry
from service.core.money import pico
from service.core.placing import Edges, Piece
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.core.window import Ends, Settling
from service.core.words import ReadingCause, ReadingOutcome

DAY = utc_ns("2026-11-22T11:00:00Z")
SETTLING = Settling(usual_s=10, final_s=100)
OPENED_S = 0
CLOSED_S = 1000
"""When the two readings of a window are asked for; both answers come half a second later."""
OPENED_INDEX = 100
CLOSED_INDEX = 900


def at(second: float) -> str:
    """Write a second of the day."""
    return utc_text(DAY + round(second * NS_PER_S))


def figure(
    name: str,
    amount: str,
    unit: str = "USD",
    resolution: str = "0.00001",
    since: str | None = None,
    *,
    cap: str | None = None,
) -> Figure:
    """Make one number of a counter."""
    return Figure(name=name, amount=amount, unit=unit, resolution=resolution, since=since, cap=cap)


def reading(
    counter: str,
    *figures: Figure,
    second: float = 0,
    index: int = OPENED_INDEX,
    **changed: Any,  # noqa: ANN401 - any field
) -> ReadingEntry:
    """Make the reading of one counter."""
    stated: dict[str, Any] = {
        "index": index,
        "at": at(second + 0.5),
        "provider": "kimi",
        "wallet": "w",
        "counter": counter,
        "endpoint": "api.moonshot.ai",
        "cause": ReadingCause.SCHEDULE,
        "outcome": ReadingOutcome.READ,
        "status": 200,
        "asked_at": at(second),
        "figures": figures,
        "tells": {},
        "message": "",
        "provider_ids": {},
        "simulated": False,
    }
    return ReadingEntry(**stated | changed)


def balance(
    amount: str,
    *,
    cash: str | None = None,
    voucher: str = "0",
    **where: Any,  # noqa: ANN401 - any field
) -> ReadingEntry:
    """Make a reading of Kimi's balance, all of it cash unless it is said otherwise."""
    figures = (figure("available", amount), figure("voucher", voucher), figure("cash", cash or amount))
    return reading("balance", *figures, **where)


def spent(amount: str, **where: Any) -> ReadingEntry:  # noqa: ANN401 - any field
    """Make a reading of GLM's account report."""
    return reading("account_report", figure("spent", amount, resolution="0.000000001"), **where)


def closing(entry: ReadingEntry, second: float = CLOSED_S) -> ReadingEntry:
    """Set a reading to the end of the window."""
    return msgspec.structs.replace(entry, index=CLOSED_INDEX, asked_at=at(second), at=at(second + 0.5))


def ends(
    opening: ReadingEntry,
    *rest: ReadingEntry,
    second: float = CLOSED_S,
    **changed: Any,  # noqa: ANN401 - any field
) -> Ends:
    """Make a window of readings: first all of its opening, then as many of its closing."""
    readings = (opening, *rest)
    half = len(readings) // 2
    stated: dict[str, Any] = {
        "provider": "kimi",
        "wallet": "w",
        "simulated": False,
        "opening": readings[:half],
        "closing": tuple(closing(each, second) for each in readings[half:]),
    }
    return Ends(**stated | changed)


def edges() -> Edges:
    """Make the edges of a window."""
    return Edges(opening=balance("5"), closing=closing(balance("4")))


def piece(
    name: str,
    cost: str = "0.1",
    *,
    began: float = 20,
    ended: float | None = 30,
    **changed: Any,  # noqa: ANN401 - any field
) -> Piece:
    """Make a settled attempt inside the window."""
    index = OPENED_INDEX + 1 + round(began)
    stated: dict[str, Any] = {
        "attempt_id": name,
        "began_at": at(began),
        "ended_at": None if ended is None else at(ended),
        "intent_index": index if began >= 0 else OPENED_INDEX - 1,
        "end_index": None if ended is None else OPENED_INDEX + 1 + round(ended),
        "least": pico(cost),
        "most": pico(cost),
        "settled": True,
    }
    return Piece(**stated | changed)


def doubt(
    name: str,
    most: str | None = "1",
    floor: str = "0.01",
    **changed: Any,  # noqa: ANN401 - any field
) -> Piece:
    """Make an attempt in doubt inside the window."""
    bound = None if most is None else pico(most)
    return piece(name, "0", **{"most": bound, "floor": pico(floor), "settled": False} | changed)
