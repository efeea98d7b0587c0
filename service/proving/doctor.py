"""The doctor: which account each key spends from, what can be read of it, and what must be mended.

It sends inquiries alone, which cost nothing, writes nothing, and needs no ledger.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from service.core.books import Figure, ReadingEntry
from service.core.entries import AnyEntry
from service.core.money import pico
from service.core.movement import read, speaks
from service.core.pricing import PriceTable
from service.core.record import Step
from service.core.shapes import Clock, Provider
from service.core.times import NS_PER_S, dated_ns, utc_ns, utc_text
from service.core.wallet import Wallet
from service.core.words import ReadingCause, ReadingOutcome
from service.proving import remedies
from service.proving.alike import pairs
from service.proving.paying import default_price, rated
from service.proving.readings import Inquires, Readers

SKEW_S_MAX = 60


class Severity(StrEnum):
    """How much a finding matters."""

    MEND = "mend"
    WARNING = "warning"
    NOTE = "note"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person should know, and what can be done about it."""

    severity: Severity
    what: str
    remedy: str = ""


class CounterSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking one counter."""

    counter: str
    outcome: ReadingOutcome
    status: int | None
    figures: tuple[Figure, ...]
    message: str


class WalletSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one key's account. No part of the key.

    Attributes:
        fingerprint: first 8 hex of the key's SHA-256.
        key: `valid`, `refused`, or `unknown` where nobody said.
        tells: tier and limits, in the provider's words.
        default_model: asked when nobody names a model.
        default_price: `priced`, `free` or `unknown price`; of a plan whether that rates it.
        skew_s: by how many seconds this machine's clock is ahead of the provider's; None if it did not say.
    """

    name: str
    provider: str
    host: str
    own_host: bool
    plan: str | None
    currency: str | None
    simulated: bool
    fingerprint: str
    key: str
    tells: dict[str, str]
    default_model: str
    default_price: str
    counters: tuple[CounterSeen, ...]
    skew_s: int | None
    findings: tuple[Finding, ...]


async def examine(
    inquirer: Inquires, wallet: Wallet, provider: Provider, prices: PriceTable, clock: Clock
) -> WalletSeen:
    """Ask a wallet's counters once, and say what that tells.

    Args:
        inquirer: sends the questions.
        wallet: whose.
        provider: the wallet's.
        prices: every known price.
        clock: this machine's, which is compared with the provider's.
    """
    readings = await _ask(inquirer, wallet, provider, clock)
    price = default_price(wallet, provider, prices, at_ns=clock.now_ns())
    skew_s = next((skew for skew in map(_skew, readings) if skew is not None), None)
    key = remedies.key_state(readings)
    findings = [
        *_of_key(wallet, provider, readings, key),
        *await _of_plan(inquirer, wallet, provider, readings, clock),
        *_of_counters(wallet, provider, readings, key),
        *_of_model(wallet, provider, price, rated(wallet, provider, prices, at_ns=clock.now_ns())),
        *_of_clock(skew_s),
        *_of_host(wallet, provider),
        *_of_path(wallet, provider),
    ]
    return WalletSeen(
        name=wallet.name,
        provider=wallet.provider,
        host=wallet.host,
        own_host=wallet.own_host,
        plan=wallet.plan,
        currency=wallet.currency,
        simulated=wallet.simulated,
        fingerprint=wallet.fingerprint,
        key=key,
        tells={name: value for reading in readings for name, value in reading.tells.items()},
        default_model=provider.model_for(wallet.plan),
        default_price=price,
        counters=tuple(_seen(reading) for reading in readings),
        skew_s=skew_s,
        findings=tuple(findings),
    )


def no_wallets(providers: Mapping[str, Provider]) -> Finding:
    """Say that no key is configured."""
    variables = " or ".join(provider.key_variables[0] for provider in providers.values())
    return Finding(
        severity=Severity.WARNING,
        what="No key is configured: the service would start simulators, and nothing real is asked.",
        remedy=f"Set {variables}.",
    )


def of_one_account(seen: Sequence[WalletSeen]) -> tuple[Finding, ...]:
    """Say which keys seem to be of one account, although the provider does not tell: their money is the same."""
    kinds: dict[tuple[object, ...], list[WalletSeen]] = {}
    for one in seen:
        alike = kinds.setdefault((one.provider, one.host, one.plan, one.currency, one.simulated), [])
        if one.fingerprint not in {other.fingerprint for other in alike}:
            alike.append(one)
    found = [
        pair
        for alike in kinds.values()
        for pair in pairs(
            [one.name for one in alike],
            [[figure for counter in one.counters for figure in counter.figures] for one in alike],
        )
    ]
    return tuple(
        Finding(
            severity=Severity.WARNING,
            what=f"{one} and {other} state the same money to the last digit: both seem to spend from one account.",
            remedy="Use one key of an account: what the other one spends is told as somebody else's.",
        )
        for one, other in found
    )


