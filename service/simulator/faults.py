"""Faults: the switches that make a provider misbehave, counted by requests, so that a test can repeat them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import msgspec

from service.simulator.shapes import Usage

FAULTS_MAX = 100
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
SkewSeconds = Annotated[int, msgspec.Meta(ge=-(10**8), le=10**8)]
Chunks = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Bytes = Annotated[int, msgspec.Meta(ge=1, le=1 << 30)]
Status = Annotated[int, msgspec.Meta(ge=200, le=599)]
Factor = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Amount = Annotated[str, msgspec.Meta(pattern=r"^\d{1,6}(\.\d{1,9})?$")]


class _Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every fault says: whom it hits, how many requests (None: all), and chat or account routes.

    `holds` is text that must stand in the request's body as it was sent: so each of many requests at one time
    can have a fault of its own.
    """

    provider: Literal["kimi", "glm"] | None = None
    wallet: str | None = None
    holds: Words | None = None
    next: Count | None = None
    on: Literal["chat", "account"] = "chat"


class Latency(_Fault, tag="latency"):
    """The headers come late."""

    seconds: Seconds


class Hang(_Fault, tag="hang"):
    """The headers never come."""

    billed: bool = True


class HalfOpen(_Fault, tag="half_open"):
    """The headers come, then silence."""

    billed: bool = True


class CutStream(_Fault, tag="cut_stream"):
    """The connection breaks after this many chunks; a whole body breaks in the middle."""

    chunks: Chunks = 2
    billed: bool = True


class WrongUsage(_Fault, tag="wrong_usage"):
    """The usage told is not the usage billed."""

    variant: Literal["factor", "missing", "negative", "reasoning_over", "absurd"] = "factor"
    factor: Factor = 2


class DoubleBill(_Fault, tag="double_bill"):
    """The wallet pays twice for one answer."""


class Undercharge(_Fault, tag="undercharge"):
    """The wallet pays this part of what the answer tells."""

    factor: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class Overcharge(_Fault, tag="overcharge"):
    """The wallet pays so many times what the answer tells."""

    factor: Annotated[float, msgspec.Meta(ge=1, le=1000)] = 1.5


class NoHeaders(_Fault, tag="no_headers"):
    """The answer bears no signature, as one that came through a relay."""


class ReplayedSignature(_Fault, tag="replayed_signature"):
    """The answer bears the signature of an earlier one, if there was one."""


class SameId(_Fault, tag="same_id"):
    """The answer bears the ids of the one before, in headers and body."""


class Error(_Fault, tag="error"):
    """The provider refuses: Kimi by `type`, GLM by `code`, each with its own status and sentence by default."""

    status: Status | None = None
    type: str | None = None
    code: str | None = None
    message: str | None = None
    retry_after_s: Count | None = None


class Garbage(_Fault, tag="garbage"):
    """A 200 whose body is no JSON, or whose stream holds unreadable lines."""


class Drip(_Fault, tag="drip"):
    """The body comes in small slices with pauses between."""

    slice_bytes: Bytes = 16
    pause_seconds: Seconds = 0.01


class ClockSkew(_Fault, tag="clock_skew"):
    """The provider's clock is off: Date header, `created`, ids."""

    seconds: SkewSeconds


class BillingLag(_Fault, kw_only=True, tag="billing_lag"):
    """The account routes show the balance of some seconds ago; the books do not lag."""

    seconds: Seconds
    on: Literal["chat", "account"] = "account"


class SecondSpender(_Fault, tag="second_spender"):
    """Somebody else spends from the same wallet whenever a request comes."""

    amount: Amount = "0.5"


class Redirect(_Fault, tag="redirect"):
    """A 307 to somewhere else."""

    to: str = "http://127.0.0.1:9/elsewhere"


class Gzip(_Fault, tag="gzip"):
    """The body is compressed, whether it was asked for or not."""


