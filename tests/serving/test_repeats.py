"""Repeated requests: which are equal, what binds their key, and what is said where an answer is lost."""

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.core.entries import OfCall, ResolutionEntry
from service.core.words import ResolutionOutcome, ResolutionSource, ToolOutcome, ZeroReason
from service.errors import InvalidArgumentsError
from service.mcp.events import CallTool, ToolFault, ToolReply
from service.serving.repeats import Ended, binds, decode, encode, lost, wish
from tests.conftest import CALL

if TYPE_CHECKING:
    from tests.conftest import Made

KEY = "order-4711"


def call(key: object = KEY, **changed: Any) -> CallTool:  # noqa: ANN401 - any field of a call
    """Call chat with a key."""
    made = CallTool(
        request_id=7,
        name="chat",
        arguments={"prompt": "hi", "temperature": 1},
        meta={"exai/idempotency_key": key},
        progress_token=None,
        wants_text=False,
    )
    return msgspec.structs.replace(made, **changed)


def test_hashes() -> None:
    """The key's hash is SHA-256 of the key; the request's is an HMAC under it, which the log alone cannot try."""
    asked = wish(call())
    assert asked is not None
    assert hashlib.sha256(KEY.encode()).hexdigest() == asked.key_sha256
    written = b'["chat",{"prompt":"hi","temperature":1}]'
    assert hmac.new(KEY.encode(), written, hashlib.sha256).hexdigest() == asked.request_sha256


@pytest.mark.parametrize("meta", [{}, {"exai/idempotency_key": None}, {"progressToken": "p"}])
def test_no_key(meta: dict[str, Any]) -> None:
    """A call without a key has no wish."""
    assert wish(call(meta=meta)) is None


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "a\nb", "a\x7f", 5, True, ["k"], {"k": 1}])
def test_bad_key(key: object) -> None:
    """A key that is no text of 1 to 255 printable ASCII characters is refused before anything is recorded."""
    with pytest.raises(InvalidArgumentsError) as caught:
        wish(call(key))
    assert "exai/idempotency_key" in caught.value.message
    assert caught.value.remedy.endswith("Nothing was sent to a provider.")


@pytest.mark.parametrize("key", ["k", "x" * 255, " two words ~"])
def test_good_key(key: str) -> None:
    """One to 255 printable ASCII characters are a key, a space among them."""
    assert wish(call(key)) is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"request_id": 8, "progress_token": "p", "wants_text": True},
        {"meta": {"exai/idempotency_key": KEY, "progressToken": 1, "traceparent": "00-…"}},
        {"arguments": {"temperature": 1, "prompt": "hi"}},
        {"arguments": {"temperature": 1.0, "prompt": "hi"}},
    ],
)
def test_equal_requests(changed: dict[str, Any]) -> None:
    """Id, progress, trace, the order of names and the way of writing a number make no other request."""
    assert wish(call()) == wish(call(**changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"arguments": {"prompt": "hi"}},
        {"arguments": {"prompt": "hi", "temperature": 1.5}},
        {"arguments": {"prompt": "hi", "temperature": True}},
        {"arguments": {"prompt": "hi", "temperature": "1"}},
        {"arguments": {"prompt": "hi ", "temperature": 1}},
        {"arguments": {"prompt": ["hi"], "temperature": 1}},
    ],
)
def test_other_requests(changed: dict[str, Any]) -> None:
    """Another tool, name, value or type is another request under the same key."""
    first, second = wish(call()), wish(call(**changed))
    assert first is not None
    assert second is not None
    assert first.key_sha256 == second.key_sha256
    assert first.request_sha256 != second.request_sha256


def test_numbers_deep_inside() -> None:
    """Whole numbers are equal however deep they stand; what a double cannot hold exactly is left as it is."""
    deep = [{"a": [1.0, {"b": 2.0}], "c": 1e300}]
    plain = [{"a": [1, {"b": 2}], "c": 1e300}]
    assert wish(call(arguments={"x": deep})) == wish(call(arguments={"x": plain}))


FAILED = {"outcome": ToolOutcome.FAILED, "error_code": "x", "response": None}


def ended_as(made: "Made", *kinds: str) -> list[OfCall]:
    """End attempts, each in its way."""
    found: list[OfCall] = []
    for number, kind in enumerate(kinds, 1):
        found += [made.intent(number), getattr(made, kind)(number)]
    return found


