"""A receipt says what the record says, in a shape that a stranger can check."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import msgspec
import pytest

from service.core.books import VerdictEntry, VerificationEntry
from service.core.entries import OfCall, WorstCase, encode
from service.core.evidence import Signature
from service.core.judged import UNJUDGED, Judged
from service.core.merkle import leaf_hash
from service.core.receipt import SCHEMA_PATH, Receipt, Total, receipt, schema, stated_status, totals
from service.core.record import ToolCall
from service.core.words import CostStatus, ResolutionSource, VerificationOutcome, ZeroReason

if TYPE_CHECKING:
    from tests.conftest import Made

AS_OF = "2026-11-22T16:22:00.000000Z"
FIELDS = [
    "version",
    "tool_call_id",
    "tool",
    "trace_id",
    "provider_calls",
    "zero_reason",
    "simulated",
    "attempts",
    "totals",
    "verdict",
    "url",
    "checkpoint",
]
ATTEMPT_FIELDS = [
    "attempt_id",
    "provider",
    "wallet",
    "model",
    "model_reported",
    "outcome",
    "http_status",
    "provider_request_ids",
    "usage",
    "usage_source",
    "cost",
    "signature",
    "started_at",
    "duration_ms",
    "first_byte_ms",
    "request_commitment",
    "response_commitment",
    "ledger",
    "resolution",
    "checks",
    "verdict",
    "history",
]
CHECKS = ["sent", "answered", "metered", "plausible", "priced", "settled"]
SIGNATURE = Signature(nonce="n", timestamp="1795364460000", signature="s", model="kimi-k3")

HISTORIES: dict[str, tuple[tuple[Any, ...], ...]] = {
    "just opened": (),
    "intended": (("intent",),),
    "accepted": (("intent",), ("accepted",)),
    "settled": (("intent",), ("accepted",), ("settlement",)),
    "signed": (("intent",), ("settlement", {"signature": SIGNATURE})),
    "settled by a nameless model": (("intent",), ("settlement", {"model_reported": None})),
    "refused": (("intent",), ("accepted", {"status": 429}), ("refusal",)),
    "unsent": (("intent",), ("unsent",)),
    "in doubt": (("intent",), ("accepted",), ("doubt",)),
    "in doubt after a crash": (
        ("intent",),
        ("doubt", {"status": None, "response": None, "estimate": None, "timing": None, "provider_ids": {}}),
    ),
    "reconciled": (("intent",), ("doubt",), ("resolution",)),
    "written off": (("intent",), ("doubt",), ("written_off",)),
    "simulated": (("intent", {"simulated": True}), ("settlement",), ("answer",)),
}


def entries(made: "Made", history: str) -> list[OfCall]:
    """Make the entries of a history."""
    found = []
    for kind, *changed in HISTORIES[history]:
        found.append(getattr(made, kind)(**(changed[0] if changed else {})))
    return found


def shown(call: ToolCall, salt: str | None = None, judged: Mapping[str, Judged] = UNJUDGED) -> dict[str, Any]:
    """Write a receipt as JSON, read it back as plain values, and hold it to the schema."""
    made = receipt(call, as_of=AS_OF, console_url="http://127.0.0.1:8079", salt=salt, judged=judged)
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))
    jsonschema_rs.Draft202012Validator(schema()).validate(plain)
    return plain


@pytest.mark.parametrize("history", HISTORIES)
def test_every_receipt_fits_its_schema_and_has_all_fields(made: "Made", history: str) -> None:
    """No field is ever left out: what is not known is null."""
    plain = shown(made.call(*entries(made, history)))
    assert list(plain) == FIELDS
    assert all(list(attempt) == ATTEMPT_FIELDS for attempt in plain["attempts"])
    assert all(CHECKS == [check["name"] for check in attempt["checks"]] for attempt in plain["attempts"])
    assert all(attempt["history"] == [] for attempt in plain["attempts"])
    assert len(plain["attempts"]) == plain["provider_calls"]
    assert plain["simulated"] is (history == "simulated")
    assert plain["verdict"]["as_of"] == AS_OF
    assert plain["url"].startswith("http://127.0.0.1:8079/console/calls/c")


@pytest.mark.parametrize("reason", ZeroReason)
def test_a_receipt_of_no_attempts_says_why(made: "Made", reason: ZeroReason) -> None:
    """A call that asked nobody carries its zero reason and no sums."""
    plain = shown(made.call(made.answer(zero_reason=reason)))
    assert (0, reason.value, [], []) == (
        plain["provider_calls"],
        plain["zero_reason"],
        plain["attempts"],
        plain["totals"],
    )
    assert plain["verdict"]["word"] == "NO CREDIT USED"


@pytest.mark.parametrize(
    ("history", "outcome", "status", "amount", "cost_status", "ms"),
    [
        ("intended", "open", None, None, None, (None, None)),
        ("accepted", "open", 200, None, None, (None, None)),
        ("settled", "settled", 200, "0.25", "priced", (20.25, 1.5)),
        ("refused", "refused", 429, None, None, (0.9, None)),
        ("unsent", "unsent", None, None, None, (0.4, None)),
        ("in doubt", "in_doubt", 200, None, None, (5.0, 1.5)),
        ("in doubt after a crash", "in_doubt", None, None, None, (None, None)),
    ],
)
def test_an_attempt_shows_what_its_entries_say(
    made: "Made",
    history: str,
    outcome: str,
    status: int | None,
    amount: str | None,
    cost_status: str | None,
    ms: tuple[float | None, float | None],
) -> None:
    """Only a settlement has usage and a cost; the unknown is null, never zero; the price's version stands."""
    (attempt,) = shown(made.call(*entries(made, history)))["attempts"]
    assert (outcome, status) == (attempt["outcome"], attempt["http_status"])
    assert (amount, cost_status) == (attempt["cost"]["amount"], attempt["cost"]["status"])
    assert attempt["cost"]["price_version"] == "0123456789abcdef"
    assert ms == (attempt["duration_ms"], attempt["first_byte_ms"])
    settled = outcome == "settled"
    assert ("provider" if settled else None) == attempt["usage_source"]
    assert settled == (attempt["usage"] is not None)
    assert settled == (attempt["cost"]["currency"] is not None)


