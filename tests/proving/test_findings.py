"""Findings that no window gives: their sentences hold what the entries hold."""

import msgspec

from service.core.wallet import wallet
from service.core.words import ReadingOutcome
from service.proving.findings import NAMED_MAX, doubled, forged, why_unread
from tests.proving.test_rounds import reading
from tests.rig import PROVIDERS

KIMI = PROVIDERS["kimi"]
REAL = wallet(KIMI, "sk-0123456789abcdef", base_url="https://api.moonshot.ai/v1", name="main")
PLAYED = wallet(KIMI, "sim-lab", base_url="http://127.0.0.1:9100/v1", name="main")


def test_why_nothing_can_be_read() -> None:
    """Status, the provider's own words and a remedy stand in the sentence."""
    failed = reading(1, outcome=ReadingOutcome.REFUSED, status=401, message="Invalid Authentication", figures=())
    said = why_unread(REAL, KIMI, [failed])
    for word in ("401", "Invalid Authentication", "KIMI_API_KEY"):
        assert word in said
    lost = msgspec.structs.replace(failed, outcome=ReadingOutcome.UNREACHABLE, status=None, message="timed out")
    assert "timed out" in why_unread(REAL, KIMI, [lost])
    assert why_unread(REAL, KIMI, []).startswith("No balance reading")


def test_verdicts_on_attempts_name_them() -> None:
    """A bounded number of them, and a simulator's are marked."""
    names = [str(number) for number in range(NAMED_MAX + 1)]
    found = doubled(REAL, "chatcmpl-1", names)
    assert ("M4", tuple(names[:NAMED_MAX])) == (found.code, found.attempts)
    assert "chatcmpl-1" in found.sentence
    assert forged(PLAYED, "1").sentence.startswith("SIMULATED: ")
    assert not forged(REAL, "1").sentence.startswith("SIMULATED")
