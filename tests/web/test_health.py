"""Health: alive, ready and well are three questions."""

from service.web.health import Check, State
from tests.web.conftest import GuardedApp

GOOD = Check(name="ledger", state=State.OK, sentence="Writes are durable.", detail={"entries": 3})
BAD = Check(
    name="collector", state=State.DEGRADED, sentence="Spans are not taken; see OTEL_EXPORTER_OTLP_ENDPOINT."
)
OPEN = Check(name="provider", of="kimi", state=State.UNKNOWN, sentence="Not asked yet.")
OFF = Check(name="spans", state=State.OFF, sentence="No collector is configured.")


async def test_live(guarded: GuardedApp) -> None:
    """The process answers, whatever else is wrong, and nobody may cache it."""
    async with guarded() as behind:
        behind.not_ready.append("The ledger is closed.")
        async with behind.http.get(behind.url("/health/live")) as answer:
            assert (200, "alive\n", "no-store") == (
                answer.status,
                await answer.text(),
                answer.headers["Cache-Control"],
            )


async def test_ready(guarded: GuardedApp) -> None:
    """Ready is 200, not ready is 503 with its reasons, in words and as JSON."""
    async with guarded() as behind:
        async with behind.http.get(behind.url("/health/ready")) as answer:
            assert (200, "ready\n") == (answer.status, await answer.text())
        behind.not_ready.append("The ledger is closed.")
        async with behind.http.get(behind.url("/health/ready")) as answer:
            assert (503, "not ready\nThe ledger is closed.\n") == (answer.status, await answer.text())
        async with behind.http.get(behind.url("/health/ready"), headers={"Accept": "application/json"}) as answer:
            assert {"ready": False, "reasons": ["The ledger is closed."]} == await answer.json()


async def test_well(guarded: GuardedApp) -> None:
    """Health is JSON with every check; it is ok when all are."""
    async with guarded() as behind:
        behind.checks.append(GOOD)
        async with behind.http.get(behind.url("/health")) as answer:
            told = await answer.json()
    assert ("ok", []) == (told["status"], told["reasons"])
    assert [
        {"name": "ledger", "of": None, "state": "ok", "sentence": GOOD.sentence, "detail": {"entries": 3}}
    ] == told["checks"]


async def test_what_is_not_known_is_not_called_well(guarded: GuardedApp) -> None:
    """It stands beside the status, in JSON and in the first line of the words; what is off stands nowhere."""
    async with guarded() as behind:
        behind.checks.extend((GOOD, OPEN, OFF))
        async with behind.http.get(behind.url("/health")) as answer:
            told = await answer.json()
        async with behind.http.get(behind.url("/health"), headers={"Accept": "text/plain"}) as answer:
            words = (await answer.text()).splitlines()
    assert ("ok", [], ["provider kimi: Not asked yet."]) == (told["status"], told["reasons"], told["unknown"])
    assert ["ok; not known yet: provider kimi", "ok       ledger: Writes are durable."] == words[:2]
    assert ["unknown  provider kimi: Not asked yet.", "off      spans: No collector is configured."] == words[2:]


async def test_degraded(guarded: GuardedApp) -> None:
    """One bad check makes it degraded, by name and reason, and the answer is still 200: it is not down."""
    async with guarded() as behind:
        behind.checks.extend((GOOD, BAD))
        async with behind.http.get(behind.url("/health")) as answer:
            assert 200 == answer.status
            told = await answer.json()
        async with behind.http.get(behind.url("/health"), headers={"Accept": "text/html"}) as answer:
            words = (await answer.text()).splitlines()
    assert ("degraded", [f"collector: {BAD.sentence}"]) == (told["status"], told["reasons"])
    assert ["degraded", "ok       ledger: Writes are durable.", f"DEGRADED collector: {BAD.sentence}"] == words
