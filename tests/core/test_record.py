"""A record grows by its grammar alone; a model of ten lines decides what that is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.entries import ENDS, OfCall, WorstCase
from service.core.merkle import leaf_hash
from service.core.record import SIMULATOR_HEADER, BrokenRecordError, Step, ToolCall, after
from service.core.words import AttemptOutcome, ResolutionOutcome, ZeroReason

if TYPE_CHECKING:
    from tests.conftest import Made

LEAF = leaf_hash(b"")
ENDINGS = ("settlement", "refusal", "unsent", "doubt")
RESOLVINGS = ("resolution", "written_off")


class Move(NamedTuple):
    """An entry that may come next: its kind, and the attempt it speaks of."""

    kind: str
    number: int = 0


MOVES = [
    *(Move(kind) for kind in ("tool_call", "answer", "zero", "stranger")),
    *(
        Move(kind, number)
        for kind in ("intent", "twin", "accepted", *ENDINGS, *RESOLVINGS)
        for number in (1, 2, 3)
    ),
]


def entry_of(made: "Made", move: Move) -> OfCall:
    """Make the entry of a move."""
    match move.kind:
        case "zero":
            return made.answer(zero_reason=ZeroReason.CACHED)
        case "stranger":
            return made.answer(tool_call_id="d" * 32)
        case "twin":
            return made.intent(move.number, attempt_id=made.attempt_id(1))
        case "tool_call" | "answer":
            return getattr(made, move.kind)()  # type: ignore[no-any-return] # named by its kind
        case _:
            return getattr(made, move.kind)(move.number)  # type: ignore[no-any-return] # named by its kind


class Model:
    """What the grammar says, told a second time: one word for the call and one per attempt."""

    def __init__(self) -> None:
        self.call = "unopened"
        self.attempts: list[str] = []

    def allows(self, move: Move) -> bool:
        """Say whether a move may come next."""
        state = self.attempts[move.number - 1] if 0 < move.number <= len(self.attempts) else "missing"
        if move.kind in RESOLVINGS:
            return state == "doubt"
        if self.call != "open":
            return self.call == "unopened" and move.kind == "tool_call"
        allowed: dict[str, Callable[[], bool]] = {
            "intent": lambda: move.number == len(self.attempts) + 1,
            "twin": lambda: move.number == 1 and not self.attempts,
            "accepted": lambda: state == "open",
            "unsent": lambda: state == "open",
            "answer": lambda: self.attempts != [] and set(self.attempts).isdisjoint({"open", "accepted"}),
            "zero": lambda: not self.attempts,
        }
        return allowed.get(move.kind, lambda: move.kind in ENDINGS and state in {"open", "accepted"})()

    def make(self, move: Move) -> None:
        """Make a move that is allowed."""
        match move.kind:
            case "tool_call":
                self.call = "open"
            case "answer" | "zero":
                self.call = "closed"
            case "intent" | "twin":
                self.attempts.append("open")
            case kind:
                self.attempts[move.number - 1] = kind


def words(call: ToolCall) -> list[str]:
    """Say a record's attempts in the model's words."""
    ends = {end.__struct_config__.tag: outcome for end, outcome in ENDS.items()}
    ends |= {"open": AttemptOutcome.OPEN, "resolution": AttemptOutcome.RECONCILED}
    ends |= {"written_off": AttemptOutcome.WRITTEN_OFF}
    found = []
    for attempt in call.attempts:
        word = "accepted" if attempt.accepted and attempt.end is None else None
        found.append(word or next(str(tag) for tag, outcome in ends.items() if outcome is attempt.outcome))
    return found


@given(st.data())
def test_no_sequence_breaks_the_grammar(made: "Made", data: st.DataObject) -> None:
    """Record and model allow the same entries; a refused entry changes nothing."""
    model, call = Model(), None
    for _ in range(data.draw(st.integers(0, 16))):
        legal = [move for move in MOVES if model.allows(move)]
        move = data.draw(st.sampled_from(legal or MOVES) | st.sampled_from(MOVES))
        if model.allows(move):
            model.make(move)
            call = after(call, entry_of(made, move), LEAF)
            assert model.attempts == words(call)
            assert (model.call == "closed") == (call.answer is not None)
        else:
            before = msgspec.to_builtins(call)
            with pytest.raises(BrokenRecordError):
                after(call, entry_of(made, move), LEAF)
            assert before == msgspec.to_builtins(call)


@pytest.mark.parametrize(
    ("history", "move", "why"),
    [
        ([], Move("intent", 1), "IntentEntry of tool call c+, which was never opened"),
        ([Move("tool_call")], Move("tool_call"), "tool call c+ was opened twice"),
        ([Move("tool_call")], Move("stranger"), "an entry of d+ reached the record of c+"),
        ([Move("tool_call")], Move("settlement", 1), "tool call c+ has no attempt 0+1"),
        ([Move("tool_call")], Move("intent", 2), "attempt 0+2 is number 2, not 1"),
        ([Move("tool_call")], Move("answer"), "a zero reason belongs to calls without attempts, to all of them"),
        ([Move("tool_call"), Move("intent", 1)], Move("twin", 2), "attempt 0+1 was intended twice"),
        ([Move("tool_call"), Move("intent", 1)], Move("answer"), "may not close: an attempt is open"),
        ([Move("tool_call"), Move("zero")], Move("intent", 1), "intent after tool call c+ was closed"),
        (
            [Move("tool_call"), Move("intent", 1), Move("accepted", 1)],
            Move("accepted", 1),
            "attempt 0+1 was accepted twice or after its end",
        ),
        (
            [Move("tool_call"), Move("intent", 1), Move("accepted", 1)],
            Move("unsent", 1),
            "attempt 0+1 was accepted, so it was sent",
        ),
        ([Move("tool_call"), Move("intent", 1), Move("doubt", 1)], Move("refusal", 1), "attempt 0+1 ended twice"),
        ([Move("tool_call"), Move("intent", 1)], Move("resolution", 1), "0+1 is open; only what is in doubt"),
        (
            [Move("tool_call"), Move("intent", 1), Move("settlement", 1)],
            Move("written_off", 1),
            "attempt 0+1 is settled; only what is in doubt is resolved",
        ),
        (
            [Move("tool_call"), Move("intent", 1), Move("doubt", 1), Move("resolution", 1)],
            Move("written_off", 1),
            "attempt 0+1 is reconciled; only what is in doubt is resolved",
        ),
    ],
)
def test_a_refusal_says_what_is_wrong(made: "Made", history: list[Move], move: Move, why: str) -> None:
    """The text names the call or attempt and the rule."""
    call = None
    for earlier in history:
        call = after(call, entry_of(made, earlier), LEAF)
    with pytest.raises(BrokenRecordError, match=why):
        after(call, entry_of(made, move), LEAF)


def test_attempts_may_overlap(made: "Made") -> None:
    """A tool may ask two models at once; each attempt ends for itself, and the order of intents stays."""
    call = made.call(made.intent(1), made.intent(2), made.accepted(2), made.settlement(2), made.refusal(1))
    assert [attempt.outcome for attempt in call.attempts] == [AttemptOutcome.REFUSED, AttemptOutcome.SETTLED]
    assert call.open_attempts == ()


def test_an_attempt_carries_the_hash_of_its_latest_entry(made: "Made") -> None:
    """The intent's until it ends, then the end's; headers that arrive do not count."""
    call = after(None, made.tool_call(), b"0")
    call = after(call, made.intent(), b"1")
    call = after(call, made.accepted(), b"2")
    assert call.attempt(made.attempt_id()).leaf == b"1"
    assert call.open_attempts == call.attempts
    call = after(call, made.doubt(), b"3")
    assert call.attempt(made.attempt_id()).leaf == b"3"


def test_what_is_simulated_is_known_before_it_is_sent(made: "Made") -> None:
    """The key says so at the intent. An answer's own header is kept beside it, and moves nothing."""
    real = made.call(made.intent(1), made.accepted(1), made.intent(2))
    assert [attempt.simulated for attempt in real.attempts] == [False, False]
    by_header = made.accepted(1, headers={SIMULATOR_HEADER: "1"})
    simulated = made.call(made.intent(1), by_header, made.intent(2, simulated=True))
    assert [(attempt.simulated, attempt.played) for attempt in simulated.attempts] == [
        (False, True),
        (True, False),
    ]


