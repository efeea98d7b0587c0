"""Six checks, each with a state and a sentence that entries alone make."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.core.books import VerdictEntry, VerificationEntry
from service.core.checks import CheckName, checks
from service.core.entries import OfCall, Rates
from service.core.evidence import Signature, TlsPeer
from service.core.judged import NOTHING, Judged
from service.core.record import Attempt
from service.core.timely import SIGNED_WITHIN_S
from service.core.times import utc_ns
from service.core.words import CheckState, CostStatus, ResolutionSource, VerificationOutcome
from tests.conftest import AT

if TYPE_CHECKING:
    from tests.conftest import Made

PASS, FAIL, NOT_YET = CheckState.PASS, CheckState.FAIL, CheckState.NOT_YET
NOT_AVAILABLE, NOT_NEEDED = CheckState.NOT_AVAILABLE, CheckState.NOT_NEEDED
PEER = TlsPeer(version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", subject="*.moonshot.ai", fingerprint="ab" * 32)
IDS = "The provider's own ids: id chatcmpl-1, msh-request-id header-1."
SENT_MS = utc_ns(AT) // 1_000_000
SLACK_MS = SIGNED_WITHIN_S * 1000


def signature(timestamp: object = SENT_MS) -> Signature:
    """Sign at a time."""
    return Signature(nonce="n", timestamp=str(timestamp), signature="s", model="kimi-k3")


def attempt(made: "Made", *entries: OfCall) -> Attempt:
    """Make the one attempt of a call."""
    (one,) = made.call(*entries).attempts
    return one


def settled(made: "Made", intent: dict[str, Any] | None = None, **changed: Any) -> Attempt:  # noqa: ANN401 - any field
    """Make an attempt at the provider's own host that was settled."""
    begun = made.intent(1, **({"own_host": True} | (intent or {})))
    return attempt(made, begun, made.accepted(tls=PEER), made.settlement(1, **changed))


def found_by(name: CheckName, one: Attempt, judged: Judged = NOTHING) -> tuple[CheckState, str]:
    """Look at one of the six."""
    (check,) = (check for check in checks(one, judged) if check.name == name)
    return check.state, check.evidence


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        ("settlement", (PASS, PASS, PASS, PASS, PASS, NOT_YET)),
        ("refusal", (PASS, PASS, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED)),
        ("doubt", (PASS, PASS, NOT_AVAILABLE, NOT_NEEDED, NOT_AVAILABLE, NOT_YET)),
        (None, (PASS, NOT_YET, NOT_YET, NOT_YET, NOT_YET, NOT_YET)),
    ],
)
def test_every_end_has_its_states(made: "Made", kind: str | None, states: tuple[CheckState, ...]) -> None:
    """The six stand in their order; none is left out, and each has one sentence."""
    changed = {"text_bytes": 90} if kind == "settlement" else {}
    end = [] if kind is None else [getattr(made, kind)(**changed)]
    looked = checks(attempt(made, made.intent(own_host=True, nonce=None), made.accepted(tls=PEER), *end))
    assert states == tuple(check.state for check in looked)
    assert ["sent", "answered", "metered", "plausible", "priced", "settled"] == [check.name for check in looked]
    assert all(check.evidence.endswith(".") for check in looked)


def test_what_never_left_needs_no_check(made: "Made") -> None:
    """Nothing was sent, so nothing else can be asked."""
    looked = checks(attempt(made, made.intent(), made.unsent()))
    assert [NOT_NEEDED] * 6 == [check.state for check in looked]


