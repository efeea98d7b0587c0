"""The desk, the ledger and the simulator together: the simulator's books say what is true."""

import asyncio
import logging
import uuid
from decimal import Decimal

import msgspec
import pytest

from service.calling.wire import Deadlines
from service.core.entries import DoubtEntry, End, RefusalEntry, SettlementEntry, UnsentEntry
from service.core.shapes import Completion
from service.core.usage import UsageFlag
from service.core.words import AttemptOutcome, DoubtCause, RefusalReason, UnsentReason
from service.errors import AttemptInDoubtError, InvalidArgumentsError, ProviderRefusedError
from service.simulator.faults import (
    CutStream,
    DoubleBill,
    Drip,
    Error,
    Fault,
    Garbage,
    Gzip,
    HalfOpen,
    Hang,
    HugeBody,
    Redirect,
    WrongModel,
    WrongUsage,
)
from tests.rig import KEY, Ear, Rig, ask, rig

SHORT = Deadlines(first_byte_s=0.3, idle_s=0.3)
LIMITED = Error(provider="kimi", type="rate_limit_reached_error")


@pytest.mark.parametrize("provider", ["kimi", "glm"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_settled_to_the_last_digit(lab: Rig, provider: str, *, streamed: bool) -> None:
    """A settlement says what the provider billed, to the last digit, below the intent's worst case."""
    ear = Ear()
    asked = ask("sim:words=20 " + "long " * 200, provider=provider, on_text=ear.hear if streamed else None)
    for _ in range(2):  # the second time with input from the cache
        await lab.end_of(SettlementEntry, asked)
    settlements, intents = lab.written("settlement"), lab.written("intent")
    for number, (settled, intent) in enumerate(zip(settlements, intents, strict=True)):
        assert lab.billed(number) == Decimal(settled["cost"]["amount"])
        assert lab.books[number].currency == settled["cost"]["currency"]
        assert Decimal(settled["cost"]["amount"]) <= Decimal(intent["worst_case"]["amount"])
        assert intent["price_version"] == settled["cost"]["price_version"]
        assert settled["usage_flags"] == []
        assert settled["model_known"]
    assert 0 < lab.books[1].billed_nano < lab.books[0].billed_nano
    assert streamed == bool(ear.heard)


async def test_completion(lab: Rig) -> None:
    """A completion has the model's words, its name, and the usage that was settled."""
    done = await lab.complete(ask("hi"))
    assert isinstance(done, Completion)
    assert ("kimi", "kimi-k2.6", "stop") == (done.provider, done.model, done.finish_reason)
    assert done.text.startswith("Simulated answer to: hi")
    end = (await lab.close()).attempts[0].end
    assert isinstance(end, SettlementEntry)
    assert end.usage == done.usage


async def test_ids_in_intent_and_books(lab: Rig) -> None:
    """The nonce (Kimi) and the request id (GLM) of an intent stand in the provider's own books."""
    intents = []
    for provider in ("kimi", "glm"):
        await lab.complete(ask(provider=provider))
        intents.append((await lab.close()).attempts[0].intent)
    kimi, glm = intents
    assert (kimi.nonce, glm.client_request_id) == (lab.books[0].nonce, lab.books[1].client_request_id)
    assert (None, None) == (kimi.client_request_id, glm.nonce)
    assert 4 == uuid.UUID(kimi.nonce).version == uuid.UUID(glm.client_request_id).version


ENDS: list[tuple[Fault, type[End], str]] = [
    (Hang(), DoubtEntry, DoubtCause.FIRST_BYTE_TIMEOUT),
    (HalfOpen(), DoubtEntry, DoubtCause.IDLE_TIMEOUT),
    (CutStream(), DoubtEntry, DoubtCause.STREAM_CUT),
    (WrongUsage(variant="missing"), DoubtEntry, DoubtCause.NO_USAGE),
    (WrongUsage(variant="negative"), DoubtEntry, DoubtCause.NO_USAGE),
    (WrongUsage(variant="absurd"), DoubtEntry, DoubtCause.NO_USAGE),
    (WrongUsage(variant="reasoning_over"), SettlementEntry, "stop"),
    (Garbage(), DoubtEntry, DoubtCause.UNREADABLE_ANSWER),
    (Redirect(), DoubtEntry, DoubtCause.UNREADABLE_ANSWER),
    (Gzip(), SettlementEntry, "stop"),
    (HugeBody(padding_bytes=200_000), DoubtEntry, DoubtCause.BODY_TOO_LARGE),
    (WrongModel(), SettlementEntry, "stop"),
    (Drip(slice_bytes=100, pause_seconds=0.001), SettlementEntry, "stop"),
    (Error(type="invalid_request_error"), RefusalEntry, RefusalReason.INVALID_REQUEST),
    (Error(type="exceeded_current_quota_error"), RefusalEntry, RefusalReason.NO_BALANCE),
    (Error(status=200, type="content_filter"), RefusalEntry, RefusalReason.CONTENT_FILTERED),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("fault", "kind", "word"), ENDS, ids=lambda value: type(value).__name__)
async def test_ends(fault: Fault, kind: type[End], word: str, *, streamed: bool) -> None:
    """Every way that an answer goes wrong has its end; each intent is one request in the books, none twice."""
    async with rig(deadlines=SHORT, body_bytes_max=100_000) as lab:
        lab.fault(fault)
        end = await lab.end_of(kind, ask(provider="kimi", on_text=Ear().hear if streamed else None))
        assert 1 == len(lab.books)
        if streamed and isinstance(fault, Garbage):
            word = DoubtCause.STREAM_CUT  # it began as a stream of the provider's
        assert word in {
            getattr(end, "cause", None),
            getattr(end, "reason", None),
            getattr(end, "finish_reason", None),
        }


async def test_doubt_is_held_not_spent() -> None:
    """An attempt in doubt keeps what came of it, has an estimate beside it, and its bill is below what is held."""
    async with rig(deadlines=SHORT) as lab:
        lab.fault(CutStream(chunks=4))
        error = await lab.complete(ask("sim:words=50", provider="glm", on_text=Ear().hear))
        assert isinstance(error, AttemptInDoubtError)
        attempt = (await lab.close()).attempts[0]
        assert isinstance(attempt.end, DoubtEntry)
        assert attempt.end.estimate is not None
        assert attempt.end.estimate.output_tokens > 0
        assert attempt.end.model_reported is not None
        assert attempt.end.response is not None
        assert attempt.accepted is not None
        assert 0 < lab.billed() <= Decimal(attempt.intent.worst_case.amount or "0")


async def test_wrong_model_is_flagged(lab: Rig) -> None:
    """A reported model that the price row does not know is settled and flagged."""
    lab.fault(WrongModel(model="something-else"))
    end = await lab.end_of(SettlementEntry)
    assert (False, "something-else") == (end.model_known, end.model_reported)


async def test_usage_flags(lab: Rig) -> None:
    """Numbers that contradict themselves are settled and flagged."""
    lab.fault(WrongUsage(variant="reasoning_over"))
    end = await lab.end_of(SettlementEntry)
    assert UsageFlag.REASONING_ABOVE_OUTPUT in end.usage_flags


async def test_header_is_compared(lab: Rig) -> None:
    """A cache header that tells another count than the body is flagged; one that agrees is not."""
    asked = ask("long " * 200)
    await lab.complete(asked)
    assert UsageFlag.HEADER_DIFFERS not in (await lab.end_of(SettlementEntry, asked)).usage_flags
    lab.fault(WrongUsage(factor=2))
    assert UsageFlag.HEADER_DIFFERS in (await lab.end_of(SettlementEntry, asked)).usage_flags


async def test_double_bill_shows(lab: Rig) -> None:
    """A provider that bills twice is seen: the books hold twice what was metered."""
    lab.fault(DoubleBill())
    end = await lab.end_of(SettlementEntry)
    assert lab.billed() == 2 * Decimal(end.cost.amount or "0")


@pytest.mark.parametrize("kind", ["rate_limit_reached_error", "engine_overloaded_error", "server_error"])
async def test_retry_after_refusal(lab: Rig, kind: str) -> None:
    """A passing refusal is tried again: another attempt, another nonce, naming the one before it."""
    lab.fault(Error(type=kind, next=2))
    assert isinstance(await lab.complete(ask()), Completion)
    attempts = (await lab.close()).attempts
    assert [AttemptOutcome.REFUSED, AttemptOutcome.REFUSED, AttemptOutcome.SETTLED] == [
        attempt.outcome for attempt in attempts
    ]
    intents = [attempt.intent for attempt in attempts]
    assert [None, intents[0].attempt_id, intents[1].attempt_id] == [intent.retry_of for intent in intents]
    assert [1, 2, 3] == [intent.number for intent in intents]
    assert [entry.nonce for entry in lab.books] == [intent.nonce for intent in intents]
    assert 3 == len({intent.nonce for intent in intents})


async def test_retries_end(lab: Rig) -> None:
    """After three attempts the refusal is the answer, with what to do about it."""
    lab.fault(LIMITED)
    error = await lab.complete(ask())
    assert isinstance(error, ProviderRefusedError)
    assert (RefusalReason.RATE_LIMITED, 429, True) == (error.reason, error.status, error.retryable)
    assert error.remedy
    assert 3 == len(lab.books) == len((await lab.close()).attempts)


async def test_wait_too_long_is_not_waited(lab: Rig) -> None:
    """A provider that asks for more patience than there is is not asked again; the caller learns how long."""
    lab.fault(Error(type="rate_limit_reached_error", retry_after_s=3000))
    error = await lab.complete(ask())
    assert isinstance(error, ProviderRefusedError)
    assert (1, 3_000_000) == (len(lab.books), error.retry_after_ms)


async def test_retry_after_unsent() -> None:
    """What was never sent is tried again and leaves one unsent attempt each time; no request reached anyone."""
    async with rig() as lab:
        await lab.simulator.runner.cleanup()
        await lab.complete(ask())
        attempts = (await lab.close()).attempts
        ends = [attempt.end for attempt in attempts]
        assert [UnsentReason.CONNECTION_REFUSED] * 3 == [
            end.reason if isinstance(end, UnsentEntry) else None for end in ends
        ]
        assert [] == lab.books


async def test_no_retry_once_text_was_sent(lab: Rig) -> None:
    """A stream that broke after text had reached the client is never begun anew."""
    ear = Ear()
    lab.fault(CutStream(chunks=6))
    await lab.complete(ask("sim:words=50", provider="glm", thinking=False, on_text=ear.hear))
    assert ear.heard
    assert 1 == len(lab.books)


async def test_invalid_ask_leaves_no_attempt(lab: Rig) -> None:
    """What the provider's file cannot express is refused before anything is intended."""
    error = await lab.complete(ask(model="kimi-k3", thinking=False))
    assert isinstance(error, InvalidArgumentsError)
    assert (0, []) == (lab.journals[-1].intents, lab.books)


async def test_overlapping_completions(lab: Rig) -> None:
    """A tool may ask several at once: their attempts are numbered in the order they were intended."""
    journal = lab.journal()
    done = await asyncio.gather(*(lab.complete(ask(f"q{number}"), journal) for number in range(8)))
    assert all(isinstance(one, Completion) for one in done)
    attempts = (await lab.close(journal)).attempts
    assert [*range(1, 9)] == [attempt.intent.number for attempt in attempts]
    assert {AttemptOutcome.SETTLED} == {attempt.outcome for attempt in attempts}


async def test_text_nobody_takes(lab: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """A client whose ear breaks loses the text; its attempt settles all the same."""

    def broken(_text: str) -> None:
        raise RuntimeError("the ear is broken")

    with caplog.at_level(logging.ERROR):
        end = await lab.end_of(SettlementEntry, ask("sim:words=9", on_text=broken))
    assert 1 == len(caplog.records)
    assert lab.billed() == Decimal(end.cost.amount or "0")


async def test_intents_equal_requests(lab: Rig) -> None:
    """Of many calls with many faults, the requests in the books are the intents that were sent, one to one."""
    faults: list[Fault] = [
        LIMITED,
        CutStream(),
        Garbage(),
        WrongUsage(variant="missing"),
        Gzip(),
        Error(type="server_error"),
    ]
    for fault in faults:
        lab.fault(msgspec.structs.replace(fault, next=1))
        await lab.complete(ask(provider="kimi"))
        await lab.close()
    nonces = [entry["nonce"] for entry in lab.written("intent")]
    assert nonces == [entry.nonce for entry in lab.books]


async def test_no_secret_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the key nor a salt is in any entry, log line or error, though the provider sends the key back."""
    caplog.set_level(logging.DEBUG)
    errors: list[object] = []
    async with rig() as lab:
        lab.fault(
            Error(provider="kimi", type="invalid_request_error", message=f"bad key {KEY} used"),
            Error(provider="glm", code="1210", message=KEY),
        )
        for provider in ("kimi", "glm"):
            errors.append(await lab.complete(ask(provider=provider)))
            await lab.close()
        lab.fault(WrongModel(model=KEY))
        errors.append(await lab.complete(ask()))
        await lab.close()
        lab.fault(Error(status=500, message=KEY), CutStream())
        errors.append(await lab.complete(ask()))
        await lab.close()
        salts = [journal.salt.hex() for journal in lab.journals]
    said = lab.log.decode() + caplog.text + "".join(f"{error!r}{error}{vars(error)!r}" for error in errors[:2])
    assert len(set(salts)) == len(lab.journals) >= 4
    assert [] == [secret for secret in (KEY, KEY[4:20], *salts) if secret in said]
    assert "[redacted]" in said


async def test_conservation(lab: Rig) -> None:
    """Intents are settled, refused, unsent or in doubt; none is left over."""
    for fault in (LIMITED, Garbage(), Gzip()):
        lab.fault(fault)
        await lab.complete(ask())
        await lab.close()
    kinds = [line.kind for line in lab.memory.lines]
    ends = sum(kinds.count(kind) for kind in ("settlement", "refusal", "unsent", "doubt"))
    assert kinds.count("intent") == ends
