"""Plants: what a client does and what goes wrong at the provider, stage by stage."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.accounts import Said
from tests.planting import FINAL_S, LONG, Plot

Plant = Callable[[Plot], AsyncIterator[None]]
"""It makes calls and lets things happen; at each `yield` it is looked at what is said."""

OF_PLAN: dict[str, Any] = {"prompt": "sim:words=50000", "max_output_tokens": 120_000, "model": "glm-5.3"}
"""Asks for an answer that moves a plan's counter by far more than one credit."""
OTHER = f"Another one, please: {LONG}"
WORDY = "word " * 5000
"""So long a prompt that its input alone costs more than a counter's steps hide."""


async def lived(plant: Plant, plot: Plot) -> None:
    """Let all of it happen."""
    async for _ in plant(plot):
        pass


def calls(*faults: Said, stages: int = 1, **arguments: Any) -> Plant:  # noqa: ANN401 - a tool's arguments
    """Make one call that meets faults, and look at it; once more when the provider's books are final."""

    async def plant(plot: Plot) -> AsyncIterator[None]:
        plot.fault(*faults)
        await plot.call(**arguments)
        await plot.read()
        yield
        if stages > 1:
            await plot.read(after_s=FINAL_S)
            yield

    return plant


def moves(kind: str, **much: Any) -> Plant:  # noqa: ANN401 - an amount
    """Make a call, and move the account without one."""

    async def plant(plot: Plot) -> AsyncIterator[None]:
        await plot.call()
        await plot.move(kind, **much)
        await plot.read()
        yield

    return plant


def steals(kind: str = "elsewhere", *, amount: str = "0.25") -> Plant:
    """Spend from the account without a call of ours."""

    async def plant(plot: Plot) -> AsyncIterator[None]:
        await plot.move(kind, amount=amount)
        await plot.read()
        yield

    return plant


async def uses_up(plot: Plot) -> AsyncIterator[None]:
    """Spend all that a plan holds elsewhere, and call when that was read."""
    await plot.move("credits", amount="2000")
    await plot.read()
    await plot.call(**OF_PLAN)
    await plot.read()
    yield


async def calls_after_a_theft(plot: Plot) -> AsyncIterator[None]:
    """Call, spend elsewhere, and call again, each in a window of its own."""
    await plot.call()
    await plot.read()
    await plot.move("elsewhere", amount="0.25")
    await plot.read()
    await plot.call(OTHER)
    await plot.read()
    yield


async def calls_before_and_after_a_theft(plot: Plot) -> AsyncIterator[None]:
    """Spend elsewhere beside the first call, and call again when that was read."""
    await plot.call()
    await plot.move("elsewhere", amount="0.25")
    await plot.read()
    await plot.call(OTHER)
    await plot.read()
    yield


async def draws_a_package(plot: Plot) -> AsyncIterator[None]:
    """Give the account a package of tokens, and let it pay."""
    await plot.move("package", tokens=100_000)
    await plot.read()
    await plot.call()
    await plot.read()
    yield


async def revokes(plot: Plot) -> AsyncIterator[None]:
    """Revoke the key after its first call."""
    await plot.call()
    refuse = {"kind": "error", "type": "invalid_authentication_error", "status": 401}
    plot.fault(refuse, {**refuse, "on": "account"})
    await plot.call(OTHER)
    await plot.read()
    yield


async def hides_the_balance(plot: Plot) -> AsyncIterator[None]:
    """Let there be no balance route."""
    await plot.call()
    plot.fault({"kind": "error", "status": 404, "on": "account"})
    await plot.read()
    yield


async def asks_twice(plot: Plot) -> AsyncIterator[None]:
    """Make one request twice under one key."""
    await plot.call(key="once")
    await plot.call(key="once")
    await plot.read()
    yield


async def repeats_its_id(plot: Plot) -> AsyncIterator[None]:
    """Give two answers one id."""
    await plot.call()
    plot.fault({"kind": "same_id"})
    await plot.call(OTHER)
    await plot.read()
    yield


async def miscounts(plot: Plot) -> AsyncIterator[None]:
    """Let the provider count fewer tokens than its own answer told, and take the right amount."""
    await plot.call(**OF_PLAN)
    (account,) = plot.simulator.world.books.accounts.values()
    drawn = account.draws[-1]
    account.draws[-1] = dataclasses.replace(drawn, output=drawn.output - 100)
    await plot.read()
    yield
    await plot.read(after_s=FINAL_S)
    yield


def replays_a_signature(*, after_s: float) -> Plant:
    """Give the second answer the first one's signature."""

    async def plant(plot: Plot) -> AsyncIterator[None]:
        await plot.call()
        plot.clock.move(after_s)
        plot.fault({"kind": "replayed_signature"})
        await plot.call(OTHER)
        await plot.read()
        await plot.coded("P1", "M8")
        yield

    return plant


def doubts(*prompts: str, billed: bool) -> Plant:
    """Cut answers off, billed or not; look before and after the provider's books are final."""

    async def plant(plot: Plot) -> AsyncIterator[None]:
        plot.fault({"kind": "cut_stream", "billed": billed})
        for prompt in prompts:
            await plot.call(prompt)
        await plot.read()
        yield
        await plot.read(after_s=FINAL_S)
        yield

    return plant


async def doubts_beside_another(plot: Plot) -> AsyncIterator[None]:
    """Cut one answer off that is not billed, beside one that is whole."""
    await plot.call("sim:words=4000")
    plot.fault({"kind": "cut_stream", "billed": False})
    await plot.call(WORDY)
    await plot.read()
    yield
    await plot.read(after_s=FINAL_S)
    yield
