"""Mixing: thousands of calls, each with the fate that its prompt names, and simulators that change a price.

Run as a program it is those simulators: `python -m tests.mixing NANOSECONDS`.
"""

import asyncio
import random
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from service.simulator import app, rates
from tests.accounts import Said
from tests.speaking import Speaker

DEADLINE_S = 1.5  # of the service that meets these calls
CHANGING = "glm-5.2"
"""The model whose price doubles while calls are made."""
MARGIN_NS = 4 * 10**9
"""Around that moment it is not asked: an intent and its bill must fall on one side."""
MODELS = {"kimi": ("kimi-k2.6", "kimi-k3"), "glm": ("glm-5.3-flash", CHANGING)}
FREE = "glm-4.7-flash"
_PRICE = """
[[price]]
provider = "glm"
host = "api.z.ai"
model = "{model}"
currency = "USD"
uncached_input = "{uncached}"
cached_input = "{cached}"
output = "{output}"
{edge} = "{at}"
source = "a test"
"""
_ERROR = {"kind": "error", "type": "rate_limit_reached_error", "retry_after_s": 1}

FAULTS: Mapping[str, Said] = {
    "late": {"kind": "latency", "seconds": 0.2},
    "refused": {"kind": "error", "status": 401},
    "failing": {"kind": "error", "status": 500, "type": "unexpected_output", "code": "1234"},
    "cut": {"kind": "cut_stream", "chunks": 3},
    "cut unbilled": {"kind": "cut_stream", "chunks": 3, "billed": False},
    "hang": {"kind": "hang"},
    "hang unbilled": {"kind": "hang", "billed": False},
    "half open": {"kind": "half_open"},
    "too late": {"kind": "latency", "seconds": 30},
    "garbage": {"kind": "garbage"},
    "no usage": {"kind": "wrong_usage", "variant": "missing"},
    "double bill": {"kind": "double_bill"},
    "undercharge": {"kind": "undercharge"},
}
"""What the simulator does to a request that holds `[fate]`."""
CALM = {"well": 60, "cached": 15, "free": 6, "late": 3, "limited": 4, "refused": 3, "own": 3, "lost": 2}
"""Fates by weight: nothing of these is in doubt."""
ROUGH = {**CALM, **dict.fromkeys(("cut", "hang", "half open", "too late", "garbage", "no usage"), 2)}
ROUGH |= {"failing": 2, "cut unbilled": 2, "hang unbilled": 1}
_STREAMED = 0.4
_PADDING = "so long " * 200  # a bill for it is more than a counter's steps can hide
_LIMITED = 0.6  # of the calls that are limited at first, so many limits are met


class Call(NamedTuple):
    """One tool call: its tool, its arguments, and whether progress is asked for."""

    tool: str
    arguments: Said
    is_streamed: bool


class Stretch(NamedTuple):
    """Calls under one weather.

    Attributes:
        name: for people.
        share: of all calls.
        fates: by weight.
        also: single calls more, as (fate, provider).
        lag_s: of the provider's counters.
        topped_up: what is paid into each wallet meanwhile.
        is_pause_after: whether the next calls wait until the provider's books are final.
    """

    name: str
    share: float
    fates: Mapping[str, int] = CALM
    also: tuple[tuple[str, str], ...] = ()
    lag_s: float = 0.0
    topped_up: str | None = None
    is_pause_after: bool = True

    def faults(self, calls: int) -> list[Said]:
        """Write the simulator's switches for so many calls."""
        found = [{**fault, "holds": f"[{fate}]"} for fate, fault in FAULTS.items()]
        limits = round(_LIMITED * calls * self.fates.get("limited", 0) / sum(self.fates.values()))
        if limits:
            found += [
                {**_ERROR, "code": "1302", "holds": "[limited]", "provider": provider, "next": limits}
                for provider in MODELS
            ]
        return found + ([{"kind": "billing_lag", "seconds": self.lag_s}] if self.lag_s else [])


