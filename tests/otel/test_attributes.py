"""What spans say, for each way a call and an attempt may end."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from otel import attributes
from service.core.entries import AcceptedEntry, AnswerEntry, OfCall
from service.core.evidence import Timing
from service.core.record import Attempt, ToolCall
from service.core.times import utc_ns
from service.core.words import CostStatus, DoubtCause, ToolOutcome, ZeroReason

if TYPE_CHECKING:
    from tests.conftest import Made

SERVER = {"server.address": "api.moonshot.ai", "server.port": 443}


@pytest.fixture
def ended(made: "Made") -> Callable[..., Attempt]:
    """Make an attempt from its entries."""

    def build(*entries: OfCall, **intent: Any) -> Attempt:  # noqa: ANN401 - any field
        return made.call(made.intent(**intent), *entries).attempts[0]

    return build


def of_call(call: ToolCall) -> attributes.Attributes:
    """Describe a closed call."""
    assert isinstance(call.answer, AnswerEntry)
    return attributes.of_tool_call(call, call.answer)


def test_a_tool_call_is_described(made: "Made") -> None:
    """A good call over MCP names method, tool, request, network and our id, and nothing more."""
    call = made.call(made.intent(), made.settlement(), made.answer())
    assert of_call(call) == {
        "gen_ai.operation.name": "execute_tool",
        "mcp.method.name": "tools/call",
        "gen_ai.tool.name": "chat",
        "jsonrpc.request.id": "1",
        "mcp.protocol.version": "2025-11-25",
        "network.transport": "tcp",
        "network.protocol.name": "websocket",
        "exai.tool_call.id": "c" * 32,
        "exai.outcome": "ok",
        "exai.ledger.index": 3,
        "exai.simulated": False,
    }


@pytest.mark.parametrize(
    ("outcome", "code", "error"),
    [
        ("ok", None, None),
        ("tool_error", "provider_refused", "tool_error"),
        ("failed", "internal", "internal"),
        ("cancelled", None, "cancelled"),
        ("budget", "budget", "budget"),
    ],
)
def test_a_tool_calls_error_is_named(outcome: str, code: str | None, error: str | None, made: "Made") -> None:
    """Whatever is not ok has an error type from a closed list."""
    call = made.call(made.intent(), made.settlement(), made.answer(outcome=ToolOutcome(outcome), error_code=code))
    assert (error, code) == (of_call(call).get("error.type"), of_call(call).get("exai.error.code"))


def test_why_nothing_was_asked_is_said(made: "Made") -> None:
    """A call without attempts carries its zero reason."""
    said = of_call(made.call(made.answer(outcome=ToolOutcome.BUDGET, zero_reason=ZeroReason.BUDGET_STOP)))
    assert said["exai.zero_reason"] == "budget_stop"


def test_the_predecessors_protocol_is_not_called_mcp(made: "Made") -> None:
    """A protocol without a date is named as ours, and its ids are not JSON-RPC's."""
    call = made.call(made.answer(zero_reason=ZeroReason.NO_MODEL_STEP))
    said = of_call(ToolCall(opened=made.tool_call(protocol="exai-1"), answer=call.answer))
    assert (said["exai.protocol"], said["exai.request.id"]) == ("exai-1", "1")
    assert not {"mcp.protocol.version", "jsonrpc.request.id"} & said.keys()


def test_a_clients_text_is_cut(made: "Made") -> None:
    """A long request id does not make a long span."""
    call = made.call(made.answer(zero_reason=ZeroReason.NO_MODEL_STEP))
    said = of_call(ToolCall(opened=made.tool_call(request_id="9" * 5000), answer=call.answer))
    assert said["jsonrpc.request.id"] == "9" * attributes.TEXT_CHARS_MAX


def test_a_settled_completion_says_what_it_consumed(made: "Made", ended: Callable[..., Attempt]) -> None:
    """Usage includes cached and reasoning tokens as the conventions ask; the cost is also there exactly."""
    attempt = ended(made.accepted(), made.settlement(cost=made.cost(amount="0.000000000001")), stream=True)
    assert attributes.of_completion((attempt,)) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "moonshot_ai",
        "gen_ai.request.model": "kimi-k3",
        "gen_ai.request.max_tokens": 1000,
        "gen_ai.request.stream": True,
        **SERVER,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "kimi-k3",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.0015,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_write.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 30,
        "gen_ai.usage.cost.amount": 1e-12,
        "gen_ai.usage.cost.currency": "USD",
        "gen_ai.usage.cost.source": "local",
        "exai.cost.amount": "0.000000000001",
        "exai.cost.status": "priced",
        "exai.wallet": "kimi-main",
        "exai.simulated": False,
    }


def test_an_unknown_cost_is_not_zero(made: "Made", ended: Callable[..., Attempt]) -> None:
    """Without a price there is a status and no amount."""
    attempt = ended(made.settlement(cost=made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)))
    said = attributes.of_completion((attempt,))
    assert said["exai.cost.status"] == "unknown_price"
    assert [name for name in said if "cost" in name and name != "exai.cost.status"] == []