class _Unwritten:
    """A ledger that keeps nothing: what is appended comes back as it is, with the time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def append(self, *of: AnyEntry) -> asyncio.Future[tuple[Step, ...]]:
        at = utc_text(self._clock.now_ns())
        done: asyncio.Future[tuple[Step, ...]] = asyncio.get_running_loop().create_future()
        done.set_result(tuple(Step(msgspec.structs.replace(entry, at=at), None) for entry in of))
        return done

    def latest_readings(self, wallet: str) -> tuple[ReadingEntry, ...]:  # noqa: ARG002 - nothing was read before
        return ()


async def _ask(inquirer: Inquires, wallet: Wallet, provider: Provider, clock: Clock) -> tuple[ReadingEntry, ...]:
    nowhere = _Unwritten(clock)
    readers = Readers(inquirer, nowhere, nowhere, clock, {provider.name: provider})
    return await readers.read(wallet, cause=ReadingCause.DEMAND)


def _of_key(wallet: Wallet, provider: Provider, readings: Sequence[ReadingEntry], key: str) -> list[Finding]:
    if key != "refused":
        return []
    said = next(one.message for one in readings if remedies.is_of_key(one.status, one.provider_code))
    what = f"{provider.title} refuses the key {wallet.fingerprint}… at {wallet.host}: {said}"
    return [Finding(severity=Severity.MEND, what=what, remedy=remedies.of_key(wallet, provider))]


async def _of_plan(
    inquirer: Inquires, wallet: Wallet, provider: Provider, readings: Sequence[ReadingEntry], clock: Clock
) -> list[Finding]:
    """Tell an empty account, a plan's key where its plan does not pay, and a plan's path without a plan."""
    if wallet.plan is not None:
        gone = [one for one in readings if one.outcome is ReadingOutcome.NOT_OFFERED]
        if not gone or remedies.key_state(readings) == "valid":
            return []
        what = f"The account has no plan {wallet.plan}, or none in force: {gone[0].message}"
        remedy = remedies.of_no_plan(wallet, provider)
        return [Finding(severity=Severity.MEND, what=what, remedy=f"{remedy[:1].upper()}{remedy[1:]}.")]
    if not _is_empty(readings):
        return []
    plan = provider.plan(remedies.plan_path(wallet, provider) or "")
    if plan is not None:
        asked = msgspec.structs.replace(wallet, plan=plan)
        quota = await _ask(inquirer, asked, provider, clock)
        if any(one.outcome is ReadingOutcome.READ for one in quota):
            what = (
                f"The account has no money, and a plan, {plan}: calls at {wallet.host} are paid with money, so"
                f" they would be refused with {remedies.NO_PACKAGE}."
            )
            remedy = f"If the plan shall pay, {remedies.of_plan(wallet, provider)}."
            return [Finding(severity=Severity.MEND, what=what, remedy=remedy)]
    what = "The account has no money left: calls would be refused."
    return [Finding(severity=Severity.MEND, what=what, remedy=f"Top it up at {provider.title}.")]


def _is_empty(readings: Sequence[ReadingEntry]) -> bool:
    figures = [figure for reading in read(readings) for figure in reading.figures]
    left = [figure for figure in figures if figure.name == "available"]
    packages = [figure for figure in figures if figure.name == "package_tokens"]
    return (
        bool(left)
        and all(pico(one.amount) <= 0 for one in left)
        and not any(pico(one.amount) > 0 for one in packages)
    )


def _of_counters(wallet: Wallet, provider: Provider, readings: Sequence[ReadingEntry], key: str) -> list[Finding]:
    without_plan = wallet.plan is not None and key == "unknown"
    gone = any(reading.outcome is ReadingOutcome.NOT_OFFERED for reading in readings)
    if key == "refused" or (without_plan and gone):
        return []  # said already
    figured = any(map(speaks, readings))
    found = []
    for reading in readings:
        if reading.outcome is ReadingOutcome.UNREACHABLE:
            what = f"{reading.endpoint} could not be reached: {reading.message}"
            remedy = f"Check the network and {provider.base_url_variable}."
            found.append(Finding(severity=Severity.MEND, what=what, remedy=remedy))
        elif reading.outcome is not ReadingOutcome.READ and figured:
            what = f"{remedies.why_not_read([reading])}; another counter can be read."
            found.append(Finding(severity=Severity.NOTE, what=what))
    if not figured and not found:
        what = (
            f"No counter of {wallet.name} can be read: {remedies.why_not_read(readings)}. No call can be PROVEN."
        )
        remedy = remedies.of_reading(wallet, provider, readings)
        found.append(Finding(severity=Severity.WARNING, what=what, remedy=remedy))
    if any(map(remedies.untouched, readings)):
        what = "Nothing was drawn from the plan's window yet: what is drawn after its first use can be PROVEN."
        found.append(Finding(severity=Severity.NOTE, what=what))
    names = {name for one in readings for name in (*one.tells, *(figure.name for figure in one.figures))}
    if wallet.plan is not None and _any_of("percent", names) and not _any_of("credits", names):
        what = "The plan's quota is told in percent only: a single call is too small to be seen there."
        found.append(Finding(severity=Severity.WARNING, what=what, remedy="Look at a day of use at a time."))
    return found


def _any_of(unit: str, names: Iterable[str]) -> bool:
    """Whether a plan's window is counted in this unit: its name begins so, drawn from or not."""
    return any(name.startswith(f"{unit}_") for name in names)


