"""Named tokens in the whole application: whoever writes an entry, the feed tells those at the door."""

import asyncio
from pathlib import Path

import aiohttp

from service.app import running
from service.secret import Secret
from service.settings import Settings
from tests.naming import created, revoked, text_of

WAIT_S = 20.0


async def test_what_anybody_commits_counts(tmp_path: Path) -> None:
    """An entry that no action wrote makes and revokes a token as well, here and at the next start."""
    settings = Settings(port=0, data_dir=tmp_path / "data", ws_token=Secret("a-token-of-the-owner"))

    async def status(http: aiohttp.ClientSession, url: str) -> int:
        headers = {"Authorization": f"Bearer {text_of(1)}"}
        async with http.get(f"{url}/console/calls.json", headers=headers) as answer:
            return answer.status

    async with running(settings, environ={}) as service, aiohttp.ClientSession() as http:
        assert 401 == await status(http, service.url)
        await service.kept.ledger.append(created(1, "eye", "read"))
        assert await asyncio.to_thread(service.kept.feed.wait, WAIT_S)
        assert 200 == await status(http, service.url)
    async with running(settings, environ={}) as service, aiohttp.ClientSession() as http:
        assert 200 == await status(http, service.url)
        await service.kept.ledger.append(revoked(1, "eye"))
        assert await asyncio.to_thread(service.kept.feed.wait, WAIT_S)
        assert 401 == await status(http, service.url)