def test_a_settled_attempt_shows_its_evidence(made: "Made") -> None:
    """The provider's ids of headers and body, the usage in classes, the model that answered."""
    (attempt,) = shown(made.call(*entries(made, "settled")))["attempts"]
    assert attempt["provider_request_ids"] == {"msh-request-id": "header-1", "id": "chatcmpl-1"}
    assert attempt["model_reported"] == "kimi-k3"
    assert attempt["usage"] == {
        "uncached_input_tokens": 60,
        "cached_input_tokens": 40,
        "cache_write_tokens": 0,
        "output_tokens": 50,
        "reasoning_tokens": 30,
    }
    assert attempt["signature"] is None


@pytest.mark.parametrize(
    ("outcome", "verified"),
    [
        (None, None),
        (VerificationOutcome.UNAVAILABLE, None),
        (VerificationOutcome.VALID, True),
        (VerificationOutcome.INVALID, False),
    ],
)
def test_a_signature_is_shown_with_what_its_provider_said_of_it(
    made: "Made",
    asked: Callable[..., VerificationEntry],
    outcome: VerificationOutcome | None,
    verified: bool | None,  # noqa: FBT001 - what is expected
) -> None:
    """The provider's signature travels whole; it is neither good nor bad until the provider said so."""
    verification = None if outcome is None else asked(outcome=outcome)
    judged = {made.attempt_id(): Judged(verification=verification)}
    (attempt,) = shown(made.call(*entries(made, "signed")), judged=judged)["attempts"]
    assert attempt["signature"] == msgspec.to_builtins(SIGNATURE) | {"verified": verified}


def test_what_was_found_since_stands_in_the_receipt(made: "Made", found: Callable[..., VerdictEntry]) -> None:
    """The newest word is the verdict of attempt and call; what was said before is its history, by ledger index."""
    first, window = found("U2", index=20, at=AS_OF), found("P1")
    judged = {made.attempt_id(): Judged(window=window, history=(first, window))}
    told = shown(made.call(*entries(made, "settled")), judged=judged)
    (attempt,) = told["attempts"]
    assert told["verdict"] == attempt["verdict"]
    assert ("PROVEN", "P1") == (told["verdict"]["word"], told["verdict"]["code"])
    assert [("U2", 20), ("P1", 40)] == [(one["code"], one["index"]) for one in attempt["history"]]
    assert attempt["history"][1] == {
        "at": window.at,
        "index": 40,
        "word": "PROVEN",
        "code": "P1",
        "sentence": window.sentence,
        "rule": 1,
    }
    assert {"name": "settled", "state": "pass", "evidence": window.sentence} == attempt["checks"][5]


@pytest.mark.parametrize(("history", "index"), [("intended", 1), ("accepted", 1), ("settled", 3), ("unsent", 2)])
def test_the_ledger_position_is_the_latest_entry(made: "Made", history: str, index: int) -> None:
    """Index and leaf hash belong to one entry: the end, or the intent of an open attempt."""
    call = made.call(*entries(made, history))
    (attempt,) = shown(call)["attempts"]
    placed = call.attempts[0].end or call.attempts[0].intent
    assert attempt["ledger"] == {"origin": "o-1", "index": index, "leaf_hash": leaf_hash(encode(placed)).hex()}


