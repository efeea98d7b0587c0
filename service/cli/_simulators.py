"""Simulators as a child process: started, asked for their addresses, and gone when we are."""

import sys
from asyncio import create_subprocess_exec, timeout
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import StartError

KEYS = {"KIMI_API_KEY": "sim-local", "GLM_API_KEY": "sim-local"}
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0


@asynccontextmanager
async def simulators() -> AsyncIterator[dict[str, str]]:
    """Run both simulators while the context lasts.

    Yields:
        The variables (base URLs and keys) that a service needs to use them.

    Raises:
        StartError: they did not come up.
    """
    words = ("-m", "service", "simulate", "--port", "0", "--until-eof")
    child = await create_subprocess_exec(sys.executable, *words, stdin=PIPE, stdout=PIPE)
    try:
        yield await _addresses(child) | KEYS
    finally:
        await _stop(child)


def books_url(variables: dict[str, str]) -> str:
    """Say where the simulators show their books."""
    return variables["KIMI_BASE_URL"].removesuffix("/v1") + "/_sim/books"


async def _addresses(child: Process) -> dict[str, str]:
    found: dict[str, str] = {}
    assert child.stdout is not None  # noqa: S101 - it was asked for
    try:
        async with timeout(_START_TIMEOUT_S):
            while len(found) < len(KEYS):
                line = (await child.stdout.readline()).decode()
                if not line:
                    remedy = "See their messages above."
                    raise StartError("the simulators ended before they were ready", remedy=remedy)
                name, _, address = line.strip().partition("=")
                found[name] = address
    except TimeoutError as error:
        raise StartError(f"the simulators were not ready within {_START_TIMEOUT_S:g} s") from error
    return found


async def _stop(child: Process) -> None:
    if child.stdin is not None:
        child.stdin.close()
    try:
        async with timeout(_STOP_TIMEOUT_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
