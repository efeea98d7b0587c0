"""An account: what was spent in a range, by what, with totals; and how it is told as JSON, the same everywhere."""

from collections.abc import Mapping
from typing import Any

import msgspec

from service.core.money import decimal_text
from service.core.spending import BY, COUNTS, Spending

VERSION = 1
FILTERS = ("provider", "wallet", "model", "tool", "client")
_AMOUNTS = ("spent_pico", "held_pico")
_COUNTS = tuple(name for name in COUNTS if name not in _AMOUNTS)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which spending is meant, in a person's words. Several values of a filter mean any of them.

    Attributes:
        by: words of `core.spending.BY`.
        range: a word of `core.ranges.RANGES`; None beside since and until, or for all of the ledger.
        since, until: times or days, half-open, in the zone where they name none.
        zone: an IANA name.
        provider, wallet, model: calls with such an attempt; all attempts of these calls count.
    """

    by: tuple[str, ...] = ()
    range: str | None = None
    since: str | None = None
    until: str | None = None
    zone: str = "UTC"
    provider: tuple[str, ...] = ()
    wallet: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    tool: tuple[str, ...] = ()
    client: tuple[str, ...] = ()

    @property
    def filters(self) -> dict[str, tuple[str, ...]]:
        """The filters that leave calls out."""
        return {name: getattr(self, name) for name in FILTERS if getattr(self, name)}


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The answer.

    Attributes:
        as_of: when the ledger was read, a UTC text.
        owner: the one client whose calls were looked at; None for all.
        since, until: the bounds that were meant, UTC texts, half-open by the call's opening; None is unbounded.
        rows: per group, currency, and real or simulated.
        totals: the same over all groups. Rows' calls may overlap, so totals are not their sums.
    """

    asked: Asked
    as_of: str
    owner: str | None = None
    since: str | None
    until: str | None
    rows: tuple[Spending, ...]
    totals: tuple[Spending, ...]

    @property
    def simulated(self) -> bool:
        """Whether any of it is no real money."""
        return any(row.simulated for row in self.totals)


def told(account: Account) -> dict[str, Any]:
    """Tell an account as JSON (`SCHEMA`): amounts are decimal strings of the row's currency, null if unknown."""
    asked = account.asked
    return {
        "version": VERSION,
        "as_of": account.as_of,
        "owner": account.owner,
        "range": {"word": asked.range, "zone": asked.zone, "since": account.since, "until": account.until},
        "by": list(asked.by),
        "filter": {name: list(values) for name, values in asked.filters.items()},
        "rows": [told_row(row, asked.by) for row in account.rows],
        "totals": [told_row(row, ()) for row in account.totals],
    }


def told_row(row: Spending, by: tuple[str, ...]) -> dict[str, Any]:
    """Tell a row: what it is grouped by, then its currency, counts and amounts."""
    return {
        **{name: getattr(row, name) for name in by},
        "currency": row.currency,
        "simulated": row.simulated,
        **{name: getattr(row, name) for name in _COUNTS},
        **{name.removesuffix("_pico"): _amount(row, name) for name in _AMOUNTS},
        "last_at": row.last_at,
    }


def span_text(account: Account) -> str:
    """Say in words which time an account is of."""
    asked = account.asked
    if account.since is None and account.until is None:
        return "all of the ledger"
    bounds = [f"from {account.since}"] if account.since else []
    bounds += [f"to {account.until}"] if account.until else []
    said = f"{asked.range} in {asked.zone}, " if asked.range else ""
    return said + " ".join(bounds)


def spent_text(row: Spending) -> str:
    """Say what a row's settled attempts cost. What is unknown, or not settled, is never 0 and never nothing."""
    if row.currency is not None:
        return f"{decimal_text(row.spent_pico)} {row.currency}"
    if row.unpriced:
        return "unknown"
    if row.plan:
        return "paid by a plan"
    if row.settled:
        return "free"
    return "none settled" if row.in_doubt or row.open else "nothing"


def held_text(row: Spending) -> str:
    """Say what is held for a row's attempts in doubt; empty where there are none."""
    if not row.in_doubt:
        return ""
    return "unknown" if row.currency is None else f"≤ {decimal_text(row.held_pico)} {row.currency}"


def _amount(row: Spending, name: str) -> str | None:
    return None if row.currency is None else decimal_text(getattr(row, name))


def _object(properties: Mapping[str, Any], *optional: str) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_TEXT: Mapping[str, Any] = {"type": "string"}
_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0}
_TEXT_OR_NULL: Mapping[str, Any] = {"type": ["string", "null"]}
_DECIMAL: Mapping[str, Any] = {
    "type": ["string", "null"],
    "pattern": r"^[0-9]+(\.[0-9]+)?$",
    "description": "An exact decimal of the row's currency; null where that is unknown.",
}
_ROW = _object(
    {
        **dict.fromkeys(BY, _TEXT_OR_NULL),
        "currency": {**_TEXT_OR_NULL, "description": "Null: no price is known, or no provider was asked."},
        "simulated": {"type": "boolean", "description": "True: a simulator was asked; no real money."},
        **dict.fromkeys(_COUNTS, _COUNT),
        "spent": _DECIMAL,
        "held": {**_DECIMAL, "description": "Worst case of the attempts in doubt; never counted as spend."},
        "last_at": {**_TEXT_OR_NULL, "description": "When the newest of the calls was opened, UTC."},
    },
    *BY,
)
SCHEMA: Mapping[str, Any] = _object(
    {
        "version": {"type": "integer"},
        "as_of": _TEXT,
        "owner": {**_TEXT_OR_NULL, "description": "The one client whose calls were looked at; null: all."},
        "range": _object({"word": _TEXT_OR_NULL, "zone": _TEXT, "since": _TEXT_OR_NULL, "until": _TEXT_OR_NULL}),
        "by": {"type": "array", "items": {"enum": list(BY)}},
        "filter": {"type": "object", "additionalProperties": {"type": "array", "items": _TEXT}},
        "rows": {"type": "array", "items": _ROW},
        "totals": {
            "type": "array",
            "items": _ROW,
            "description": "Per currency, real and simulated apart; never added further.",
        },
    }
)
"""JSON Schema 2020-12 of what `told` gives."""
