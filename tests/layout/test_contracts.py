"""The import contracts hold, and each of them barks when it is broken on purpose."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("service", "console", "otel", "grafana")
LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


class Break(NamedTuple):
    """A line that must not be in a file, and the contract that says so."""

    contract: str
    file: str
    line: str


BREAKS = (
    # Up: one for each step of the stairs.
    Break("layers", "service/errors.py", "import service.settings"),
    Break("layers", "service/secret.py", "import service.environment"),
    Break("layers", "service/settings.py", "import service.environment"),
    Break("layers", "service/plugs.py", "import service.core.money"),
    Break("layers", "service/environment.py", "import service.core.wallet"),
    Break("layers", "service/core/money.py", "import service.ledger.store"),
    Break("layers", "service/ledger/rows.py", "import service.providers.kimi"),
    Break("layers", "service/ledger/rows.py", "import service.tools.chat"),
    Break("layers", "service/mcp/frames.py", "import service.calling.journal"),
    Break("layers", "service/providers/kimi.py", "import service.calling.wire"),
    Break("layers", "service/calling/wire.py", "import service.serving.auth"),
    Break("layers", "service/serving/auth.py", "import service.transports.websocket"),
    Break("layers", "service/serving/auth.py", "import console.words"),
    Break("layers", "service/serving/auth.py", "import service.actions"),
    Break("layers", "service/actions/token_create.py", "import service.transports.control"),
    Break("layers", "service/web/api.py", "import service.app"),
    Break("layers", "otel/counts.py", "import service.app"),
    Break("layers", "service/web/api.py", "import service.checks"),
    Break("layers", "service/logs.py", "import service.app"),
    Break("layers", "service/app.py", "import service.cli.demo"),
    Break("layers", "service/cli/demo.py", "import service.__main__"),
    # Across: rooms beside each other.
    Break("layers", "service/mcp/frames.py", "import service.tools.chat"),
    Break("layers", "service/tools/chat.py", "import service.providers.kimi"),
    Break("layers", "service/providers/kimi.py", "import service.mcp.frames"),
    Break("layers", "service/web/api.py", "import service.transports.websocket"),
    Break("layers", "console/words.py", "import service.web.api"),
    Break("layers", "otel/counts.py", "import console.words"),
    Break("layers", "grafana/parts.py", "import otel.metrics"),
    # The simulator knows nothing of the service, and only the two that start it know of it.
    Break("layers", "service/simulator/books.py", "import service.core.money"),
    Break("layers", "service/simulator/books.py", "import service.errors"),
    Break("simulator", "service/calling/wire.py", "import service.simulator.app"),
    Break("simulator", "service/core/money.py", "from service.simulator import rates"),
    Break("otel", "service/web/metrics.py", "import otel.metrics"),
    Break("otel", "service/cli/demo.py", "import otel"),
    Break("console", "console/words.py", "from service.ledger.ledger import Ledger"),
    Break("console", "console/words.py", "import service.calling.wire"),
    # Pure rooms: directly, by way of another room, and behind a type checker's back.
    Break("pure", "service/core/money.py", "import time"),
    Break("pure", "service/core/times.py", "from os import environ"),
    Break("pure", "service/mcp/frames.py", "import asyncio"),
    Break("pure", "service/providers/_sse.py", "import aiohttp"),
    Break("pure", "service/tools/chat.py", "from random import choice"),
    Break("pure", "service/core/money.py", "import service.environment"),
    Break("pure", "service/core/money.py", "def later() -> None:\n    import socket"),
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the packages, and the contracts with them."""
    copy = tmp_path_factory.mktemp("contracts")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Judge a tree by its own contracts."""
    command = [sys.executable, "-c", LINT, "--no-logo", "--cache-dir", str(tree / ".cache"), *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=60)


def test_the_contracts_hold(tree: Path) -> None:
    """The tree as it is breaks none."""
    judged = lint(tree)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: f"{broken.contract}: {broken.file}: {broken.line}")
def test_a_broken_contract_barks(tree: Path, broken: Break) -> None:
    """One line too many, and the contract is named as broken."""
    file = tree / broken.file
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}\n\n{broken.line}\n", encoding="utf-8")
    try:
        judged = lint(tree, "--contract", broken.contract)
    finally:
        file.write_text(text, encoding="utf-8")
    assert judged.returncode == 1, judged.stdout + judged.stderr
    assert "Contracts: 0 kept, 1 broken." in judged.stdout


def contracts() -> dict[str, dict[str, Any]]:
    """Read the contracts, by id."""
    written = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return {contract["id"]: contract for contract in written["contracts"]}


def test_every_contract_is_broken_once() -> None:
    """A contract that nobody saw bark proves nothing."""
    assert set(contracts()) == {broken.contract for broken in BREAKS}


def test_no_room_is_outside_the_layers() -> None:
    """The layers are the closed list of files and rooms: what none names could import anything."""
    placed = set(re.findall(r"service\.(\w+)", " ".join(contracts()["layers"]["layers"])))
    there = {path.stem for path in (ROOT / "service").glob("*.py")} - {"__init__"}
    there |= {path.name for path in (ROOT / "service").iterdir() if any(path.glob("*.py"))}
    assert set() == there - placed
