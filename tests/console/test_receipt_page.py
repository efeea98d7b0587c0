"""The Receipt page and its JSON."""

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from console.words import CHECKS
from service.core.books import VerificationEntry
from service.core.entries import Cost, Rates
from service.core.evidence import Signature, TlsPeer
from service.core.receipt import receipt
from service.core.words import CostStatus, ToolOutcome, VerificationOutcome, ZeroReason

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Books, Browser, Shows, Theirs

HOSTILE = "<script>alert(1)</script>\"'"
RATES = Rates(uncached_input="0.60", cached_input="0.15", cache_write="0.60", output="2.50", request="0.005")
AMOUNT = "0.005167"  # 60 × 0.60 + 40 × 0.15 + 50 × 2.50 millionths, and the fee


async def test_json_is_exactly_the_receipt(books: "Books", browser: "Browser", made: "Made") -> None:
    """The page's JSON is the receipt of the record, nothing added and nothing left out."""
    call_id = await books.write(made.tool_call(), made.intent(), made.accepted(), made.settlement(), made.answer())
    call = books.reading.call(call_id)
    assert call is not None
    expected = receipt(call, as_of="2026-11-22T17:00:00.000000Z", console_url="http://127.0.0.1:8079")
    answer = await browser.get(f"/console/calls/{call_id}.json")
    assert msgspec.json.encode(expected) == await answer.read()
    assert answer.content_type == "application/json"


async def test_a_cost_is_worked_out_line_by_line(books: "Books", shows: "Shows", made: "Made") -> None:
    """Each class of tokens stands with its rate and its amount, the fee and the sum below."""
    cost = made.cost(rates=RATES, amount=AMOUNT)
    call_id = await books.write(made.tool_call(), made.intent(), made.settlement(cost=cost), made.answer())
    page = await shows(f"/calls/{call_id}")
    for words in (
        "input, not cached 60 0.60 0.000036",
        "input, cached 40 0.15 0.000006",
        "written to the cache 0 0.60 0",
        "output 50 2.50 0.000125",
        "of which reasoning 30",
        "fee per request 0.005",
        f"Sum {AMOUNT}",
        f"Cost: {AMOUNT} USD. Prices: version 0123456789abcdef",
    ):
        assert words in page, words
    assert "do not trust" not in page


async def test_a_sum_that_disagrees_is_pointed_out(books: "Books", shows: "Shows", made: "Made") -> None:
    """A stored amount that its own rates do not come to is not shown as if it were right."""
    cost = made.cost(rates=RATES, amount="9")
    call_id = await books.write(made.tool_call(), made.intent(), made.settlement(cost=cost), made.answer())
    assert "do not trust this line" in await shows(f"/calls/{call_id}")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": CostStatus.UNKNOWN_PRICE, "currency": None, "amount": None}, "Unknown is not zero"),
        ({"status": CostStatus.PLAN, "currency": None, "amount": None}, "Paid by a plan's quota"),
        ({"status": CostStatus.FREE, "amount": "0"}, "This model was priced at zero"),
        ({}, "the rates were not kept"),
    ],
)
async def test_every_cost_status_has_words(
    books: "Books", shows: "Shows", made: "Made", changes: dict[str, Any], words: str
) -> None:
    """Whatever is known of a cost is said in a sentence."""
    cost: Cost = made.cost(**changes)
    call_id = await books.write(made.tool_call(), made.intent(), made.settlement(cost=cost), made.answer())
    assert words in await shows(f"/calls/{call_id}")
    assert "UNVERIFIED" in (page := await shows("/calls")) or "NO CREDIT USED" in page


async def test_a_doubt_shows_holding_and_guess_apart(books: "Books", shows: "Shows", made: "Made") -> None:
    """What is held is labelled so, and the guess beside it; neither is called spend."""
    call_id = await books.write(made.tool_call(), made.intent(), made.doubt(), made.answer())
    page = await shows(f"/calls/{call_id}")
    assert "? UNVERIFIED" in page
    assert "Held (worst case, not spend) ≤ 1.5 USD" in page
    assert "Estimate (a guess, not spend) about 0.125 USD" in page
    assert "stream cut" in page