def test_a_salt_is_given_only_while_it_is_held(made: "Made") -> None:
    """Every commitment of a call carries the call's salt, or null once nobody holds it."""
    call = made.call(*entries(made, "settled"))
    (without,) = shown(call)["attempts"]
    assert (without["request_commitment"]["salt"], without["response_commitment"]["salt"]) == (None, None)
    (given,) = shown(call, "aa" * 16)["attempts"]
    assert given["request_commitment"] == {"sha256": f"{1:064x}", "bytes": 300, "salt": "aa" * 16}
    assert given["response_commitment"]["salt"] == "aa" * 16
    (lost,) = shown(made.call(*entries(made, "in doubt after a crash")))["attempts"]
    assert lost["response_commitment"] is None


def test_totals_stand_per_currency_and_apart_from_doubt(made: "Made") -> None:
    """Currencies are never added; what is held or guessed is no spend; no guess is no zero."""
    yuan = WorstCase(input_tokens=1, output_tokens=1, currency="CNY", amount="7")
    unpriced = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
    call = made.call(
        *(made.intent(1), made.settlement(1)),
        *(made.intent(2), made.settlement(2, cost=made.cost(amount="0.000000000001"))),
        *(made.intent(3), made.doubt(3)),
        *(made.intent(4, worst_case=yuan), made.doubt(4, estimate=None)),
        *(made.intent(5), made.settlement(5, cost=unpriced)),
        *(made.intent(6), made.refusal(6)),
        *(made.intent(7), made.unsent(7)),
        made.intent(8),
    )
    expected = (
        Total(currency="CNY", amount="0", in_doubt_held="7", in_doubt_estimate=None),
        Total(currency="USD", amount="0.250000000001", in_doubt_held="1.5", in_doubt_estimate="0.125"),
    )
    assert expected == totals(call)
    assert msgspec.to_builtins(expected) == tuple(shown(call)["totals"])


def test_the_schema_is_a_schema() -> None:
    """It is valid by Draft 2020-12, knows its own address, and requires every field."""
    described = schema()
    jsonschema_rs.meta.validate(described)
    assert (described["$schema"], described["$id"]) == (
        "https://json-schema.org/draft/2020-12/schema",
        SCHEMA_PATH,
    )
    assert set(FIELDS) == set(described["$defs"]["Receipt"]["required"])
    assert set(ATTEMPT_FIELDS) == set(described["$defs"]["ReceiptAttempt"]["required"])


@pytest.mark.parametrize(
    ("changed", "value"),
    [("provider_calls", "1"), ("zero_reason", "tired"), ("totals", [{}]), ("attempts", [{}]), ("verdict", None)],
)
def test_what_is_no_receipt_does_not_fit(made: "Made", changed: str, value: object) -> None:
    """A wrong type, a word outside its closed list, a missing part: each is refused by the schema."""
    plain = shown(made.call(*entries(made, "settled")))
    assert not jsonschema_rs.Draft202012Validator(schema()).is_valid(plain | {changed: value})


def test_a_receipt_can_be_read_back(made: "Made") -> None:
    """The same type reads what it wrote."""
    written = receipt(made.call(*entries(made, "in doubt")), as_of=AS_OF, console_url="")
    assert written == msgspec.json.decode(msgspec.json.encode(written), type=Receipt)


def test_the_newest_checkpoint_leaves_with_the_receipt(made: "Made") -> None:
    """Its text stands there as it was signed; null where none is known."""
    call = made.call(*entries(made, "settled"))
    told = receipt(call, as_of=AS_OF, console_url="", checkpoint="exai/1\n2\nAAAA\n\n— signature\n")
    assert "exai/1\n2\nAAAA\n\n— signature\n" == told.checkpoint
    assert shown(call)["checkpoint"] is None


def test_what_was_stated_for_an_attempt_in_doubt_is_its_cost(made: "Made") -> None:
    """The amount stands in cost and total as stated, nothing is held any more, and who said it is named."""
    told = shown(made.call(*entries(made, "reconciled")))
    (attempt,) = told["attempts"]
    cost = {"amount": "0.5", "currency": "USD", "status": "stated", "price_version": "0123456789abcdef"}
    assert cost == attempt["cost"]
    assert [{"currency": "USD", "amount": "0.5", "in_doubt_held": "0", "in_doubt_estimate": "0"}] == told["totals"]
    assert ("reconciled", "operator", "the provider's console shows it") == tuple(
        attempt["resolution"][name] for name in ("outcome", "source", "why")
    )


def test_a_cost_that_the_readings_leave_is_told_apart_from_one_that_was_stated() -> None:
    """Nobody's word, but the only amount that fits."""
    assert ["stated", "reconciled"] == [
        stated_status(one) for one in (ResolutionSource.OPERATOR, ResolutionSource.READINGS)
    ]


def test_what_was_written_off_costs_and_holds_nothing(made: "Made") -> None:
    """No amount is shown, neither as cost nor as held."""
    told = shown(made.call(*entries(made, "written off")))
    assert (None, []) == (told["attempts"][0]["cost"]["amount"], told["totals"])