def _of_model(wallet: Wallet, provider: Provider, price: str, named: Sequence[str]) -> list[Finding]:
    model = provider.model_for(wallet.plan)
    if price.startswith("not rated"):
        what = (
            f"What {model}, the default model, draws from the plan {wallet.plan} is not known: its calls may be"
            " refused, and cannot be PROVEN."
        )
        remedy = (
            f"Name one that it rates: {', '.join(named)}." if named else "Compare the provider's pages by hand."
        )
        return [Finding(severity=Severity.WARNING, what=what, remedy=remedy)]
    if price == "free":
        what = f"The default model, {model}, is free here: calls of it use no credit, so they prove nothing."
        return [Finding(severity=Severity.WARNING, what=what, remedy="Name a model that is paid for.")]
    if price == "unknown price":
        what = f"No price of {model} is known at {wallet.host}: what calls cost is shown as unknown."
        return [
            Finding(severity=Severity.WARNING, what=what, remedy="State it in a table of your own: EXAI_PRICES.")
        ]
    return []


def _of_clock(skew_s: int | None) -> list[Finding]:
    if skew_s is None or abs(skew_s) <= SKEW_S_MAX:
        return []
    way = "ahead of" if skew_s > 0 else "behind"
    what = f"This machine's clock is {abs(skew_s)} s {way} the provider's."
    return [Finding(severity=Severity.MEND, what=what, remedy="Set the clock, by NTP say: entries bear its time.")]


def _of_host(wallet: Wallet, provider: Provider) -> list[Finding]:
    if wallet.own_host or wallet.simulated:
        return []
    what = f"{wallet.host} is not {provider.title}'s own host: what is answered there is no proof of anything."
    remedy = f"Set {provider.base_url_variable}={provider.base_url} to ask {provider.title} itself."
    return [Finding(severity=Severity.WARNING, what=what, remedy=remedy)]


def _of_path(wallet: Wallet, provider: Provider) -> list[Finding]:
    remedy = remedies.of_path(wallet, provider)
    if remedy is None:
        return []
    what = f"{wallet.base_url} ends in no path at which {provider.title} takes requests: calls would fail."
    if not (wallet.own_host or wallet.simulated):
        what = f"{wallet.base_url} ends in no path of {provider.title}'s own: calls fail unless its host knows it."
        return [Finding(severity=Severity.WARNING, what=what, remedy=remedy)]
    return [Finding(severity=Severity.MEND, what=what, remedy=remedy)]


def _skew(reading: ReadingEntry) -> int | None:
    """Compare an answer's `Date`, of whole seconds, with the time of the answer."""
    stated_ns = dated_ns(reading.date)
    return None if stated_ns is None else (utc_ns(reading.at) - stated_ns) // NS_PER_S


def _seen(reading: ReadingEntry) -> CounterSeen:
    return CounterSeen(
        counter=reading.counter,
        outcome=reading.outcome,
        status=reading.status,
        figures=reading.figures,
        message=reading.message,
    )
