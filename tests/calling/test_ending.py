"""How an attempt ended, as a table: what was seen goes in, an entry comes out. No socket, no clock."""

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.calling.connection import LostError
from service.calling.ending import Outcome, ending
from service.calling.routing import Router
from service.calling.wire import UnsentError
from service.core.entries import DoubtEntry, End, RefusalEntry, SettlementEntry, UnsentEntry, WorstCase
from service.core.evidence import Commitment, Timing
from service.core.shapes import Answer, Refusal
from service.core.usage import UsageFlag
from service.core.wallet import wallet
from service.core.words import CostStatus, DoubtCause, RefusalReason, UnsentReason
from tests.rig import BEGUN_NS, KEY, PRICES, PROVIDERS, ask

if TYPE_CHECKING:
    from tests.conftest import Made

ROUTE = Router(PROVIDERS, [wallet(PROVIDERS["kimi"], KEY, base_url="http://127.0.0.1:9100/v1")], PRICES).route(
    ask(model="kimi-k3"), at_ns=BEGUN_NS
)
CUT = LostError(DoubtCause.STREAM_CUT, f"cut by {KEY}")
REFUSAL = Refusal(
    reason=RefusalReason.OVERLOADED,
    retryable=True,
    retry_after_ms=None,
    provider_type="engine_overloaded_error",
    provider_code=None,
    message=f"busy, {KEY}",
)
LIMITED = b'{"error":{"type":"rate_limit_reached_error","message":"slow down"}}'


@pytest.fixture
def whole(made: "Made") -> Answer:
    """A whole answer with usage."""
    return Answer(
        text="hi",
        complete=True,
        model_reported="kimi-k3",
        finish_reason="stop",
        provider_ids={"id": "chatcmpl-1"},
        usage=made.usage(),
        usage_raw='{"prompt_tokens":100}',
    )


def seen(made: "Made", answer: Answer, **changed: Any) -> Outcome:  # noqa: ANN401 - any field of an outcome
    """See a 200 with an answer, unless changed."""
    outcome = Outcome(
        route=ROUTE,
        intent=made.intent(),
        prompt_bytes=400,
        status=200,
        headers={},
        error_body=b"",
        answer=answer,
        response=Commitment("a" * 64, 9),
        failure=None,
        timing=Timing(ended_us=1),
    )
    return msgspec.structs.replace(outcome, **changed)


@pytest.mark.parametrize(
    ("answered", "kind"),
    [
        ({}, SettlementEntry),
        ({"complete": False}, SettlementEntry),
        ({"complete": False, "finish_reason": None}, DoubtEntry),
        ({"finish_reason": None}, SettlementEntry),
        ({"usage": None}, DoubtEntry),
        ({"usage": None, "refusal": REFUSAL}, DoubtEntry),
        ({"usage": None, "refusal": REFUSAL, "text": "", "reasoning": "hm"}, DoubtEntry),
        ({"usage": None, "refusal": REFUSAL, "text": ""}, RefusalEntry),
        ({"refusal": REFUSAL}, SettlementEntry),
        ({"usage": None, "readable": False, "complete": False}, DoubtEntry),
    ],
)
@pytest.mark.parametrize("failure", [None, CUT])
def test_status_200(
    made: "Made", whole: Answer, answered: dict[str, object], kind: type[End], failure: LostError | None
) -> None:
    """With usage and an end it is settled, however the connection ended; an error before any text refuses."""
    end = ending(seen(made, msgspec.structs.replace(whole, **answered), failure=failure))
    assert kind is type(end)


def test_the_size_of_what_was_written_is_kept(made: "Made", whole: Answer) -> None:
    """Text and reasoning apart, as UTF-8: what the provider's token counts can be held against."""
    end = ending(seen(made, msgspec.structs.replace(whole, text="né ✓", reasoning="")))
    assert isinstance(end, SettlementEntry)
    assert (7, 0) == (end.text_bytes, end.reasoning_bytes)


@pytest.mark.parametrize(
    ("answered", "changed", "cause"),
    [
        ({}, {"failure": CUT}, DoubtCause.STREAM_CUT),
        ({}, {"failure": LostError(DoubtCause.CANCELLED, "x")}, DoubtCause.CANCELLED),
        ({"readable": False}, {}, DoubtCause.UNREADABLE_ANSWER),
        ({"complete": False}, {}, DoubtCause.STREAM_CUT),
        ({"refusal": REFUSAL}, {}, DoubtCause.STREAM_CUT),
        ({}, {}, DoubtCause.NO_USAGE),
        ({}, {"status": 502, "error_body": b"<html>"}, DoubtCause.UNREADABLE_ANSWER),
        ({}, {"status": 307}, DoubtCause.UNREADABLE_ANSWER),
        ({}, {"status": 429, "error_body": LIMITED, "failure": CUT}, DoubtCause.STREAM_CUT),
        ({}, {"status": None, "response": None, "failure": CUT}, DoubtCause.STREAM_CUT),
    ],
)
def test_causes_of_doubt(
    made: "Made", whole: Answer, answered: dict[str, object], changed: dict[str, object], cause: DoubtCause
) -> None:
    """Doubt has one cause from the closed list, and an estimate that is labelled as one."""
    answer = msgspec.structs.replace(whole, usage=None, **answered)
    end = ending(seen(made, answer, **changed))
    assert isinstance(end, DoubtEntry)
    assert cause == end.cause
    assert end.estimate is not None
    assert (100, 1, "bytes/4, v1") == (end.estimate.input_tokens, end.estimate.output_tokens, end.estimate.method)
    assert ("USD", "0.000315") == (end.estimate.currency, end.estimate.amount)


