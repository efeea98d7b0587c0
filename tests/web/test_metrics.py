"""Metrics: counted up to now, then rendered as asked."""

from tests.web.conftest import GuardedApp


async def test_metrics(guarded: GuardedApp) -> None:
    """The counters settle before they are rendered, and the renderer's content type comes through whole."""
    async with guarded() as behind:
        async with behind.http.get(behind.url("/metrics"), headers={"Accept": "abc"}) as answer:
            assert "text/plain; version=0.0.4; asked=3" == answer.headers["Content-Type"]
            assert b"# EOF\n" == await answer.read()
        assert ["settled", "rendered"] == behind.reached