class WrongModel(_Fault, tag="wrong_model"):
    """The answer names another model than the one asked for."""

    model: str = "another-model"


class HugeBody(_Fault, tag="huge_body"):
    """The body starts with this many blanks."""

    padding_bytes: Bytes = 64 << 20


Fault = (
    Latency
    | Hang
    | HalfOpen
    | CutStream
    | WrongUsage
    | DoubleBill
    | Undercharge
    | Overcharge
    | NoHeaders
    | ReplayedSignature
    | SameId
    | Error
    | Garbage
    | Drip
    | ClockSkew
    | BillingLag
    | SecondSpender
    | Redirect
    | Gzip
    | WrongModel
    | HugeBody
)
KINDS = tuple(str(kind.__struct_config__.tag) for kind in Fault.__args__)
_Kind = TypeVar("_Kind", bound=_Fault)


def kind_of(fault: Fault) -> str:
    """Name a fault's kind."""
    return str(type(fault).__struct_config__.tag)


class FaultList(msgspec.Struct, forbid_unknown_fields=True):
    """What `PUT /_sim/faults` takes: the new list replaces the old."""

    faults: Annotated[list[Fault], msgspec.Meta(max_length=FAULTS_MAX)]


def read_faults(body: bytes) -> list[Fault]:
    """Decode a list of faults; raises ValueError with a sentence that lists the valid kinds."""
    try:
        return msgspec.json.decode(body, type=FaultList).faults
    except msgspec.MsgspecError as error:
        raise ValueError(f"{error}. The kinds are: {', '.join(KINDS)}.") from error


def pick(faults: Sequence[Fault], kind: type[_Kind]) -> _Kind | None:
    """Find the first fault of a kind."""
    return next((fault for fault in faults if isinstance(fault, kind)), None)


def misreport(usage: Usage, faults: Sequence[Fault]) -> Usage | None:
    """Give the usage that is told: the true one unless a fault says otherwise, None when it is kept back."""
    wrong = pick(faults, WrongUsage)
    if wrong is None:
        return usage
    prompt, completion, total = usage.prompt, usage.completion, usage.total
    match wrong.variant:
        case "missing":
            return None
        case "factor":
            return Usage(*(tokens * wrong.factor for tokens in usage.as_json().values()))
        case "negative":
            return Usage(-prompt, usage.cached, -completion, usage.reasoning, -total)
        case "reasoning_over":  # as one provider really did: reasoning one above its whole, and so the total
            return Usage(prompt, usage.cached, completion, completion + 1, total + 1)
        case "absurd":
            return Usage(10**15, usage.cached, 10**15, usage.reasoning, 2 * 10**15)


@dataclass(slots=True)
class _Active:
    fault: Fault
    left: int | None


class FaultBoard:
    """The switches that are on, and how many requests each will still hit."""

    def __init__(self) -> None:
        self._active: list[_Active] = []

    def put(self, faults: Sequence[Fault]) -> None:
        """Replace all switches."""
        self._active = [_Active(fault, fault.next) for fault in faults]

    def take(self, provider: str, wallet: str | None, on: str, body: bytes = b"") -> tuple[Fault, ...]:
        """Give the faults that hit this request, and count it against each of them."""
        hit = [active for active in self._active if _hits(active.fault, provider, wallet, on, body)]
        for active in hit:
            if active.left is not None:
                active.left -= 1
        self._active = [active for active in self._active if active.left != 0]
        return tuple(active.fault for active in hit)

    def as_json(self) -> dict[str, object]:
        """Give the active switches; `next` is what is left."""
        return {"faults": [{**msgspec.to_builtins(active.fault), "next": active.left} for active in self._active]}


def _hits(fault: Fault, provider: str, wallet: str | None, on: str, body: bytes) -> bool:
    named = fault.on == on and fault.provider in (None, provider) and fault.wallet in (None, wallet)
    return named and (fault.holds or "").encode() in body
