"""The shapes that rooms meet by: what a provider, a tool, a desk and a clock must be.

Contract words: `must` and `never` bind every implementation; a shared test holds each to them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from service.core.account import Account, Asked
from service.core.books import Figure
from service.core.evidence import Signature
from service.core.proving import Balance, Proof, ProofAsked
from service.core.record import Step
from service.core.usage import Usage, UsageFlag
from service.core.words import ReadingOutcome, RefusalReason


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool wants from a model. None leaves the choice to the desk or the provider.

    Attributes:
        wallet: the name of the one that must pay.
        temperature: 0 to 2.
        max_output_tokens: upper limit of output, reasoning included.
        thinking: whether the model may reason before it answers.
        on_text: called with each piece of text as it arrives; asking for it makes the request a stream.
    """

    messages: tuple[Message, ...]
    provider: str | None = None
    model: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    thinking: bool | None = None
    wallet: str | None = None
    on_text: Callable[[str], None] | None = None


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A model's answer, settled. `model` is the name the answer itself reported, when it did."""

    text: str
    reasoning: str
    provider: str
    model: str
    finish_reason: str | None
    usage: Usage


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """One request, ready to be sent and not yet authorised.

    Attributes:
        path: follows the wallet's base URL, or its origin alone where `rooted`.
        headers: without credentials.
        body: the exact bytes.
        nonce, client_request_id: what makes this request unique in the provider's own record.
        method: `POST`, or `GET` for what has no body.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    nonce: str | None = None
    client_request_id: str | None = None
    method: Literal["POST", "GET"] = "POST"
    rooted: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A complete error of the provider, named. `message` is the provider's own text, not yet redacted."""

    reason: RefusalReason
    retryable: bool
    retry_after_ms: int | None
    provider_type: str | None
    provider_code: str | None
    message: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What could be read of an answer's body, complete or not.

    Attributes:
        text, reasoning: what the model wrote, as far as it came.
        complete: whether the body ended as the provider ends one (whole JSON, or `[DONE]`).
        readable: False when the body is not what the provider sends at all.
        usage: None when none came or it was no set of counts; then `usage_raw` may still hold its text.
        usage_raw: the provider's own JSON of it, exact.
        refusal: an error that came inside the body, whatever the HTTP status.
    """

    text: str = ""
    reasoning: str = ""
    complete: bool = False
    readable: bool = True
    model_reported: str | None = None
    finish_reason: str | None = None
    provider_ids: dict[str, str] = {}
    usage: Usage | None = None
    usage_raw: str | None = None
    usage_flags: tuple[UsageFlag, ...] = ()
    refusal: Refusal | None = None


class AnswerReader(Protocol):
    """Reads one answer's body as it arrives. It never raises on a stranger's bytes."""

    def feed(self, chunk: bytes) -> list[str]:
        """Take bytes; return the pieces of answer text (not reasoning) that they complete."""

    def finish(self) -> Answer:
        """Say what came, after the last byte or at a cut. It may be called at any time, once."""


class Inquiry(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a provider's account services, which costs nothing.

    Attributes:
        counter: which of the provider's counters it asks.
    """

    counter: str
    prepared: Prepared


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider answered to an inquiry.

    Attributes:
        organisation: the account's id as the provider writes it. It must be hashed before it is kept.
        tells: limits, tier and the like; no ids, no names, no keys.
        message: the provider's own text, not yet redacted; empty where it was read.
    """

    outcome: ReadingOutcome
    figures: tuple[Figure, ...] = ()
    organisation: str | None = None
    tells: dict[str, str] = {}
    message: str = ""
    provider_code: str | None = None


class Counters(Protocol):
    """A provider's own books as far as a key may ask for them; pure, like the provider.

    Attributes:
        names, still: of all that there are, in the order of asking; of those that no call ever moves.
        settling_s, packages: until a call usually shows; the one of packages, which pay before money, if any.
    """

    names: tuple[str, ...]
    settling_s: float
    packages: str | None
    still: tuple[str, ...]

    def inquiries(self, *, plan: str | None, at_ns: int) -> tuple[Inquiry, ...]:
        """Write what can be asked of a wallet, by its plan, now."""

    def stated(
        self,
        counter: str,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        *,
        currency: str | None,
        at_ns: int,
    ) -> Stated:
        """Read an answer; a stranger's bytes are `unreadable`, never an exception.

        Args:
            counter: as the inquiry named it.
            status: of HTTP; these services refuse with a 200, too.
            headers: lower-case names.
            body: whole.
            currency: what the wallet is billed in.
            at_ns: when it came, for counters whose period the answer does not state.
        """

    def drawn_pico(self, *, plan: str, model: str, usage: Usage, at_ns: int) -> int | None:
        """Say by how much an attempt moves a plan's counter, in 10⁻¹² of its unit; None if that is not known."""

    def verification(self, signature: Signature) -> Inquiry | None:
        """Ask whether a signature is the provider's own; None where it signs nothing."""

    def verified(self, status: int, body: bytes) -> bool | None:
        """Read the answer to that; None where it is no answer."""


