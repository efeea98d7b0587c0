"""What verdicts on wallets say is shown of the newest window, and counted of all."""

import msgspec
import pytest

from otel.wallets import BooksBefore
from service.core.words import VerdictWord
from tests.otel.shown import REAL, Shown, verdict


@pytest.fixture
def shown() -> Shown:
    """Metrics of a service that has read nothing yet."""
    return Shown()


def test_the_newest_window_is_shown(shown: Shown) -> None:
    """One word is 1; windows are counted by word; the difference is theirs less ours."""
    assert {} == shown.read("exai_wallet_verdict")
    shown.wallets.judged(verdict(VerdictWord.UNVERIFIED, index=30, closed=20))
    shown.wallets.judged(verdict(VerdictWord.UNVERIFIED, index=31, closed=40))
    shown.wallets.judged(verdict(VerdictWord.MISMATCH, index=41, closed=40))
    of = ("kimi", "false")
    words = {word.value: float(word is VerdictWord.MISMATCH) for word in VerdictWord}
    assert {(*of, word, "kimi-main"): one for word, one in words.items()} == shown.read("exai_wallet_verdict")
    assert {(*of, "UNVERIFIED", "kimi-main"): 2.0, (*of, "MISMATCH", "kimi-main"): 1.0} == shown.moved(
        "exai_windows_total"
    )
    assert {("USD", *REAL): pytest.approx(0.05)} == shown.read("exai_window_difference")


def test_a_difference_is_of_the_newest_window_alone(shown: Shown) -> None:
    """One in another unit takes its place; where nothing can be told, none is shown."""
    in_usd = verdict(VerdictWord.MISMATCH, index=41, closed=40)
    assert in_usd.sums is not None
    in_tokens = msgspec.structs.replace(in_usd.sums, unit="tokens", moved="7", surely="9")
    untold = msgspec.structs.replace(in_usd.sums, moved=None)
    for place, (sums, expected) in enumerate(
        [
            (in_usd.sums, {("USD", *REAL): pytest.approx(0.05)}),
            (in_tokens, {("tokens", *REAL): -2.0}),
            (untold, {}),
            (in_tokens, {("tokens", *REAL): -2.0}),
            (None, {}),
        ]
    ):
        shown.wallets.judged(msgspec.structs.replace(in_usd, index=50 + place, closed=45 + place, sums=sums))
        assert expected == shown.read("exai_window_difference")


def test_an_old_window_that_is_judged_anew_is_counted_and_not_shown(shown: Shown) -> None:
    """The newest is the one whose closing reading stands last in the log, whenever it is judged."""
    shown.wallets.judged(verdict(VerdictWord.PROVEN, index=41, closed=40))
    shown.wallets.judged(verdict(VerdictWord.MISMATCH, index=42, closed=20, sums=None))
    assert ["PROVEN"] == [series[2] for series in shown.moved("exai_wallet_verdict")]
    assert {("USD", *REAL)} == shown.read("exai_window_difference").keys()
    assert 2.0 == sum(shown.moved("exai_windows_total").values())


def test_that_no_reading_can_be_had_is_newer_than_the_last_one(shown: Shown) -> None:
    """It takes the place of the window before it, until a window closes with a later reading."""
    blind = verdict(VerdictWord.UNVERIFIED, index=50, code="U4", sums=None, until=30)
    for one, word in (
        (verdict(VerdictWord.PROVEN, index=41, closed=40), "PROVEN"),
        (blind, "UNVERIFIED"),
        (verdict(VerdictWord.PROVEN, index=51, closed=40), "UNVERIFIED"),
        (verdict(VerdictWord.PROVEN, index=61, closed=60), "PROVEN"),
    ):
        shown.wallets.judged(one)
        assert [word] == [series[2] for series in shown.moved("exai_wallet_verdict")]
        assert (word == "PROVEN") == bool(shown.read("exai_window_difference"))


def shared(shown: Shown) -> dict[str, float]:
    """Read by wallet whether others spend from its account."""
    return {series[-1]: value for series, value in shown.read("exai_wallet_shared").items()}


def test_a_shared_account_is_told_of_all_its_wallets(shown: Shown) -> None:
    """A window's verdict names them; one that made no call has no verdict of its own. The newest one counts."""
    assert {} == shared(shown)
    ours = verdict(VerdictWord.PROVEN, index=41, closed=40)
    together = msgspec.structs.replace(ours, shared_with=("kimi-b", "gone", "glm-played"))
    shown.wallets.judged(together)
    assert {"kimi-main": 1.0, "kimi-b": 1.0} == shared(shown)
    shown.wallets.judged(verdict(VerdictWord.UNVERIFIED, index=50, code="U4", sums=None))
    shown.wallets.judged(verdict(VerdictWord.MISMATCH, index=51, attempts=("a",), sums=None))
    shown.wallets.judged(msgspec.structs.replace(ours, index=52, closed=20))
    assert {"kimi-main": 1.0, "kimi-b": 1.0} == shared(shown)
    shown.wallets.judged(msgspec.structs.replace(ours, index=61, closed=60))
    assert {"kimi-main": 0.0, "kimi-b": 0.0} == shared(shown)
    shown.wallets.judged(verdict(VerdictWord.PROVEN, index=71, closed=70, shared_with=("gone",)))
    assert 0.0 == shared(shown)["kimi-main"]


def test_a_restart_knows_which_accounts_are_shared() -> None:
    """The log's newest verdicts tell, in the order in which they were written."""
    alone = verdict(VerdictWord.PROVEN, index=41, closed=40, wallet="kimi-b")
    together = verdict(VerdictWord.PROVEN, index=61, closed=60, shared_with=("kimi-b",))
    assert {"kimi-main": 1.0, "kimi-b": 1.0} == shared(Shown(BooksBefore(verdicts=(together, alone))))


def test_a_verdict_on_attempts_is_no_window(shown: Shown) -> None:
    """It counts the attempts that it names."""
    shown.wallets.judged(verdict(VerdictWord.MISMATCH, attempts=("a", "b"), sums=None))
    assert {} == shown.read("exai_wallet_verdict")
    assert {} == shown.moved("exai_windows_total")
    assert {("kimi", "false", "MISMATCH", "kimi-main"): 2.0} == shown.moved("exai_judged_attempts_total")


def test_a_strangers_window_is_counted_as_other(shown: Shown) -> None:
    """A wallet that is gone has no current verdict."""
    shown.wallets.judged(verdict(VerdictWord.PROVEN, wallet="gone"))
    assert {} == shown.read("exai_wallet_verdict")
    assert {("kimi", "false", "PROVEN", "other"): 1.0} == shown.moved("exai_windows_total")