class Dice:
    """Random calls, the same for the same seed.

    Args:
        seed: any text.
        changes_at_ns: when the price changes.
        now_ns: a clock.
    """

    def __init__(self, seed: str, changes_at_ns: int, now_ns: Any) -> None:  # noqa: ANN401 - a clock's function
        self._chance = random.Random(seed)  # noqa: S311 - a test must come again
        self._changes_at_ns = changes_at_ns
        self._now_ns = now_ns
        self._made = 0

    def calls(self, stretch: Stretch, count: int) -> Iterator[Call]:
        """Roll the calls of a stretch; those that it names one by one come in its middle."""
        fates = self._chance.choices([*stretch.fates], [*stretch.fates.values()], k=count)
        for place, fate in enumerate(fates):
            if place == count // 2:
                yield from (self._chat(*each, padding=_PADDING) for each in stretch.also)
            yield self._call(fate)

    def _call(self, fate: str) -> Call:
        if fate == "own":
            return Call("usage", {}, is_streamed=False)
        if fate == "lost":
            return Call("chat", {"prompt": "Who is there?", "model": "nobody-1"}, is_streamed=False)
        return self._chat(fate, self._chance.choice([*MODELS]))

    def _chat(self, fate: str, provider: str, padding: str = "") -> Call:
        chance = self._chance
        self._made += 1
        text = "again " * 300 if fate == "cached" else f"{self._made} "
        words = f"sim:words={chance.choice((20, 60, 150))}"
        limit = 60 if fate in FAULTS and fate not in {"late", "double bill", "undercharge"} else 400
        arguments = {
            "prompt": f"{text}[{fate}] {padding}{words}",
            "model": FREE if fate == "free" else self._model(fate, provider),
            "max_output_tokens": limit,
        }
        return Call("chat", arguments, is_streamed="cut" in fate or chance.random() < _STREAMED)

    def _model(self, fate: str, provider: str) -> str:
        if abs(self._now_ns() - self._changes_at_ns) < MARGIN_NS or fate == "limited":
            return MODELS[provider][0]
        return self._chance.choice(MODELS[provider])


async def make(speakers: list[Speaker], calls: Iterator[Call], *, at_once: int) -> None:
    """Make calls over several sessions, so many at one time in each, and wait for all answers."""

    async def work(speaker: Speaker, name: str) -> None:
        for number, call in enumerate(calls):  # each takes the next one of all
            params: Said = {"name": call.tool, "arguments": call.arguments}
            if call.is_streamed:
                params["_meta"] = {"progressToken": f"{name}-{number}"}
            said = await speaker.ask("tools/call", params)
            assert "result" in said, said

    async with asyncio.TaskGroup() as tasks:
        for place, speaker in enumerate(speakers):
            for nth in range(at_once):
                tasks.create_task(work(speaker, f"{place}-{nth}"))


def price_rows(changes_at_ns: int) -> str:
    """Write the operator's price table: one price until a moment, a whole second, the double from then on."""
    at = datetime.fromtimestamp(changes_at_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    before = {"model": CHANGING, "uncached": "1.4", "cached": "0.26", "output": "4.4", "edge": "valid_to"}
    after = {"model": CHANGING, "uncached": "2.8", "cached": "0.52", "output": "8.8", "edge": "valid_from"}
    return "".join(_PRICE.format(**row, at=at) for row in (before, after))


def main() -> None:
    """Be the simulators; a price doubles at a moment of UTC nanoseconds."""
    table = cast("dict[tuple[str, str], rates.Special]", rates._SPECIALS)
    usual = rates._RATES["glm", "USD"]
    table["USD", CHANGING] = rates.Special(usual[CHANGING], before_ns=int(sys.argv[1]))
    usual[CHANGING] = rates.Rate(2800, 520, 8800)
    app.run(0)


if __name__ == "__main__":
    main()