class Provider(Protocol):
    """One provider's own ways, pure: it prepares and parses; it never sends, reads no clock, rolls no dice.

    Attributes:
        name: as users, labels and entries name it.
        title: as people write it.
        key_variables: environment variables that may hold the key, in order.
        base_url, base_url_variable: the default one, and the environment variable that may name another.
        default_model: asked when nobody names a model, and money pays.
        kept_headers: lower-case names of response headers that are evidence and hold no secret.
        hosts: lower-case names of the provider's own hosts.
        counters: its own books.
    """

    name: str
    title: str
    key_variables: tuple[str, ...]
    base_url_variable: str
    base_url: str
    default_model: str
    kept_headers: frozenset[str]
    hosts: frozenset[str]
    counters: Counters

    def plan(self, path: str) -> str | None:
        """Name the plan that a base URL's path belongs to; None where every call is paid by its tokens."""

    def paths(self, host: str) -> tuple[str, ...]:
        """Give the paths of base URLs at which a host (lower-case, without port) takes requests."""

    def model_for(self, plan: str | None) -> str:
        """Name the model to ask when nobody names one: of a plan one that it rates, if any is known to be."""

    def price_host(self, host: str, key_hint: str) -> str | None:
        """Name the host whose price rows hold for a base URL's host; a simulator bills as the host it plays.

        Args:
            host: lower-case host of the wallet's base URL, without port.
            key_hint: `sim`, `sim-cny` or `real`.
        """

    def currency(self, price_host: str | None) -> str | None:
        """Name the currency that a host bills in; None when it is not known."""

    def prepare(self, ask: Ask, *, model: str, max_output_tokens: int, unique: str) -> Prepared:
        """Write the request. Streams must ask for usage; the maximum output must always be explicit.

        Args:
            ask: what is wanted; `ask.on_text` decides whether it is a stream.
            model: the model to name.
            max_output_tokens: the limit to send.
            unique: a fresh UUID v4 text, for the provider's own record.
        """

    def reader(self, *, stream: bool) -> AnswerReader:
        """Begin to read the body of an answer with status 200."""

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Refusal | None:
        """Name the error in a complete body; None when it is no error of this provider.

        Args:
            status: HTTP status.
            headers: lower-case names.
            body: the complete body.
        """

    def ids(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Collect the provider's request ids from response headers (lower-case names)."""

    def cached_tokens(self, headers: Mapping[str, str]) -> int | None:
        """Read the cached tokens that a header states beside the body's usage; None if there is none."""

    def signature(self, headers: Mapping[str, str]) -> tuple[str, str] | None:
        """Read (timestamp, signature) over the request's nonce; None if the provider signed nothing."""


class Desk(Protocol):
    """A tool call's only way to a provider."""

    async def complete(self, ask: Ask) -> Completion:
        """Ask a model and wait for the settled answer.

        Raises:
            CallError: any of its family; every attempt made is in the ledger by then.
        """


class Books(Protocol):
    """A tool call's view of what was spent: of its own client's calls, or of all where its caller may see them."""

    async def spending(self, asked: Asked) -> Account:
        """Add up what the ledger holds. A call that has made no attempt is in it only once it was answered.

        Raises:
            InvalidArgumentsError: the question has a word, a time or a zone that is not known.
            StoreError: the ledger cannot be read.
        """


class Prover(Protocol):
    """A tool call's view of the provider's own books: what they say, and what may be tried to move them."""

    async def balances(self, wallet: str | None, *, fresh: bool) -> tuple[Balance, ...]:
        """Say what the counters of each wallet last said.

        Args:
            wallet: one's name; None for all.
            fresh: whether they are asked now, as far as their rate allows.

        Raises:
            InvalidArgumentsError: there is no such wallet.
            MayNotSeeError: the caller may see its own calls alone.
        """

    async def prove(self, plan: ProofAsked, desk: Desk, *, on_text: Callable[[str], None] | None) -> Proof:
        """Read, spend the least that the counter must show, wait, read again, and judge.

        Args:
            plan: what is to be proved.
            desk: the way to a model.
            on_text: gets a line of progress at a time, each with its newline; None if nobody listens.

        Raises:
            CallError: any of its family; every attempt made is in the ledger by then.

        Returns:
            What was found; to a caller who may see its own calls alone, of the proof's own window and no balance.
        """

    async def receipt(self, tool_call_id: str) -> dict[str, Any]:
        """Give the receipt of a call that the caller may see, as it stands now.

        Raises:
            InvalidArgumentsError: there is no such call for this caller.
        """


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool answers: text for people and models, and the same structured."""

    text: str
    structured: dict[str, Any] | None = None


class Tool(Protocol):
    """One tool, one file. Its arguments have passed its schema when `run` is called.

    Attributes:
        name: as MCP clients name it.
        title, description: for people and models.
        input_schema, output_schema: JSON Schema 2020-12.
        annotations: MCP tool hints.
        needs_model: whether no answer is a good one that no model gave.
    """

    name: str
    title: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None
    annotations: Mapping[str, bool]
    needs_model: bool

    async def run(
        self,
        arguments: Mapping[str, Any],
        desk: Desk,
        books: Books,
        prover: Prover,
        *,
        on_text: Callable[[str], None] | None,
    ) -> ToolResult:
        """Do the tool's deed.

        Args:
            arguments: valid by `input_schema`.
            desk: the way to a model.
            books: what the caller may know of the ledger.
            prover: what the caller may know of the provider's own books.
            on_text: the client's wish for text as it arrives; None if it has none.

        Raises:
            CallError: what went wrong, for the caller.
        """


class Clock(Protocol):
    """Time as an argument."""

    def now_ns(self) -> int:
        """Say the UTC wall time."""

    def monotonic_ns(self) -> int:
        """Say a time that never goes back, for durations only."""


class Listener(Protocol):
    """Whoever derives a view from committed entries; called in the log's order, off every hot path."""

    def take(self, steps: Sequence[Step]) -> None:
        """Take the next steps. What it raises is logged and counted; nothing waits for it."""
