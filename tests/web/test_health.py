"""Health: alive, ready and well are three questions."""

from service.web.health import Check
from tests.web.conftest import GuardedApp

GOOD = Check(name="ledger", ok=True, sentence="Writes are durable.", detail={"entries": 3})
BAD = Check(name="collector", ok=False, sentence="Spans are not taken; see OTEL_EXPORTER_OTLP_ENDPOINT.")


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
    assert [{"name": "ledger", "ok": True, "sentence": GOOD.sentence, "detail": {"entries": 3}}] == told["checks"]


async def test_degraded(guarded: GuardedApp) -> None:
    """One bad check makes it degraded, by name and reason, and the answer is still 200: it is not down."""
    async with guarded() as behind:
        behind.checks.extend((GOOD, BAD))
        async with behind.http.get(behind.url("/health")) as answer:
            assert 200 == answer.status
            told = await answer.json()
        async with behind.http.get(behind.url("/health"), headers={"Accept": "text/html"}) as answer:
            words = (await answer.text()).splitlines()
    assert ("degraded", [BAD.sentence]) == (told["status"], told["reasons"])
    assert ["degraded", "ok       ledger: Writes are durable.", f"DEGRADED collector: {BAD.sentence}"] == words
