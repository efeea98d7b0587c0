"""What others say of us: keys, providers and the clock, each with a state that can be bad."""

from typing import TYPE_CHECKING

import pytest

from service.checks import others
from service.checks.watching import Skew
from service.core.times import NS_PER_S, utc_ns
from service.core.wallet import wallet
from service.core.words import RefusalReason
from service.equipment import load_providers
from service.web.health import State

if TYPE_CHECKING:
    from tests.checks.conftest import Hearing
    from tests.conftest import Made

AT = "2026-11-22T16:21:00.000000Z"
AT_NS = utc_ns(AT)
KEY = "sk-canary-0123456789"
KIMI = wallet(load_providers()["kimi"], KEY, base_url="https://api.moonshot.ai/v1", name="kimi-main")
CHINA = wallet(load_providers()["kimi"], KEY, base_url="https://API.moonshot.cn:443/v1", name="kimi-main")
PLAYED = wallet(load_providers()["kimi"], "sim-a", base_url="http://127.0.0.1:9/v1", name="kimi-main")


def skew(ahead_s: int) -> Skew:
    """Be ahead by so much."""
    return Skew(ahead_s=ahead_s, at=AT, epoch=1)


def test_without_a_key_nothing_is_well(hearing: "Hearing") -> None:
    """Nobody can be asked: that is degraded, with the variables to set."""
    (found,) = others.wallets((), hearing.watching, epoch=1)
    assert (State.DEGRADED, True) == (found.state, "KIMI_API_KEY" in found.sentence)
    assert () == others.providers((), hearing.watching, epoch=1)


def test_a_key_that_was_never_tried_is_unknown(hearing: "Hearing") -> None:
    """It is shown by name, host and fingerprint, never by a character of its own."""
    (found,) = others.wallets((KIMI,), hearing.watching, epoch=1)
    assert (State.UNKNOWN, "kimi-main") == (found.state, found.of)
    assert {
        "provider": "kimi",
        "host": "api.moonshot.ai",
        "fingerprint": KIMI.fingerprint,
        "simulated": False,
        "last_answer": None,
        "last_answer_at": None,
    } == found.detail
    assert "not known" in found.sentence
    assert "sk-" not in found.sentence


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        (RefusalReason.AUTHENTICATION, "Check that it is right"),
        (RefusalReason.NO_BALANCE, "Top it up"),
        (RefusalReason.QUOTA_EXHAUSTED, "Extend it"),
    ],
)
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_key_that_was_refused_is_degraded_until_an_answer_takes_it(
    hearing: "Hearing", made: "Made", reason: RefusalReason, remedy: str, epoch: int
) -> None:
    """One refusal is enough, a new start does not wash it away, a lost answer neither; a settlement does."""
    hearing.hear(made.settlement())
    hearing.hear(made.refusal(reason=reason))
    hearing.hear(made.doubt())
    (found,) = others.wallets((KIMI,), hearing.watching, epoch=epoch)
    assert (State.DEGRADED, f"refused, {reason}") == (found.state, found.detail["last_answer"])
    assert remedy in found.sentence
    assert (epoch == 2) == ("before this start" in found.sentence)
    hearing.hear(made.settlement(), epoch=2)
    (found,) = others.wallets((KIMI,), hearing.watching, epoch=2)
    assert State.OK is found.state


NOT_OF_THE_KEY = (
    RefusalReason.PROVIDER_ERROR,
    RefusalReason.OVERLOADED,
    RefusalReason.RATE_LIMITED,
    RefusalReason.PERMISSION,
)
REQUEST = (
    RefusalReason.INVALID_REQUEST,
    RefusalReason.UNKNOWN_MODEL,
    RefusalReason.CONTEXT_TOO_LONG,
    RefusalReason.CONTENT_FILTERED,
    RefusalReason.DUPLICATE_REQUEST,
)


@pytest.mark.parametrize("reason", NOT_OF_THE_KEY)
def test_an_answer_that_does_not_show_the_key_changes_nothing(
    hearing: "Hearing", made: "Made", reason: RefusalReason
) -> None:
    """Whoever is too busy may not have read the key: what was known before stays, good, bad or nothing."""
    states = []
    for end in (made.refusal(reason=reason), made.settlement(), made.refusal(reason=RefusalReason.AUTHENTICATION)):
        hearing.hear(end)
        hearing.hear(made.refusal(reason=reason))
        (found,) = others.wallets((KIMI,), hearing.watching, epoch=1)
        states.append(found.state)
        assert f"refused, {reason}" == found.detail["last_answer"]
    assert [State.UNKNOWN, State.OK, State.DEGRADED] == states


@pytest.mark.parametrize("reason", REQUEST)
def test_a_key_whose_request_was_at_fault_is_taken(
    hearing: "Hearing", made: "Made", reason: RefusalReason
) -> None:
    """Who finds a fault in the request has read the key."""
    hearing.hear(made.refusal(reason=RefusalReason.AUTHENTICATION))
    hearing.hear(made.refusal(reason=reason))
    (found,) = others.wallets((KIMI,), hearing.watching, epoch=1)
    assert State.OK is found.state


