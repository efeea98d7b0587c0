"""Accounts: one for each key, and what moved its money."""

import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Literal

from service.simulator.prefixes import PrefixCache
from service.simulator.rates import NANO, amount_text

START_NANO = 50 * NANO
RICH_START_NANO = 1_000_000 * NANO
CLIENT_IDS_MAX = 100_000
CREDIT_WINDOW_NS = 7 * 24 * 3600 * 10**9

Standing = Literal["good", "revoked", "empty", "unknown", "absent"]
Move = Literal["billed", "elsewhere", "topup", "voucher"]


def standing_of(key: str | None) -> Standing:
    """Tell what a key is worth, from its first letters alone."""
    if not key:
        return "absent"
    if key.startswith("sim-revoked"):
        return "revoked"
    if key.startswith("sim-empty"):
        return "empty"
    return "good" if key.startswith("sim-") else "unknown"


def wallet_of(provider: str, key: str) -> str:
    """Name the wallet of a key without showing the key."""
    return f"{provider}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def has_plan(provider: str, key: str) -> bool:
    """Tell whether a key pays by GLM's coding plan, and by nothing else."""
    return provider == "glm" and key.startswith("sim-plan")


def start_nano_of(key: str) -> int:
    """Give what a key's account opens with: 50, nothing for an empty one, plenty for `sim-rich…`."""
    if standing_of(key) == "empty":
        return 0
    return RICH_START_NANO if key.startswith("sim-rich") else START_NANO


@dataclass(frozen=True, slots=True)
class Draw:
    """What one answer was metered: tokens by class, 10^-9 credits if a plan paid, tokens if a package did."""

    at_ns: int
    model: str
    uncached: int
    cached: int
    output: int
    credits_nano: int = 0
    package_tokens: int = 0

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.uncached + self.cached + self.output


@dataclass(slots=True)
class Account:
    """What one key pays from. Amounts are whole nano-units (10^-9) of `currency`."""

    wallet: str
    provider: str
    currency: str
    start_nano: int
    plan: bool = False
    requests: int = 0
    moves: list[tuple[int, Move, int]] = field(default_factory=list)  # (at_ns, why, nano), in order of time
    credits: deque[tuple[int, int]] = field(default_factory=deque)  # (at_ns, 10^-9 credits), one week of them
    draws: list[Draw] = field(default_factory=list)  # in order of time
    packages: list[tuple[int, int]] = field(default_factory=list)  # (at_ns, tokens) of each package that was given
    prefixes: PrefixCache = field(default_factory=PrefixCache)
    client_ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    totals: dict[Move, int] = field(
        default_factory=lambda: {"billed": 0, "elsewhere": 0, "topup": 0, "voucher": 0}
    )

    def move(self, at_ns: int, why: Move, nano: int) -> None:
        """Record one movement; every amount is positive, `why` says which way it goes."""
        self.moves.append((at_ns, why, nano))
        self.totals[why] += nano

    def until(self, at_ns: int | None) -> dict[Move, int]:
        """Sum the movements by kind, up to a time (None: all of them)."""
        if at_ns is None:
            return self.totals
        sums: dict[Move, int] = {"billed": 0, "elsewhere": 0, "topup": 0, "voucher": 0}
        for moved_ns, why, nano in self.moves:
            if moved_ns <= at_ns:
                sums[why] += nano
        return sums

    @property
    def balance_nano(self) -> int:
        """What is left now."""
        gone = self.totals["billed"] + self.totals["elsewhere"]
        return self.start_nano + self.totals["topup"] + self.totals["voucher"] - gone

    def draw_credits(self, at_ns: int, nano: int) -> None:
        """Count plan credits (10^-9), forgetting those of more than a week ago."""
        self.credits.append((at_ns, nano))
        while self.credits[0][0] < at_ns - CREDIT_WINDOW_NS:
            self.credits.popleft()

    def package_left(self, until_ns: int | None = None) -> int:
        """Count what is left of the packages of tokens, up to a time (None: now)."""
        if not self.packages:
            return 0
        given = sum(tokens for at_ns, tokens in self.packages if until_ns is None or at_ns <= until_ns)
        return given - sum(draw.package_tokens for draw in self.draws_until(until_ns))

    def draws_until(self, until_ns: int | None) -> list[Draw]:
        """Give what was metered up to a time (None: all of it)."""
        return [draw for draw in self.draws if until_ns is None or draw.at_ns <= until_ns]

    def claim(self, client_id: str) -> bool:
        """Take a client's own request id; False when it was taken before."""
        if client_id in self.client_ids:
            return False
        self.client_ids[client_id] = None
        if len(self.client_ids) > CLIENT_IDS_MAX:
            self.client_ids.popitem(last=False)
        return True

    def as_json(self) -> dict[str, object]:
        """Give the wallet's line in the books."""
        return {
            "wallet": self.wallet,
            "provider": self.provider,
            "currency": self.currency,
            "balance": amount_text(self.balance_nano),
            "spent": amount_text(self.totals["billed"]),
            "spent_elsewhere": amount_text(self.totals["elsewhere"]),
            "added": amount_text(self.totals["topup"] + self.totals["voucher"]),
            "requests": self.requests,
            "plan": self.plan,
            "credits": amount_text(sum(draw.credits_nano for draw in self.draws)),
            "packages": [tokens for _, tokens in self.packages],
            "package_tokens": self.package_left(),
        }
