"""The one way of a chat request: written down, judged, worked on, billed, and only then answered.

The work takes no time: usage is known and the money taken before the first byte of the answer leaves. So a
client that goes away pays all the same, and an entry never changes once its answer began.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from aiohttp import web

from service.simulator.accounts import Account, Standing, standing_of, wallet_of
from service.simulator.asked import Asked, read_asked
from service.simulator.books import Entry
from service.simulator.faults import (
    ClockSkew,
    CutStream,
    DoubleBill,
    Error,
    Fault,
    Garbage,
    HalfOpen,
    Hang,
    NoHeaders,
    Overcharge,
    Redirect,
    ReplayedSignature,
    SameId,
    SecondSpender,
    Undercharge,
    WrongModel,
    kind_of,
    misreport,
    pick,
)
from service.simulator.provider import Provider
from service.simulator.rates import amount_nano, bill_nano, credits_nano, offered, plan_models
from service.simulator.shapes import Answer, Headers, Refused, Stamp, Usage
from service.simulator.text import count_prompt, perform
from service.simulator.wire import send
from service.simulator.world import World

BODY_BYTES_MAX = 16 << 20
_PEAK_HOURS_UTC = range(6, 10)  # 14:00 to 18:00 in UTC+8
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Visit:
    """One chat request on its way."""

    world: World
    provider: Provider
    entry: Entry
    stamped: Stamp
    faults: tuple[Fault, ...]
    standing: Standing
    account: Account | None
    nonces: tuple[str, ...]
    plan: bool


def key_of(request: web.Request) -> str | None:
    """Read the bearer key; None when there is none."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None


async def chat(request: web.Request, world: World, provider: Provider, *, plan: bool) -> web.StreamResponse:
    """Answer one chat request; `plan` bills it to the coding plan's credits instead of money."""
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        body = b""
    visit = _receive(request, world, provider, body, plan=plan)
    answer = _decide(visit, body)
    hung = pick(visit.faults, Hang) is not None
    visit.entry.status = None if hung else answer.status
    world.books.settle(visit.entry, visit.account)
    return await send(request, answer, visit.faults, world.closing)


def _receive(request: web.Request, world: World, provider: Provider, body: bytes, *, plan: bool) -> Visit:
    """Write the request down and find out whose it is and what will go wrong with it."""
    key = key_of(request)
    wallet = wallet_of(provider.NAME, key) if key else None
    faults = world.board.take(provider.NAME, wallet, "chat", body)
    skew = pick(faults, ClockSkew)
    now_ns = world.clock()
    stamped = provider.stamp(world.ids, now_ns + (skew.seconds * 10**9 if skew else 0))
    nonces = tuple(request.headers.getall("X-Msh-Request-Nonce", ()))
    entry = Entry(
        request_id=stamped.request_id,
        provider=provider.NAME,
        wallet=wallet,
        at_ns=now_ns,
        path=request.path,
        nonce=nonces[0] if len(nonces) == 1 else None,
        faults=[kind_of(fault) for fault in faults],
    )
    world.books.arrive(entry)
    standing = standing_of(key)
    account = None
    if key is not None and standing in {"good", "empty"}:
        account = world.books.account(provider.NAME, key)
        entry.currency = account.currency
    return Visit(world, provider, entry, stamped, faults, standing, account, nonces, plan)


def _decide(visit: Visit, body: bytes) -> Answer:
    """Refuse the request or do its work."""
    provider, entry = visit.provider, visit.entry
    asked: Asked | None = None
    refusal: Refused | None
    try:
        asked = read_asked(body)
    except ValueError as error:
        refusal = _bar(visit) or provider.bad_request(str(error))
    else:
        entry.model, entry.stream = asked.model, bool(asked.stream)
        entry.client_request_id = provider.claims(asked)
        refusal = _bar(visit) or _judge(visit, asked, len(body))
    if pick(visit.faults, Redirect) is not None:
        entry.error = "redirect"
        return provider.plain(visit.stamped, 307, {})
    if asked is None or refusal is not None or visit.account is None:
        refusal = refusal or provider.unauthorized(visit.standing)
        entry.error = refusal.name
        client_id = entry.client_request_id
        return provider.refuse(refusal, visit.stamped, stream=entry.stream, client_id=client_id)
    return _work(visit, asked, visit.account)


def _bar(visit: Visit) -> Refused | None:
    """Refuse whoever may not come in, and whom a switch keeps out."""
    if visit.account is None:
        return visit.provider.unauthorized(visit.standing)
    account, error = visit.account, pick(visit.faults, Error)
    _spend_elsewhere(visit, account)
    if error is not None:
        return visit.provider.injected(error)
    if visit.plan != account.plan:  # a key at the wrong path has nothing there to pay with
        return visit.provider.no_balance()
    if account.balance_nano <= 0 and not visit.plan and not account.package_left():
        return visit.provider.no_balance()
    return None