def test_a_completion_in_doubt_says_what_is_held(made: "Made", ended: Callable[..., Attempt]) -> None:
    """Doubt is an error, holds its worst case, and claims neither usage nor cost."""
    said = attributes.of_completion((ended(made.accepted(), made.doubt()),))
    assert (
        said["error.type"],
        said["exai.held.amount"],
        said["exai.held.currency"],
    ) == ("stream_cut", "1.5", "USD")
    assert [name for name in said if "usage" in name or "cost" in name] == []
    assert "gen_ai.response.time_to_first_chunk" not in said, "it was no stream"


@pytest.mark.parametrize(("end", "error"), [("refusal", "rate_limited"), ("unsent", "connection_refused")])
def test_a_completion_without_an_answer_claims_none(
    end: str, error: str, made: "Made", ended: Callable[..., Attempt]
) -> None:
    """What was refused or never sent has an error and nothing of a response."""
    said = attributes.of_completion((ended(getattr(made, end)()),))
    assert error == said["error.type"]
    assert [name for name in said if name.startswith(("gen_ai.response", "gen_ai.usage", "exai.held"))] == []


def test_a_settled_attempt_is_an_http_request(made: "Made", ended: Callable[..., Attempt]) -> None:
    """An attempt says where it went, what came back and the provider's own ids for it."""
    assert attributes.of_attempt(ended(made.accepted(), made.settlement()), 0) == {
        "http.request.method": "POST",
        "url.full": "https://api.moonshot.ai/v1/chat/completions",
        **SERVER,
        "http.response.status_code": 200,
        "exai.attempt.id": made.attempt_id(),
        "exai.attempt.number": 1,
        "exai.attempt.outcome": "settled",
        "exai.wallet": "kimi-main",
        "exai.ledger.index": 3,
        "exai.simulated": False,
        "exai.provider.id.msh-request-id": "header-1",
        "exai.provider.id.id": "chatcmpl-1",
    }


@pytest.mark.parametrize(
    ("end", "status", "outcome", "error"),
    [
        ("refusal", 429, "refused", "rate_limited"),
        ("unsent", None, "unsent", "connection_refused"),
        ("doubt", 200, "in_doubt", "stream_cut"),
    ],
)
def test_an_attempts_error_is_named(
    end: str, status: int | None, outcome: str, error: str, made: "Made", ended: Callable[..., Attempt]
) -> None:
    """Every end but a settlement is an error, by our closed lists; a status is stated only if one came."""
    said = attributes.of_attempt(ended(getattr(made, end)()), 2)
    assert (status, outcome, error, 2) == (
        said.get("http.response.status_code"),
        said["exai.attempt.outcome"],
        said["error.type"],
        said["http.request.resend_count"],
    )


def test_no_secret_of_an_endpoint_is_shown(made: "Made", ended: Callable[..., Attempt]) -> None:
    """User, password, query and fragment stay out of spans; the port is stated."""
    said = attributes.of_attempt(ended(made.settlement(), endpoint="http://u:p@127.0.0.1:9100/v1?key=k#f"), 0)
    assert (
        said["url.full"],
        said["server.address"],
        said["server.port"],
    ) == ("http://127.0.0.1:9100/v1", "127.0.0.1", 9100)


@pytest.mark.parametrize("end", ["refusal", "unsent", "doubt"])
def test_no_text_of_others_is_shown(end: str, made: "Made", ended: Callable[..., Attempt]) -> None:
    """A provider's error text stays in the ledger."""
    attempt = ended(getattr(made, end)(message="tell nobody"))
    assert "tell nobody" not in repr((attributes.of_attempt(attempt, 0), attributes.of_completion((attempt,))))


@pytest.mark.parametrize("simulated", [False, True])
def test_a_simulated_attempt_is_flagged_everywhere(simulated: bool, made: "Made") -> None:  # noqa: FBT001 - the very flag
    """A simulator's key marks call, completion and attempt; an answer's header marks none of them."""
    accepted: AcceptedEntry = made.accepted(headers={"exai-simulator": "1"})
    call = made.call(made.intent(simulated=simulated), accepted, made.settlement(), made.answer())
    assert [
        said["exai.simulated"]
        for said in (
            of_call(call),
            attributes.of_completion(call.attempts),
            attributes.of_attempt(call.attempts[0], 0),
        )
    ] == [simulated] * 3


def test_milestones_are_events(made: "Made", ended: Callable[..., Attempt]) -> None:
    """What passed is shown at its time; what never passed is not."""
    timing = Timing(connected_us=10, sent_us=20, headers_us=None, first_byte_us=1500, ended_us=20_250)
    assert attributes.milestones(ended(made.settlement(timing=timing)), 1_000_000_000) == (
        ("exai.connected", 1_000_010_000),
        ("exai.sent", 1_000_020_000),
        ("exai.first_byte", 1_001_500_000),
    )


def test_of_a_crashed_attempt_the_acceptance_is_known(made: "Made", ended: Callable[..., Attempt]) -> None:
    """Without a timing, the entry of the acceptance still says when headers came."""
    lost = made.doubt(cause=DoubtCause.CRASH, timing=None)
    attempt = ended(made.accepted(), lost)
    assert attempt.accepted is not None
    assert attributes.milestones(attempt, 0) == (("exai.accepted", utc_ns(attempt.accepted.at)),)
    assert attributes.milestones(ended(lost), 0) == ()
