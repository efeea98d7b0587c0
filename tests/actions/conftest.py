"""An action's surroundings for one test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acting import Acting, acting


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Acting]:
    """Open a ledger for actions."""
    async with acting(tmp_path) as opened:
        yield opened
