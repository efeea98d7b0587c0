"""A ledger that a statement is laid beside."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.statements import Asked, call, write

if TYPE_CHECKING:
    from tests.conftest import Made


@pytest.fixture
def folder(made: "Made", tmp_path: Path) -> Path:
    """A data folder with two settled calls and one in doubt of kimi-main, and a simulated one."""
    doubted = call(made, 2)
    doubted[2] = made.doubt(tool_call_id=f"{2:032x}", attempt_id=f"{102:032x}", provider_ids={"id": "chat-2"})
    played = call(made, 3, wallet="played", simulated=True)
    asyncio.run(write(tmp_path, call(made, 0), call(made, 1), doubted, played))
    return tmp_path


@pytest.fixture
def asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> Asked:
    """The command, beside a ledger."""
    return Asked(folder, capsys)
