"""Set a budget, or change the one of its name. It holds for the next attempt, without a restart."""

from collections.abc import Iterator, Sequence

import msgspec

from service.actions._action import Action, Stand
from service.actions._budgets import refuse_the_file_s, standing
from service.core.budget import FILTERS
from service.core.entries import BudgetEntry, BudgetTerms
from service.core.terms import BudgetTermsError, terms, zone_for
from service.core.wallet import Wallet
from service.core.words import BudgetEvent, BudgetPeriod
from service.errors import ActionError

BUDGETS_MAX = 100  # each intent is compared with all of them


class BudgetSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a budget shall allow. What is None or empty stays as it is; of limits, those in other units.

    Attributes:
        limits: such as `5 USD`, `100000 tokens`.
        zone: IANA name; that of the wallets it governs if a new budget names none.
    """

    name: str
    limits: tuple[str, ...] = ()
    period: str | None = None
    zone: str | None = None
    client: str | None = None
    provider: str | None = None
    wallet: str | None = None
    model: str | None = None
    tool: str | None = None
    each: tuple[str, ...] | None = None
    allow_unknown_price: bool | None = None


class BudgetStands(msgspec.Struct, frozen=True, kw_only=True):
    """The budget that holds now.

    Attributes:
        before: what held until now; None if nothing did.
        index: the entry's; None if nothing had to be written.
        warnings: what the operator should know about it, one sentence each.
    """

    terms: BudgetTerms
    before: BudgetTerms | None
    index: int | None
    warnings: tuple[str, ...]


async def _run(asked: BudgetSet, stand: Stand, by: str) -> BudgetStands:
    there = await standing(stand)
    entry = there.get(asked.name)
    refuse_the_file_s(entry)
    before = None if entry is None else entry.terms
    if before is None and len(there) >= BUDGETS_MAX:
        raise ActionError(
            f"there are {len(there)} budgets; that is the limit",
            remedy="Remove those that nobody needs: exai budget list tells. One with --each may do for many.",
        )
    wallets = stand.wallets()
    try:
        stated = _stated(asked, before, wallets)
    except BudgetTermsError as error:
        raise ActionError(str(error), remedy=error.remedy) from error
    warnings = tuple(_strangers(stated, wallets))
    if stated == before:
        return BudgetStands(terms=stated, before=before, index=None, warnings=warnings)
    said = BudgetEntry(event=BudgetEvent.SET, name=stated.name, terms=stated, warning=None, by=by)
    (step,) = await stand.ledger.append(said)
    return BudgetStands(terms=stated, before=before, index=step.entry.index, warnings=warnings)


def _stated(asked: BudgetSet, before: BudgetTerms | None, wallets: Sequence[Wallet]) -> BudgetTerms:
    """Put what is asked over what stands.

    Raises:
        BudgetTermsError: no budget can be so.
    """
    if before is None:
        filters = {word: getattr(asked, word) for word in FILTERS}
        period = asked.period or _no_period(asked.name)
        return terms(
            name=asked.name,
            limits=asked.limits,
            period=period,
            zone=asked.zone or _zone(period, filters, wallets),
            each=asked.each or (),
            allow_unknown_price=bool(asked.allow_unknown_price),
            **filters,
        )
    allowing = before.allow_unknown_price if asked.allow_unknown_price is None else asked.allow_unknown_price
    stated = terms(
        name=asked.name,
        limits=asked.limits or [f"{amount} {unit}" for unit, amount in before.limits.items()],
        period=asked.period or before.period,
        zone=asked.zone or before.zone,
        each=before.each if asked.each is None else asked.each,
        allow_unknown_price=allowing,
        **{word: getattr(asked, word) or getattr(before, word) for word in FILTERS},
    )
    return msgspec.structs.replace(stated, limits=before.limits | stated.limits)


def _no_period(name: str) -> str:
    raise BudgetTermsError(
        f"there is no budget {name[:60]!r} yet, and a new one needs a period",
        remedy=f"Say one of: --per {', --per '.join(BudgetPeriod)}.",
    )


def _zone(period: str, filters: dict[str, str | None], wallets: Sequence[Wallet]) -> str:
    """Choose the zone of the wallets that may be governed."""
    zones = [
        one.zone
        for one in wallets
        if filters["wallet"] in (None, one.name) and filters["provider"] in (None, one.provider)
    ]
    try:
        return zone_for(period, zones)
    except BudgetTermsError as error:
        raise BudgetTermsError(
            str(error), remedy=f"Say which is meant: --zone {zones[0]}, or --wallet."
        ) from error


def _strangers(stated: BudgetTerms, wallets: Sequence[Wallet]) -> Iterator[str]:
    """Name what no attempt has, as far as the settings say."""
    for word, names in (
        ("wallet", sorted({one.name for one in wallets})),
        ("provider", sorted({one.provider for one in wallets})),
    ):
        said = getattr(stated, word)
        if names and said is not None and said not in names:
            yield f"no attempt has the {word} {said!r} of this budget now; there are: {', '.join(names)}"


ACTION = Action(name="budget-set", request=BudgetSet, reply=BudgetStands, run=_run)