@pytest.mark.parametrize(
    ("intent", "peer", "expected"),
    [
        (
            {"own_host": True},
            PEER,
            (
                PASS,
                f"TLSv1.3 to api.moonshot.ai, whose certificate was verified (SHA-256 {'ab' * 8}…); HTTP 200.",
            ),
        ),
        ({"own_host": True}, None, (NOT_AVAILABLE, "No certificate of api.moonshot.ai is on record; HTTP 200.")),
        ({"own_host": False}, PEER, (NOT_AVAILABLE, "api.moonshot.ai is not kimi's own host; HTTP 200.")),
        (
            {"own_host": None},
            PEER,
            (NOT_AVAILABLE, "api.moonshot.ai is not known to be kimi's own host; HTTP 200."),
        ),
        (
            {"simulated": True, "endpoint": "http://127.0.0.1:9100/v1/chat/completions", "own_host": False},
            None,
            (NOT_AVAILABLE, "A simulator at 127.0.0.1 stands in for the provider; HTTP 200."),
        ),
    ],
)
def test_sent_needs_a_verified_peer_at_the_providers_own_host(
    made: "Made", intent: dict[str, Any], peer: TlsPeer | None, expected: tuple[CheckState, str]
) -> None:
    """A relay, a simulator or a connection without a certificate is told as such and never passes."""
    one = attempt(made, made.intent(1, **intent), made.accepted(tls=peer), made.settlement())
    assert expected == found_by("sent", one)


def test_without_a_head_nothing_says_that_it_arrived(made: "Made") -> None:
    """Open, it may still come; lost, it will not; a settlement without a head has no certificate."""
    lost = made.doubt(status=None)
    assert (NOT_YET, "No answer from api.moonshot.ai has begun.") == found_by("sent", attempt(made, made.intent()))
    assert (NOT_AVAILABLE, "No answer from api.moonshot.ai began.") == found_by(
        "sent", attempt(made, made.intent(), lost)
    )
    headless = attempt(made, made.intent(own_host=True), made.settlement())
    assert (NOT_AVAILABLE, "No certificate of api.moonshot.ai is on record; HTTP 200.") == found_by(
        "sent", headless
    )


def test_a_signature_counts_as_its_provider_says(made: "Made", asked: Callable[..., VerificationEntry]) -> None:
    """Valid passes, invalid fails; not asked is not yet; no answer is none."""
    one = settled(made, signature=signature())
    said = "It confirmed at 2026-11-22T16:21:05.000000Z that it accepted this request's nonce and model."
    denied = "The provider said at 2026-11-22T16:21:05.000000Z that the signature is not its own."
    unable = f"{IDS} It could not say whether it signed it"
    away = VerificationOutcome.UNAVAILABLE
    cases = [
        (None, (NOT_YET, f"{IDS} Whether the signature is its own has not been asked yet.")),
        (asked(), (PASS, f"{IDS} {said}")),
        (asked(outcome=VerificationOutcome.INVALID), (FAIL, denied)),
        (asked(outcome=away, status=500), (NOT_AVAILABLE, f"{unable} (HTTP 500).")),
        (asked(outcome=away, status=None), (NOT_AVAILABLE, f"{unable} (no answer).")),
    ]
    for verification, expected in cases:
        assert expected == found_by("answered", one, Judged(verification=verification))


@pytest.mark.parametrize(
    ("timestamp", "timely"),
    [
        (SENT_MS - SLACK_MS, True),
        (SENT_MS - SLACK_MS - 1, False),
        (SENT_MS + SLACK_MS, True),
        (SENT_MS + SLACK_MS + 1, False),
        ("9" * 14, False),
        ("9" * 15, False),
        ("yesterday", False),
        ("", False),
        ("-5", False),
        ("²", False),
    ],
)
def test_a_signature_of_another_time_fails_whatever_was_said_of_it(
    made: "Made",
    asked: Callable[..., VerificationEntry],
    timestamp: object,
    timely: bool,  # noqa: FBT001 - what is expected
) -> None:
    """A replayed signature is still the provider's; its time is not the attempt's."""
    one = settled(made, signature=signature(timestamp))
    state, evidence = found_by("answered", one, Judged(verification=asked()))
    assert (PASS if timely else FAIL) is state
    assert timely or "The signature on this answer " in evidence