async def test_a_swept_call_is_shown(books: "Books", shows: "Shows", made: "Made") -> None:
    """A doubt of which nothing was seen, as the start-up sweep writes it, has a whole page."""
    bare = made.doubt(status=None, model_reported=None, provider_ids={}, response=None, estimate=None, timing=None)
    closing = made.answer(response=None, duration_us=None, error_code="interrupted")
    call_id = await books.write(made.tool_call(), made.intent(), bare, closing)
    page = await shows(f"/calls/{call_id}")
    assert "none: too little came back to guess from" in page
    assert "the provider gave none before the attempt ended" in page
    assert "HTTP status none arrived" in page


async def test_evidence_is_shown(books: "Books", shows: "Shows", made: "Made") -> None:
    """Ids, TLS peer, headers, commitments, signature, position, raw usage and entries stand on the page."""
    peer = TlsPeer(version="TLSv1.3", cipher="AES", subject="CN=*.moonshot.ai", fingerprint="ab" * 32)
    signed = Signature(nonce="n-1", timestamp="1795363200", signature="s-1", model="kimi-k3")
    call_id = await books.write(
        made.tool_call(),
        made.intent(),
        made.accepted(tls=peer),
        made.settlement(signature=signed),
        made.answer(),
    )
    page = await shows(f"/calls/{call_id}")
    for words in (
        "Find them in the provider's console",
        "id chatcmpl-1",
        "msh-request-id header-1",
        "CN=*.moonshot.ai, TLSv1.3, AES",
        "content-type: application/json",
        "and by name only: set-cookie",
        f"300 bytes, SHA-256 (salted) {1:064x}",
        f"900 bytes, SHA-256 (salted) {101:064x}",
        "s-1 over nonce n-1",
        "o-test, entry 4, leaf hash",
        '{"prompt_tokens":100,"completion_tokens":50}',
        "the client's call was admitted",
        "the provider metered it; the cost is fixed",
        "0123456789abcdef",
    ):
        assert words in page, words
    kinds = [
        page.index(f" {kind} 2026-11-22") for kind in ("tool_call", "intent", "accepted", "settlement", "answer")
    ]
    assert sorted(kinds) == kinds


async def test_every_end_has_a_page(books: "Books", shows: "Shows", made: "Made") -> None:
    """Refused, unsent, open, contradicted and flagged attempts say what they are."""
    refused = await books.write(made.tool_call(), made.intent(), made.refusal(), made.answer())
    unsent = await books.write(made.tool_call(), made.intent(), made.unsent(), made.answer())
    waiting = await books.write(made.tool_call(), made.intent())
    opened = await books.write(made.tool_call())
    other = made.settlement(model_reported="m-2", model_known=False, usage_flags=("total_differs",))
    wrong = await books.write(made.tool_call(), made.intent(), other, made.answer())
    page = await shows(f"/calls/{refused}")
    assert "∅ NO CREDIT USED" in page
    assert "please try again after 1 seconds" in page
    assert "may help, after 1.00 s" in page
    assert "Not one byte of the request left this machine" in await shows(f"/calls/{unsent}")
    assert "This attempt is still under way" in await shows(f"/calls/{waiting}")
    assert "nothing was sent so far" in await shows(f"/calls/{opened}")
    page = await shows(f"/calls/{wrong}")
    assert "≠ MISMATCH" in page
    assert "not a name of the model we asked for" in page
    assert "contradict each other: total differs" in page


async def test_simulated_is_said(books: "Books", shows: "Shows", made: "Made") -> None:
    """A call that a simulator answered carries a band and the word, though the service runs no simulator."""
    call_id = await books.write(made.tool_call(), made.intent(simulated=True), made.settlement(), made.answer())
    page = await shows(f"/calls/{call_id}")
    assert "SIMULATED What is marked so was answered by a simulator" in page
    assert "Simulated cost" in page
    assert "Made by the simulator; no provider knows them." in page
    assert "look the ids below up" not in page
    assert "SIMULATED What is marked so" in await shows("/calls")
    await books.write(made.tool_call(client="real"), made.intent(), made.settlement(), made.answer())
    assert "SIMULATED" not in await shows("/calls?client=real")


