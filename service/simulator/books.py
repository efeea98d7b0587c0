"""The books: every chat request that arrived and what it was billed, exact to the last digit.

An entry is complete, and its line is on disk if a file was given, before the first byte of the answer leaves.
The books are never trimmed: `reset` empties them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import msgspec

from service.simulator.accounts import Account, Draw, has_plan, start_nano_of, wallet_of
from service.simulator.rates import amount_text
from service.simulator.shapes import Clock, Usage, iso_text


@dataclass(slots=True)
class Entry:
    """One chat request. `status` None means no answer ever left; `usage` is what was metered and billed."""

    request_id: str
    provider: str
    wallet: str | None
    at_ns: int
    path: str
    nonce: str | None
    model: str | None = None
    status: int | None = None
    usage: Usage | None = None
    reported_usage: dict[str, object] | None = None
    billed_nano: int = 0
    currency: str = "USD"
    credits_nano: int | None = None
    package_tokens: int = 0
    client_request_id: str | None = None
    provider_id: str | None = None
    error: str | None = None
    stream: bool = False
    faults: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Give the request's line in the books."""
        return {
            "request_id": self.request_id,
            "provider": self.provider,
            "wallet": self.wallet,
            "model": self.model,
            "status": self.status,
            "usage": self.usage.as_json() if self.usage else None,
            "reported_usage": self.reported_usage,
            "billed": {"amount": amount_text(self.billed_nano), "currency": self.currency},
            "credits": None if self.credits_nano is None else amount_text(self.credits_nano),
            "package_tokens": self.package_tokens,
            "at": iso_text(self.at_ns),
            "path": self.path,
            "nonce": self.nonce,
            "client_request_id": self.client_request_id,
            "provider_id": self.provider_id,
            "error": self.error,
            "stream": self.stream,
            "faults": self.faults,
        }


class Books:
    """Both providers' accounts and requests. One event loop owns them; nothing here awaits."""

    def __init__(self, clock: Clock, file: Path | None = None) -> None:
        self._clock = clock
        self._file: TextIO | None = file.open("a", encoding="utf-8") if file else None
        self.requests: list[Entry] = []
        self.accounts: dict[str, Account] = {}

    def account(self, provider: str, key: str) -> Account:
        """Give the account of a key, opened at its first use."""
        wallet = wallet_of(provider, key)
        if wallet not in self.accounts:
            currency = "CNY" if key.startswith("sim-cny") else "USD"
            plan = has_plan(provider, key)
            start_nano = 0 if plan else start_nano_of(key)
            self.accounts[wallet] = Account(wallet, provider, currency, start_nano, plan)
        return self.accounts[wallet]

    def arrive(self, entry: Entry) -> None:
        """Write down a request that arrived, before anything is decided about it."""
        self.requests.append(entry)

    def settle(self, entry: Entry, account: Account | None) -> None:
        """Take the money, and flush the entry's line to the file if there is one."""
        if account is not None:
            account.requests += 1
            self._draw(entry, account)
        if self._file is not None:
            self._file.write(msgspec.json.encode(entry.as_json()).decode() + "\n")
            self._file.flush()

    def _draw(self, entry: Entry, account: Account) -> None:
        at_ns, usage = self._clock(), entry.usage
        if entry.billed_nano:
            account.move(at_ns, "billed", entry.billed_nano)
        if entry.credits_nano:
            account.draw_credits(at_ns, entry.credits_nano)
        if usage is not None and entry.model is not None and entry.provider == "glm":
            uncached, credits_nano = usage.prompt - usage.cached, entry.credits_nano or 0
            parts = (uncached, usage.cached, usage.completion, credits_nano, entry.package_tokens)
            account.draws.append(Draw(at_ns, entry.model, *parts))

    def as_json(self) -> dict[str, object]:
        """Give the whole books."""
        return {
            "requests": [entry.as_json() for entry in self.requests],
            "wallets": [account.as_json() for account in self.accounts.values()],
        }

    def reset(self) -> None:
        """Forget everything in memory; a file keeps its lines."""
        self.requests.clear()
        self.accounts.clear()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
