"""The far side: both providers as they look from their own machines, with a bill that nobody else writes.

It knows only the bytes that reached it. Its amounts are whole nano-units, from rates that were transcribed apart
from the service's price table.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import cast

from service.core.shapes import Prepared
from service.core.wallet import Wallet
from service.simulator import glm, kimi
from service.simulator.asked import Asked, read_asked
from service.simulator.faults import Error
from service.simulator.provider import Provider
from service.simulator.rates import bill_nano, offered
from service.simulator.shapes import Answer, Ids, Usage
from service.simulator.text import count_prompt, perform

_MODULES: Mapping[str, ModuleType] = {"kimi": kimi, "glm": glm}
_ERRORS = {
    "kimi": (
        "invalid_authentication_error",
        "rate_limit_reached_error",
        "engine_overloaded_error",
        "server_error",
        "exceeded_current_quota_error",
        "content_filter",
    ),
    "glm": ("1002", "1302", "1305", "500", "1113", "1301"),
}
_CHANCES = {"work": 66, "error": 20, "gateway": 5, "no_usage": 4, "garbage": 3, "broken_off": 2}
_KEY = re.compile(r"key=(\S+)")
_ERROR_CHANCES = (20, 20, 20, 150)  # of usual worlds and of one whose providers are overloaded
_GATEWAY = b"<html><body>502 Bad Gateway</body></html>"
_BROKEN_OFF = b'data: {"error":{"message":"the engine broke off","type":"server_error","code":"500"}}\n\n'


@dataclass
class Bill:
    """One request that arrived.

    Attributes:
        unique: what made it unique, as it stood in its bytes.
        key: what the prompt says its idempotency key is; empty for none.
        nano: what it costs its wallet, in 10^-9 of the currency; 0 where nothing was done, or the model is free.
        is_worked: whether the model ran.
    """

    unique: str
    provider: str
    model: str
    currency: str
    key: str = ""
    nano: int = 0
    is_worked: bool = False


@dataclass
class FarSide:
    """Both providers. They outlive every crash of the service.

    Attributes:
        bills: by what made each request unique, in order of arrival.
        wrong: what no honest client does.
    """

    dice: random.Random
    bills: dict[str, Bill] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    ids: Ids = field(default_factory=lambda: Ids("far side"))

    def __post_init__(self) -> None:
        self.chances = _CHANCES | {"error": self.dice.choice(_ERROR_CHANCES)}

    def receive(self, wallet: Wallet, prepared: Prepared, at_ns: int) -> Answer:
        """Take a request in: bill it if it is worked on, then give the answer that leaves."""
        name, key = wallet.provider, wallet.key.reveal()
        side = cast("Provider", _MODULES[name])
        asked = read_asked(prepared.body)
        keys = _KEY.findall(asked.last_user_text())
        bill = Bill(unique_of(prepared), name, asked.model, str(wallet.currency), keys[0] if keys else "")
        if bill.unique in self.bills:
            self.wrong.append(f"I1: request {bill.unique} was sent twice")
        self.bills[bill.unique] = bill
        stamped = side.stamp(self.ids, at_ns)
        (what,) = self.dice.choices([*self.chances], [*self.chances.values()])
        if asked.model not in offered(name, bill.currency):
            return side.refuse(side.unknown_model(asked.model), stamped)
        if what == "error":
            said = f"the key {key} may not do this"
            return side.refuse(side.injected(self._fault(name, said)), stamped, client_id=asked.request_id)
        work = perform(
            asked,
            side.TEMPLATE,
            prompt=count_prompt(asked.messages, side.TEMPLATE),
            cached=0,
            thinks=side.thinks(asked),
            limit=asked.limit(side.OUTPUT_TOKENS_DEFAULT),
        )
        told: Usage | None = work.usage
        if what != "gateway" or self.dice.random() < 1 / 2:
            self._bill(bill, work.usage, at_ns)
        if what == "no_usage":
            told = None
        answer = side.complete(asked, work, told, stamped, asked.model)
        return _spoiled(what, asked, answer)

    def _fault(self, name: str, said: str) -> Error:
        word, wait_s = self.dice.choice(_ERRORS[name]), self.dice.choice((None, 1, 2))
        if name == "kimi":
            return Error(type=word, message=said, retry_after_s=wait_s)
        return Error(code=word, message=said, retry_after_s=wait_s)

    def _bill(self, bill: Bill, usage: Usage, at_ns: int) -> None:
        bill.is_worked = True
        bill.nano = bill_nano(
            bill.provider,
            bill.currency,
            bill.model,
            prompt=usage.prompt,
            cached=usage.cached,
            completion=usage.completion,
            at_ns=at_ns,
        )


def unique_of(prepared: Prepared) -> str:
    """Read what makes a request unique out of its own bytes."""
    nonces = [value for name, value in prepared.headers if name.lower() == "x-msh-request-nonce"]
    return nonces[0] if nonces else str(read_asked(prepared.body).request_id)


def _spoiled(what: str, asked: Asked, answer: Answer) -> Answer:
    if what == "gateway":
        return replace(answer, status=502, body=_GATEWAY, chunks=None)
    if what == "garbage":
        return replace(answer, body=_GATEWAY, chunks=None)
    if what == "broken_off" and asked.stream and answer.chunks is not None:
        return replace(answer, chunks=(*answer.chunks[:2], _BROKEN_OFF))
    return answer
