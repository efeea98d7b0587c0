"""The worst case is never below the bill: random calls of every model, against two judges."""

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from service.calling.attempt import Attempting
from service.calling.desk import CallDesk
from service.core.shapes import Ask, Message
from service.errors import CallError
from service.simulator.asked import read_asked
from service.simulator.rates import amount_text, bill_nano, offered
from tests.rig import BEGUN_NS, Rig, rig

CALLS = int(os.environ.get("EXAI_BOUND_CALLS", "2000"))
"""Sent to the simulator. Ten thousand take half a minute."""
GREEDY_CALLS = 5 * CALLS
AT_ONCE = 50
SEED = 20_261_122
KEYS = {"USD": "sim-rich-bounds", "CNY": "sim-cny-rich-bounds"}
TEMPLATE_TOKENS = 140  # the most that was recorded around the words of one short request
UNBOUNDED = {("USD", "glm-4-32b-0414-128k"), ("CNY", "glm-4.7"), ("CNY", "glm-4.5-air")}
"""Their price of cached input, or of long requests, is stated nowhere: nothing bounds what such a call costs."""
SCRIPTS = (
    "the quick brown fox jumps over it ",
    "aAbB019.,;:!?-_/\\'\"<>[]{}()\t\n ",
    "人工智能可以回答问题吗",
    "ミカンがたべたいのです",
    "नमस्ते दुनिया क्या हाल है ",
    "مرحبا بالعالم كيف الحال ",
    "Привет, мир! Ёлка ",
    "สวัสดีชาวโลก",
    "👩‍👩‍👧‍👦🏳️‍🌈🧑🏽‍💻🇮🇳😀",
    "é̂̃ö̈áḁ̊",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢𐍈𓀀",
    "\x01\x1f\u200b\ufeff\u2028",
)


@dataclass
class Dice:
    """Random asks, the same for the same seed."""

    chance: random.Random
    currency: str
    _said: list[str]

    def ask(self) -> Ask:
        """Ask some model something, of any length, perhaps what was asked before."""
        chance = self.chance
        provider = chance.choice(("kimi", "glm"))
        messages = [Message("user", self._prompt())]
        if chance.random() < 0.5:
            messages.insert(0, Message("system", self._prompt()))
        return Ask(
            messages=tuple(messages),
            provider=provider,
            model=chance.choice(offered(provider, self.currency)),
            temperature=chance.choice((None, None, None, 1, 0.5)),
            max_output_tokens=chance.choice((None, 1, 2, 7, 50, 199, 200, 500, 2000)),
            thinking=chance.choice((None, None, True, False)),
            on_text=chance.choice((None, lambda _text: None)),
        )

    def _prompt(self) -> str:
        if self._said and self.chance.random() < 0.3:  # known, so it is cached input
            return self.chance.choice(self._said)
        self._said.append(self._new())
        return self._said[-1]

    def _new(self) -> str:
        chance = self.chance
        letters = "".join(chance.choice(SCRIPTS) for _ in range(chance.randint(1, 3)))
        length = chance.choice((1, 10, 100, 1000, chance.choice((5, 8_000, 32_000))))
        text = "".join(chance.choices(letters, k=length)) + "."
        if chance.random() < 0.5:
            text += f" sim:words={chance.choice((1, 30, 300, 3000))}"
        if chance.random() < 0.5:
            text += f" sim:reasoning={chance.choice((1, 30, 300, 3000))}"
        return text


def dice(currency: str) -> Dice:
    """Roll for one currency."""
    return Dice(random.Random(f"{SEED} {currency}"), currency, [])  # noqa: S311 - a test must come again


def attempts(lab: Rig, asks: Iterator[Ask]) -> Iterator[tuple[Ask, Attempting]]:
    """Prepare attempts as a desk does, and send none."""
    desk = CallDesk(lab.counter, lab.journal())
    for asked in asks:
        route = lab.counter.router.route(asked, at_ns=BEGUN_NS)
        with suppress(CallError):  # such as thinking that is to be off where it cannot be
            yield asked, desk._prepare(asked, route, None)


@pytest.mark.parametrize("currency", KEYS)
async def test_a_greedy_tokenizer(currency: str) -> None:
    """A token for every byte, the largest template, no cache or all of it, output to its limit: it is bounded."""
    seen = set()
    async with rig(key=KEYS[currency]) as lab:
        rolled = dice(currency)
        for asked, attempt in attempts(lab, (rolled.ask() for _ in range(GREEDY_CALLS // 2))):
            intent, sent = attempt._intent, read_asked(attempt._prepared.body)
            prompt = sum(message.content_bytes() for message in sent.messages) + TEMPLATE_TOKENS
            completion, worst = sent.limit(0), intent.worst_case
            assert (intent.max_output_tokens, True) == (completion, worst.input_tokens >= prompt)
            assert worst.output_tokens >= completion > 0
            if worst.amount is None:
                seen.add((currency, intent.model))
                continue
            provider = str(asked.provider)
            bill = partial(bill_nano, provider, currency, intent.model, at_ns=BEGUN_NS)
            for cached in (0, prompt):
                for used in (1, completion):  # a short answer may fall into another tier
                    nano = bill(prompt=prompt, cached=cached, completion=used)
                    assert Decimal(worst.amount) >= Decimal(amount_text(nano)), (asked, cached, used)
    assert {found for found in UNBOUNDED if found[0] == currency} == seen


async def test_the_simulator_s_bills() -> None:
    """Streams and whole answers, cached and reasoned, refused and cut: what the books bill was bounded before."""
    kinds: dict[str, int] = {}
    for currency, key in KEYS.items():
        async with rig(key=key) as lab:
            rolled = dice(currency)
            for _ in range(CALLS // 2 // AT_ONCE):
                await asyncio.gather(*(_call(lab, rolled.ask()) for _ in range(AT_ONCE)))
            for kind in _judged(lab, currency):
                kinds[kind] = kinds.get(kind, 0) + 1
    assert {"settled", "stream", "cached", "reasoned", "cut", "free"} <= kinds.keys()
    assert kinds["settled"] > CALLS // 2


async def _call(lab: Rig, asked: Ask) -> None:
    """Make one call, to its written end."""
    journal = lab.journal()
    await lab.complete(asked, journal)
    if journal.intents:
        await lab.close(journal)


def _judged(lab: Rig, currency: str) -> Iterator[str]:
    """Hold every bill against its intent; say what kinds of calls there were."""
    bills = {entry.nonce or entry.client_request_id: entry for entry in lab.books}
    for intent in lab.written("intent"):
        worst, entry = intent["worst_case"], bills.pop(intent["nonce"] or intent["client_request_id"])
        if entry.usage is None:
            assert 0 == entry.billed_nano
            continue
        yield from _kinds(entry)
        assert worst["input_tokens"] >= entry.usage.prompt
        assert worst["output_tokens"] >= entry.usage.completion
        if worst["amount"] is None:
            assert (currency, intent["model"]) in UNBOUNDED
            continue
        assert worst["currency"] == entry.currency
        assert Decimal(worst["amount"]) >= Decimal(amount_text(entry.billed_nano)), intent
    assert {} == bills


def _kinds(entry: Any) -> Iterator[str]:  # noqa: ANN401 - an entry of the simulator's books
    yield "settled"
    if entry.stream:
        yield "stream"
    if entry.usage.cached:
        yield "cached"
    if entry.usage.reasoning:
        yield "reasoned"
    if entry.usage.completion in (1, 2, 7, 50, 199, 200, 500, 2000):
        yield "cut"
    if not entry.billed_nano:
        yield "free"