@pytest.mark.parametrize(
    ("kinds", "bound"),
    [
        ((), False),
        (("refusal",), False),
        (("unsent", "unsent", "refusal"), False),
        (("settlement",), True),
        (("doubt",), True),
        (("refusal", "doubt"), True),
    ],
)
def test_a_failed_call_binds_only_if_it_may_have_cost(
    made: "Made", kinds: tuple[str, ...], *, bound: bool
) -> None:
    """What was refused or never left frees the key; what was metered or may have been billed holds it."""
    zero = None if kinds else ZeroReason.UNAVAILABLE
    assert bound is binds(made.call(*ended_as(made, *kinds), made.answer(**FAILED, zero_reason=zero)))


def test_success_and_an_open_call_bind(made: "Made") -> None:
    """A call that succeeded holds its key although it cost nothing; so does one that has no answer yet."""
    assert binds(made.call(made.answer(zero_reason=ZeroReason.NO_MODEL_STEP)))
    assert binds(made.call(*ended_as(made, "refusal")))
    assert binds(made.call(made.intent()))


def written_off(made: "Made") -> ResolutionEntry:
    """Write the first attempt off."""
    return ResolutionEntry(
        tool_call_id=CALL,
        attempt_id=made.attempt_id(),
        outcome=ResolutionOutcome.WRITTEN_OFF,
        currency=None,
        amount=None,
        tokens=None,
        source=ResolutionSource.OPERATOR,
        by="root",
        why="old",
    )


def test_a_call_that_was_written_off_binds(made: "Made") -> None:
    """What became of doubt later changes nothing: it may have been billed."""
    call = made.call(*ended_as(made, "doubt"), made.answer(**FAILED), written_off(made))
    assert binds(call)
    assert "may have been billed" in lost(call, "url").message


@pytest.mark.parametrize(
    ("kinds", "cost"),
    [
        ((), "It cost nothing."),
        (("refusal",), "It cost nothing."),
        (("refusal", "settlement"), "Its provider metered it."),
        (("settlement", "doubt"), "It may have been billed."),
    ],
)
def test_a_lost_answer_says_whether_it_was_paid(made: "Made", kinds: tuple[str, ...], cost: str) -> None:
    """The error names the call, what is known of its cost, its page and the way to ask again."""
    zero = None if kinds else ZeroReason.NO_MODEL_STEP
    error = lost(made.call(*ended_as(made, *kinds), made.answer(zero_reason=zero)), "http://here/calls/c")
    assert CALL in error.message
    assert error.message.endswith(cost)
    assert "http://here/calls/c" in error.remedy
    assert "new key" in error.remedy
    assert CALL == error.replay_of


def test_what_was_stated_by_hand_is_not_called_metered(made: "Made") -> None:
    """Of a resolved attempt nothing was metered, and the error does not say so."""
    call = made.call(made.intent(), made.doubt(), made.answer(**FAILED), made.resolution(amount="0"))
    assert lost(call, "url").message.endswith("What it cost was stated by hand.")


ENDED = Ended(
    tool_call_id=CALL,
    answered_at="2026-11-22T16:21:00.000000Z",
    outcome=ToolOutcome.OK,
    error_code=None,
    reply=ToolReply(
        content=("Grüße \U0001f600", ""),
        structured={"n": 1, "x": [1.5, None, True]},
        error=ToolFault(code="c", message="m", retryable=True, remedy="r"),
        is_error=True,
    ),
)


def test_an_end_comes_back_as_it_was() -> None:
    """What was written down is read back equal."""
    assert ENDED == decode(encode(ENDED))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 100_000,
        encode(msgspec.structs.replace(ENDED, v=2)),
        encode(ENDED)[:-1],
    ],
)
def test_what_this_version_did_not_write(content: bytes) -> None:
    """Anything else is no end, and nothing is raised."""
    assert decode(content) is None


def test_a_repetition_is_marked() -> None:
    """It has the original's words, its own receipt, and says whose words they are, since when, and where."""
    again = ENDED.again({"mine": 1}, "http://here")
    assert (ENDED.reply.content, ENDED.reply.structured, {"mine": 1}) == (
        again.content,
        again.structured,
        again.receipt,
    )
    assert {
        "tool_call_id": CALL,
        "answered_at": "2026-11-22T16:21:00.000000Z",
        "url": f"http://here/console/calls/{CALL}",
    } == again.replay
