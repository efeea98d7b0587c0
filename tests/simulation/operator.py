"""The operator: a person who sets budgets and resolves what is in doubt while calls run, and makes mistakes."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass

from service.core.entries import BudgetEntry, BudgetTerms, ResolutionEntry
from service.core.words import BudgetEvent, BudgetPeriod, ResolutionOutcome, ResolutionSource
from service.errors import LedgerError
from service.ledger.ledger import Ledger
from service.simulator.rates import amount_text
from tests.simulation.judge import Judge

_ACTS_MAX = 4
_NAMES = ("small", "large")
_LIMITS = (
    {"USD": "0.02"},
    {"USD": "0.1"},
    {"tokens": "6000"},
    {"tokens": "30000"},
    {"USD": "0.2", "tokens": "20000"},
)
_EACH: tuple[tuple[str, ...], ...] = ((), (), ("client",), ("provider", "model"))
_MISTAKE_CHANCE = 0.1


@dataclass
class Operator:
    """A person at the service's controls, with the far side's bills before their eyes."""

    dice: random.Random
    ledger: Ledger
    judge: Judge

    async def work(self) -> None:
        """Do some things, one after the other."""
        for _ in range(self.dice.randint(0, _ACTS_MAX)):
            await asyncio.sleep(self.dice.expovariate(2))
            entry = self.dice.choice((self._budget, self._resolution, self._resolution))()
            if entry is not None:
                # A mistake is refused as no part of its call's history; a ledger that ends refuses everything.
                with suppress(ValueError, LedgerError):
                    await self.ledger.append(entry)

    def _budget(self) -> BudgetEntry:
        name = self.dice.choice(_NAMES)
        if self.dice.random() < 1 / 4:
            return BudgetEntry(event=BudgetEvent.REMOVED, name=name, terms=None, warning=None, by="operator")
        terms = BudgetTerms(
            name=name,
            period=self.dice.choice(tuple(BudgetPeriod)),
            limits=self.dice.choice(_LIMITS),
            provider=self.dice.choice((None, None, "kimi")),
            each=self.dice.choice(_EACH),
            allow_unknown_price=self.dice.random() < 1 / 2,
        )
        return BudgetEntry(event=BudgetEvent.SET, name=name, terms=terms, warning=None, by="operator")

    def _resolution(self) -> ResolutionEntry | None:
        """Say of an attempt what the far side's bill says; now and then of one that is not in doubt."""
        log = self.judge.log
        bills = {self.judge.disk.intents[one.unique]: one for one in self.judge.far.bills.values()}
        mistaken = self.dice.random() < _MISTAKE_CHANCE
        known = [name for name in (log.attempts if mistaken else log.doubtful()) if name in bills]
        if not known:
            return None
        name = self.dice.choice(known)
        bill = bills[name]
        return ResolutionEntry(
            tool_call_id=log.attempts[name].intent["tool_call_id"],
            attempt_id=name,
            outcome=ResolutionOutcome.RECONCILED if bill.nano else ResolutionOutcome.WRITTEN_OFF,
            currency=bill.currency if bill.nano else None,
            amount=amount_text(bill.nano) if bill.nano else None,
            tokens=self.dice.choice((None, 77)) if bill.nano else None,
            source=ResolutionSource.OPERATOR,
            by="operator",
            why="the provider's bill",
        )
