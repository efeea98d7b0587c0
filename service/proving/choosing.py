"""Choosing what to prove: a wallet with a counter that can be read, and a model that moves it."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core import pricing
from service.core.books import ReadingEntry
from service.core.money import decimal_text, pico
from service.core.movement import CREDITS, PERCENT, QUOTAS, Movement, movements, speaks
from service.core.pricing import Row
from service.core.proving import Proof, ProofAsked
from service.core.shapes import Ask, Clock, Message, Provider
from service.core.times import NS_PER_S
from service.core.usage import Usage
from service.core.wallet import Wallet
from service.core.words import CostStatus, ReadingCause, ReadingOutcome, VerdictWord
from service.errors import InvalidArgumentsError
from service.proving import paying, remedies
from service.proving.means import Means
from service.proving.portion import Measure

COST_MAX = {"USD": "0.05", "CNY": "0.40", CREDITS: "400"}
"""The most that the calls of a proof may come to if nobody says, by unit. A balance of five decimals needs a
hundredth of it, the rest is room for a dear model and a busy wallet. A plan's counter of whole credits needs about
sixty; the bound of a call is several times that, for it counts every byte as a token."""
CEILING_TIMES = 10
"""How many times that may be asked for where a form asks: a slip of the finger is no order."""
_NAMED_MAX = 4
_CALL_S_MAX = 900  # an attempt ends by then, if the deadlines are the usual ones
_PROBE = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A wallet, a model, and how the one's counter shows the other's usage.

    Attributes:
        movement: of the counter that is watched, as it stands now; its unit and its steps are what matters.
        cost_max: the cap, in pico-units of that unit.
        shown: by how much a usage moves the counter.
        worst: by how much a usage of that size can move it at most.
        thinking: False where the model can be asked not to think, else None.
    """

    wallet: Wallet
    provider: Provider
    model: str
    opening: tuple[ReadingEntry, ...]
    movement: Movement
    cost_max: int
    shown: Measure
    worst: Measure
    thinking: bool | None


def ceilings(wallets: Sequence[Wallet]) -> dict[str, tuple[str, str]]:
    """Give by wallet the most that a form may ask for, and its unit; none for one whose unit is not known."""
    units = {one.name: CREDITS if one.plan is not None else one.currency for one in wallets}
    return {
        name: (decimal_text(CEILING_TIMES * pico(COST_MAX[unit])), unit)
        for name, unit in units.items()
        if unit in COST_MAX
    }


async def choose(means: Means, asked: ProofAsked) -> Chosen | Proof:
    """Find the first wallet that can be proved; else say of the first that was meant why it cannot.

    Raises:
        InvalidArgumentsError: there is no such wallet, or the cap is no amount.
        NoWalletError: there is no wallet at all.
    """
    _checked(asked)
    refused: Proof | None = None
    for wallet in _meant(means, asked):
        found = await _look(means, asked, wallet)
        if isinstance(found, Chosen):
            return found
        refused = refused or found
    assert refused is not None  # noqa: S101 - there is one wallet at least
    return refused


def unproven(
    wallet: Wallet,
    model: str,
    code: str,
    sentence: str,
    *,
    word: VerdictWord = VerdictWord.UNVERIFIED,
    opening: ReadingEntry | None = None,
) -> Proof:
    """Say why there is nothing to judge: no call was made."""
    return Proof(
        wallet=wallet.name,
        provider=wallet.provider,
        simulated=wallet.simulated,
        model=model,
        unit=opening.figures[0].unit if opening is not None and opening.figures else None,
        calls=0,
        spent="0",
        opening=opening,
        closing=None,
        verdict=None,
        word=word,
        code=code,
        sentence=sentence,
    )


def _checked(asked: ProofAsked) -> None:
    if asked.max_cost is None:
        return
    try:
        above_zero = pico(asked.max_cost) > 0
    except ValueError:
        above_zero = False
    if not above_zero:
        raise InvalidArgumentsError(
            f"{asked.max_cost[:40]!r} is no amount above zero", remedy="Write it as 0.05, without a currency."
        )


def _meant(means: Means, asked: ProofAsked) -> list[Wallet]:
    """Give the wallets to try: those that a named model may belong to."""
    meant = means.meant(asked.wallet)
    owners = {row.provider for row in means.prices.rows if row.model == asked.model}
    return [wallet for wallet in meant if not owners or wallet.provider in owners] or list(meant)


