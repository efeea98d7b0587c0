"""Problems: every error has one look, and no text of a fault reaches a stranger."""

import logging

import pytest

from tests.web.conftest import GuardedApp


async def test_words(guarded: GuardedApp) -> None:
    """An error is a sentence in plain text."""
    async with guarded() as behind, behind.http.get(behind.url("/nothing")) as answer:
        assert (404, "text/plain") == (answer.status, answer.content_type)
        assert "There is nothing at this address. Start at /.\n" == await answer.text()


async def test_json(guarded: GuardedApp) -> None:
    """Whoever asks for JSON gets the same as JSON, with the headers that matter."""
    async with guarded() as behind:
        asked = {"Accept": "application/json"}
        async with behind.http.post(behind.url("/metrics"), headers=asked) as answer:
            assert "GET,HEAD" == answer.headers["Allow"]
            assert {"code": "method_not_allowed", "status": 405} == {
                key: value for key, value in (await answer.json())["error"].items() if key != "message"
            }


async def test_fault(guarded: GuardedApp, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours is a 500 with a reference that stands in the log too; its text does not leave."""
    async with guarded() as behind:
        with caplog.at_level(logging.ERROR):
            async with behind.http.get(behind.url("/broken")) as answer:
                assert 500 == answer.status
                text = await answer.text()
    assert "ref-1" in text
    assert "secret" not in text
    assert ["ref-1"] == [vars(record)["reference"] for record in caplog.records]


async def test_redirect(guarded: GuardedApp) -> None:
    """A redirect is no error."""
    async with guarded() as behind, behind.http.get(behind.url("/moved")) as answer:
        assert ("/echo", "local") == (answer.url.path, await answer.text())