def _spend_elsewhere(visit: Visit, account: Account) -> None:
    """Let somebody else spend what this wallet pays with."""
    spender = pick(visit.faults, SecondSpender)
    if spender is None:
        return
    if account.plan:
        account.draw_credits(visit.world.clock(), amount_nano(spender.amount))
    else:
        account.move(visit.world.clock(), "elsewhere", amount_nano(spender.amount))


def _judge(visit: Visit, asked: Asked, body_bytes: int) -> Refused | None:
    """Find out whether the provider accepts this request."""
    provider, account = visit.provider, visit.account
    if account is None or asked.model not in offered(provider.NAME, account.currency):
        return provider.unknown_model(asked.model)
    if visit.plan and asked.model not in plan_models():
        return provider.not_in_plan(asked.model)
    refusal = provider.check(asked, count_prompt(asked.messages, provider.TEMPLATE), body_bytes)
    if refusal is not None:
        return refusal
    client_id = provider.claims(asked)
    if client_id is not None and not account.claim(client_id):
        return provider.duplicate(client_id)
    return None


def _work(visit: Visit, asked: Asked, account: Account) -> Answer:
    """Do the work, bill it, and write the answer."""
    provider, entry, faults, stamped = visit.provider, visit.entry, visit.faults, visit.stamped
    work = perform(
        asked,
        provider.TEMPLATE,
        prompt=count_prompt(asked.messages, provider.TEMPLATE),
        cached=account.prefixes.hit(asked, provider.TEMPLATE, visit.world.clock()),
        thinks=provider.thinks(asked),
        limit=asked.limit(provider.OUTPUT_TOKENS_DEFAULT),
    )
    if _is_billed(faults):
        entry.usage = work.usage
        _bill(visit, asked.model, work.usage, account)
    told = misreport(work.usage, faults)
    silent = any(pick(faults, kind) for kind in (Hang, HalfOpen, CutStream, Garbage))
    entry.reported_usage = provider.report(told) if told is not None and not silent else None
    shown = _shown_stamp(visit)
    entry.provider_id = shown.answer_id
    wrong = pick(faults, WrongModel)
    answer = provider.complete(asked, work, told, shown, wrong.model if wrong else asked.model)
    return replace(answer, headers=(*answer.headers, *_proof(visit, stamped, asked.model)))


def _shown_stamp(visit: Visit) -> Stamp:
    """Choose the ids that the answer bears: its own, unless a fault repeats those of the one before."""
    own, name, stamps = visit.stamped, visit.provider.NAME, visit.world.stamps
    before = stamps.get(name)
    if before is not None and pick(visit.faults, SameId):
        return replace(before, at_ns=own.at_ns)
    stamps[name] = own
    return own


def _proof(visit: Visit, stamped: Stamp, model: str) -> Headers:
    """Sign the request, unless a fault keeps the signature back or repeats an earlier one."""
    name, proofs = visit.provider.NAME, visit.world.proofs
    if pick(visit.faults, NoHeaders):
        return ()
    own = visit.provider.proof(visit.world.seal, visit.nonces, stamped, model)
    if own and name in proofs and pick(visit.faults, ReplayedSignature):
        return proofs[name]
    if own:
        proofs[name] = own
    return own


def _is_billed(faults: tuple[Fault, ...]) -> bool:
    """Tell whether broken-off work is billed all the same: it is, unless the switch says no."""
    hang, half_open, cut = pick(faults, Hang), pick(faults, HalfOpen), pick(faults, CutStream)
    return all(fault is None or fault.billed for fault in (hang, half_open, cut))


def _bill(visit: Visit, model: str, usage: Usage, account: Account) -> None:
    """Write into the entry what this usage costs: in plan credits, in tokens of a package, or in money."""
    prompt, cached, completion = usage.prompt, usage.cached, usage.completion
    if visit.plan:
        peak = _is_peak(visit.world.clock())
        nano = credits_nano(model, prompt=prompt, cached=cached, completion=completion, peak=peak)
        visit.entry.credits_nano = _charged(nano, visit.faults)
    elif prompt + completion <= account.package_left():
        visit.entry.package_tokens = prompt + completion  # a package pays whole answers, and before cash does
    else:
        name = visit.provider.NAME
        at_ns = visit.entry.at_ns
        counts = {"prompt": prompt, "cached": cached, "completion": completion}
        nano = bill_nano(name, account.currency, model, **counts, at_ns=at_ns)
        visit.entry.billed_nano = _charged(nano, visit.faults)


def _charged(nano: int, faults: tuple[Fault, ...]) -> int:
    """Bend a bill as the faults say, to a whole number."""
    charge = Decimal(nano) * (2 if pick(faults, DoubleBill) else 1)
    for bent in (pick(faults, Undercharge), pick(faults, Overcharge)):
        charge *= Decimal(str(bent.factor)) if bent is not None else 1
    return int(charge)


def _is_peak(now_ns: int) -> bool:
    """Tell whether plan credits count in full: Monday to Friday, 14:00 to 18:00 in UTC+8."""
    now = datetime.fromtimestamp(now_ns // 10**9, UTC)
    return now.weekday() < _SATURDAY and now.hour in _PEAK_HOURS_UTC
