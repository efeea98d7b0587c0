"""Both sides of a wallet's account move where entries say so, and never mix."""

from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from otel.wallets import BooksBefore, WalletMetrics
from service.core.books import Figure, VerificationEntry
from service.core.times import NS_PER_S
from service.core.words import ReadingOutcome, VerdictWord, VerificationOutcome
from tests.otel.shown import AT, COUNTERS, REAL, WALLETS, Shown, balance, failed, verdict

if TYPE_CHECKING:
    from tests.conftest import Made

LATER = "2026-11-22T16:21:30.000000Z"


@pytest.fixture
def shown() -> Shown:
    """Metrics of a service that has read nothing yet."""
    return Shown()


def test_our_side_is_kept_by_wallet(shown: Shown, made: "Made") -> None:
    """Each end counts for the wallet that pays; settlements and what was stated for a doubt are spend."""
    for end in (made.settlement(), made.refusal()):
        shown.wallets.ended(made.call(made.intent(), end).attempts[0])
    doubted = made.call(made.intent(), made.doubt())
    shown.wallets.ended(doubted.attempts[0])
    shown.wallets.resolved(doubted.attempts[0], made.resolution())
    shown.wallets.resolved(doubted.attempts[0], made.written_off())
    counted = {(outcome, *REAL): 1.0 for outcome in ("settled", "refused", "in_doubt")}
    assert counted == shown.moved("exai_wallet_attempts_total")
    assert {("USD", *REAL): 0.75} == shown.moved("exai_wallet_spend_total")


def test_a_stranger_and_a_simulated_attempt_are_other(shown: Shown, made: "Made") -> None:
    """A wallet of an earlier start, or of the same name but of another kind, is not this one; nor is its money."""
    for changed in ({"wallet": "gone"}, {"simulated": True}, {"wallet": "x", "provider": "x"}):
        shown.wallets.ended(made.call(made.intent(**changed), made.settlement()).attempts[0])
    assert {
        ("USD", "kimi", "false", "other"): 0.25,
        ("USD", "kimi", "true", "other"): 0.25,
        ("USD", "other", "false", "other"): 0.25,
    } == shown.moved("exai_wallet_spend_total")


def test_what_the_counter_moved_is_consumed(shown: Shown) -> None:
    """The first reading moves nothing; a fall is consumption; a failed reading between two costs nothing of it."""
    for reading in (balance("10"), balance("9.75"), failed(ReadingOutcome.UNREACHABLE), balance("9.5")):
        shown.wallets.read(reading)
    assert {("USD", *REAL): 0.5} == shown.moved("exai_wallet_consumed_total")
    assert {("USD", *REAL): 9.5} == shown.moved("exai_wallet_balance")


def test_a_top_up_is_no_consumption_and_never_takes_any_back(shown: Shown) -> None:
    """The counter is monotonic; the balance is what may still be spent now."""
    for reading in (balance("10"), balance("9.5"), balance("29.5"), balance("29")):
        shown.wallets.read(reading)
    assert {("USD", *REAL): 1.0} == shown.moved("exai_wallet_consumed_total")
    assert {("USD", *REAL): 29.0} == shown.moved("exai_wallet_balance")


def test_a_restart_neither_loses_nor_doubles_consumption() -> None:
    """What moved between the last reading of one start and the first of the next counts once, in the next."""
    shown = Shown(BooksBefore(readings=(balance("10"),), verdicts=(verdict(VerdictWord.PROVEN),)))
    assert {} == shown.moved("exai_wallet_consumed_total")
    assert {} == shown.moved("exai_windows_total")
    assert {("PROVEN"): 1.0} == {series[2]: 1.0 for series in shown.moved("exai_wallet_verdict")}
    assert {("USD", *REAL): 10.0} == shown.moved("exai_wallet_balance")
    shown.wallets.read(balance("9.75"))
    assert {("USD", *REAL): 0.25} == shown.moved("exai_wallet_consumed_total")


def test_a_counter_that_began_anew_or_of_another_wallet_moves_nothing(shown: Shown) -> None:
    """Only figures of one wallet, name and begin are compared; a stranger's readings are counted, not shown."""
    for wallet, amount in (("kimi-main", "10"), ("gone", "3"), ("gone", "1")):
        shown.wallets.read(balance(amount, wallet=wallet))
    assert {} == shown.moved("exai_wallet_consumed_total")
    assert {("USD", *REAL): 10.0} == shown.moved("exai_wallet_balance")
    assert {("balance", "read", "kimi", "false"): 3.0} == shown.moved("exai_readings_total")


def test_readings_are_counted_by_what_came_of_them(shown: Shown) -> None:
    """Every series of this start stands at 0; a counter that nobody announced is other."""
    assert 0.0 == shown.read("exai_readings_total")["packages", "refused", "glm", "true"]
    shown.wallets.read(failed(ReadingOutcome.REFUSED))
    shown.wallets.read(balance("1", counter="<script>"))
    assert {
        ("balance", "refused", "kimi", "false"): 1.0,
        ("other", "read", "kimi", "false"): 1.0,
    } == shown.moved("exai_readings_total")