def test_a_step_of_no_call_has_no_record(made: "Made") -> None:
    """A step pairs an entry with the record after it."""
    call = made.call()
    assert (call.opened, call) == (Step(call.opened, call).entry, Step(call.opened, call).call)


def test_an_attempt_knows_its_status_and_ids_from_headers_and_body(made: "Made") -> None:
    """What the end states wins; the headers stand in for an end that states nothing."""
    opening: tuple[OfCall, ...] = (made.intent(1),)
    headed = (*opening, made.accepted(1, status=200, provider_ids={"header": "h"}))
    ended = (*headed, made.settlement(1, status=200, provider_ids={"id": "b"}))
    lost = (*headed, made.doubt(1, status=None, provider_ids={}))
    unsent = (*opening, made.unsent(1))
    expected: list[tuple[tuple[OfCall, ...], int | None, dict[str, str]]] = [
        (opening, None, {}),
        (headed, 200, {"header": "h"}),
        (ended, 200, {"header": "h", "id": "b"}),
        (lost, 200, {"header": "h"}),
        (unsent, None, {}),
    ]
    for entries, status, ids in expected:
        (attempt,) = made.call(*entries).attempts
        assert (status, ids) == (attempt.http_status, attempt.provider_ids)


@pytest.mark.parametrize(
    ("end", "changed", "may"),
    [
        ("unsent", {}, True),
        ("refusal", {"retryable": True}, True),
        ("refusal", {"retryable": False}, False),
        ("settlement", {}, False),
        ("doubt", {}, False),
        (None, {}, False),
    ],
)
def test_only_what_was_surely_not_billed_is_tried_again(
    made: "Made", end: str | None, changed: dict[str, bool], *, may: bool
) -> None:
    """A retry of anything else must not be written, so it cannot be sent."""
    ended = [] if end is None else [getattr(made, end)(1, **changed)]
    call = made.call(made.intent(1), *ended)
    again = made.intent(2, retry_of=made.attempt_id(1))
    assert may == call.attempts[0].repeatable
    if may:
        assert after(call, again, LEAF).attempts[1].intent.retry_of == made.attempt_id(1)
    else:
        with pytest.raises(BrokenRecordError, match="must not be tried again"):
            after(call, again, LEAF)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"amount": None}, "what is reconciled has an amount and a currency"),
        ({"outcome": ResolutionOutcome.WRITTEN_OFF}, "what is written off none"),
        ({"currency": "CNY"}, "is billed in USD, not in CNY"),
    ],
)
def test_a_resolution_must_fit_its_attempt(made: "Made", changed: dict[str, Any], why: str) -> None:
    """An amount belongs to what is reconciled alone, and is in the currency that the attempt is billed in."""
    with pytest.raises(BrokenRecordError, match=why):
        made.call(made.intent(), made.doubt(), made.resolution(**changed))


def test_of_an_unpriced_attempt_any_currency_may_be_stated(made: "Made") -> None:
    """Where no price was known, the statement says the currency too."""
    unknown = WorstCase(input_tokens=600, output_tokens=1000, currency=None, amount=None)
    call = made.call(made.intent(worst_case=unknown), made.doubt(), made.resolution(currency="CNY"))
    assert AttemptOutcome.RECONCILED == call.attempts[0].outcome


def test_a_closed_call_is_doubtful_until_its_last_doubt_is_resolved(made: "Made") -> None:
    """A resolution may follow the answer; the attempt then carries its hash."""
    call = made.call(made.intent(), made.doubt(), made.answer())
    assert call.doubtful
    resolved = after(call, made.resolution(), b"r")
    assert (False, b"r", made.resolution()) == (
        resolved.doubtful,
        resolved.attempts[0].leaf,
        resolved.attempts[0].latest,
    )