async def test_a_strangers_text_stays_text(
    books: "Books", browser: "Browser", shows: "Shows", made: "Made"
) -> None:
    """Markup in any text of a client or a provider is shown, never obeyed."""
    opened = made.tool_call(
        tool=HOSTILE, client=HOSTILE, session=HOSTILE, request_id=HOSTILE, protocol=HOSTILE, trace_id=HOSTILE
    )
    ids = {HOSTILE: HOSTILE}
    accepted = made.accepted(headers={HOSTILE: HOSTILE}, other_headers=(HOSTILE,), provider_ids=ids)
    settled = made.settlement(
        usage_raw=HOSTILE, model_reported=HOSTILE, finish_reason=HOSTILE, provider_ids=ids, usage_flags=(HOSTILE,)
    )
    refused = made.refusal(2, message=HOSTILE, provider_type=HOSTILE, provider_code=HOSTILE)
    intent = made.intent(
        1,
        provider=HOSTILE,
        wallet=HOSTILE,
        model=HOSTILE,
        endpoint=HOSTILE,
        nonce=HOSTILE,
        client_request_id=HOSTILE,
    )
    call_id = await books.write(
        opened, intent, accepted, settled, made.intent(2), refused, made.answer(error_code=HOSTILE)
    )
    page = await shows(f"/calls/{call_id}")
    assert page.count("<script>alert(1)</script>") > 15
    raw = await (await browser.get(f"/console/calls/{call_id}")).text()
    assert "<script" not in raw


async def test_a_resolution_says_who_when_and_why(books: "Books", shows: "Shows", made: "Made") -> None:
    """What was stated of an attempt in doubt stands with author, time and reason; what was held stands beside."""
    for stated in (made.resolution(), made.written_off()):
        call_id = await books.write(made.tool_call(), made.intent(), made.doubt(), made.answer(), stated)
        page = await shows(f"/calls/{call_id}")
        assert "Stated by user anna (uid 1000) on this machine, at 2026-11-22" in page
        assert "Why the provider's console shows it" in page
        assert "Was held (worst case, not spend) ≤ 1.5 USD" in page
        said = "written off" if stated.amount is None else "stated to have cost 0.5 USD, 700 tokens."
        assert f"An attempt in doubt was {said}" in page


async def test_a_replay_leads_to_what_it_repeats(
    books: "Books", shows: "Shows", made: "Made", browser: "Browser"
) -> None:
    """The repetition links to the call that was paid for; that one says nothing of it."""
    first = await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    replay = made.answer(zero_reason=ZeroReason.IDEMPOTENT_REPLAY, replay_of=first)
    second = await books.write(made.tool_call(), replay)
    assert f"Repeats the call {first}, whose answer was given again" in await shows(f"/calls/{second}")
    assert f'href="/console/calls/{first}"' in await (await browser.get(f"/console/calls/{second}")).text()
    assert "Repeats" not in await shows(f"/calls/{first}")


async def test_each_attempt_leads_to_its_proof(books: "Books", browser: "Browser", made: "Made") -> None:
    """Position and leaf hash stand with links to the proof and to the checkpoint."""
    call_id = await books.write(made.tool_call(), made.intent(), made.settlement(), made.answer())
    page = await (await browser.get(f"/console/calls/{call_id}")).text()
    assert 'href="/api/v1/proof/3"' in page
    assert 'href="/api/v1/checkpoint"' in page


async def test_a_budget_stop_leads_to_the_budgets(books: "Books", shows: "Shows", made: "Made") -> None:
    """A call that a budget stopped says so, and where budgets stand."""
    stopped = made.answer(outcome=ToolOutcome.BUDGET, zero_reason=ZeroReason.BUDGET_STOP, error_code="budget")
    page = await shows(f"/calls/{await books.write(made.tool_call(), stopped)}")
    assert "Stopped by a budget: what it could have cost at most did not fit" in page


