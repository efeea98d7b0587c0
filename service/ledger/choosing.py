"""Choosing: which calls are meant, as a filter, and as conditions of SQL over `calls`."""

from typing import Any

import msgspec

from service.core.times import NS_PER_S, utc_ns, utc_text
from service.ledger.rows import NOTHING, bucket
from service.ledger.verdicts import CODE, codes_of

OPEN = "open"
Conditions = tuple[list[str], list[Any]]
"""Conditions of SQL, and the values to bind."""
_QUARTER_NS = 15 * 60 * NS_PER_S
OF_ATTEMPTS = ("provider", "model", "wallet")
OF_CALLS = ("tool", "client")


class CallFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls are meant. Several values of a field mean any of them; none means all.

    Attributes:
        outcome: tool outcomes, or `open`.
        verdict: words of verdicts, or codes of their reasons.
        owner: the one client whose calls may be seen at all, whatever `client` says; None for all.
        since, until: RFC 3339 texts with a zone, half-open, by the time the call was opened.
    """

    provider: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    wallet: tuple[str, ...] = ()
    tool: tuple[str, ...] = ()
    client: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    verdict: tuple[str, ...] = ()
    owner: str | None = None
    since: str | None = None
    until: str | None = None


def where_clause(parts: list[str]) -> str:
    """Join conditions into a WHERE clause, with a space before it; nothing if there are none."""
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def conditions(only: CallFilter) -> Conditions:
    """Write a filter as SQL conditions over `calls`, with the values to bind."""
    found: list[str] = []
    values: list[Any] = []
    for name in OF_CALLS:
        _any_of(f"calls.{name}", getattr(only, name), found, values)
    if only.owner is not None:
        found.append("calls.client = ?")
        values.append(only.owner)
    inner: list[str] = []
    for name in OF_ATTEMPTS:
        _any_of(f"one.{name}", getattr(only, name), inner, values)
    if inner:
        of_the_call = where_clause(["one.tool_call_id = calls.tool_call_id", *inner])
        found.append(f"EXISTS (SELECT 1 FROM attempts AS one{of_the_call})")  # noqa: S608 - our own names
    _any_of(f"coalesce(calls.outcome, '{OPEN}')", only.outcome, found, values)
    if only.verdict:
        codes = codes_of(only.verdict)  # none, where nothing can have such a verdict yet
        found.append(f"{CODE} IN ({', '.join('?' * len(codes))})")
        values.extend(codes)
    for bound, sign in ((only.since, ">="), (only.until, "<")):
        if bound is not None:
            found.append(f"calls.opened_at {sign} ?")
            values.append(_time(bound))
    return found, values


def split(only: CallFilter) -> tuple[Conditions, Conditions | None]:
    """Write a filter as conditions over `calls` and over `rollups`: each call that is meant is under one of them.

    The second are None where roll-ups cannot tell which calls are meant, or hold no whole quarter hour of them.
    """
    found, values = conditions(only)
    first = None if only.since is None else _quarter(only.since, up=True)
    end = None if only.until is None else _quarter(only.until, up=False)
    if only.outcome or only.verdict or (first is not None and end is not None and first >= end):
        return (found, values), None
    # Each part is asked for by its own index: joined by OR, one of them would have all older calls read.
    apart = ["SELECT tool_call_id FROM calls INDEXED BY calls_apart WHERE rolled_up = 0"]
    bounds: list[Any] = []
    rolled: list[str] = []
    asked: list[Any] = []
    if first is not None and only.since is not None:
        apart.append("SELECT tool_call_id FROM calls WHERE opened_at >= ? AND opened_at < ?")
        bounds += [_time(only.since), _in_full(first)]
        rolled.append("bucket >= ?")
        asked.append(first)
    if end is not None and only.until is not None:
        apart.append("SELECT tool_call_id FROM calls WHERE opened_at >= ? AND opened_at < ?")
        bounds += [_in_full(end), _time(only.until)]
        rolled.append("bucket < ?")
        asked.append(end)
    # A plus keeps a column from being looked up by its index: all calls of the range would be read.
    found = [f"+{part}" if part.startswith("calls.") else part for part in found]
    found.insert(0, f"calls.tool_call_id IN ({' UNION ALL '.join(apart)})")
    for name in (*OF_CALLS, *OF_ATTEMPTS):
        wanted = getattr(only, name)
        known = tuple(value for value in wanted if value != NOTHING)  # there it says that there was no attempt
        _any_of(name, known, rolled, asked)
        if wanted and not known:
            return (found, [*bounds, *values]), None
    if only.owner is not None:
        rolled.append("client = ?")
        asked.append(only.owner)
    return (found, [*bounds, *values]), (rolled, asked)


def _time(text: str) -> str:
    return utc_text(utc_ns(text))  # texts compare as times only with the same number of digits


def _quarter(text: str, *, up: bool) -> str:
    """Give the quarter hour that a time falls into; or the next one, unless it begins with this."""
    at_ns = utc_ns(text)
    return bucket(utc_text(at_ns + (_QUARTER_NS - 1 if up else 0)))


def _in_full(quarter: str) -> str:
    return quarter.replace("Z", ".000000Z")


def _any_of(column: str, wanted: tuple[str, ...], found: list[str], values: list[Any]) -> None:
    if wanted:
        found.append(f"{column} IN ({', '.join('?' * len(wanted))})")
        values.extend(wanted)