def test_every_refusal_is_judged() -> None:
    """A new reason must be put somewhere: refusing the key, showing that it was read, or neither."""
    refused = {RefusalReason.AUTHENTICATION, RefusalReason.NO_BALANCE, RefusalReason.QUOTA_EXHAUSTED}
    assert set(RefusalReason) == refused | {*NOT_OF_THE_KEY, *REQUEST}


def test_a_new_host_begins_with_nothing(hearing: "Hearing", made: "Made") -> None:
    """What one host said of a key is no word of another's, whatever the wallet is called."""
    hearing.hear(made.refusal(reason=RefusalReason.AUTHENTICATION))
    hearing.hear(made.settlement(), endpoint=f"{CHINA.base_url}/chat/completions")
    here, there, new = others.wallets((KIMI, CHINA, PLAYED), hearing.watching, epoch=1)
    assert [State.DEGRADED, State.OK, State.UNKNOWN] == [here.state, there.state, new.state]


def test_a_key_that_worked_before_the_start_is_unknown(hearing: "Hearing", made: "Made") -> None:
    """Good news gets old; when it was is said."""
    hearing.hear(made.settlement())
    (found,) = others.wallets((KIMI,), hearing.watching, epoch=2)
    assert (State.UNKNOWN, True) == (found.state, f"before ({AT})" in found.sentence)
    (found,) = others.providers((KIMI,), hearing.watching, epoch=2)
    assert (State.UNKNOWN, True) == (found.state, "Not asked since the start" in found.sentence)


def test_a_simulators_key_says_so(hearing: "Hearing", made: "Made") -> None:
    """Whatever the state, nobody takes it for the real thing."""
    for _ in range(2):
        (found,) = others.wallets((PLAYED,), hearing.watching, epoch=1)
        assert found.sentence.startswith("SIMULATED")
        hearing.hear(made.settlement(), endpoint=f"{PLAYED.base_url}/chat/completions")


def test_a_provider_that_was_not_asked_is_not_called_well(hearing: "Hearing") -> None:
    """What nothing has shown is said as such."""
    (found,) = others.providers((KIMI, KIMI), hearing.watching, epoch=1)
    assert (State.UNKNOWN, "kimi") == (found.state, found.of)
    assert "Not asked" in found.sentence


def test_a_provider_that_fails_is_degraded_at_the_third_time(hearing: "Hearing", made: "Made") -> None:
    """Until then an earlier settlement carries it; each time the last failure is said."""
    hearing.hear(made.settlement())
    for number in range(others.FAILURES_MAX):
        (found,) = others.providers((KIMI,), hearing.watching, epoch=1)
        assert (State.OK, number) == (found.state, found.detail["failures"])
        hearing.hear(made.unsent())
    (found,) = others.providers((KIMI,), hearing.watching, epoch=1)
    assert (State.DEGRADED, others.FAILURES_MAX) == (found.state, found.detail["failures"])
    assert "unsent, connection_refused" in found.sentence


def test_a_provider_that_never_answered_is_not_carried(hearing: "Hearing", made: "Made") -> None:
    """One failure and nothing else is no sign of health."""
    hearing.hear(made.unsent())
    (found,) = others.providers((KIMI,), hearing.watching, epoch=1)
    assert State.UNKNOWN is found.state


def test_a_provider_is_not_carried_by_an_earlier_start(hearing: "Hearing", made: "Made") -> None:
    """Good news of an earlier start carries no failure, neither of then nor of now; bad news stays."""
    hearing.hear(made.settlement())
    for epoch, state in ((1, State.UNKNOWN), (2, State.UNKNOWN), (2, State.DEGRADED)):
        hearing.hear(made.unsent(), epoch=epoch)
        (found,) = others.providers((KIMI,), hearing.watching, epoch=2)
        assert state is found.state
    hearing.hear(made.settlement(), epoch=2)
    hearing.hear(made.unsent(), epoch=2)
    (found,) = others.providers((KIMI,), hearing.watching, epoch=2)
    assert State.OK is found.state


@pytest.mark.parametrize(
    ("ahead_s", "state", "words"),
    [
        ((), State.UNKNOWN, "nothing shows"),
        ((0,), State.OK, "0 s ahead of kimi's"),
        ((30, -30), State.OK, "30 s behind glm's"),
        ((31, 0), State.DEGRADED, "31 s ahead of kimi's"),
        ((0, -31), State.DEGRADED, "31 s behind glm's"),
    ],
)
def test_a_clock_is_judged_by_the_providers(ahead_s: tuple[int, ...], state: State, words: str) -> None:
    """More than 30 s from any of them is too much; without one, nothing is known."""
    skews = {name: skew(seconds) for name, seconds in zip(("kimi", "glm"), ahead_s, strict=False)}
    found = others.clock(AT_NS, last_at=AT, skews=skews)
    assert (state, True) == (found.state, words in found.sentence)
    assert (state is State.DEGRADED) == ("Set the clock" in found.sentence)


@pytest.mark.parametrize(("back_s", "state"), [(60, State.OK), (61, State.DEGRADED)])
def test_a_clock_that_was_set_back_is_seen(back_s: int, state: State) -> None:
    """The log's last entry must not lie in the future by more than a minute."""
    found = others.clock(AT_NS - back_s * NS_PER_S, last_at=AT, skews={"kimi": skew(0)})
    assert (state, back_s) == (found.state, found.detail["back_s"])