async def test_six_checks_stand_with_their_evidence(books: "Books", shows: "Shows", made: "Made") -> None:
    """Each check of an attempt has a sign, a word and a sentence, as the receipt's JSON has them."""
    call_id = await books.write(made.tool_call(), made.intent(), made.accepted(), made.settlement(), made.answer())
    call = books.reading.call(call_id)
    assert call is not None
    page = await shows(f"/calls/{call_id}")
    checks = receipt(call, as_of="2026-11-22T17:00:00.000000Z", console_url="").attempts[0].checks
    assert ["sent", "answered", "metered", "plausible", "priced", "settled"] == [check.name for check in checks]
    for check in checks:
        sign, word, _ = CHECKS[check.state]
        assert f"{sign} {word} {check.name} {' '.join(check.evidence.split())}" in page


async def test_a_window_decides_a_call_and_is_linked(
    books: "Books", browser: "Browser", shows: "Shows", made: "Made", theirs: "Theirs"
) -> None:
    """Page, list, sheet and JSON say PROVEN once a window does; the history shows what was said before."""
    opened = await books.add(theirs.reading())
    call_id = await books.write(made.tool_call(), made.intent(), made.accepted(), made.settlement(), made.answer())
    assert "? UNVERIFIED" in await shows(f"/calls/{call_id}")
    closed = await books.add(theirs.reading("49.33894"))
    ends = {"opened": opened, "closed": closed, "after": opened, "until": closed - 1}
    first = await books.add(theirs.verdict("U2", sentence="Short so far.", **ends))
    second = await books.add(theirs.verdict("P1", **ends))
    page = await shows(f"/calls/{call_id}")
    assert "✓ PROVEN" in page.partition("The call")[0]
    assert "This call lies in that window." in page
    history = page.partition("What was found since")[2]
    assert history.index(f"{first} ") < history.index("Short so far.") < history.index("decides it")
    raw = await (await browser.get(f"/console/calls/{call_id}")).text()
    assert f'href="/console/reconcile/{second}">The window, with both sides</a>' in raw
    document = await (await browser.get(f"/console/calls/{call_id}.json")).json()
    assert ("PROVEN", "P1") == (document["verdict"]["word"], document["verdict"]["code"])
    assert [first, second] == [one["index"] for one in document["attempts"][0]["history"]]
    assert "✓ PROVEN P1" in await shows("/calls")
    assert "PROVEN,P1," in await (await browser.get("/console/calls.csv?verdict=P1")).text()
    assert "All" not in (overview := await shows("/")).partition("charged call")[0][-20:]
    assert "The one charged call in the last 7 days is confirmed by the providers' own books." in overview
    assert "You spent 0.25 USD." in overview
    assert "The providers' own books were last read at 2026-11-22" in overview


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (VerificationOutcome.VALID, "✓ Verified by the provider at"),
        (VerificationOutcome.INVALID, "≠ The provider says it is not its own"),
        (VerificationOutcome.UNAVAILABLE, "Not verified: asked at"),
    ],
)
async def test_a_signature_says_whether_it_was_verified(
    books: "Books", shows: "Shows", made: "Made", outcome: VerificationOutcome, words: str
) -> None:
    """Nonce, time and what the provider said of its signature stand together, with what that proves."""
    signed = Signature(nonce="n-1", timestamp="1795363260000", signature="s-1", model="kimi-k3")
    call_id = await books.write(
        made.tool_call(),
        made.intent(nonce="n-1"),
        made.accepted(),
        made.settlement(signature=signed),
        made.answer(),
    )
    assert "Not verified yet. It proves that the request was accepted" in await shows(f"/calls/{call_id}")
    call = books.reading.call(call_id)
    assert call is not None
    await books.add(
        VerificationEntry(
            tool_call_id=call_id,
            attempt_id=call.attempts[0].intent.attempt_id,
            provider="kimi",
            wallet="kimi-main",
            outcome=outcome,
            status=200,
            message="",
            asked_at="2026-11-22T16:00:00.000000Z",
            provider_ids={},
            simulated=False,
        )
    )
    page = await shows(f"/calls/{call_id}")
    assert words in page
    assert "time 1795363260000" in page
