"""What a page's address asks for: a filter, a place and a length; anything else is refused with a sentence."""

from collections.abc import Mapping
from datetime import UTC
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web
from multidict import MultiMapping

from console.page import STATE
from console.words import OUTCOMES
from service.core.ranges import moment
from service.core.words import VerdictWord
from service.errors import InvalidArgumentsError
from service.ledger.choosing import CallFilter
from service.ledger.reading import PAGE_ROWS_MAX
from service.ledger.verdicts import codes_of

MANY = ("provider", "model", "wallet", "tool", "client", "outcome", "verdict")
NAMES: Mapping[str, str] = {
    "provider": "only calls that asked this provider",
    "model": "only calls that asked this model",
    "wallet": "only calls with an attempt that this wallet pays for",
    "tool": "only calls of this tool",
    "client": "only calls of this client",
    "outcome": f"how the call ended: {', '.join(OUTCOMES)}",
    "verdict": f"the verdict ({', '.join(VerdictWord)}), or a reason's code, for example U4",
    "since": "opened at this time or later, for example 2026-11-22T16:00:00Z",
    "until": "opened before this time",
    "before": "only calls older than this ledger index; the link “Older” sets it",
    "limit": f"how many calls at most; one page shows up to {PAGE_ROWS_MAX}",
}
ROWS_PER_PAGE = 50
_INDEX_MAX = 2**53


class BadQuestionError(ValueError):
    """The address asks for what the console does not know; the text is fit to show.

    Args:
        said: what is wrong.
        names: what the page knows, and what each means.
    """

    def __init__(self, said: str, names: Mapping[str, str] = NAMES) -> None:
        super().__init__(said)
        self.names = names


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls, from where on, and how many (None where the address does not say)."""

    only: CallFilter
    before: int | None = None
    limit: int | None = None

    @property
    def filtered(self) -> bool:
        """Whether any call may be left out by the filter."""
        return self.only != CallFilter(owner=self.only.owner)

    def query(self, *, before: int | None = None, limit: int | None = None) -> str:
        """Write the filter as an address's query, `?` included; empty for no filter."""
        pairs = [(name, value) for name in MANY for value in getattr(self.only, name)]
        once = {"since": self.only.since, "until": self.only.until, "before": before, "limit": limit}
        pairs += [(name, str(value)) for name, value in once.items() if value is not None]
        return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""


def asked(request: web.Request) -> Asked:
    """Read what an address asks for, of the calls that the request may see. A name without a value says nothing.

    Raises:
        BadQuestionError: an unknown name, a bad value, or a second value where one is meant.
    """
    query = request.query
    for name in query:
        if name not in NAMES:
            raise BadQuestionError(f"This page knows no parameter named {name!r}.")
    many = {name: tuple(dict.fromkeys(filter(None, query.getall(name, [])))) for name in MANY}
    for outcome in many["outcome"]:
        if outcome not in OUTCOMES:
            raise BadQuestionError(f"{outcome!r} is no outcome. It must be one of: {', '.join(OUTCOMES)}.")
    for verdict in many["verdict"]:
        if not codes_of([verdict]) and verdict not in set(VerdictWord):
            raise BadQuestionError(
                f"{verdict!r} is no verdict. It must be one of: {', '.join(VerdictWord)}; or a reason's code."
            )
    since, until = _time(query, "since"), _time(query, "until")
    if since is not None and until is not None and until <= since:
        raise BadQuestionError("until must be later than since.")
    return Asked(
        only=CallFilter(**many, owner=request.config_dict[STATE].owner(request), since=since, until=until),
        before=whole(query, "before", 0, _INDEX_MAX),
        limit=whole(query, "limit", 1, _INDEX_MAX),
    )


def asked_for_page(request: web.Request) -> Asked:
    """Read what a page of limited length is asked for.

    Raises:
        BadQuestionError: as `asked`, or the page would be too long.
    """
    found = asked(request)
    if found.limit is not None and found.limit > PAGE_ROWS_MAX:
        raise BadQuestionError(f"limit must be a whole number from 1 to {PAGE_ROWS_MAX} for a page.")
    return found


def asked_before(request: web.Request) -> int | None:
    """Read from where on a page lists entries, newest first: the one parameter that it knows is `before`.

    Raises:
        BadQuestionError: another name, a bad value, or a second value.
    """
    known = {"before": "only entries older than this ledger index; the link “Older” sets it"}
    for name in request.query:
        if name not in known:
            raise BadQuestionError(f"This page knows no parameter named {name!r}.", known)
    return whole(request.query, "before", 0, _INDEX_MAX)


def once(query: MultiMapping[str], name: str) -> str | None:
    """Read a value that may be given once; None if it is not, or is empty.

    Raises:
        BadQuestionError: it is given twice.
    """
    values = query.getall(name, [])
    if len(values) > 1:
        raise BadQuestionError(f"{name} may be given once only.")
    return values[0] if values and values[0] else None


def whole(query: MultiMapping[str], name: str, least: int, most: int) -> int | None:
    """Read a whole number; None if it is not given.

    Raises:
        BadQuestionError: it is none, lies outside its bounds, or is given twice.
    """
    text = once(query, name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most:
        return int(text)
    raise BadQuestionError(f"{name} must be a whole number, {least} or more; it is {text!r}.")


def _time(query: MultiMapping[str], name: str) -> str | None:
    """Read a time; one without a zone is UTC, as every time the console shows."""
    text = once(query, name)
    if text is None:
        return None
    if not {":", "T"}.isdisjoint(
        text.rpartition(" ")[0]
    ):  # a plus sign that was not written as %2B arrives as a space
        raise BadQuestionError(f"{name} is {text!r}: write + as %2B, or give the time in UTC, ending with Z.")
    try:
        return moment(text, name=name, zone=UTC)
    except InvalidArgumentsError as error:
        raise BadQuestionError(f"This cannot be shown: {error}. {error.remedy}") from error