def test_the_provider_answered_if_it_gave_ids_and_what_it_signs(made: "Made") -> None:
    """A nonce asks for a signature, so its absence is told; who signs nothing is known by its ids."""
    assert (PASS, IDS) == found_by("answered", settled(made, {"nonce": None}))
    assert (NOT_AVAILABLE, f"{IDS} The answer came without the provider's signature.") == found_by(
        "answered", settled(made)
    )
    nameless = attempt(made, made.intent(nonce=None), made.settlement(provider_ids={}))
    assert (NOT_AVAILABLE, "The provider gave no id of its own.") == found_by("answered", nameless)


def test_what_speaks_against_the_answer_fails(made: "Made", found: Callable[..., VerdictEntry]) -> None:
    """Another model, or a finding on this very attempt; a model that nobody names contradicts nothing."""
    other = settled(made, {"nonce": None}, model_reported="other", model_known=False)
    assert (FAIL, "The answer names model other; we asked for kimi-k3.") == found_by("answered", other)
    nameless = settled(made, {"nonce": None}, model_reported=None, model_known=False)
    assert PASS is found_by("answered", nameless)[0]
    doubled = found("M4", sentence="The id x stands on 2 attempts.")
    assert (FAIL, doubled.sentence) == found_by("answered", settled(made), Judged(own=doubled))
    assert NOT_AVAILABLE is found_by("answered", settled(made), Judged(own=found("U3")))[0]


def test_metered_names_counts_and_what_is_odd_about_them(made: "Made") -> None:
    """Each class stands apart; contradictions that change nothing are evidence, no failure."""
    counted = "60 uncached input, 40 cached input, 50 output tokens (of which 30 reasoning)"
    assert (PASS, f"The provider counted {counted}.") == found_by("metered", settled(made))
    odd = settled(made, usage=made.usage(cache_write_tokens=1_000), usage_flags=("total_differs",))
    assert (
        PASS,
        (
            "The provider counted 60 uncached input, 40 cached input, 1,000 cache write, 50 output tokens"
            " (of which 30 reasoning). Its own numbers do not all agree: total differs."
        ),
    ) == found_by("metered", odd)


RATES = Rates(uncached_input="3", cached_input="0.3", cache_write="3", output="15")


@pytest.mark.parametrize(
    ("cost", "usage", "expected"),
    [
        (
            {"rates": RATES},
            {},
            (
                PASS,
                (
                    "60 uncached input × 3 + 40 cached input × 0.3 + 50 output × 15, per million tokens,"
                    " comes to 0.25 USD (prices 0123456789abcdef)."
                ),
            ),
        ),
        (
            {"rates": msgspec.structs.replace(RATES, request="0.01")},
            {
                "uncached_input_tokens": 0,
                "cached_input_tokens": 0,
                "output_tokens": 0,
                "reasoning_tokens": 0,
            },
            (
                PASS,
                ("No token, and 0.01 for the request, comes to 0.25 USD (prices 0123456789abcdef)."),
            ),
        ),
        ({}, {}, (PASS, "Usage at the price in force comes to 0.25 USD (prices 0123456789abcdef).")),
        (
            {"status": CostStatus.FREE},
            {},
            (PASS, "kimi-k3 is priced at zero (prices 0123456789abcdef)."),
        ),
        ({"status": CostStatus.PLAN}, {}, (NOT_NEEDED, "A plan's quota pays for it, not money.")),
        (
            {"status": CostStatus.UNKNOWN_PRICE},
            {},
            (NOT_AVAILABLE, "No price of kimi-k3 is known (prices 0123456789abcdef)."),
        ),
    ],
)
def test_priced_shows_the_line(
    made: "Made", cost: dict[str, Any], usage: dict[str, int], expected: tuple[CheckState, str]
) -> None:
    """Usage × rates = cost, so that it can be worked out again; without a price it is not."""
    one = settled(made, cost=made.cost(**cost), usage=made.usage(**usage))
    assert expected == found_by("priced", one)


