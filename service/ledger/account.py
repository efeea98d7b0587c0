"""The account of a ledger: a person's words resolved, and all its sums read at one moment."""

from service.core.account import Account, Asked
from service.core.ranges import find_zone, span
from service.core.times import utc_text
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading


def account(reading: Reading, asked: Asked, *, now_ns: int, owner: str | None = None) -> Account:
    """Answer a question about spending. Blocks: call it off the loop.

    Args:
        reading: of the ledger.
        asked: the question.
        now_ns: the time; ranges by a word end here.
        owner: the one client whose calls may be seen; None for all.

    Raises:
        InvalidArgumentsError: a word, time or zone that is not known.
        StoreError: the ledger cannot be read.
    """
    zone = find_zone(asked.zone)
    meant = span(word=asked.range, since=asked.since, until=asked.until, now_ns=now_ns, zone=zone)
    only = CallFilter(**asked.filters, owner=owner, since=meant.since, until=meant.until)
    with reading.snapshot():
        rows = reading.spending(only, by=asked.by, zone=zone)
        totals = reading.spending(only) if asked.by else rows
    return Account(
        asked=asked,
        as_of=utc_text(now_ns),
        owner=owner,
        since=meant.since,
        until=meant.until,
        rows=tuple(rows),
        totals=tuple(totals),
    )