def test_a_guess_without_a_bound_has_no_amount(made: "Made", whole: Answer) -> None:
    """Where the worst case is not known, a guessed amount would look like what is held."""
    worst = WorstCase(input_tokens=9, output_tokens=9, currency=None, amount=None)
    lost = msgspec.structs.replace(whole, usage=None)
    end = ending(seen(made, lost, intent=made.intent(worst_case=worst)))
    assert isinstance(end, DoubtEntry)
    assert end.estimate is not None
    assert (None, None, 100) == (end.estimate.currency, end.estimate.amount, end.estimate.input_tokens)


@pytest.mark.parametrize("reason", UnsentReason)
def test_unsent(made: "Made", reason: UnsentReason) -> None:
    """What was never connected is unsent, with its reason."""
    failure = UnsentError(reason, f"no way, {KEY}")
    end = ending(seen(made, Answer(), status=None, response=None, failure=failure))
    assert isinstance(end, UnsentEntry)
    assert (reason, "no way, [redacted]") == (end.reason, end.message)


def test_refused(made: "Made") -> None:
    """A whole error that the provider's table knows is a refusal, with the provider's own words beside ours."""
    end = ending(seen(made, Answer(), status=429, error_body=LIMITED, headers={"retry-after": "7"}))
    assert isinstance(end, RefusalEntry)
    assert (429, RefusalReason.RATE_LIMITED, True, 7000) == (
        end.status,
        end.reason,
        end.retryable,
        end.retry_after_ms,
    )
    assert ("rate_limit_reached_error", "slow down") == (end.provider_type, end.message)


def test_settled_exactly(made: "Made", whole: Answer) -> None:
    """The cost is usage × row: 60 uncached, 40 cached and 50 output tokens of kimi-k3."""
    end = ending(seen(made, whole))
    assert isinstance(end, SettlementEntry)
    assert (CostStatus.PRICED, "USD", "0.000942") == (end.cost.status, end.cost.currency, end.cost.amount)
    assert (True, (), None) == (end.model_known, end.usage_flags, end.signature)
    assert '{"prompt_tokens":100}' == end.usage_raw


def test_unknown_price(made: "Made", whole: Answer) -> None:
    """Without a row the cost is unknown, not zero, and the asked model is the only known name."""
    route = msgspec.structs.replace(ROUTE, row=None)
    end = ending(seen(made, whole, route=route))
    assert isinstance(end, SettlementEntry)
    assert (CostStatus.UNKNOWN_PRICE, None, None) == (end.cost.status, end.cost.currency, end.cost.amount)
    assert end.model_known


@pytest.mark.parametrize(("stated", "flags"), [("40", ()), ("41", (UsageFlag.HEADER_DIFFERS,))])
def test_header_beside_body(made: "Made", whole: Answer, stated: str, flags: tuple[UsageFlag, ...]) -> None:
    """The cached tokens of header and body are compared."""
    end = ending(seen(made, whole, headers={"msh-context-cache-token-saved": stated}))
    assert isinstance(end, SettlementEntry)
    assert flags == end.usage_flags


def test_signature(made: "Made", whole: Answer) -> None:
    """A signature is kept to its last character, with the nonce and model that it signs."""
    headers = {"msh-request-timestamp": "1795364460000", "msh-request-signature": "reqsigv1_" + "s" * 600}
    end = ending(seen(made, whole, headers=headers))
    assert isinstance(end, SettlementEntry)
    assert end.signature is not None
    assert (made.intent().nonce, "1795364460000", "kimi-k3") == (
        end.signature.nonce,
        end.signature.timestamp,
        end.signature.model,
    )
    assert headers["msh-request-signature"] == end.signature.signature


def test_no_key_in_any_end(made: "Made", whole: Answer) -> None:
    """The key is masked in every word that a provider's text could carry into an entry."""
    poisoned = msgspec.structs.replace(
        whole,
        model_reported=KEY,
        finish_reason=KEY,
        provider_ids={"id": KEY},
        usage_raw=f'{{"k":"{KEY}"}}',
    )
    refused = msgspec.structs.replace(REFUSAL, provider_type=KEY, provider_code=KEY)
    without = {"usage": None, "text": "", "refusal": refused}
    ends = [
        ending(seen(made, poisoned)),
        ending(seen(made, msgspec.structs.replace(poisoned, usage=None), failure=CUT)),
        ending(seen(made, msgspec.structs.replace(poisoned, **without))),
    ]
    assert [SettlementEntry, DoubtEntry, RefusalEntry] == [type(end) for end in ends]
    assert [] == [end for end in ends if KEY in repr(end)]
