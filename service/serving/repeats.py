"""Repeated requests: which are equal, which call binds their key, and what a repetition is given. Pure."""

import hashlib
import hmac
from typing import Any

import msgspec

from service.core.entries import Idempotency
from service.core.receipt import page_url
from service.core.record import ToolCall
from service.core.words import AttemptOutcome, ToolOutcome
from service.errors import AnswerLostError, IdempotencyConflictError, InvalidArgumentsError
from service.mcp.events import CallTool, ToolReply
from service.mcp.terms import KEY_CHARS_MAX, KEY_META

_VERSION = 1
_EXACT_MAX = 2**53
_COST_NOTHING = frozenset((AttemptOutcome.REFUSED, AttemptOutcome.UNSENT))
_COSTS = {
    frozenset(): "It cost nothing",
    frozenset((AttemptOutcome.SETTLED,)): "Its provider metered it",
    frozenset((AttemptOutcome.RECONCILED,)): "What it cost was stated by hand",
}

_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a key's original ended, as it is kept and given again; the reply is without its receipt."""

    v: int = _VERSION
    tool_call_id: str
    answered_at: str
    outcome: ToolOutcome
    error_code: str | None
    reply: ToolReply

    def again(self, receipt: dict[str, Any], console_url: str) -> ToolReply:
        """Dress the reply for a call that repeats the original: the same words, its own receipt, and a mark."""
        replay = {
            "tool_call_id": self.tool_call_id,
            "answered_at": self.answered_at,
            "url": page_url(console_url, self.tool_call_id),
        }
        return msgspec.structs.replace(self.reply, receipt=receipt, replay=replay)


_decode = msgspec.json.Decoder(Ended).decode


def encode(ended: Ended) -> bytes:
    """Write an end down.

    Raises:
        ValueError: a text holds half a surrogate pair.
    """
    return msgspec.json.encode(ended)


def decode(content: bytes) -> Ended | None:
    """Read what `encode` wrote; None if this version did not write it."""
    try:
        ended = _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return ended if ended.v == _VERSION else None


def wish(call: CallTool) -> Idempotency | None:
    """Read a call's wish that equal requests be paid once; None if it brings no key.

    Equal are requests of the same tool with arguments that JSON cannot tell apart: the order of names and the
    way of writing a number do not count, neither do progress and trace.

    Raises:
        InvalidArgumentsError: the key is no text of 1 to 255 printable ASCII characters.
    """
    key = call.meta.get(KEY_META)
    if key is None:
        return None
    if not (isinstance(key, str) and 0 < len(key) <= KEY_CHARS_MAX and key.isascii() and key.isprintable()):
        raise InvalidArgumentsError(
            f"_meta[{KEY_META!r}] is no text of 1 to {KEY_CHARS_MAX} printable ASCII characters",
            remedy="Send a new UUID for each request, and the same one when you repeat it."
            " Nothing was sent to a provider.",
        )
    secret = key.encode()
    asked = _encode_sorted([call.name, _plain(call.arguments)])
    return Idempotency(
        key_sha256=hashlib.sha256(secret).hexdigest(),
        request_sha256=hmac.new(secret, asked, hashlib.sha256).hexdigest(),
    )


def binds(call: ToolCall) -> bool:
    """Tell whether a call holds its key: it has not ended, it succeeded, or it may have cost something."""
    if call.answer is None or call.answer.outcome is ToolOutcome.OK:
        return True
    return any(attempt.outcome not in _COST_NOTHING for attempt in call.attempts)


def conflict(tool_call_id: str) -> IdempotencyConflictError:
    """Say that a key belongs to another request, and to which call."""
    return IdempotencyConflictError(
        f"this idempotency key is bound to another request, that of tool call {tool_call_id}",
        remedy="Use a new key for each new request; repeat a key only with the same tool and arguments.",
    )


def lost(call: ToolCall, url: str) -> AnswerLostError:
    """Say that a key's answer is not kept, and whether it was paid for."""
    outcomes = {attempt.outcome for attempt in call.attempts} - _COST_NOTHING
    cost = _COSTS.get(frozenset(outcomes), "It may have been billed")
    return AnswerLostError(
        f"this request was made before, as tool call {call.tool_call_id}, and its answer is not kept. {cost}.",
        replay_of=call.tool_call_id,
        remedy=f"Nothing was sent now. Look at the receipt: {url}; to ask, and pay, again use a new key.",
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Write whole numbers as such: JSON knows no difference between 1 and 1.0. Frames bound the depth."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT_MAX else value
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(member) for member in value] if isinstance(value, list) else value
