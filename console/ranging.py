"""Which range an address asks for: a word or two moments, in the days of a zone; anything else is refused."""

from collections.abc import Mapping
from datetime import tzinfo

import msgspec
from aiohttp import web
from multidict import MultiMapping

from console.asking import BadQuestionError
from service.core.ranges import RANGES, Span, find_zone, span
from service.errors import InvalidArgumentsError

DEFAULT_RANGE = "7d"  # someone who comes back after a weekend still finds the last calls
NAMES: Mapping[str, str] = {
    "range": f"one of {', '.join(RANGES)}; {DEFAULT_RANGE} when neither range nor from or to is given",
    "from": "opened at this time or later, for example 2026-11-22 or 2026-11-22T16:00:00Z",
    "to": "opened before this time",
    "tz": "the zone whose days are meant, for example Asia/Kolkata; UTC when not given",
}
_WHEN = {
    "1h": "in the last hour",
    "24h": "in the last 24 hours",
    "7d": "in the last 7 days",
    "30d": "in the last 30 days",
    "mtd": "since the first of this month",
    "today": "today",
}
_TITLES = {
    "1h": "1 hour",
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "mtd": "This month",
    "today": "Today",
}


class Ranged(msgspec.Struct, frozen=True, kw_only=True):
    """The range that is meant.

    Attributes:
        word: of `RANGES`; None beside two moments.
        said_from, said_to: the moments as they were said, for the form; empty if they were not.
        zone_name: as it was said.
        span: as UTC texts.
    """

    word: str | None
    said_from: str
    said_to: str
    zone_name: str
    zone: tzinfo
    span: Span

    @property
    def when(self) -> str:
        """The range in words that follow `calls`."""
        if self.word is not None:
            zone = f" ({self.zone_name})" if self.word in ("today", "mtd") else ""
            return f"{_WHEN[self.word]}{zone}"
        bounds = [f"from {self.said_from}"] if self.said_from else []
        bounds += [f"until {self.said_to}"] if self.said_to else []
        return f"{' '.join(bounds)} ({self.zone_name})"

    @property
    def links(self) -> list[tuple[str, dict[str, str], bool]]:
        """The ranges that a click leads to: title, parameters, and whether it is this one."""
        return [(_TITLES[word], self._query(word), word == self.word) for word in RANGES]

    @property
    def query(self) -> dict[str, str]:
        """This range as an address's parameters."""
        said = {"range": self.word or "", "from": self.said_from, "to": self.said_to, "tz": self.zone_name}
        return {name: value for name, value in said.items() if value and (name, value) != ("tz", "UTC")}

    def _query(self, word: str) -> dict[str, str]:
        return {"range": word} | ({} if self.zone_name == "UTC" else {"tz": self.zone_name})


def ranged(request: web.Request, *, now_ns: int) -> Ranged:
    """Read which range an address asks for. A name without a value says nothing.

    Args:
        request: whose address it is.
        now_ns: the time; ranges by a word end here.

    Raises:
        BadQuestionError: an unknown name, a bad value, or a second value.
    """
    query = request.query
    for name in query:
        if name not in NAMES:
            raise BadQuestionError(f"This page knows no parameter named {name!r}.", NAMES)
    word, said_from, said_to, zone_name = (_once(query, name) for name in ("range", "from", "to", "tz"))
    if not (word or said_from or said_to):
        word = DEFAULT_RANGE
    try:
        zone = find_zone(zone_name or "UTC")
        found = span(
            word=word or None,
            since=said_from or None,
            until=said_to or None,
            now_ns=now_ns,
            zone=zone,
        )
    except InvalidArgumentsError as error:
        raise BadQuestionError(f"This cannot be shown: {error}. {error.remedy}", NAMES) from error
    return Ranged(
        word=word or None,
        said_from=said_from,
        said_to=said_to,
        zone_name=zone_name or "UTC",
        zone=zone,
        span=found,
    )


def _once(query: MultiMapping[str], name: str) -> str:
    values = query.getall(name, [])
    if len(values) > 1:
        raise BadQuestionError(f"{name} may be given once only.", NAMES)
    return str(values[0]) if values else ""