def test_a_plan_says_what_is_left_of_each_window(shown: Shown) -> None:
    """Use is taken from its cap, a package states the rest; what has no cap says nothing."""
    figures = (
        Figure(name="credits_5h", amount="402", unit="credits", resolution="1", cap="12000"),
        Figure(name="percent_week", amount="20", unit="percent", resolution="1", cap="100"),
        Figure(name="credits_week", amount="20", unit="credits", resolution="1"),
        Figure(name="package_tokens", amount="5000", unit="tokens", resolution="1", cap="6000"),
    )
    shown.wallets.read(balance("1", wallet="glm-plan", provider="glm", counter="quota", figures=figures))
    of = ("glm", "false")
    assert {
        (*of, "credits", "glm-plan", "5h"): 11598.0,
        (*of, "percent", "glm-plan", "week"): 80.0,
        (*of, "tokens", "glm-plan", "package"): 5000.0,
    } == shown.read("exai_wallet_quota_remaining")


def test_an_age_grows_until_a_reading(shown: Shown) -> None:
    """Never read: since the start. A failure and a counter that holds no money leave the age as it is."""
    shown.now_ns += 40 * NS_PER_S
    assert dict.fromkeys(("kimi-main", "kimi-b", "glm-plan", "glm-played"), 40.0) == shown.ages()
    shown.wallets.read(failed(ReadingOutcome.UNREACHABLE, at=LATER))
    shown.wallets.read(balance("1", counter="account", figures=(), at=LATER))
    assert 40.0 == shown.ages()["kimi-main"]
    shown.wallets.read(balance("1"))
    shown.now_ns += 2 * NS_PER_S
    assert 42.0 == shown.ages()["kimi-main"]
    shown.wallets.read(balance("1", at=LATER))
    assert 12.0 == shown.ages()["kimi-main"]


def test_a_plan_that_nothing_was_drawn_from_is_read(shown: Shown) -> None:
    """It has no figure yet, and its counter answers all the same: the age begins anew, and it is offered."""
    untouched = {"credits_5h": "0 of 12000", "credits_week": "0 of 60000"}
    of_plan: dict[str, Any] = {"wallet": "glm-plan", "provider": "glm", "counter": "quota", "figures": ()}
    shown.wallets.read(failed(ReadingOutcome.NOT_OFFERED, **of_plan))
    assert "glm-plan" not in shown.ages()
    shown.now_ns += 40 * NS_PER_S
    shown.wallets.read(balance("0", **of_plan, tells=untouched, at=LATER))
    assert 10.0 == shown.ages()["glm-plan"]


def test_how_old_a_reading_may_be_stands_beside_its_age(shown: Shown) -> None:
    """While calls are made and while none are; nothing is said of a wallet that has no age."""
    allowed = shown.read("exai_wallet_reading_age_allowed_seconds")
    assert {60.0, 600.0} == {allowed[during, "kimi", "false", "kimi-b"] for during in ("calls", "quiet")}
    assert {900.0, 10_800.0} == {allowed[during, *REAL] for during in ("calls", "quiet")}
    assert allowed["calls", *REAL] < allowed["quiet", *REAL]
    assert shown.ages().keys() == {series[-1] for series in allowed}


def test_an_age_goes_on_over_a_restart() -> None:
    """An earlier start's reading is as old as it is."""
    shown = Shown(BooksBefore(readings=(balance("10", at="2026-11-22T15:21:00.000000Z"),)))
    assert 3600.0 == shown.ages()["kimi-main"]


def test_nothing_is_stale_that_is_not_offered(shown: Shown) -> None:
    """Where a provider has no such counter there is no age; one that answers brings it back."""
    shown.wallets.read(failed(ReadingOutcome.NOT_OFFERED))
    assert "kimi-main" not in shown.ages()
    shown.wallets.read(failed(ReadingOutcome.REFUSED))
    assert "kimi-main" in shown.ages()


def test_before_it_follows_no_age_is_claimed() -> None:
    """Without a clock nothing is known of age."""
    registry = CollectorRegistry()
    WalletMetrics(registry, WALLETS, COUNTERS)
    assert registry.get_sample_value("exai_wallet_reading_age_seconds") is None


@pytest.mark.parametrize(("provider", "label"), [("kimi", "kimi"), ("<b>", "other")])
def test_verifications_are_counted(shown: Shown, provider: str, label: str) -> None:
    """By provider and by what it said."""
    said = VerificationEntry(
        tool_call_id="c",
        attempt_id="a",
        provider=provider,
        wallet="kimi-main",
        outcome=VerificationOutcome.INVALID,
        status=200,
        message="",
        asked_at=AT,
        provider_ids={},
        simulated=False,
    )
    shown.wallets.verified(said)
    assert {("invalid", label, "false"): 1.0} == shown.moved("exai_verifications_total")


def test_numbers_out_of_all_bounds_and_another_key_move_nothing(shown: Shown) -> None:
    """A committed entry may hold anything; a key that was exchanged reads another account."""
    for amount in ("10", "2000000000000000000", "9"):
        shown.wallets.read(balance(amount, fingerprint="aaaaaaaa"))
    shown.wallets.read(balance("3", fingerprint="bbbbbbbb"))
    assert {("USD", *REAL): 1.0} == shown.moved("exai_wallet_consumed_total")
    assert {("USD", *REAL): 3.0} == shown.moved("exai_wallet_balance")