def test_what_was_stated_is_not_worked_out(made: "Made") -> None:
    """By hand or by readings: an amount without usage has no line; what was written off has no amount."""
    reconciled = attempt(made, made.intent(), made.doubt(), made.resolution())
    assert (NOT_AVAILABLE, "0.5 USD was stated, not worked out from usage.") == found_by("priced", reconciled)
    assert (
        NOT_AVAILABLE,
        "Resolved by user anna (uid 1000) on this machine: the provider's console shows it",
    ) == (found_by("settled", reconciled))
    said = made.resolution(source=ResolutionSource.READINGS, by="readings 3 and 9", why="only this fits.")
    by_books = attempt(made, made.intent(), made.doubt(), said)
    assert (NOT_AVAILABLE, "Resolved by readings 3 and 9: only this fits.") == found_by("settled", by_books)
    assert (
        NOT_AVAILABLE,
        "0.5 USD is what the counter leaves, not worked out from usage.",
    ) == found_by("priced", by_books)
    off = attempt(made, made.intent(), made.doubt(), made.written_off())
    assert (NOT_AVAILABLE, "Without usage there is nothing to price.") == found_by("priced", off)


def test_settled_says_what_the_window_says(made: "Made", found: Callable[..., VerdictEntry]) -> None:
    """Proven passes, a mismatch fails; what will be looked at again is not yet, the rest not available."""
    due = "2026-11-23T07:00:00.000000Z"
    cases = {
        found("P1"): (PASS, found("P1").sentence),
        found("M2"): (FAIL, found("M2").sentence),
        found("U2", due_at=due): (NOT_YET, f"{found('U2').sentence} It is looked at again at {due}."),
        found("U12"): (NOT_AVAILABLE, found("U12").sentence),
    }
    for window, expected in cases.items():
        assert expected == found_by("settled", settled(made), Judged(window=window))
    assert (NOT_YET, "No window between two readings decides it.") == found_by("settled", settled(made))
    free = settled(made, cost=made.cost(status=CostStatus.FREE))
    assert (NOT_NEEDED, "It costs nothing, so no counter should have moved.") == found_by("settled", free)


@pytest.mark.parametrize(
    ("intent", "changed"),
    [
        ({"own_host": False}, {}),
        ({}, {"cost": "unknown"}),
        ({}, {"model_reported": "other", "model_known": False}),
    ],
    ids=["through a relay", "without a price", "by another model"],
)
def test_a_windows_shortage_fails_only_where_it_speaks(
    made: "Made", found: Callable[..., VerdictEntry], intent: dict[str, Any], changed: dict[str, Any]
) -> None:
    """Where the record says something else of an attempt, others in the window may be what is short."""
    if "cost" in changed:
        changed = {"cost": made.cost(status=CostStatus.UNKNOWN_PRICE)}
    one = settled(made, intent, **changed)
    assert (NOT_AVAILABLE, found("M2").sentence) == found_by("settled", one, Judged(window=found("M2")))
    doubled = Judged(window=found("M2"), own=found("M4"))
    assert NOT_AVAILABLE is found_by("settled", settled(made), doubled)[0]


@pytest.mark.parametrize("own_host", [False, None])
def test_a_host_that_is_not_known_settles_nothing(
    made: "Made", found: Callable[..., VerdictEntry], own_host: object
) -> None:
    """Entries of an earlier version do not say whose host it was."""
    assert (
        NOT_AVAILABLE is found_by("settled", settled(made, {"own_host": own_host}), Judged(window=found("P1")))[0]
    )


def test_a_relays_counter_settles_nothing(made: "Made", found: Callable[..., VerdictEntry]) -> None:
    """What a stranger shows as the provider's balance is the stranger's word; a simulator's is a simulator's."""
    state, evidence = found_by("settled", settled(made, {"own_host": False}), Judged(window=found("P1")))
    assert (NOT_AVAILABLE, True) == (
        state,
        evidence.endswith("A host that is not known to be the provider's own said so."),
    )
    simulated = settled(made, {"own_host": False, "simulated": True})
    assert PASS is found_by("settled", simulated, Judged(window=found("P1", simulated=True)))[0]