async def _look(means: Means, asked: ProofAsked, wallet: Wallet) -> Chosen | Proof:
    """Read a wallet's counters, and see whether a model's usage would show in them."""
    provider = means.providers[wallet.provider]
    model = asked.model or provider.model_for(wallet.plan)
    opening = means.in_order(wallet, await means.readers.read(wallet, cause=ReadingCause.PROOF))
    read = [reading for reading in opening if reading.outcome is ReadingOutcome.READ and reading.figures]
    heard = [reading for reading in opening if reading in read or speaks(reading)]
    if not heard:
        why = remedies.why_not_read(opening)
        help_ = remedies.of_reading(wallet, provider, opening)
        return unproven(wallet, model, "U4", f"No reading can be had: {why}. No call was made. {help_}")
    rated = _rated(means, wallet, provider, model)
    if isinstance(rated, Proof):
        return rated
    told = {movement.unit: movement for movement in movements(tuple(read), tuple(read))}
    paid_in = wallet.currency if wallet.plan is None else CREDITS
    movement = told.get(paid_in or "")
    if movement is None:
        code, sentence = _unmoved(wallet, heard)
        return unproven(wallet, model, code, sentence, opening=heard[0])
    shown, worst = _measures(wallet, provider, model, rated, means.clock)
    return Chosen(
        wallet=wallet,
        provider=provider,
        model=model,
        opening=opening,
        movement=movement,
        cost_max=pico(asked.max_cost or COST_MAX.get(movement.unit, "0")),
        shown=shown,
        worst=worst,
        thinking=_thinking(provider, model),
    )


def _rated(means: Means, wallet: Wallet, provider: Provider, model: str) -> Row | Proof | None:
    """Give the price of a model whose usage has a known, paid one here; None where a plan rates it."""
    at_ns, host = means.clock.now_ns(), wallet.price_host or ""
    if wallet.plan is not None:
        if paying.is_rated(wallet, provider, model, at_ns=at_ns):
            return None
        rated = paying.rated(wallet, provider, means.prices, at_ns=at_ns)
        which = f" Name one that it rates: {', '.join(rated)}." if rated else ""
        said = f"What {model} draws from the plan {wallet.plan} is not known, so nothing can be compared."
        return unproven(wallet, model, "U7", f"{said} No call was made.{which}")
    row = means.prices.row(wallet.provider, host, model, at_ns)
    priced = means.prices.models(wallet.provider, host, at_ns)
    paid = [name for name in priced if not _row_of(means, wallet, name, at_ns).free]
    paid.sort(key=lambda name: name != provider.default_model)
    others = f" Name a model that is paid for, such as {', '.join(paid[:_NAMED_MAX])}." if paid else ""
    if row is None:
        said = f"No price is known for {model} at {wallet.host}, so nothing can be compared. No call was made."
        return unproven(wallet, model, "U7", said + others)
    if row.free:
        said = f"{model} is priced at zero: a call of it moves no counter, so none was made."
        return unproven(wallet, model, "N4", said + others, word=VerdictWord.NO_CREDIT_USED)
    return row


def _row_of(means: Means, wallet: Wallet, model: str, at_ns: int) -> Row:
    row = means.prices.row(wallet.provider, wallet.price_host or "", model, at_ns)
    assert row is not None  # noqa: S101 - the table has just named the model
    return row


def _measures(
    wallet: Wallet, provider: Provider, model: str, row: Row | None, clock: Clock
) -> tuple[Measure, Measure]:
    """Say how a usage shows in the counter at least, and what it costs at most, whenever it is asked.

    What a plan counts depends on the hour: that of the choice, the present one, or that in which a call ends.
    """
    chosen_ns = clock.now_ns()

    def drawn(usage: Usage) -> list[int]:
        now_ns = clock.now_ns()
        found = (
            provider.counters.drawn_pico(plan=wallet.plan or "", model=model, usage=usage, at_ns=at_ns)
            for at_ns in (chosen_ns, now_ns, now_ns + _CALL_S_MAX * NS_PER_S)
        )
        return [one for one in found if one is not None]

    def drawn_least(usage: Usage) -> int | None:
        return min(drawn(usage), default=None)

    def drawn_most(usage: Usage) -> int | None:
        return max(drawn(usage), default=None)

    def cost(usage: Usage) -> int | None:
        charged = pricing.cost(usage, row, "")
        return pico(charged.amount) if charged.status is CostStatus.PRICED and charged.amount else None

    def worst(usage: Usage) -> int | None:
        most = pricing.worst_case(usage.input_tokens, usage.output_tokens, row).amount
        return None if most is None else pico(most)

    return (cost, worst) if wallet.plan is None else (drawn_least, drawn_most)


def _thinking(provider: Provider, model: str) -> bool | None:
    """Ask for no thinking where the provider's file has a way to say so."""
    ask = Ask(messages=(Message("user", "?"),), thinking=False)
    try:
        provider.prepare(ask, model=model, max_output_tokens=1, unique=_PROBE)
    except InvalidArgumentsError:
        return None
    return False


def _unmoved(wallet: Wallet, heard: Sequence[ReadingEntry]) -> tuple[str, str]:
    """Say, as code and sentence, why the calls of a proof would not be seen in what the counters say."""
    untouched = {name for reading in heard for name in reading.tells}
    if wallet.plan is not None and untouched.intersection(QUOTAS):
        return "U4", (
            "Nothing was drawn from the plan's window yet, so its counter has no begin that could be counted from."
            " No call was made. One call with this wallet begins it: make one, then ask again."
        )
    units = {figure.unit for reading in heard for figure in reading.figures}
    units |= {PERCENT for name in untouched if name.startswith(PERCENT)}
    what = "the plan" if wallet.plan is not None else wallet.name
    return "U8", (
        f"The counters of {what} state {', '.join(sorted(units))} only: the calls of a proof are too small to be"
        " seen there. No call was made. Compare the provider's own pages over a day of use."
    )
